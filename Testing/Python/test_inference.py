"""Segmenting gives the published protocol's labels, in any batch, on any grid; what follows keeps to its word."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy.ndimage import zoom

from made_ct import OBLIQUE, ORIENTATIONS, direction_of, soft_tissue
from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import Reporter
from SAMedLib.imaging.orientation import restore
from SAMedLib.imaging.volume import Geometry, Volume, read_volume, window
from SAMedLib.inference import Segmenter, choose_device, keep_largest, organ_volumes, select_organs
from SAMedLib.inference.augment import average_probabilities, rotate
from SAMedLib.inference.slice_order import SliceOrder
from SAMedLib.model import DecoderConfig, EncoderConfig, SAMed, SAMedConfig
from SAMedLib.organs import SYNAPSE

CONFIG = SAMedConfig(
    encoder=EncoderConfig(embed_dim=32, depth=2, num_heads=2, global_attn_indexes=(1,), window_size=4),
    decoder=DecoderConfig(embed_dim=32, num_heads=2, mlp_dim=64, iou_hidden_dim=32),
    image_size=64,
    slice_size=48,
)


def random_model(kind: type[SAMed] = SAMed) -> SAMed:
    torch.manual_seed(0)
    model = kind(CONFIG).eval()
    with torch.no_grad():  # fresh mask tokens give nearly equal logits; apart, no rounding decides a pixel
        model.mask_decoder.mask_tokens.weight.mul_(20)
    return model


@pytest.fixture(scope="module")
def model() -> SAMed:
    return random_model()


def published_protocol(model: SAMed, volume: np.ndarray) -> np.ndarray:
    """Slice by slice: two cubic zooms, the network on three equal channels, argmax of softmax, an order-0 zoom."""
    labels = np.zeros(volume.shape, dtype=np.uint8)
    for k, image in enumerate(volume):
        for size in (CONFIG.slice_size, CONFIG.image_size):
            if image.shape != (size, size):
                image = zoom(image, (size / image.shape[0], size / image.shape[1]), order=3)
        with torch.no_grad():
            masks = model(torch.from_numpy(image)[None, None].repeat(1, 3, 1, 1)).masks
        found = torch.argmax(torch.softmax(masks, dim=1), dim=1)[0].numpy()
        if found.shape != volume.shape[1:]:
            found = zoom(found, np.divide(volume.shape[1:], found.shape), order=0)
        labels[k] = found
    return labels


@pytest.mark.parametrize("size", [(50, 71), (48, 48), (64, 64), (128, 100), (7, 3), (97, 64)])
def test_labels_are_the_published_protocols(model, size):
    volume = np.random.default_rng(0).random((5, *size), dtype=np.float32)
    ours = Segmenter(model, device="cpu", batch_size=2).predict(volume)
    theirs = published_protocol(model, volume)
    assert ours.dtype == np.uint8
    assert len(np.unique(theirs)) > 1
    assert (ours == theirs).mean() >= 0.9999


def test_masks_are_enlarged_as_the_model_says():
    torch.manual_seed(0)
    model = SAMed(dataclasses.replace(CONFIG, align_corners=True)).eval()
    volume = np.random.default_rng(0).random((2, 48, 48), dtype=np.float32)
    with torch.no_grad():
        logits = model.low_res_logits(
            torch.from_numpy(np.stack([zoom(image, 64 / 48, order=3) for image in volume]))[:, None]
        )
    aligned = torch.nn.functional.interpolate(logits, (64, 64), mode="bilinear", align_corners=True)
    expected = zoom(aligned.argmax(dim=1).numpy(), (1, 48 / 64, 48 / 64), order=0)
    assert (Segmenter(model, device="cpu").predict(volume) == expected).mean() >= 0.999


def visited(holds: list[int], stride: int, batch: int = 2) -> list[int]:
    """Slices that are segmented, in a scan in which these hold an organ (1) or not (0)."""
    order, holds, seen = SliceOrder(len(holds), stride), np.array(holds, dtype=bool), []
    while (places := order.following(batch)).size:
        seen += places.tolist()
        order.note(places, holds[places])
    assert len(set(seen)) == len(seen) == order.done
    return seen


def test_without_a_stride_every_slice_is_segmented_in_order():
    assert visited([0, 1, 0, 0, 0], 1) == [0, 1, 2, 3, 4]
    assert visited([], 1) == []


def test_with_a_stride_every_slice_that_an_organ_reaches_is_segmented():
    legs, trunk = [0] * 12, [1] * 9
    seen = visited([*legs, *trunk, *legs], 4)
    assert {11, 21, *range(12, 21)} <= set(seen)  # to the first empty slice on both sides
    assert seen[:2] == [0, 4]
    assert len(seen) < 20  # of 33
    assert set(visited([*legs, 0, 1, 0, *legs], 4)).isdisjoint({13})  # thinner than the stride, and alone
    assert visited([0, 0, 1], 2) == [0, 2, 1]


@pytest.mark.parametrize("stride", [2, 5])
def test_labels_with_a_stride_are_those_of_every_slice_where_organs_reach(model, stride):
    volume = np.random.default_rng(2).random((11, 48, 48), dtype=np.float32)
    expected = Segmenter(model, device="cpu").predict(volume)
    assert expected.any(axis=(1, 2)).all()
    assert np.array_equal(Segmenter(model, device="cpu", stride=stride).predict(volume), expected)


def test_the_batch_size_changes_nothing(model):
    volume = np.random.default_rng(1).random((7, 60, 60), dtype=np.float32)
    one, all_ = (Segmenter(model, device="cpu", batch_size=size).predict(volume) for size in (1, 7))
    assert (one == all_).mean() >= 0.9999


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_labels_land_on_the_scans_own_grid_whatever_its_orientation(model, code):
    metadata = model.metadata
    straight = soft_tissue((6, 40, 50))
    expected = Segmenter(model, device="cpu").predict(window(straight, *metadata.window))
    direction = direction_of(code)
    array = np.ascontiguousarray(restore(straight, direction, metadata.orientation))
    geometry = Geometry(array.shape[::-1], (0.8, 0.7, 3.0), (1.0, 2.0, 3.0), direction)
    labels = Segmenter(model, device="cpu").segment(Volume(array, geometry, "scan"))
    assert labels.shape == array.shape
    assert np.array_equal(labels, restore(expected, direction, metadata.orientation))


def test_oblique_scans_and_single_slices_are_segmented(model):
    for shape in ((3, 40, 50), (1, 40, 50), (3, 1, 1)):
        array = soft_tissue(shape).astype(np.float32)
        labels = Segmenter(model, device="cpu").segment(Volume(array, Geometry(shape[::-1], direction=OBLIQUE), "scan"))
        assert labels.shape == shape


def test_confidence_is_the_probability_of_the_chosen_class(model):
    volume = np.random.default_rng(0).random((3, 64, 64), dtype=np.float32)
    labels, confidence = Segmenter(model, device="cpu").predict_with_confidence(volume)
    assert np.array_equal(labels, Segmenter(model, device="cpu").predict(volume))
    assert confidence.dtype == np.float32
    assert confidence.min() >= 1 / CONFIG.num_classes - 1e-6
    assert confidence.max() <= 1
    image = torch.from_numpy(zoom(zoom(volume[1], 48 / 64, order=3), 64 / 48, order=3))[None, None]
    with torch.no_grad():
        probabilities = torch.softmax(model(image).masks, dim=1)[0]
    assert np.abs(confidence[1] - probabilities.amax(dim=0).numpy()).max() < 1e-4


def test_bf16_on_the_cpu_gives_nearly_the_same_labels(model):
    volume = np.random.default_rng(0).random((4, 64, 64), dtype=np.float32)
    exact = Segmenter(model, device="cpu").predict(volume)
    assert (Segmenter(model, device="cpu", precision="bf16").predict(volume) == exact).mean() > 0.95


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_cpus_labels():
    volume = np.random.default_rng(0).random((9, 70, 60), dtype=np.float32)
    exact = Segmenter(random_model(), device="cpu").predict(volume)
    assert (Segmenter(random_model(), device="cuda", precision="fp32").predict(volume) == exact).mean() > 0.999
    assert (Segmenter(random_model(), device="cuda").predict(volume) == exact).mean() > 0.95


class TwoAtMost(SAMed):
    """A network whose device holds two slices."""

    def low_res_logits(self, images):
        if len(images) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return super().low_res_logits(images)


class NoneAtAll(SAMed):
    def low_res_logits(self, images):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")


def test_the_batch_is_halved_when_memory_runs_out(capsys):
    volume = np.random.default_rng(0).random((9, 48, 48), dtype=np.float32)
    segmenter = Segmenter(random_model(TwoAtMost), device="cpu", batch_size=8)
    labels = segmenter.predict(volume, Reporter())
    assert segmenter.batch_size == 2
    assert "going on with 4 slices at once" in capsys.readouterr().err
    assert np.array_equal(labels, Segmenter(random_model(), device="cpu", batch_size=2).predict(volume))


def test_a_machine_too_small_for_one_slice_says_so():
    with pytest.raises(SAMedError, match="memory does not hold a single slice"):
        Segmenter(random_model(NoneAtAll), device="cpu", batch_size=4).predict(np.zeros((2, 48, 48), np.float32))


def test_progress_counts_slices_and_the_user_can_stop_between_batches(model, tmp_path):
    stop = tmp_path / "stop"

    class Lines:
        def __init__(self):
            self.events = []

        def write(self, line):
            self.events.append(json.loads(line))
            if self.events[-1].get("done") == 4:
                stop.touch()

        def flush(self):
            pass

    lines = Lines()
    with pytest.raises(Cancelled):
        Segmenter(model, device="cpu", batch_size=2).predict(np.zeros((9, 48, 48), np.float32), Reporter(lines, stop))
    assert [(event["done"], event["total"]) for event in lines.events] == [(0, 9), (2, 9), (4, 9)]


@pytest.mark.parametrize("shape", [(48, 48), (0, 48, 48), (1, 2, 48, 48)])
def test_what_is_no_volume_is_refused(model, shape):
    with pytest.raises(SAMedError, match="three axes"):
        Segmenter(model, device="cpu").predict(np.zeros(shape, np.float32))


def test_devices_and_precisions_that_do_not_exist_are_refused(model):
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(SAMedError, match="no device called 'gpu'"):
        Segmenter(model, device="gpu")
    with pytest.raises(SAMedError, match="no precision called"):
        Segmenter(model, device="cpu", precision="fp8")
    with pytest.raises(SAMedError, match="at least 1"):
        Segmenter(model, device="cpu", batch_size=0)
    if not torch.cuda.is_available():
        with pytest.raises(SAMedError, match="finds no CUDA device"):
            Segmenter(model, device="cuda")


def smooth_image() -> torch.Tensor:
    """[1, 1, 64, 64], so slow that bilinear interpolation is nearly exact."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    return (0.5 + 0.25 * torch.sin(x / 9) + 0.25 * torch.cos(y / 12))[None, None]


def test_augmented_probabilities_follow_the_image():
    """A network that only looks at single pixels says the same about every copy, away from the corners."""
    image = smooth_image()

    def pixelwise(images):
        return torch.softmax(torch.cat([images, 1 - images, images**2], dim=1) * 3, dim=1)

    for mirror in (False, True):
        mean = average_probabilities(image, pixelwise, mirror)
        assert torch.allclose(mean.sum(dim=1), torch.ones(1, 64, 64), atol=1e-5)
        inside = (..., slice(12, 52), slice(12, 52))
        assert torch.allclose(mean[inside], pixelwise(image)[inside], atol=5e-3)


def test_a_rotation_turns_about_the_centre_and_back():
    image = smooth_image()
    assert torch.allclose(rotate(image, 0), image, atol=1e-5)
    assert torch.allclose(rotate(image, 90), image.rot90(1, (2, 3)), atol=1e-5)
    back = rotate(rotate(image, 10), -10)
    assert torch.allclose(back[..., 16:48, 16:48], image[..., 16:48, 16:48], atol=5e-3)


def test_mirror_images_are_used_only_by_models_that_were_trained_on_them():
    seen = []

    class Watched(SAMed):
        def low_res_logits(self, images):
            seen.append(images.clone())
            return super().low_res_logits(images)

    model = random_model(Watched)
    volume = np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)
    Segmenter(model, device="cpu", tta=True).predict(volume)
    assert len(seen) == 5
    assert torch.equal(seen[1], seen[0].flip(-1))
    seen.clear()
    model.metadata = model.metadata.replace(provenance={"training": {"augmentation": "strong"}})
    Segmenter(model, device="cpu", tta=True).predict(volume)
    assert len(seen) == 3


def test_only_the_largest_component_of_each_organ_is_kept():
    labels = np.zeros((5, 10, 10), dtype=np.uint8)
    labels[1:3, 1:4, 1:4] = 1
    labels[3, 4, 4] = 1  # touches the block by a corner: part of it
    labels[4, 8:, 8:] = 1
    labels[0, :2, 8:] = 5
    labels[0, 9, 0] = 5
    before = labels.copy()
    kept = keep_largest(labels)
    assert np.array_equal(labels, before)
    assert kept.dtype == np.uint8
    expected = before.copy()
    expected[4, 8:, 8:] = 0
    expected[0, 9, 0] = 0
    assert np.array_equal(kept, expected)
    assert np.array_equal(keep_largest(np.zeros_like(labels)), np.zeros_like(labels))


def test_chosen_organs_keep_their_values():
    labels = np.arange(9, dtype=np.uint8).reshape(1, 3, 3)
    assert select_organs(labels, SYNAPSE, ["Liver", "right_kidney"]).ravel().tolist() == [0, 0, 2, 0, 0, 5, 0, 0, 0]
    with pytest.raises(SAMedError, match="no organ called 'heart'"):
        select_organs(labels, SYNAPSE, ["heart"])


def test_volumes_are_in_millilitres_and_say_when_an_organ_is_cut():
    labels = np.zeros((4, 6, 6), dtype=np.uint8)
    labels[1:3, 2:4, 2:4] = 1
    labels[0:2, 4, 4] = 5
    volumes = {organ.name: organ for organ in organ_volumes(labels, 0.5, SYNAPSE)}
    assert list(volumes) == list(SYNAPSE.names)
    assert (volumes["spleen"].voxels, volumes["spleen"].ml, volumes["spleen"].cut) == (8, 4.0, False)
    assert (volumes["liver"].ml, volumes["liver"].cut) == (1.0, True)
    assert (volumes["aorta"].voxels, volumes["aorta"].ml, volumes["aorta"].cut) == (0, 0.0, False)


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd"])
def test_a_real_ct_in_any_of_the_48_orientations_has_each_label_at_the_same_place(
    model, shared_data, tmp_path, extension
):
    whole = sitk.ReadImage(str(shared_data / "example_ct" / "ct.nii.gz"))
    scan = sitk.DICOMOrient(whole[:, :, 90:92], "LPS")
    segmenter = Segmenter(model, device="cpu")
    wanted = None
    for code in ORIENTATIONS:
        path = tmp_path / f"{code}{extension}"
        sitk.WriteImage(sitk.DICOMOrient(scan, code), str(path))
        volume = read_volume(path)
        labels = sitk.GetImageFromArray(segmenter.segment(volume))
        volume.geometry.apply_to(labels)
        found = sitk.GetArrayFromImage(sitk.DICOMOrient(labels, "LPS"))
        wanted = found if wanted is None else wanted
        assert np.array_equal(found, wanted), code
    assert len(ORIENTATIONS) == 48
    assert not np.array_equal(wanted, wanted[:, :, ::-1])  # a mirrored one would be noticed
    assert len(np.unique(wanted)) > 3
