"""U-Net, Attention U-Net, Swin UNETR and UNETR beside SAMed: trained, saved, resumed and used like it."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from SAMedLib.data.folders import DatasetFolder
from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.evaluate import main as evaluate
from SAMedLib.events import Reporter
from SAMedLib.imaging.volume import read_labels
from SAMedLib.model import ModelMetadata, SAMedConfig, load_model
from SAMedLib.model.build import build_network
from SAMedLib.model.metadata import default_metadata
from SAMedLib.model.networks import NETWORKS, config_from_json
from SAMedLib.organs import LabelSet
from SAMedLib.segment import main as segment
from SAMedLib.train import main
from SAMedLib.training import RunFolder, TrainingOptions, resume, train
from SAMedLib.training.averaging import WeightAverage
from SAMedLib.training.dry_run import saved_for_backward
from SAMedLib.training.losses import samed_loss
from SAMedLib.training.network_size import size_fields
from SAMedLib.training.starting_model import starting_point
from SAMedLib.weights.__main__ import main as weights
from training_data import SHAPES, SIZE, write_network, write_shapes

pytest.importorskip("monai", reason="MONAI is not installed (pip install samed[monai]), so its networks are not tested")

OTHERS = [name for name in NETWORKS if name != "samed"]
WITH_ATTENTION = ["swin-unetr", "unetr"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    write_shapes(folder / "data")
    write_network(folder / "sizes.json")
    return folder


def options(bench, network, /, **changes) -> TrainingOptions:
    fixed = {"image_size": SIZE, "slice_size": SIZE, "batch_size": 6, "epochs": 1, "device": "cpu", "warmup": 1}
    if network:
        fixed |= {"network": network, "model_size": str(bench / "sizes.json")}
    return TrainingOptions(data=str(bench / "data"), **{**fixed, **changes})


@pytest.fixture(scope="module")
def runs(bench, tmp_path_factory):
    """A finished run of each network, from the command line."""
    folder = tmp_path_factory.mktemp("runs")
    for network in OTHERS:
        arguments = ["--network", network, "--data", bench / "data", "--model-size", bench / "sizes.json"]
        arguments += ["--image-size", SIZE, "--slice-size", SIZE, "--batch-size", 6, "--epochs", 3, "--val-cases", 1]
        arguments += ["--warmup", 1, "--lr", 0.005, "--device", "cpu", "--output", folder / network]
        assert main([str(argument) for argument in arguments]) == 0
    return {network: RunFolder(folder / network) for network in OTHERS}


def small_config(bench, network, **changes):
    kind = NETWORKS[network]
    return kind(**{**size_fields(kind, str(bench / "sizes.json")), "image_size": SIZE, "slice_size": SIZE, **changes})


@pytest.mark.parametrize("network", OTHERS)
def test_each_network_learns(runs, network):
    losses = [event["loss"] for event in runs[network].events() if "loss" in event]
    assert len(losses) == 9
    assert sum(losses[-3:]) < 0.95 * sum(losses[:3])
    validated = [event["mean_dice"] for event in runs[network].events() if "mean_dice" in event]
    assert len(validated) == 3


@pytest.mark.parametrize("network", OTHERS)
def test_a_file_says_what_it_is_and_gives_the_same_logits(runs, network, tmp_path):
    model = load_model(runs[network].path)
    assert model.config.network == network
    assert model.metadata.label_set.names == SHAPES.names
    images = torch.rand(2, 1, SIZE, SIZE)
    with torch.no_grad():
        before = model(images).masks
        model.save_adapter(tmp_path / "copy.safetensors")
        assert torch.equal(load_model(tmp_path / "copy.safetensors")(images).masks, before)
    assert before.shape == (2, 4, SIZE, SIZE)


@pytest.mark.parametrize("network", OTHERS)
def test_a_volume_is_segmented_and_a_set_evaluated_from_the_command_line(runs, network, bench, tmp_path, capfd):
    image = next(iter(DatasetFolder.open(bench / "data").cases.values())).image
    model = ["--model", str(runs[network].path), "--device", "cpu"]
    assert segment([str(image), "-o", str(tmp_path / "labels.nii.gz"), *model]) == 0
    assert read_labels(tmp_path / "labels.nii.gz").array.any()
    assert evaluate(["--data", str(bench / "data"), *model, "--json", str(tmp_path / "report.json")]) == 0
    assert "disc" in capfd.readouterr().out


def test_the_weights_command_describes_a_file(runs, capsys):
    assert weights(["info", str(runs["swin-unetr"].adapter("best"))]) == 0
    said = capsys.readouterr().out
    assert "Swin UNETR" in said
    assert "none, it is complete" in said
    assert "4 with the background" in said


class StopsAtStep(Reporter):
    def __init__(self, step: int) -> None:
        super().__init__(silent=True)
        self._step, self._reached = step, False

    @property
    def stop_requested(self) -> bool:
        return self._reached

    def metric(self, step: int, **values) -> None:
        self._reached = self._reached or step == self._step


@pytest.mark.parametrize(
    ("network", "changes"),
    [("unet", {}), ("attention-unet", {"ema": 0.9}), ("swin-unetr", {"encoder_tuning": "lora"}), ("unetr", {})],
)
def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(bench, tmp_path, network, changes):
    wanted = options(bench, network, **changes)
    whole = train(wanted, tmp_path / "whole")
    with pytest.raises(Cancelled):
        train(wanted, tmp_path / "cut", StopsAtStep(2))
    resumed = resume(tmp_path / "cut")
    one, other = (load_file(run.adapter("last")) for run in (whole, resumed))
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize(("network", "decoder_tuning"), [("swin-unetr", "frozen"), ("unetr", "full")])
def test_lora_leaves_the_encoder_as_it_started_and_trains_the_rest(runs, bench, tmp_path, network, decoder_tuning):
    start = runs[network].adapter("last")
    wanted = options(bench, None, start=str(start), encoder_tuning="lora", rank=2, decoder_tuning=decoder_tuning)
    run = train(wanted, tmp_path / "run")
    before, after = load_file(start), load_file(run.adapter("last"))
    factors = {name for name in after if ".a." in name or ".b." in name}
    blocks = 5 if network == "swin-unetr" else 12
    assert len(factors) == 4 * blocks  # A and B of q and v in each block
    assert all(2 in after[name].shape for name in factors)
    encoder = ("network.swinViT.", "network.vit.")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in changed if name.startswith(encoder)]
    of_decoder = {name for name in changed if not name.startswith("network.out.")}
    assert bool(of_decoder) == (decoder_tuning == "full")
    assert changed - of_decoder
    assert all(after[name].any() for name in factors if ".b." in name)
    trained = sum(p.numel() for p in load_model(run.path, for_training=True).parameters() if p.requires_grad)
    assert trained == sum(after[name].numel() for name in factors) + sum(
        after[name].numel()
        for name in before
        if name.startswith("network.out.") or (decoder_tuning == "full" and not name.startswith(encoder))
    )


@pytest.mark.parametrize("network", WITH_ATTENTION)
def test_merged_lora_gives_the_same_logits(bench, network):
    targets = ("q", "k", "v", "o")
    model = build_network(small_config(bench, network, encoder_tuning="lora", lora_targets=targets)).eval()
    for name, parameter in model.named_parameters():
        if ".b." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    images = torch.rand(1, 1, SIZE, SIZE)
    with torch.no_grad():
        apart = model(images).masks
        model.merge_lora()
        together = model(images).masks
        with pytest.raises(SAMedError, match="unmerge_lora"):
            model.save_adapter("never.safetensors")
        model.unmerge_lora()
        assert torch.equal(model(images).masks, apart)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
    torch.nn.init.zeros_(next(p for name, p in model.named_parameters() if ".b." in name))
    with torch.no_grad():
        assert not torch.allclose(model(images).masks, apart, atol=1e-4)


def test_a_mean_of_the_weights_comes_with_the_mean_of_their_statistics(bench):
    model = build_network(small_config(bench, "attention-unet")).train()
    average = WeightAverage(model, decay=0.9)
    statistics = next(buffer for name, buffer in model.named_buffers() if name.endswith("running_mean"))
    before = statistics.clone()
    with torch.no_grad():
        model(torch.rand(2, 1, SIZE, SIZE))
    after = statistics.clone()
    average.update()  # the first update weighs old and new as 1 to 9
    with average.in_place():
        name = next(name for name, _ in model.named_buffers() if name.endswith("running_mean"))
        torch.testing.assert_close(model.get_buffer(name), 0.1 * before + 0.9 * after)
    assert torch.equal(model.get_buffer(name), after)


def test_a_run_starts_from_another_with_other_labels(runs, bench, tmp_path):
    write_shapes(tmp_path / "two", 2, LabelSet.from_names("two", ["disc", "square"]))
    start = starting_point(dataclasses.replace(options(bench, None, start=str(runs["unet"].path)), data="two"))
    model, remarks = start.build(LabelSet.from_names("two", ["disc", "square"]))
    assert "not those of the data: the weights of the last layer start anew" in remarks[0]
    before, after = load_file(runs["unet"].adapter("best")), model.state_dict()
    kept = {name for name in before if not name.startswith("network.final_conv.")}
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert after["network.final_conv.weight"].shape[0] == 3


@pytest.mark.parametrize("network", OTHERS)
def test_the_memory_of_a_step_is_what_autograd_keeps(bench, network):
    config = small_config(bench, network)
    random_state = torch.get_rng_state()
    estimated = saved_for_backward(config)
    assert torch.equal(torch.get_rng_state(), random_state)
    model = build_network(config)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = samed_loss(model.low_res_logits(torch.rand(1, 1, SIZE, SIZE)), torch.zeros(1, SIZE, SIZE))
    assert loss[0].requires_grad
    real = sum(storage.nbytes() for address, storage in kept.items() if address not in own)
    assert estimated == pytest.approx(real, rel=0.05)


def test_less_is_kept_where_less_is_trained_and_more_for_larger_images(bench):
    full, lora = (
        small_config(bench, "swin-unetr", encoder_tuning=tuning, decoder_tuning=rest)
        for tuning, rest in (("full", "full"), ("lora", "frozen"))
    )
    assert saved_for_backward(lora) < 0.9 * saved_for_backward(full)
    larger = dataclasses.replace(full, image_size=2 * SIZE)
    assert saved_for_backward(larger) == pytest.approx(4 * saved_for_backward(full), rel=0.2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 2}, "U-Net has no attention to put LoRA into; leave out --rank"),
        ({"save_pth": True}, "SAMed's published layout, which cannot hold U-Net"),
        ({"image_size": 100}, "Image size 100 does not suit U-Net; give a multiple of 16"),
        ({"model_size": "vit_b"}, "no model size called 'vit_b'; for U-Net give a .json"),
        ({"network": "swin-unetr", "decoder_tuning": "frozen"}, "would leave the decoder random"),
    ],
)
def test_options_that_do_not_fit_the_network_are_told_so(bench, changes, message):
    with pytest.raises(SAMedError, match=message):
        starting_point(options(bench, None, **{"network": "unet", "model_size": str(bench / "sizes.json"), **changes}))


def test_a_network_is_not_started_from_a_file_of_another(runs, bench):
    with pytest.raises(SAMedError, match="is a U-Net; leave out --network"):
        starting_point(options(bench, None, start=str(runs["unet"].path), network="unetr"))


def test_what_the_network_starts_with_is_said(bench):
    start = starting_point(options(bench, "unetr", encoder_tuning="lora", base="sam.pth"))
    assert start.base is None
    random, adapted, base = start.remarks
    assert "UNETR starts with random weights" in random
    assert "give its run with --start" in adapted
    assert "sam.pth is for SAMed" in base


@pytest.mark.parametrize("package", ["monai", "einops"])
def test_without_monai_one_sentence_says_how_to_get_it(runs, bench, tmp_path, capfd, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    sentence = 'U-Net comes from MONAI, which is not installed; install it with: pip install "samed[monai]"'
    arguments = ["--network", "unet", "--data", str(bench / "data"), "--output", str(tmp_path / "run")]
    assert main(arguments) == 1
    said = capfd.readouterr().err.strip()
    assert sentence in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()
    with pytest.raises(SAMedError, match="comes from MONAI"):
        load_model(runs["unet"].path)


def test_a_file_of_an_unknown_network_is_refused_in_a_sentence(runs, tmp_path):
    metadata = load_model(runs["unet"].path).metadata.to_json()
    metadata["config"]["network"] = "mamba-unet"
    save_file({"network.weight": torch.zeros(1)}, tmp_path / "new.safetensors", {"samed": json.dumps(metadata)})
    with pytest.raises(SAMedError, match=r"new.safetensors: .*network called 'mamba-unet', which this version"):
        load_model(tmp_path / "new.safetensors")


@pytest.mark.parametrize("network", OTHERS)
def test_descriptions_survive_json(bench, network):
    metadata = default_metadata(small_config(bench, network))
    assert ModelMetadata.from_json(json.loads(json.dumps(metadata.to_json()))) == metadata


def test_descriptions_without_a_network_are_of_samed():
    described = SAMedConfig().to_json()
    assert "network" not in described
    assert config_from_json(described) == SAMedConfig()
