"""One slice on the CPU: the published algorithm against SAMedLib in float32 and bfloat16.

Rounds alternate (plain, fp32, bf16, plain, ...) in one process; a ratio is the median over rounds of plain's time over
ours, once by the clock and once by processor time, which other work on the machine disturbs less. A slice goes from
[0, 1] to its labels, zooms included. Weights are random, LoRA's too, so nearly all classes are close to a tie
everywhere: the logit error, relative to the logits' spread, carries over to trained weights, the share of equal labels
does not. Where the folder of golden files is there, the plain version is first checked against the published
implementation's logits.

    python Testing/Benchmarks/slice.py                   ViT-B, 512 pixels: a minute
    python Testing/Benchmarks/slice.py --keep-memory     malloc keeps freed memory, for plain and ours alike
    python Testing/Benchmarks/slice.py --encoder tiny --batch 16
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from plain import PlainSAMed
from scipy import ndimage

from SAMedLib.inference import Segmenter
from SAMedLib.model import DecoderConfig, EncoderConfig, SAMed, SAMedConfig
from SAMedLib.model.lora import LoRALinear
from SAMedLib.training.memory import keep_freed_memory

SHARED = Path(os.environ.get("SAMED_SHARED", Path(__file__).resolve().parents[3] / "shared"))


def random_model(config: SAMedConfig) -> SAMed:
    torch.manual_seed(0)
    model = SAMed(config).eval()
    with torch.no_grad():
        for layer in (module for module in model.modules() if isinstance(module, LoRALinear)):
            for b in layer.b.values():
                b.normal_(std=0.02)
    return model


def smooth_slices(count: int, side: int = 512) -> np.ndarray:
    """float32 [count, side, side] in [0, 1]: blobs and some noise, not alike."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(count, side, side))
    blobs = np.stack([ndimage.gaussian_filter(one, side / 25) for one in noise])
    blobs = 0.5 + 0.2 * blobs / blobs.std() + 0.02 * noise
    return blobs.clip(0, 1).astype(np.float32)


def check_against_golden() -> str:
    """Raises AssertionError if the plain version is not the published implementation."""
    golden = SHARED / "golden"
    if not golden.is_dir():
        return f"plain version not checked: {golden} is absent"
    c = json.loads((golden / "tiny_config.json").read_text())
    config = SAMedConfig(
        encoder=EncoderConfig(c["embed_dim"], c["depth"], c["heads"], tuple(c["global_attn_indexes"]), c["window"]),
        decoder=DecoderConfig(
            c["dec_dim"], c["dec_depth"], c["dec_heads"], c["dec_mlp"], c["iou_hidden"], c["mask_in_chans"]
        ),
        image_size=c["image_size"],
        num_classes=c["num_classes"] + 1,
        rank=c["rank"],
    )
    model = SAMed(config)
    model.load_base(golden / "samed_w4_base_sam_state.pth")
    model.load_adapter(golden / "samed_w4_lora.pth")
    plain = PlainSAMed(model)
    io = np.load(golden / "samed_w4_io.npz")
    with torch.no_grad():
        logits = torch.cat([plain(image[None]) for image in torch.from_numpy(io["image"])])
    error = np.abs(logits.numpy() - io["low_res_logits"]).max()
    assert error < 1e-5, f"the plain version differs from the published logits by {error:.1e}"
    return f"plain version equals the published logits to {error:.1e}"


def logits_of(segmenter: Segmenter, images: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return segmenter.logits(torch.from_numpy(images)[:, None])


def compare(plain: PlainSAMed, segmenter: Segmenter, images: np.ndarray) -> str:
    """Logits for the same network input, and labels of whole slices."""
    side = plain.config.image_size
    inputs = images[:, :side, :side]
    with torch.no_grad():
        expected = torch.cat([plain(torch.from_numpy(image)[None, None]) for image in inputs])
    error = logits_of(segmenter, inputs) - expected
    spread = expected.std()
    labels = np.stack([plain.segment_slice(image) for image in images])
    equal = (segmenter.predict(images) == labels).mean()
    return (
        f"logit error max {error.abs().max():.1e}, rms {error.square().mean().sqrt():.1e} "
        f"({100 * error.square().mean().sqrt() / spread:.3f} % of their std {spread:.3f}), "
        f"labels equal {100 * equal:.4f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", choices=("tiny", "vit_b", "vit_l", "vit_h"), default="vit_b")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=1, help="slices at once for ours; plain has one at a time")
    parser.add_argument("--threads", type=int, help="all processors by default")
    parser.add_argument("--keep-memory", action="store_true", help="malloc keeps freed memory")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.keep_memory:
        keep_freed_memory()
    print(check_against_golden())
    tiny = args.encoder == "tiny"
    config = SAMedConfig.tiny() if tiny else SAMedConfig(encoder=getattr(EncoderConfig, args.encoder)())
    model = random_model(config)
    plain = PlainSAMed(model)
    model.merge_lora()
    ours = {name: Segmenter(model, "cpu", name, args.batch) for name in ("fp32", "bf16")}
    images = smooth_slices(max(2, args.batch))
    for name, segmenter in ours.items():
        print(f"{name}: {compare(plain, segmenter, images[:2])}", flush=True)
    taken: dict[str, list[tuple[float, float]]] = {"plain": [], **{name: [] for name in ours}}
    for number in range(args.rounds):
        one = number % len(images)
        taken["plain"].append(seconds(lambda: plain.segment_slice(images[one]), 1))  # noqa: B023 called at once
        several = np.roll(images, -one, axis=0)[: args.batch]
        for name, segmenter in ours.items():
            taken[name].append(seconds(lambda: segmenter.predict(several), args.batch))  # noqa: B023
    memory = "malloc keeps freed memory" if args.keep_memory else "malloc as it comes"
    print(
        f"{args.encoder}, {config.image_size} pixels, {args.rounds} rounds, ours {args.batch} at once, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {memory}"
    )
    for name, pairs in taken.items():
        clock, processor = (
            (
                statistics.median(own[kind] for own in pairs),
                statistics.median(plain[kind] / own[kind] for plain, own in zip(taken["plain"], pairs, strict=True)),
            )
            for kind in (0, 1)
        )
        print(
            f"{name:<6} clock {clock[0]:6.2f} s a slice, {clock[1]:.2f}x plain; "
            f"processor {processor[0]:6.2f} s a slice, {processor[1]:.2f}x plain"
        )


def seconds(work: Callable[[], object], slices: int) -> tuple[float, float]:
    """By the clock and of all processors, for one of the slices that `work` does."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - clock) / slices, (time.process_time() - processor) / slices


if __name__ == "__main__":
    main()
