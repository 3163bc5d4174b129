"""`samed benchmark`: what it measures against is the published algorithm, and figures are what they say."""

from __future__ import annotations

import json
import random
import re
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from SAMedLib.benchmark import main
from SAMedLib.benchmarks import alternative, plain, tasks
from SAMedLib.benchmarks.made_up import organ_labels, random_network, smooth_slices
from SAMedLib.benchmarks.peak import encoder_gflop
from SAMedLib.benchmarks.report import summary
from SAMedLib.benchmarks.tasks import FULL_VOLUME, Result
from SAMedLib.benchmarks.timing import Row, Way, take_turns
from SAMedLib.data.augment import get_augmentation, to_network_size
from SAMedLib.errors import Cancelled
from SAMedLib.events import Reporter
from SAMedLib.model import DecoderConfig, EncoderConfig, SAMed, SAMedConfig
from SAMedLib.onednn import has_bfloat16

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def published(golden) -> plain.PlainSAMed:
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
    return plain.PlainSAMed(model)


def test_what_is_measured_against_has_the_published_logits_and_masks(golden, published):
    recorded = np.load(golden / "samed_w4_io.npz")
    with torch.no_grad():
        logits, masks = published(torch.from_numpy(recorded["image"]))
    np.testing.assert_allclose(logits, recorded["low_res_logits"], atol=1e-5)
    np.testing.assert_allclose(masks, recorded["masks"], atol=1e-5)


def test_what_is_measured_against_trains_as_published(golden, published):
    recorded = np.load(golden / "samed_w4_train_adamw.npz")
    training = plain.PlainTraining(published)
    for k in range(10):
        images, labels = (torch.from_numpy(recorded[name][k]) for name in ("images", "low_labels"))
        loss = training.step(images[:, None], labels.long(), float(recorded["lr_used"][k]))
        assert loss == pytest.approx(float(recorded["losses"][k][0]), abs=1e-4)


def test_what_is_measured_against_segments_and_trains_the_same_weights_as_ours(small_config):
    model = random_network(small_config)
    yardstick = plain.PlainSAMed(model)
    trained = [sum(p.numel() for p in network.parameters() if p.requires_grad) for network in (model, yardstick)]
    assert trained[0] == trained[1]
    images = torch.from_numpy(smooth_slices(2, 80))[:, None]
    with torch.no_grad():
        torch.testing.assert_close(yardstick(images)[0], model.low_res_logits(images), atol=1e-5, rtol=0)


def test_slices_are_augmented_as_ours_are(small_config):
    """Each slice is one of the 45 that our augmentation can make, pixel for pixel but for the rounding of zooming."""
    image = smooth_slices(1, small_config.slice_size)[0]
    label = organ_labels((3, small_config.slice_size, small_config.slice_size), 0)[1]
    every = torch.arange(45)
    images, labels = (torch.from_numpy(one)[None].expand(45, -1, -1) for one in (image, label))
    images, low = to_network_size(*get_augmentation("published").apply(images, labels, every), small_config)
    draws, codes = random.Random(0), set()
    for _ in range(40):
        changed, _, small = plain.augmented(image, label, small_config.image_size, draws)
        errors = (images[:, 0] - torch.from_numpy(changed)).abs().amax(dim=(1, 2))
        code = int(errors.argmin())
        assert errors[code] < 1e-5
        assert np.array_equal(low[code], small)
        codes.add(code)
    assert {0, 1, 2, 3, 4} <= codes
    assert max(codes) > 4


def test_ways_take_turns_and_the_warm_up_does_not_count():
    order = []

    def way(name: str, seconds: float, units: int = 1) -> Way:
        def work() -> None:
            # the first time takes far longer, as it does where kernels are chosen
            time.sleep(seconds if name in order else 20 * seconds)
            order.append(name)

        return Way(name, work, units)

    rows = take_turns([way("published", 0.02), way("ours", 0.01, 2)], 3, CPU, "test")
    assert order == ["published", "ours"] * 4
    assert [row.name for row in rows] == ["published", "ours"]
    assert 0.02 <= rows[0].clock < 0.2
    assert 0.005 <= rows[1].clock < 0.1  # a unit is half of it
    assert rows[0].times_clock is None
    assert 1.5 < rows[1].times_clock < 30
    assert rows[0].processor < 0.01  # sleeping takes none


def test_work_is_cancelled_between_two_ways(tmp_path):
    stop = tmp_path / "stop"
    with pytest.raises(Cancelled):
        take_turns(
            [Way("a", stop.touch), Way("b", lambda: pytest.fail("went on"))],
            3,
            CPU,
            "test",
            Reporter(stop_file=stop, silent=True),
        )


def test_the_command_tells_a_table_draws_a_chart_and_writes_json(tmp_path, capsys):
    figures, picture = tmp_path / "new" / "figures.json", tmp_path / "chart.png"
    only = "slice,zoom,augmentation,training,evaluation"
    arguments = ["--quick", "--rounds", "1", "--batch-size", "1", "--device", "cpu", "--only", only]
    assert main([*arguments, "--json", str(figures), "--chart", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "One slice of 512 x 512 to labels, tiny at 256 pixels" in said
    assert "Dsc and" not in said
    data = json.loads(figures.read_text())
    assert [result["task"] for result in data["results"]] == only.split(",")
    assert data["machine"]["device"] == "cpu"
    for result in data["results"]:
        assert result["title"][1:] in said
        assert result["rows"][0]["name"] == "published"
        assert len(result["rows"]) >= 2
        for row in result["rows"]:
            assert row["clock"] > 0
            assert (row["times_clock"] is None) == (row["name"] == "published")
    evaluation = data["results"][-1]
    assert "largest difference of all values 0.0e+00" in evaluation["remarks"]
    assert evaluation["rows"][1]["times_processor"] > 5
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_network_is_put_beside_the_peak_of_this_machine(capsys):
    assert main(["--quick", "--only", "peak", "--rounds", "1", "--batch-size", "1", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "fp32 product" in said
    shares = [int(share) for share in re.findall(r"GFLOP/s, (\d+) %", said)]
    assert len(shares) >= 1 + has_bfloat16()
    assert all(0 < share <= 150 for share in shares)  # a loaded machine may disturb the one more than the other


def test_operations_are_counted_as_in_published_counts():
    assert encoder_gflop(SAMedConfig()) == pytest.approx(194.5, rel=0.02)  # the reference's, without padded tokens
    assert encoder_gflop(SAMedConfig(encoder=EncoderConfig.vit_h())) == pytest.approx(1344, rel=0.02)


@pytest.mark.skipif(not find_spec("monai"), reason="needs MONAI")
def test_the_alternative_is_measured_in_the_same_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(alternative, "_FEATURES", (4, 8, 8, 8, 8))
    monkeypatch.setattr(alternative, "_PATCH", (32, 32, 32))
    arguments = ["--quick", "--only", "alternative", "--rounds", "1", "--batch-size", "1", "--device", "cpu"]
    assert main([*arguments, "--chart", str(tmp_path / "chart.png")]) == 0
    said = capsys.readouterr().out
    assert "nnU-Net at 3 mm" in said
    assert "x is against it" in said


def test_without_monai_the_alternative_is_left_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "monai.networks.nets", None)
    assert main(["--quick", "--only", "alternative", "--device", "cpu"]) == 0
    assert 'alternative is left out: the network to compare with needs MONAI: pip install "samed[monai]".' in (
        capsys.readouterr().err
    )


def test_the_start_of_commands_is_measured_in_processes_of_their_own(capfd):
    assert main(["--only", "start", "--rounds", "1", "--device", "cpu", "--events"]) == 0
    *_, result = map(json.loads, capfd.readouterr().out.splitlines())
    help_, bare, segment = result["results"][0]["rows"]
    assert help_["clock"] < min(bare["clock"], segment["clock"])
    assert help_["times_clock"] is None


def test_without_medpy_ours_is_measured_alone(monkeypatch, capsys):
    monkeypatch.setattr(tasks, "find_spec", lambda name: None)
    assert main(["--quick", "--only", "evaluation"]) == 0
    said = capsys.readouterr().out
    assert "medpy is not installed" in said
    assert "published  " not in said


def test_a_whole_scan_is_added_up_only_from_what_was_measured():
    slices = Result("slice", "", "slice", (Row("published", 2.0, 2.0), Row("fp32", 1.0, 1.0, 2.0, 2.0)))
    size = " x ".join(str(length) for length in reversed(FULL_VOLUME))
    rows = (Row("published", 152.0, 152.0), Row("boxes", 1.0, 1.0, 152.0, 152.0))
    evaluation = Result("evaluation", f"DSC, {size} voxels", "scan", rows)
    said = summary([slices, evaluation])
    assert "7.5 min" in said  # 148 * 2 + 152 seconds
    assert "3.01x" in said  # against 149
    assert not summary([slices])
    assert not summary([slices, Result("evaluation", "DSC, 64 x 64 x 8 voxels", "scan", rows)])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--only", "slice,nonsense"], 2, "expected some of slice, peak"),
        (["--rounds", "0"], 2, "expected a whole number from 1"),
        (["--chart", "chart.pdf"], 1, "chart.pdf must end in .png"),
        (["--json", "figures.txt"], 1, "figures.txt must end in .json"),
        (["--device", "cuda:99"], 1, "--device"),
    ],
)
def test_wrong_arguments_are_said_in_one_sentence(arguments, code, said, capsys):
    try:
        ended = main(arguments)
    except SystemExit as end:
        ended = end.code
    assert ended == code
    assert said in capsys.readouterr().err


def test_it_can_be_cancelled(tmp_path, capsys):
    (tmp_path / "stop").touch()
    assert main(["--stop-file", str(tmp_path / "stop")]) == 130
    assert capsys.readouterr().err.strip() == "Cancelled."
