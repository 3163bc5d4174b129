"""The Evaluate tab: numbers that are the library's and medpy's, and views that go where the difference is."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import numpy as np
import pytest

from panel_evaluate import Choices, EvaluateHost, EvaluatePanel, wait
from panel_training import add_segmentation
from SAMedLib.organs import SYNAPSE


@pytest.fixture
def host(scene, tmp_path) -> EvaluateHost:
    return EvaluateHost(scene, tmp_path / "host")


@pytest.fixture
def panel(host):
    panel = EvaluatePanel(host)
    yield panel
    panel.tab.cleanup()


def boxes(**organs: tuple[slice, slice, slice]) -> dict[str, np.ndarray]:
    """Masks [K,J,I] of 12 x 40 x 36 voxels."""
    masks = {}
    for name, box in organs.items():
        masks[name.replace("_", " ")] = mask = np.zeros((12, 40, 36), bool)
        mask[box] = True
    return masks


REFERENCE = boxes(
    liver=np.s_[2:10, 5:20, 4:20],
    spleen=np.s_[3:8, 25:34, 22:30],
    left_kidney=np.s_[4:9, 25:33, 5:12],
    aorta=np.s_[0:12, 2:5, 28:31],
)
PREDICTION = boxes(
    liver=np.s_[2:10, 6:20, 4:20],
    spleen=np.s_[3:8, 25:34, 22:30],
    left_kidney=np.s_[4:9, 25:33, 5:12],
    stomach=np.s_[5:8, 20:23, 30:34],
)
PREDICTION["liver"][7, 5:24, 20:24] = True  # a leak, largest in slice 7


def ct(scene, matrix=None, name="CT"):
    from mrml_scene import add_volume, oblique

    volume = add_volume(scene, (12, 40, 36), oblique() if matrix is None else matrix, name)
    volume.CreateDefaultDisplayNodes()
    return volume


def medpy_of(name: str, spacing) -> tuple[float, float]:
    from medpy.metric.binary import dc, hd95

    pair = PREDICTION[name], REFERENCE[name]
    return float(dc(*pair)), float(hd95(*pair, voxelspacing=spacing))


def test_the_numbers_are_medpys_under_a_transform_and_the_views_go_to_the_worst_slice(scene, host, panel, tmp_path):
    from mrml_scene import add_linear, affine, ijk_to_ras, rotation, under

    moved = add_linear(scene, affine(rotation(0.4, -0.3, 0.2), (12.0, -34.0, 56.0)))
    volume = under(ct(scene), moved)
    prediction = add_segmentation(scene, volume, PREDICTION, "organs by a model")
    reference = add_segmentation(scene, volume, REFERENCE, "organs by Dr. Ä")
    panel.select(prediction, reference)
    assert panel.ui.evaluationVolumeSelector.currentNode() is volume
    assert "Only in the prediction: stomach. Only in the reference: aorta." in panel.ui.pairsLabel.text
    assert panel.evaluate() == "1 case evaluated."

    scores = panel.scores()
    spacing = (2.7, 0.83, 0.71)
    voxel_ml = np.prod(spacing) / 1000
    for name in ("liver", "spleen", "left kidney"):
        dice, distance = medpy_of(name, spacing)
        volumes = [mask[name].sum() * voxel_ml for mask in (PREDICTION, REFERENCE)]
        assert scores[name] == [
            f"{dice:.3f}",
            f"{distance:.1f}",
            *(f"{one:.1f}" for one in volumes),
            f"{volumes[0] - volumes[1]:+.1f}".replace("-0.0", "+0.0"),
        ]
    assert scores["aorta"][:2] == ["0.000", "–"]
    assert scores["stomach"][:2] == ["–", "–"]
    by_hand = [medpy_of(name, spacing) for name in ("liver", "spleen", "left kidney")]
    assert scores["mean"][0] == f"{(sum(one[0] for one in by_hand) + 0) / 4:.3f}"
    said = panel.ui.wordsLabel.text
    assert "Missed by the prediction: aorta" in said
    assert "Only in the prediction: stomach (not scored)" in said

    # the table of the scene: the same numbers, unrounded as far as they mean something
    panel.ui.showTableButton.click()
    (table,) = host.tables
    assert table.GetName() == "Evaluation of organs by a model against organs by Dr. Ä"
    column = table.GetTable().GetColumnByName("dsc")
    assert column.GetValue(list(scores).index("liver")) == pytest.approx(medpy_of("liver", spacing)[0], abs=1e-3)

    # the leak is in k = 7; the views centre on one of its voxels, where the transform puts it
    panel.click(panel.ui.scoresTable, "liver")
    assert host.shown == [volume, prediction]
    world = np.array([*host.jumps[-1], 1.0])
    to_parent = affine(rotation(0.4, -0.3, 0.2), (12.0, -34.0, 56.0))
    i, j, k = np.round(np.linalg.solve(to_parent @ ijk_to_ras(volume), world), 3)[:3]
    wrong = PREDICTION["liver"] ^ REFERENCE["liver"]
    assert k == 7
    assert wrong[int(k), int(j), int(i)]
    assert not reference.GetDisplayNode().GetVisibility2DFill()
    assert prediction.GetDisplayNode().GetVisibility2DFill()
    assert "liver: slice" in panel.status
    panel.click(panel.ui.scoresTable, "aorta")
    assert len(host.jumps) == 2
    assert host.shown == [volume, prediction], "the zoom stays while one scan is looked at"

    # reports to keep; then a second run uses the same table, and nothing is left behind
    host.answer = str(tmp_path / "Bericht Ä")
    panel.ui.saveCsvButton.click()
    panel.ui.saveHtmlButton.click()
    with open(tmp_path / "Bericht Ä.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["organ"] for row in rows} == {*scores} - {"mean"}
    assert {row["case"] for row in rows} == {"CT"}
    assert "organs by a model" in (tmp_path / "Bericht Ä.html").read_text(encoding="utf-8")
    volume.SetName("another name")
    assert panel.evaluate() == "1 case evaluated."
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1
    panel.tab.cleanup()
    assert host.leftFolders == []


def test_a_reference_drawn_on_another_grid_is_compared_where_it_lies(scene, panel):
    from mrml_scene import add_linear, affine, under

    fine = affine(np.diag([-0.5, -0.5, 1.5]), (9.0, 10.0, -4.0))
    other = affine(np.diag([0.5, 0.5, 1.5]) @ np.diag([1, -1, 1]), (9.0 - 35 * 0.5, 10.0, -4.0))
    volume, mirrored = ct(scene, fine), ct(scene, other, "mirrored")
    flipped = {name: mask[:, :, ::-1] for name, mask in REFERENCE.items()}
    reference = add_segmentation(scene, mirrored, flipped, "reference")
    shift = add_linear(scene, affine(np.eye(3), (5.0, 0, 0)))
    for node in (mirrored, reference):
        under(node, shift)
    under(volume, shift)
    prediction = add_segmentation(scene, volume, REFERENCE, "prediction")
    panel.select(prediction, reference, volume)
    panel.evaluate()
    assert {scores[0] for scores in panel.scores().values()} == {"1.000"}


def test_what_is_compared_can_be_changed(scene, panel):
    volume = ct(scene)
    named = {"Leber": PREDICTION["liver"], "spleen": PREDICTION["spleen"], "Tumor": PREDICTION["stomach"]}
    prediction = add_segmentation(scene, volume, named, "prediction")
    reference = add_segmentation(scene, volume, {**REFERENCE, "tumor": PREDICTION["stomach"]}, "reference")
    panel.select(prediction, reference)
    assert panel.pairs() == {
        "spleen": (True, "spleen", "spleen"),
        "left kidney": (True, "(none)", "left kidney"),
        "liver": (True, "(none)", "liver"),
        "aorta": (True, "(none)", "aorta"),
        "tumor": (True, "Tumor", "tumor"),
    }
    panel.pair("liver", "Leber")
    table = panel.ui.pairsTable
    for organ in ("left kidney", "aorta"):
        import qt

        table.item(list(panel.pairs()).index(organ), 0).setCheckState(qt.Qt.Unchecked)
    assert panel.ui.pairsLabel.text == "Compared: spleen, liver, tumor. Left out: left kidney, aorta."
    panel.pair("tumor", "Leber")
    assert not panel.ui.evaluateButton.enabled
    assert "same segment is chosen for liver and tumor" in panel.ui.evaluateButton.toolTip
    panel.pair("tumor", "Tumor")
    panel.evaluate()
    scores = panel.scores()
    assert list(scores) == ["spleen", "liver", "tumor", "mean"]
    assert scores["tumor"][0] == "1.000"


def test_it_says_what_is_missing_before_anything_runs(scene, panel):
    volume = ct(scene)
    prediction = add_segmentation(scene, volume, PREDICTION, "prediction")
    said = []

    def state() -> str:
        assert panel.ui.evaluateButton.enabled == (panel.status == "")
        said.append(panel.status)
        return panel.status

    assert state() == "Choose the segmentation to evaluate."
    panel.select(prediction, None)
    assert state() == "Choose the reference segmentation to compare it with."
    panel.select(prediction, prediction)
    assert state() == "Prediction and reference are the same segmentation; choose two."
    empty = add_segmentation(scene, volume, {}, "nothing yet")
    panel.select(prediction, empty)
    assert state() == "'nothing yet' has no segments."
    stranger = add_segmentation(scene, volume, {"Femur": REFERENCE["liver"]}, "bones")
    panel.select(prediction, stranger)
    assert "have no organ in common" in state()
    panel.select(prediction, add_segmentation(scene, volume, REFERENCE, "reference"))
    assert state() == ""
    scene.RemoveNode(volume)
    assert state() == "Choose the volume that was segmented."


def test_segments_without_a_voxel_in_the_volume_are_said_not_scored(scene, panel):
    from mrml_scene import affine

    volume = ct(scene)
    far = ct(scene, affine(np.eye(3), (5000.0, 0, 0)), "elsewhere")
    prediction = add_segmentation(scene, volume, PREDICTION, "prediction")
    reference = add_segmentation(scene, far, REFERENCE, "reference")
    panel.select(prediction, reference, volume)
    said = panel.evaluate()
    assert said.startswith("'reference' has no voxel of the compared organs in 'CT'")
    assert panel.ui.evaluateButton.enabled
    assert panel.host.leftFolders == []


def test_the_last_result_of_the_segment_tab_is_proposed(scene, host):
    volume = ct(scene)
    choices = Choices()
    choices.segmentation = add_segmentation(scene, volume, PREDICTION, "organs")
    panel = EvaluatePanel(host, choices)
    assert panel.ui.predictionSelector.currentNode() is choices.segmentation
    assert panel.ui.evaluationVolumeSelector.currentNode() is volume
    panel.tab.cleanup()


@pytest.mark.parametrize("end", ["cancel", "scene closed", "prediction deleted", "volume deleted", "module reloaded"])
def test_a_run_that_is_interrupted_leaves_nothing_behind(scene, host, panel, end):
    volume = ct(scene)
    prediction = add_segmentation(scene, volume, PREDICTION, "prediction")
    panel.select(prediction, add_segmentation(scene, volume, REFERENCE, "reference"))
    panel.start()
    wait(lambda: list(host.leftFolders[0].glob("job/job.json")))
    if end == "cancel":
        later = time.monotonic() + 1.5  # clicks closer together are one double click
        wait(lambda: time.monotonic() > later)
        panel.ui.evaluateButton.click()
    elif end == "scene closed":
        panel.tab.sceneStartClose()
        scene.Clear(False)
        panel.tab.sceneEndClose()
    elif end == "module reloaded":
        panel.tab.cleanup()
    else:
        scene.RemoveNode(prediction if "prediction" in end else volume)
    status = panel.finish()
    assert host.leftFolders == []
    assert not panel.ui.resultCollapsibleButton.visible
    assert (
        status
        == {
            "cancel": "Cancelled.",
            "scene closed": "The scene was closed, so the evaluation was cancelled.",
            "prediction deleted": "'prediction' was deleted, so the evaluation was cancelled.",
            "volume deleted": "'CT' was deleted, so the evaluation was cancelled.",
            "module reloaded": "",
        }[end]
    )


def test_no_place_for_temporary_files_is_told_in_a_sentence(scene, host, panel, monkeypatch):
    def full():
        raise OSError(28, "No space left on device", "/tmp")

    volume = ct(scene)
    panel.select(
        add_segmentation(scene, volume, PREDICTION, "prediction"),
        add_segmentation(scene, volume, REFERENCE, "reference"),
    )
    monkeypatch.setattr(host, "temporaryFolder", full)
    panel.ui.evaluateButton.click()
    assert panel.ui.statusLabel.text.startswith("The work could not start (No space left on device); free")
    assert panel.ui.evaluateButton.enabled


def test_a_result_survives_the_deletion_of_its_nodes(scene, panel):
    volume = ct(scene)
    prediction = add_segmentation(scene, volume, PREDICTION, "prediction")
    panel.select(prediction, add_segmentation(scene, volume, REFERENCE, "reference"))
    panel.evaluate()
    scene.RemoveNode(volume)
    panel.click(panel.ui.scoresTable, "liver")
    assert panel.status == "The volume was deleted, so its slices cannot be shown."
    for number in reversed(range(scene.GetNumberOfNodesByClass("vtkMRMLTableNode"))):
        scene.RemoveNode(scene.GetNthNodeByClass(number, "vtkMRMLTableNode"))
    panel.ui.showTableButton.click()
    assert "deleted" in panel.status


def test_the_published_protocol_is_explained_and_used(scene, panel):
    volume = ct(scene)
    panel.select(
        add_segmentation(scene, volume, PREDICTION, "prediction"),
        add_segmentation(scene, volume, REFERENCE, "reference"),
    )
    panel.ui.protocolSelector.setCurrentIndex(1)
    assert "voxels" in panel.ui.protocolExplanationLabel.text
    assert panel.parameters.evaluationProtocol == "paper"
    panel.evaluate()
    assert panel.ui.scoresTable.horizontalHeaderItem(2).text() == "HD95 voxels"
    scores = panel.scores()
    assert scores["stomach"][:2] == ["1.000", "0.0"]
    assert scores["aorta"][:2] == ["0.000", "0.0"]
    assert f"{medpy_of('liver', None)[1]:.1f}" == scores["liver"][1]
    assert "published script" in panel.ui.wordsLabel.text


def write_labels(path: Path, masks, geometry) -> None:
    from SAMedLib.imaging.volume import write_labels as write

    labels = np.zeros((12, 40, 36), np.uint8)
    for name, mask in masks.items():
        labels[mask] = SYNAPSE[name].value
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, labels, geometry, SYNAPSE)


@pytest.fixture
def folders(tmp_path):
    """Three cases, the second one bad; references as plain labels, predictions as segments, scans of two."""
    from SAMedLib.imaging.volume import Geometry, write_array

    turned = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    geometry = Geometry((36, 40, 12), (0.8, 0.8, 3.0), (-10.0, 5.0, 30.0), turned)
    root = tmp_path / "Fälle = drei"
    for number in range(3):
        write_labels(root / "references" / f"case{number}.nii.gz", REFERENCE, geometry)
        write_labels(
            root / "predictions" / f"case{number}.seg.nrrd", PREDICTION if number == 1 else REFERENCE, geometry
        )
    (root / "images").mkdir()
    noise = np.random.default_rng(0).integers(-100, 200, (12, 40, 36)).astype(np.int16)
    for number in range(2):
        write_array(root / "images" / f"case{number}.nii.gz", noise, geometry)
    return root


def test_cases_of_folders_are_listed_worst_first_and_a_click_loads_one_at_its_worst_slice(scene, host, panel, folders):
    panel.useFolders(folders / "predictions", folders / "references", folders / "images")
    assert panel.evaluate() == "3 cases evaluated."
    cases = panel.cases()
    assert list(cases) == ["case1", "case0", "case2", "mean"]
    assert (cases["case1"][2], cases["case0"][2]) == ("aorta", "–")
    assert "mean over 3 cases" in panel.ui.scoresTitleLabel.text
    assert panel.scores()["spleen"][0] == "1.000"

    panel.click(panel.ui.casesTable, "case1")
    volume, prediction = host.shown
    assert volume.GetName() == "case1"
    assert prediction.GetName() == "case1 prediction"
    assert list(panel.scores()) == [*SYNAPSE.names, "mean"]
    assert panel.scores()["spleen"][0] == "1.000"
    assert "aorta: slice" in panel.status
    panel.click(panel.ui.scoresTable, "liver")
    from mrml_scene import export_to_volume, ijk_to_ras

    i, j, k = np.round(np.linalg.solve(ijk_to_ras(volume), [*host.jumps[-1], 1.0]), 3)[:3]
    assert (PREDICTION["liver"] ^ REFERENCE["liver"])[int(k), int(j), int(i)]
    assert k == 7
    np.testing.assert_array_equal(export_to_volume(prediction, volume)["liver"], PREDICTION["liver"])

    # another case takes its place; one without a scan is shown on an empty grid
    panel.click(panel.ui.casesTable, "case2")
    assert host.shown[-2].GetName() == "case2 (no scan)"
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2
    # what the user has worked on stays
    host.shown[-1].GetSegmentation().GetNthSegment(0).SetName("mine")
    panel.click(panel.ui.casesTable, "case0")
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 4
    panel.click(panel.ui.casesTable, "mean")
    assert "mean over 3 cases" in panel.ui.scoresTitleLabel.text


def test_folders_that_do_not_fit_are_explained_in_the_panels_words(panel, folders):
    (folders / "predictions" / "case2.seg.nrrd").unlink()
    panel.useFolders(folders / "predictions", folders / "references")
    assert panel.evaluate().endswith("add it, or check 'Only cases that are in both folders'.")
    panel.ui.commonCheckBox.setChecked(True)
    assert panel.evaluate().startswith("2 cases evaluated. ")
    assert "case2" in panel.status
    from SAMedLib.imaging.volume import Geometry

    write_labels(folders / "predictions" / "case0.seg.nrrd", REFERENCE, Geometry((36, 40, 12), (0.8, 0.8, 2.0)))
    assert "lie on different grids" in panel.evaluate()
    assert not panel.ui.resultCollapsibleButton.visible


def test_the_folders_labels_can_be_those_of_a_dataset(panel, tmp_path):
    names = {"background": 0, "liver": 5, "left lung": 2}
    for folder in ("predictions", "references"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dataset.json").write_text(json.dumps({"labels": names}))
    panel.useFolders(tmp_path / "predictions", tmp_path / "references")
    selector = panel.ui.organSetSelector
    assert [selector.itemText(index) for index in range(selector.count)] == [
        "The eight abdominal organs",
        "All 2 labels of dataset.json",
    ]
    assert selector.currentIndex == 0
    (tmp_path / "references" / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "left lung": 1}}))
    panel.ui.referencesFolderEdit.text = ""
    panel.ui.referencesFolderEdit.text = str(tmp_path / "references")
    assert selector.currentIndex == 1


def test_what_the_library_says_about_labels_and_cases_names_no_option_in_the_panel(slicer_app, tmp_path):
    from SAMedLib.errors import SAMedError
    from SAMedLib.evaluation.labelfiles import read_mapped
    from SAMedLib.evaluation.mapping import SourceLabel, apply_map, resolve
    from SAMedLib.evaluation.measure import measure_labels
    from SAMedLib.evaluation.pairs import pair_files
    from SAMedLib.imaging.volume import Geometry
    from SAMedSlicerLib.PanelWords import inPanelWords

    tens = np.full((2, 3, 4), 10, np.uint8)
    write_labels(tmp_path / "a" / "one.nrrd", REFERENCE, Geometry((36, 40, 12)))
    write_labels(tmp_path / "b" / "one.nrrd", REFERENCE, Geometry((36, 40, 12)))
    write_labels(tmp_path / "b" / "two.nrrd", REFERENCE, Geometry((36, 40, 12)))
    from made_ct import write_image

    write_image(tmp_path / "tens.nrrd", tens)
    for complain in (
        lambda: pair_files(tmp_path / "a", tmp_path / "b"),
        lambda: resolve([SourceLabel(1, "femur")], SYNAPSE, None, "bones.nrrd"),
        lambda: read_mapped(tmp_path / "tens.nrrd", SYNAPSE),
        lambda: apply_map([tens, tens], {(0, 10): 1, (1, 10): 2}, "both.seg.nrrd"),
        lambda: measure_labels(tens, tens, 8),
    ):
        with pytest.raises(SAMedError) as caught:
            complain()
        assert "--" in str(caught.value)
        assert "--" not in inPanelWords(str(caught.value))
