"""What `samed evaluate` does: from options to an Evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.evaluation.cases import Case
from SAMedLib.evaluation.mapping import SourceLabel, parse_map
from SAMedLib.evaluation.pairs import Understanding, pair_files, read_cases
from SAMedLib.evaluation.pictures import Picture
from SAMedLib.evaluation.protocols import MM, get_protocol
from SAMedLib.evaluation.runs import Evaluation, Scoring
from SAMedLib.evaluation.summary import Run
from SAMedLib.events import SILENT, Reporter
from SAMedLib.json_files import read_json
from SAMedLib.organs import SYNAPSE, LabelSet


@dataclass(frozen=True)
class NamedModel:
    """A model under the name that the report shows, with a base of its own.

    Attributes:
        source, base: see `load_model`.
    """

    name: str
    source: str
    base: str | None = None


@dataclass(frozen=True)
class Options:
    """What to evaluate and how; see `samed evaluate --help`."""

    predictions: list[str] = field(default_factory=list)
    references: Path | None = None
    images: Path | None = None
    common: bool = False
    model: Sequence[str | NamedModel] = ()
    base: Path | None = None
    data: Path | None = None
    labels: str | None = None
    map: str | None = None
    map_predictions: str | None = None
    protocol: str = "paper"
    tolerance: float = 2.0
    engine: str = "fast"
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    tta: bool = False


def evaluate(options: Options, report: Reporter = SILENT) -> Evaluation:
    """Score every run that the options name.

    Raises:
        SAMedError: if the options do not fit together, or a case cannot be scored.
    """
    _check(options)
    scorer = _Scorer(options, report)
    for text in options.predictions:
        scorer.add_files(text)
    for model in options.model:
        scorer.add_model(model if isinstance(model, NamedModel) else _unnamed_model(model, options.base))
    return scorer.evaluation()


def read_label_set(text: str) -> tuple[LabelSet, tuple[SourceLabel, ...] | None]:
    """The eight organs for "synapse", else what a JSON file says: a label set's, or a dataset.json's labels.

    Returns:
        The label set, numbered 1, 2, 3, ...; and what values mean in files that name nothing, None if just that.
    """
    if text == SYNAPSE.name:
        return SYNAPSE, None
    path = Path(text)
    try:
        content = read_json(path)
    except OSError as error:
        raise SAMedError(f"{text} is neither a label set we know ({SYNAPSE.name}) nor a JSON file.") from error
    if isinstance(content, dict) and isinstance(content.get("labels"), dict):
        from SAMedLib.data.dataset_index import read_labels_of

        name = str(content.get("name") or path.resolve().parent.name)
        names = read_labels_of(content, path)
        return LabelSet.from_names(name, names.values()), tuple(SourceLabel(*entry) for entry in names.items())
    try:
        return LabelSet.from_json(content), None
    except SAMedError as error:
        raise SAMedError(f"{path}: {error}") from error


class _Scorer:
    """Runs scored one after the other; the first one's pictures say which slices the others show."""

    def __init__(self, options: Options, report: Reporter) -> None:
        self._options = options
        self._report = report
        self._mapping = parse_map(options.map) if options.map else None
        self._label_set: LabelSet | None = None
        self._unnamed: tuple[SourceLabel, ...] | None = None
        if options.labels:
            self._label_set, self._unnamed = read_label_set(options.labels)
        self._runs: list[Run] = []
        self._statements: list[str] = []
        self._treatments: dict[str, list[str]] = {}
        self._pictures: dict[str, Picture] = {}

    def add_files(self, text: str) -> None:
        options = self._options
        assert options.references is not None
        name, path = named_path(text)
        label_set = self._settle(SYNAPSE)
        pairs, left_out = pair_files(path, options.references, options.common)
        if left_out:
            self._statements.append(f"{name}: files left out, {left_out}.")
            self._report.note(self._statements[-1])
        mapping = parse_map(options.map_predictions) if options.map_predictions else None
        understanding = Understanding(label_set, self._unnamed, mapping, self._mapping)
        cases = read_cases(pairs, understanding, options.images)
        self._score(name, cases, len(pairs))

    def add_model(self, named: NamedModel) -> None:
        from SAMedLib.evaluation.predicted import case_names, has_spacing, predict_cases
        from SAMedLib.inference import Segmenter
        from SAMedLib.inference.devices import precision_remark
        from SAMedLib.model import load_model
        from SAMedLib.model.load import assumed_sizes

        options = self._options
        assert options.data is not None
        total = len(case_names(options.data))
        if options.protocol == MM.name and not has_spacing(options.data):
            raise SAMedError(
                f"{options.data} is a prepared set, which does not keep the voxel spacing that protocol mm needs; use "
                "--protocol paper, or a folder of scans."
            )
        model = load_model(named.source, base=named.base)
        if assumed := assumed_sizes(named.source):
            self._statements.append(assumed)
        label_set = self._settle(model.metadata.label_set)
        segmenter = Segmenter(model, options.device, options.precision, options.batch_size, options.tta)
        remark = precision_remark(options.precision, segmenter.device)
        if remark and remark not in self._statements:
            self._statements.append(remark)
        cases = predict_cases(segmenter, options.data, label_set, self._mapping, self._report)
        self._score(named.name, cases, total)

    def evaluation(self) -> Evaluation:
        scoring = self._scoring()
        labels = []
        for treatment, names in self._treatments.items():
            everyone = len(names) == len(self._runs)
            labels.append(f"Labels of {treatment}." if everyone else f"Labels of {treatment} ({', '.join(names)}).")
        statements = (*scoring.statements(), *labels, *self._statements)
        return Evaluation(scoring.label_set, scoring.protocol, scoring.tolerance, tuple(self._runs), statements)

    def _score(self, name: str, cases: Iterable[Case], total: int) -> None:
        if any(one.name == name for one in self._runs):
            name = f"{name} ({len(self._runs) + 1})"
        one, treatments = self._scoring().score(name, cases, total, self._report, self._pictures)
        for result in one.results:
            if result.picture is not None:
                self._pictures.setdefault(result.case, result.picture)
        self._runs.append(one)
        for treatment in treatments:
            self._treatments.setdefault(treatment, []).append(name)

    def _scoring(self) -> Scoring:
        options = self._options
        return Scoring(self._settle(SYNAPSE), get_protocol(options.protocol), options.tolerance, options.engine)

    def _settle(self, default: LabelSet) -> LabelSet:
        """The user's label set, or the first run's: all runs are scored for the same organs."""
        self._label_set = self._label_set or default
        return self._label_set


def _check(options: Options) -> None:
    if not options.predictions and not options.model:
        raise SAMedError("There is nothing to evaluate; give --predictions with --references, or --model with --data.")
    if options.predictions and options.references is None:
        raise SAMedError("Predictions need something to be compared with; give --references.")
    if options.model and options.data is None:
        raise SAMedError("A model needs cases to segment; give --data, a prepared test_vol_h5 or a dataset folder.")
    if not options.tolerance >= 0:
        raise SAMedError(f"The tolerance is {options.tolerance}; it must not be negative.")


def _unnamed_model(source: str, base: Path | None) -> NamedModel:
    name = Path(source).stem if Path(source).exists() else source
    return NamedModel(name, source, None if base is None else str(base))


def named_path(text: str) -> tuple[str, Path]:
    """`NAME=PATH` or `PATH`, whose last part is the name then."""
    name, equals, path = text.partition("=")
    if equals and not Path(text).exists():
        return name, Path(path)
    return Path(text).resolve().name, Path(text)
