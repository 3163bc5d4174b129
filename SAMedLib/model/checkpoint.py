"""What SAMed's files hold: SAM bases, adapters in the published layout (.pth), and adapters of ours (.safetensors)."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from SAMedLib.errors import SAMedError
from SAMedLib.model.classes import is_class_dependent, take_classes
from SAMedLib.model.config import DecoderConfig, EncoderConfig, SAMedConfig
from SAMedLib.model.lora import LoRALinear, decoder_attentions
from SAMedLib.model.metadata import BaseWeights, ModelMetadata, default_metadata
from SAMedLib.model.sam import resize_positions
from SAMedLib.model.tensor_files import assign, is_complete, read_tensors, shape_text, write_tensors
from SAMedLib.organs import Classes
from SAMedLib.weights.records import known_sha256

if TYPE_CHECKING:
    from SAMedLib.model.samed import SAMed


def load_base(model: SAMed, path: Path, rel_pos_rule: str = "global", keep_mapped: bool = False) -> None:
    """See SAMed.load_base."""
    resizes = _rel_pos_rule(model.config, rel_pos_rule)
    state, _ = read_tensors(path)
    own = _plain_state(model)
    taken = {}
    for name, target in own.items():
        if is_class_dependent(name):
            continue
        if name not in state:
            raise SAMedError(f"{path} has no {name}, so it is not a SAM base; give a SAM checkpoint of this ViT size.")
        value = state[name]
        if name.endswith("pos_embed") or resizes(name):
            value = _resized(path, name, value, target)
        if value.shape != target.shape:
            raise SAMedError(
                f"{path} does not fit: {name} is {shape_text(value)}, the network has {shape_text(target)}; "
                f"give the SAM base of this ViT size."
            )
        taken[name] = value
    assign(own, taken, keep_mapped)
    model.metadata = model.metadata.replace(base=BaseWeights(path.name, known_sha256(path)))


def _rel_pos_rule(config: SAMedConfig, rule: str):
    if rule == "global":
        names = tuple(f"image_encoder.blocks.{index}.attn.rel_pos" for index in config.encoder.global_attn_indexes)
        return lambda name: any(name.startswith(prefix + axis) for prefix in names for axis in ("_h", "_w"))
    if rule == "published":
        return lambda name: "rel_pos" in name and any(digits in name for digits in ("2", "5", "8", "11"))
    raise SAMedError(f"The position-table rule {rule!r} is unknown; choose global or published.")


def _resized(path: Path, name: str, value: Tensor, target: Tensor) -> Tensor:
    if value.ndim != target.ndim or value.shape[-1] != target.shape[-1]:
        raise SAMedError(
            f"{path} does not fit: {name} is {shape_text(value)}, the network has {shape_text(target)}; "
            f"give the SAM base of this ViT size, or a model of it."
        )
    return resize_positions(name, value, target)


def adapter_tensors(model: SAMed) -> dict[str, Tensor]:
    """LoRA factors under the published names, as the model's own tensors.

    Encoder factors are w_a_NNN and w_b_NNN, numbered block by block in the order of config.lora_targets (so 2 * block
    is q and 2 * block + 1 is v in the published layout). Decoder factors are sa_, cti_, cit_, fati_ likewise.
    """
    tensors: dict[str, Tensor] = {}
    index = 0
    for block in model.image_encoder.blocks:
        for target in model.config.lora_targets:
            layer: LoRALinear = block.attn.proj if target == "o" else block.attn.qkv
            tensors[f"w_a_{index:03d}"], tensors[f"w_b_{index:03d}"] = layer.a[target], layer.b[target]
            index += 1
    if model.config.decoder_tuning == "lora":
        counts = {"sa": 0, "cti": 0, "cit": 0}
        for prefix, attention in decoder_attentions(model.mask_decoder):
            for target in ("q", "v"):
                layer = getattr(attention, f"{target}_proj")
                if prefix == "fati":
                    tensors[f"fati_{target}a"], tensors[f"fati_{target}b"] = layer.a[target], layer.b[target]
                else:
                    number = counts[prefix]
                    tensors[f"{prefix}_a_{number:03d}"] = layer.a[target]
                    tensors[f"{prefix}_b_{number:03d}"] = layer.b[target]
                    counts[prefix] += 1
    return tensors


def _plain_state(model: SAMed) -> dict[str, Tensor]:
    """The model's tensors that SAM has too, under SAM's names."""
    return {
        name: tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
        if not re.search(r"_proj\.[ab]\.|attn\.(qkv|proj)\.[ab]\.", name)
    }


def _saved_state(model: SAMed, complete: bool) -> dict[str, Tensor]:
    """What an adapter file holds: all of it, or the published selection."""
    state = _plain_state(model)
    if complete:
        kept = state
    else:
        kept = {n: t for n, t in state.items() if n.startswith(("prompt_encoder.", "mask_decoder."))}
        if model.config.decoder_tuning == "lora":
            kept = {n: t for n, t in kept.items() if ".transformer." not in n}
    return {**adapter_tensors(model), **kept}


def save_adapter(model: SAMed, path: Path, dtype: torch.dtype | None = None) -> None:
    """Write what SAMed.save_adapter is to write."""
    complete = model.config.encoder_tuning == "full" or model.metadata.base is None
    if path.suffix in (".pth", ".pt"):
        if model.config.encoder_tuning == "full":
            raise SAMedError(f"{path}: the published layout cannot hold a trained encoder; save it as .safetensors.")
        complete = False
    write_tensors(path, _saved_state(model, complete), model.metadata, dtype)


def apply_adapter(
    model: SAMed, path: Path, state: dict[str, Tensor], metadata: ModelMetadata | None, classes: Classes | None = None
) -> list[str]:
    """See SAMed.take_weights."""
    base_in_use = model.metadata.base
    if metadata is not None and metadata.base and base_in_use and metadata.base.sha256 != base_in_use.sha256:
        raise SAMedError(
            f"{path} was trained on {metadata.base.name} (SHA-256 {metadata.base.sha256[:12]}...), but the base in use "
            f"is {base_in_use.name} ({base_in_use.sha256[:12]}...); give that base."
        )
    factors = adapter_tensors(model)
    found = {name for name in state if re.fullmatch(r"(w|sa|cti|cit)_[ab]_\d{3}|fati_[qv][ab]", name)}
    if found and found != set(factors):
        raise SAMedError(
            f"{path} holds {len(found)} LoRA tensors, the network has {len(factors)}; "
            f"build the network with the file's LoRA targets and decoder tuning."
        )
    wanted = _saved_state(model, is_complete(state))
    resizes = _rel_pos_rule(model.config, "global")
    taken, fresh = {}, []
    if classes is not None:
        state, fresh = take_classes(state, wanted, classes)
    for name, target in wanted.items():
        if name in factors and not found:
            continue
        value = state.get(name)
        if classes is not None and value is not None and (name.endswith("pos_embed") or resizes(name)):
            value = _resized(path, name, value, target)
        if value is not None and value.shape == target.shape:
            taken[name] = value
        elif value is None:
            raise SAMedError(f"{path} has no {name}; it is incomplete, or made for another network; get it again.")
        elif is_class_dependent(name):
            raise SAMedError(
                f"{path} was made for another number of classes: {name} is {shape_text(value)}, "
                f"the network has {shape_text(target)}; use a model with the same labels."
            )
        else:
            raise SAMedError(
                f"{path} does not fit: {name} is {shape_text(value)}, the network has {shape_text(target)}; "
                f"build the network with the file's size and LoRA rank."
            )
    assign(wanted, taken)
    if metadata is not None and not fresh:
        model.metadata = metadata.replace(config=model.config, base=base_in_use)
    return fresh


def describe_adapter(
    path: Path,
    state: dict[str, Tensor],
    metadata: ModelMetadata | None,
    image_size: int | None = None,
    slice_size: int | None = None,
) -> ModelMetadata:
    """The metadata of an adapter file: its own, or what the tensors of a published .pth, which has none, tell.

    Args:
        metadata: what the file says of itself, None if nothing.
        image_size, slice_size: what a .pth was trained with, which is not in the file; None takes the published 512
            and 224.

    Raises:
        SAMedError: if sizes are given for a file that says them itself, or the tensors are no known adapter.
    """
    given = {name: n for name, n in (("image_size", image_size), ("slice_size", slice_size)) if n is not None}
    if metadata is None:
        metadata = infer_published_metadata(path, state)
        return metadata.replace(config=dataclasses.replace(metadata.config, **given))
    if given:
        raise SAMedError(f"{path} says itself which sizes it takes; leave out --image-size and --slice-size.")
    return metadata


def infer_published_metadata(path: Path, state: dict[str, Tensor]) -> ModelMetadata:
    """Describe a published .pth adapter, which carries no metadata, from the shapes of its tensors.

    Image size and slice size are not in the file: the published 512 and 224 are assumed.

    Raises:
        SAMedError: if the tensors are not an adapter in the published layout, or belong to no known ViT size.
    """
    pairs = sum(1 for name in state if re.fullmatch(r"w_a_\d{3}", name))
    tokens = state.get("mask_decoder.mask_tokens.weight")
    if not pairs or tokens is None or state.get("w_a_000", tokens.new_zeros(1)).ndim != 2:
        raise SAMedError(f"{path} is not an adapter in the published layout; give a .pth file that SAMed saved.")
    rank, width = state["w_a_000"].shape
    encoders = {"vit_b": EncoderConfig.vit_b(), "vit_l": EncoderConfig.vit_l(), "vit_h": EncoderConfig.vit_h()}
    known = {(encoder.embed_dim, 2 * encoder.depth): encoder for encoder in encoders.values()}
    if (width, pairs) not in known:
        raise SAMedError(
            f"{path} adapts {pairs // 2} blocks of width {width}, which is not SAM's ViT-B, L or H; "
            f"convert it to .safetensors with its configuration."
        )
    config = SAMedConfig(
        encoder=known[width, pairs],
        decoder=DecoderConfig(),
        num_classes=tokens.shape[0],
        rank=rank,
        decoder_tuning="lora" if "sa_a_000" in state else "full",
    )
    return default_metadata(config)
