"""The tasks by name."""

from __future__ import annotations

from collections.abc import Callable

from SAMedLib.benchmarks import tasks
from SAMedLib.benchmarks.alternative import measure_alternative
from SAMedLib.benchmarks.peak import measure_peak
from SAMedLib.events import Reporter

MEASURES: dict[str, Callable[[tasks.Setting, Reporter], tasks.Result]] = {
    "slice": tasks.measure_slice,
    "peak": measure_peak,
    "zoom": tasks.measure_zoom,
    "augmentation": tasks.measure_augmentation,
    "training": tasks.measure_training,
    "evaluation": tasks.measure_evaluation,
    "start": tasks.measure_start,
    "alternative": measure_alternative,
}
