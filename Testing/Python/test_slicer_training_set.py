"""Training sets, label mapping and settings as the panel handles them: what is in the folder, and what is refused."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

import panel_training  # noqa: F401
from SAMedLib.data.folders import list_cases, read_case
from SAMedLib.errors import SAMedError
from SAMedLib.organs import SYNAPSE, LabelSet
from SAMedLib.training.options import CHOICES, TrainingOptions
from SAMedSlicerLib.CaseLabels import CaseLabels
from SAMedSlicerLib.LabelMapping import labelsFor, proposeLabels
from SAMedSlicerLib.TrainingRuns import newRunFolder
from SAMedSlicerLib.TrainingSet import TrainingSet
from SAMedSlicerLib.TrainingSettingList import allSettings, inPanelWords
from SAMedSlicerLib.TrainingSettings import FINETUNING, TrainingSettings, automaticValidation, choicesOf
from training_data import SHAPES, write_shapes


@dataclass(frozen=True)
class Segment:
    id: str
    name: str


class ByName:
    """Finds labels by their plain names."""

    def match(self, segments, labelSet):
        return {s.id: labelSet[s.name].value for s in segments if s.name in labelSet.names}


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_shapes(tmp_path / "Datensatz ä", cases=2)


def test_a_folder_that_is_empty_or_missing_is_a_new_set(tmp_path):
    for folder in (tmp_path / "new", tmp_path):
        assert TrainingSet.open(folder).isNew
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("what", ["file", "other files", "damaged index"])
def test_what_is_no_training_set_is_named_in_a_sentence(tmp_path, what):
    folder = tmp_path / "data"
    if what == "file":
        folder.touch()
    else:
        folder.mkdir()
        (folder / ("dataset.json" if what == "damaged index" else "letter.txt")).write_text("{")
    with pytest.raises(SAMedError) as error:
        TrainingSet.open(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_cases_and_labels_of_an_existing_dataset_are_shown(dataset):
    shown = TrainingSet.open(dataset)
    assert list(shown.cases) == ["case0", "case1"]
    assert shown.values == {"disc": 1, "square": 2, "bar": 3}
    assert not shown.readOnly
    assert shown.nextName() == "case_003"


def test_prepared_slices_are_shown_and_cannot_be_changed(tmp_path):
    folder = tmp_path / "prepared" / "train_npz"
    folder.mkdir(parents=True)
    for name in ("case0005_slice000", "case0005_slice001", "case0006_slice000"):
        (folder / f"{name}.npz").touch()
    shown = TrainingSet.open(folder.parent)
    assert list(shown.cases) == ["case0005", "case0006"]
    assert "cannot" in shown.readOnly or "not changed" in shown.readOnly
    with pytest.raises(SAMedError):
        shown.addLabels(["liver"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to this user")
def test_a_folder_that_cannot_be_written_is_read_only(dataset):
    dataset.chmod(0o555)
    try:
        assert TrainingSet.open(dataset).readOnly
    finally:
        dataset.chmod(0o755)


def test_removed_cases_are_kept_beside_the_others_also_twice(dataset):
    where = TrainingSet.open(dataset).remove("case1")
    assert list_cases(dataset) == ["case0"]
    assert json.loads((dataset / "dataset.json").read_text())["numTraining"] == 1
    kept = sorted(path.relative_to(dataset).as_posix() for path in where.rglob("*.nii.gz"))
    assert kept == ["removed/imagesTr/case1_0000.nii.gz", "removed/labelsTr/case1.nii.gz"]
    for folder in ("imagesTr", "labelsTr"):  # a case of the same name comes and goes
        for path in (where / folder).iterdir():
            (dataset / folder / path.name).write_bytes(path.read_bytes())
    second = TrainingSet.open(dataset).remove("case1")
    assert second != where
    assert len(list((dataset / "removed").rglob("*.nii.gz"))) == 4


def test_a_list_of_cases_in_the_index_is_kept_up_to_date(dataset):
    index = json.loads((dataset / "dataset.json").read_text())
    index["training"] = [
        {"image": f"./imagesTr/case{n}_0000.nii.gz", "label": f"./labelsTr/case{n}.nii.gz"} for n in range(2)
    ]
    (dataset / "dataset.json").write_text(json.dumps(index))
    TrainingSet.open(dataset).remove("case0")
    assert list_cases(dataset) == ["case1"]


def test_if_a_file_cannot_be_moved_the_case_stays_whole(dataset):
    (dataset / "removed").mkdir()
    (dataset / "removed" / "labelsTr").touch()  # in the way of the second file
    with pytest.raises(FileExistsError):
        TrainingSet.open(dataset).remove("case1")
    assert list_cases(dataset) == ["case0", "case1"]


def test_a_new_set_gets_its_labels_and_an_old_one_keeps_and_extends_them(tmp_path, dataset):
    new = TrainingSet.open(tmp_path / "new")
    new.addLabels(["spleen", "adrenal gland"])
    assert TrainingSet.open(tmp_path / "new").values == {"spleen": 1, "adrenal gland": 2}
    old = TrainingSet.open(dataset)
    assert old.valuesWith(["ring"])["ring"] == 4
    old.addLabels(["square", "ring"])
    assert TrainingSet.open(dataset).values == {"disc": 1, "square": 2, "bar": 3, "ring": 4}
    assert read_case(dataset, "case0")[1].max() == 3


def test_labels_keep_the_spelling_of_the_decathlon(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"0": "background", "1": "liver"}, "training": []}))
    TrainingSet.open(tmp_path).addLabels(["tumour"])
    assert json.loads((tmp_path / "dataset.json").read_text())["labels"]["2"] == "tumour"
    assert TrainingSet.open(tmp_path).values == {"liver": 1, "tumour": 2}


@pytest.mark.parametrize("name", ["", "background", "a=1", "a,b", "a/b", " x"])
def test_names_that_a_dataset_cannot_hold_are_refused(tmp_path, name):
    with pytest.raises(SAMedError, match="label"):
        TrainingSet.open(tmp_path / "new").addLabels([name])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a:b", "a.seg", "case0", "CASE0", "x_0000", " a"])
def test_case_names_that_would_not_be_found_again_are_refused(dataset, name):
    with pytest.raises(SAMedError):
        TrainingSet.open(dataset).checkName(name)


def test_an_attempt_that_failed_leaves_the_set_as_it_was(dataset, tmp_path):
    before = TrainingSet.open(dataset)
    index = (dataset / "dataset.json").read_text()
    before.addLabels(["ring"])
    (dataset / "labelsTr" / "case_003.nii.gz").touch()
    (dataset / "imagesTr" / ".case_003_0000.nii.gz.x1").mkdir()
    before.undo("case_003", ["ring"])
    assert TrainingSet.open(dataset) == before
    assert json.loads(index) == json.loads((dataset / "dataset.json").read_text())
    assert not list((dataset / "imagesTr").glob(".case_003*"))
    new = TrainingSet.open(tmp_path / "new")
    new.addLabels(["ring"])
    new.undo("case_001", ["ring"])
    assert TrainingSet.open(tmp_path / "new").isNew


def test_labels_of_cases_are_read_once_and_again_after_a_change(dataset):
    files = TrainingSet.open(dataset).cases["case0"]
    labels = CaseLabels(dataset)
    assert labels.known(files.labels) is None
    assert labels.read(files.labels) == [1, 2, 3]
    again = CaseLabels(dataset)
    assert again.known(files.labels) == [1, 2, 3]
    files.labels.write_bytes(b"damaged")
    assert again.known(files.labels) is None
    assert again.read(files.labels) == []
    assert TrainingSet.open(dataset).cases  # what is remembered is no case


def test_segments_are_mapped_to_known_labels_and_others_are_left_out():
    segments = [Segment("1", "liver"), Segment("2", "Segment_2")]
    assert proposeLabels(segments, None, ByName()) == {"1": "liver", "2": ""}
    assert proposeLabels(segments, SHAPES, ByName()) == {"1": "", "2": ""}
    own = [Segment("1", "disc"), Segment("2", "my organ")]
    assert proposeLabels(own, None, ByName()) == {"1": "disc", "2": "my organ"}
    assert proposeLabels(own, SHAPES, ByName()) == {"1": "disc", "2": ""}


def test_new_labels_come_in_the_order_of_the_models_organs_then_as_they_are():
    mapping, new = labelsFor({"a": "tumour", "b": "Liver", "c": "", "d": "right_kidney", "e": "TUMOUR"}, [])
    assert mapping == {"a": "tumour", "b": "liver", "d": "right kidney", "e": "tumour"}
    assert new == ["right kidney", "liver", "tumour"]
    mapping, new = labelsFor({"a": "LIVER", "b": "tumour"}, ["liver"])
    assert (mapping, new) == ({"a": "liver", "b": "tumour"}, ["tumour"])
    with pytest.raises(SAMedError, match="left out"):
        labelsFor({"a": "", "b": " "}, [])


def test_the_eight_organs_of_the_embedded_model_keep_their_order_whatever_the_segments_order_is():
    names = [label.name for label in SYNAPSE]
    _mapping, new = labelsFor({str(n): name for n, name in enumerate(reversed(names))}, [])
    assert new == names
    assert LabelSet.from_names("x", new).names == SYNAPSE.names


def test_the_panel_offers_every_option_that_it_does_not_decide_itself():
    decided = {"data", "val_data", "val_cases", "network", "model_size", "base", "start", "init", "max_steps"}
    assert {field.name for field in fields(TrainingOptions)} - decided == {setting.name for setting in allSettings()}
    for setting in allSettings():
        assert setting.title
        assert setting.help
        if setting.name in CHOICES:
            assert setting.kind == "choice"
            assert choicesOf(setting) == CHOICES[setting.name]


def test_untouched_settings_are_those_for_finetuning_and_the_librarys_defaults():
    values = TrainingSettings({}).values()
    assert values == {name: FINETUNING[name] for name in values}
    assert {"epochs", "batch_size", "lr"} <= set(values)


def test_settings_reach_the_command_line_as_the_library_reads_them():
    given = {"lr": "0,0005", "lora_targets": "q, v", "save_pth": True, "precision": "fp32", "ema": "0.99", "seed": ""}
    arguments = TrainingSettings(given).arguments()
    assert "--lr=0.0005" in arguments
    assert "--lora-targets=q,v" in arguments
    assert "--save-pth" in arguments
    assert "--ema=0.99" in arguments
    assert not [argument for argument in arguments if argument.startswith("--seed")]
    from SAMedLib.train import _parser

    parsed = vars(_parser().parse_args(["--data", "d", "--output", "o", *arguments]))
    assert parsed["lora_targets"] == ("q", "v")
    assert parsed["precision"] == "fp32"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": "many"}, ("Epochs", "whole number", "20")),
        ({"lr": "-1"}, ("Learning rate", "above 0")),
        ({"dice_weight": "3"}, ("Dice weight", "between 0 and 1")),
        ({"ema": "2"}, ("Weight averaging", "0.999")),
        ({"max_epochs": "2"}, ("Epochs", "Epochs to rate zero")),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_as_the_panel_names_it(given, words):
    with pytest.raises(SAMedError) as error:
        TrainingSettings(given).values()
    for word in words:
        assert word in str(error.value)
    assert "--" not in str(error.value)


def test_the_librarys_sentences_name_settings_as_the_panel_does():
    said = "The loss is not a number; start again with a --lr below 0.1, or with --clip 1, see --unknown."
    shown = "The loss is not a number; start again with a 'Learning rate' below 0.1, or with 'Gradient limit' 1"
    assert inPanelWords(said) == f"{shown}, see --unknown."


def test_saved_settings_that_are_not_understood_have_their_default():
    for text in ("", "{", "[1]", '{"lr": 3, "unknown": "1", "save_pth": "yes"}'):
        assert TrainingSettings.fromJson(text).given == {}
    kept = TrainingSettings({"lr": "0.01"})
    assert TrainingSettings.fromJson(kept.toJson()) == kept


@pytest.mark.parametrize(("cases", "held"), [(0, 0), (1, 0), (2, 1), (5, 1), (7, 1), (10, 2), (50, 10)])
def test_one_case_in_five_is_held_out_but_never_the_only_one(cases, held):
    assert automaticValidation(cases) == held


def test_a_run_folder_is_named_after_data_and_time_and_never_one_that_exists(tmp_path):
    first = newRunFolder(tmp_path, Path("/data/Lebern"))
    assert first.name.startswith("Lebern 20")
    first.mkdir()
    assert not newRunFolder(tmp_path, Path("/data/Lebern")).exists()
