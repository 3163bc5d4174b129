"""Model files: published layouts both ways, our own with metadata, bases of other sizes, and files that are none."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from SAMedLib.errors import SAMedError
from SAMedLib.model import EncoderConfig, SAMed, SAMedConfig, load_model
from SAMedLib.model.checkpoint import infer_published_metadata
from SAMedLib.model.tensor_files import read_tensors
from SAMedLib.organs import LabelSet, matching_classes
from test_model_network import golden_config, randomise

MAPS = Path("/proc/self/maps")  # the files that Linux has mapped into this process


def sam_state(model: SAMed) -> dict[str, torch.Tensor]:
    """The model's weights as a SAM checkpoint has them: no LoRA."""
    return {n: t.clone() for n, t in model.state_dict().items() if ".a." not in n and ".b." not in n}


@pytest.fixture
def base_file(small_config, tmp_path):
    torch.manual_seed(0)
    model = SAMed(dataclasses.replace(small_config, lora_targets=()))
    randomise(model)
    torch.save(sam_state(model), tmp_path / "base.pth")
    return tmp_path / "base.pth"


def adapted(config: SAMedConfig, base) -> SAMed:
    model = SAMed(config)
    model.load_base(base)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
            assert parameter.requires_grad or "lora" not in name
    return model


@torch.no_grad()
def masks(model: SAMed) -> torch.Tensor:
    images = torch.rand(
        1, 1, model.config.image_size, model.config.image_size, generator=torch.Generator().manual_seed(3)
    )
    return model.eval()(images).masks


def of_class(model: SAMed, number: int) -> list[torch.Tensor]:
    """Mask token, last row of the IoU head and hypernetwork of one class."""
    decoder = model.mask_decoder
    last = decoder.iou_prediction_head.layers[-1]
    network = decoder.output_hypernetworks_mlps[number].state_dict().values()
    return [decoder.mask_tokens.weight[number], last.weight[number], last.bias[number], *network]


def test_a_published_adapter_is_read_and_written_unchanged(golden, tmp_path):
    model = SAMed(golden_config(golden))
    model.load_base(golden / "samed_w4_base_sam_state.pth")
    model.load_adapter(golden / "samed_w4_lora.pth")
    model.save_adapter(tmp_path / "again.pth")
    original, _ = read_tensors(golden / "samed_w4_lora.pth")
    again, _ = read_tensors(tmp_path / "again.pth")
    assert set(again) == set(original)
    assert all(torch.equal(again[name], original[name]) for name in original)


@pytest.mark.parametrize("decoder_tuning", ["full", "lora", "frozen"])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("targets", [("q", "v"), ("q", "k", "v", "o"), ()])
def test_an_adapter_and_its_base_give_the_same_model_again(
    small_config, base_file, tmp_path, decoder_tuning, ending, targets
):
    config = dataclasses.replace(small_config, decoder_tuning=decoder_tuning, lora_targets=targets)
    model = adapted(config, base_file)
    model.save_adapter(tmp_path / f"mine{ending}")
    again = SAMed(config)
    again.load_base(base_file)
    again.load_adapter(tmp_path / f"mine{ending}")
    assert torch.equal(masks(again), masks(model))
    names = set(read_tensors(tmp_path / f"mine{ending}")[0])
    assert not any(name.startswith("image_encoder.") for name in names)
    assert any(".transformer." in name for name in names) == (decoder_tuning != "lora")


@pytest.mark.parametrize(
    ("decoder_tuning", "keys", "elements", "size"),
    [("full", 215, 4_913_877, 19_711_360), ("lora", 161, None, 6_625_402)],
)
def test_published_layouts_have_the_published_keys_and_sizes(tmp_path, decoder_tuning, keys, elements, size):
    model = SAMed(SAMedConfig(decoder_tuning=decoder_tuning))
    path = tmp_path / "epoch_159.pth"
    model.save_adapter(path)
    state, _ = read_tensors(path)
    assert len(state) == keys
    assert {"w_a_000", "w_b_023"} <= set(state)
    assert ({"sa_a_003", "cti_b_000", "cit_a_002", "fati_qa", "fati_vb"} <= set(state)) == (decoder_tuning == "lora")
    assert elements in (None, sum(tensor.numel() for tensor in state.values()))
    assert os.path.getsize(path) == pytest.approx(size, rel=0.002)  # the archive's own bytes vary with torch's version
    metadata = infer_published_metadata(path, state)
    assert metadata.config == model.config
    assert metadata.orientation == "LAS"


def test_our_file_alone_says_what_it_is(small_config, base_file, tmp_path):
    config = dataclasses.replace(small_config, num_classes=3)
    model = adapted(config, base_file)
    model.metadata = model.metadata.replace(
        label_set=LabelSet.from_names("mine", ["liver", "tumour"]),
        window=(-100.0, 240.0),
        orientation="RAS",
        provenance={"epochs": 3, "data": "made up"},
    )
    model.save_adapter(tmp_path / "mine.safetensors")
    again = load_model(tmp_path / "mine.safetensors", base=base_file)
    assert again.metadata == model.metadata
    assert again.metadata.label_set["Liver"].code.value == "10200004"
    assert torch.allclose(masks(again), masks(model), atol=1e-5)
    assert not again.training


def test_a_pair_of_adapter_and_base_is_a_model(small_config, base_file, tmp_path):
    model = adapted(small_config, base_file)
    model.save_adapter(tmp_path / "mine.safetensors")
    again = load_model((tmp_path / "mine.safetensors", base_file), for_training=True)
    assert again.training
    assert torch.equal(masks(again), masks(model))


def test_a_trained_encoder_is_saved_whole_and_needs_no_base(small_config, tmp_path):
    model = SAMed(dataclasses.replace(small_config, encoder_tuning="full"))
    randomise(model)
    model.save_adapter(tmp_path / "whole.safetensors", dtype=torch.float16)
    again = load_model(tmp_path / "whole.safetensors")
    assert torch.allclose(masks(again), masks(model), atol=0.05)
    assert next(again.parameters()).dtype == torch.float32
    with pytest.raises(SAMedError, match="cannot hold a trained encoder"):
        model.save_adapter(tmp_path / "whole.pth")
    assert not (tmp_path / "whole.pth").exists()


def test_a_whole_model_can_be_finetuned_with_lora_for_other_labels(small_config, tmp_path):
    whole = SAMed(dataclasses.replace(small_config, encoder_tuning="full"))
    whole.save_adapter(tmp_path / "whole.safetensors")
    same_classes = SAMed(small_config)
    same_classes.load_base(tmp_path / "whole.safetensors")
    assert same_classes.load_adapter(tmp_path / "whole.safetensors") == []
    assert torch.allclose(masks(same_classes), masks(whole), atol=1e-5)  # LoRA starts as the identity
    other = SAMed(dataclasses.replace(small_config, num_classes=4))
    other.load_base(tmp_path / "whole.safetensors")
    untouched = [tensor.clone() for tensor in of_class(other, 1)]
    with pytest.raises(SAMedError, match="another number of classes"):
        other.load_adapter(tmp_path / "whole.safetensors")
    fresh = other.load_adapter(tmp_path / "whole.safetensors", classes=(0, None, 2, None))
    assert "mask_decoder.mask_tokens.weight" in fresh
    assert torch.equal(other.mask_decoder.iou_token.weight, whole.mask_decoder.iou_token.weight)
    # of what belongs to one class each, the known classes have the file's and the others their own
    for begun, there in ((0, 0), (2, 2)):
        for mine, its in zip(of_class(other, begun), of_class(whole, there), strict=True):
            assert torch.equal(mine, its)
    for mine, own in zip(of_class(other, 1), untouched, strict=True):
        assert torch.equal(mine, own)


def test_classes_are_matched_by_the_names_of_their_labels():
    def matched(before, after):
        return list(matching_classes(LabelSet.from_names("a", before), LabelSet.from_names("b", after)))

    assert matched(["spleen", "left kidney", "liver"], ["Liver", "cyst", "left_kidney"]) == [0, 3, None, 2]
    assert matched(["disc", "square"], ["liver", "spleen"]) == [0, 1, 2]
    assert matched(["disc", "square"], ["liver"]) == [0, None]


def test_a_trained_model_is_a_start_at_another_image_size(small_config, tmp_path):
    whole = SAMed(dataclasses.replace(small_config, encoder_tuning="full"))
    whole.save_adapter(tmp_path / "whole.safetensors")
    larger = SAMed(dataclasses.replace(whole.config, image_size=128))
    with pytest.raises(SAMedError, match="does not fit"):
        larger.load_adapter(tmp_path / "whole.safetensors")
    assert larger.load_adapter(tmp_path / "whole.safetensors", classes=range(small_config.num_classes)) == []
    before, after = whole.state_dict(), larger.state_dict()
    pos = F.interpolate(before["image_encoder.pos_embed"].permute(0, 3, 1, 2), (8, 8), mode="bilinear")
    assert torch.allclose(after["image_encoder.pos_embed"], pos.permute(0, 2, 3, 1))
    table = F.interpolate(before["image_encoder.blocks.1.attn.rel_pos_h"][None, None], (15, 16), mode="bilinear")
    assert torch.allclose(after["image_encoder.blocks.1.attn.rel_pos_h"], table[0, 0])
    kept = [name for name in before if before[name].shape == after[name].shape]
    assert len(kept) > len(before) - 6
    assert all(torch.equal(before[name], after[name]) for name in kept)


def test_position_tables_of_a_base_are_resized_where_attention_is_global(small_config, base_file):
    config = dataclasses.replace(small_config, image_size=128)
    base, _ = read_tensors(base_file)
    model = SAMed(config)
    model.load_base(base_file)
    own = model.state_dict()
    pos = F.interpolate(base["image_encoder.pos_embed"].permute(0, 3, 1, 2), (8, 8), mode="bilinear")
    assert torch.equal(own["image_encoder.pos_embed"], pos.permute(0, 2, 3, 1))
    table = F.interpolate(base["image_encoder.blocks.1.attn.rel_pos_h"][None, None], (15, 16), mode="bilinear")
    assert torch.equal(own["image_encoder.blocks.1.attn.rel_pos_h"], table[0, 0])
    window = "image_encoder.blocks.0.attn.rel_pos_w"
    assert torch.equal(own[window], base[window])


def test_class_dependent_tensors_of_a_base_are_not_taken(small_config, base_file):
    base, _ = read_tensors(base_file)
    model = SAMed(small_config)
    model.load_base(base_file)
    own = model.state_dict()
    for name in base:
        dependent = any(p in name for p in ("mask_tokens", "output_hypernetworks_mlps", "iou_prediction_head"))
        assert torch.equal(own[name], base[name]) != dependent, name


def test_deep_networks_load_where_the_published_rule_fails(tmp_path, small_config):
    """Blocks 12 and 15 hold a "2" and a "5" in their names, but attend within windows."""
    encoder = EncoderConfig(embed_dim=32, depth=16, num_heads=2, global_attn_indexes=(3, 7, 11, 14), window_size=4)
    small = SAMed(dataclasses.replace(small_config, encoder=encoder, lora_targets=()))
    torch.save(sam_state(small), tmp_path / "deep.pth")
    larger = SAMed(dataclasses.replace(small_config, encoder=encoder, image_size=128))
    larger.load_base(tmp_path / "deep.pth")
    with pytest.raises(SAMedError, match=r"blocks\.3\.attn\.rel_pos_h"):
        larger.load_base(tmp_path / "deep.pth", rel_pos_rule="published")


def test_both_rules_agree_for_twelve_blocks(tmp_path, small_config):
    encoder = EncoderConfig(embed_dim=32, depth=12, num_heads=2, global_attn_indexes=(2, 5, 8, 11), window_size=4)
    torch.save(
        sam_state(SAMed(dataclasses.replace(small_config, encoder=encoder, lora_targets=()))), tmp_path / "b.pth"
    )
    models = [SAMed(dataclasses.replace(small_config, encoder=encoder, image_size=128)) for _ in range(2)]
    for model, rule in zip(models, ("global", "published"), strict=True):
        model.load_base(tmp_path / "b.pth", rel_pos_rule=rule)
    first, second = (model.image_encoder.state_dict() for model in models)
    assert all(torch.equal(first[n], second[n]) for n in first if "qkv.a" not in n)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_code_in_a_checkpoint_is_refused_and_never_run(small_config, tmp_path):
    torch.save({"w_a_000": Malicious(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(SAMedError, match="evil.pth asks to run Python code"):
        SAMed(small_config).load_adapter(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "noise", "empty"])
def test_a_damaged_file_is_one_sentence(small_config, base_file, tmp_path, ending, damage):
    path = tmp_path / f"damaged{ending}"
    adapted(small_config, base_file).save_adapter(path)
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "noise": os.urandom(5000), "empty": b""}[damage])
    with pytest.raises(SAMedError, match="damaged|not a (PyTorch weights|weights|safetensors) file") as error:
        load_model(path, base=base_file)
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_named(small_config, base_file, tmp_path):
    model = adapted(small_config, base_file)
    model.save_adapter(tmp_path / "mine.safetensors")
    wide = SAMed(dataclasses.replace(small_config, encoder=EncoderConfig(64, 2, 2, (1,), 4)))
    with pytest.raises(SAMedError, match="SAM base of this ViT size"):
        wide.load_base(base_file)
    with pytest.raises(SAMedError, match="LoRA rank"):
        SAMed(dataclasses.replace(small_config, rank=2)).load_adapter(tmp_path / "mine.safetensors")
    with pytest.raises(SAMedError, match="LoRA targets"):
        SAMed(dataclasses.replace(small_config, lora_targets=("q",))).load_adapter(tmp_path / "mine.safetensors")
    with pytest.raises(SAMedError, match="is not a SAM base"):
        SAMed(small_config).load_base(tmp_path / "mine.safetensors")
    with pytest.raises(SAMedError, match="There is no model file"):
        load_model(tmp_path / "absent.safetensors")
    with pytest.raises(SAMedError, match="give a run folder or a model file"):
        load_model(tmp_path)


def test_an_adapter_on_a_base_that_it_was_not_trained_on_is_refused(small_config, base_file, tmp_path):
    adapted(small_config, base_file).save_adapter(tmp_path / "mine.safetensors")
    other = SAMed(dataclasses.replace(small_config, lora_targets=()))
    torch.save(sam_state(other), tmp_path / "other.pth")
    with pytest.raises(SAMedError, match="was trained on base.pth"):
        load_model(tmp_path / "mine.safetensors", base=tmp_path / "other.pth")


def test_a_merged_model_is_not_saved_as_an_adapter(small_config, base_file, tmp_path):
    model = adapted(small_config, base_file)
    model.merge_lora()
    with pytest.raises(SAMedError, match="unmerge_lora"):
        model.save_adapter(tmp_path / "mine.safetensors")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_base_is_used_where_it_lies_and_stays_as_it_is(small_config, base_file, tmp_path, ending):
    base = base_file if ending == ".pth" else tmp_path / "base.safetensors"
    save_file(torch.load(base_file, weights_only=True), tmp_path / "base.safetensors")
    content = base.read_bytes()
    adapted(small_config, base_file).save_adapter(tmp_path / "mine.pth")
    model = SAMed(small_config, empty_encoder=True)
    model.load_base(base, keep_mapped=True)
    if MAPS.exists():
        assert str(base) in MAPS.read_text()
    model.load_adapter(tmp_path / "mine.pth")
    copied = SAMed(small_config)
    copied.load_base(base)
    copied.load_adapter(tmp_path / "mine.pth")
    assert_same_weights(model, copied)
    model.merge_lora()
    copied.merge_lora()
    assert_same_weights(model, copied)
    model.unmerge_lora()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    assert base.read_bytes() == content


def assert_same_weights(model: SAMed, other: SAMed) -> None:
    weights = other.state_dict()
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_loading_for_inference_copies_no_base_and_for_training_all_of_it(small_config, base_file, tmp_path):
    adapted(small_config, base_file).save_adapter(tmp_path / "mine.safetensors")
    for for_training in (False, True):
        model = load_model(tmp_path / "mine.safetensors", base=base_file, for_training=for_training)
        if MAPS.exists():  # a run may be long, and its base be replaced meanwhile
            assert (str(base_file) in MAPS.read_text()) is not for_training
        del model


def test_an_empty_encoder_is_not_drawn_and_otherwise_the_same_network(small_config):
    config = dataclasses.replace(small_config, lora_targets=())
    drawn, empty = [], []
    for empty_encoder, used in ((False, drawn), (True, empty)):
        for encoder in (config.encoder, dataclasses.replace(config.encoder, embed_dim=2 * config.encoder.embed_dim)):
            torch.manual_seed(0)
            model = SAMed(dataclasses.replace(config, encoder=encoder), empty_encoder=empty_encoder)
            used.append(model.mask_decoder.mask_tokens.weight[0, 0].item())
        assert {name: tensor.shape for name, tensor in model.state_dict().items()} == shapes_of(config, encoder)
    # the decoder is drawn after the encoder: its numbers depend on how many that took
    assert drawn[0] != drawn[1]
    assert empty[0] == empty[1]


def shapes_of(config: SAMedConfig, encoder: EncoderConfig) -> dict[str, torch.Size]:
    return {n: t.shape for n, t in SAMed(dataclasses.replace(config, encoder=encoder)).state_dict().items()}


def test_finite_weights_whose_sum_is_not_are_taken(tmp_path, small_config, base_file):
    state = torch.load(base_file, weights_only=True)
    state["mask_decoder.transformer.layers.0.norm1.weight"].fill_(2e38)
    torch.save(state, base_file)
    read_tensors(base_file)
    state["mask_decoder.transformer.layers.0.norm1.weight"][1] = float("-inf")
    torch.save(state, base_file)
    with pytest.raises(SAMedError, match="norm1.weight holds values that are no numbers"):
        read_tensors(base_file)
