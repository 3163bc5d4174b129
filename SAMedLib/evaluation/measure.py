"""All organs of a label volume measured in one pass.

The volume is read once to find what is not background, once more inside that to find every organ's box; counting,
surfaces and distances then only touch the boxes, several organs at a time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from SAMedLib.errors import SAMedError
from SAMedLib.evaluation import metrics
from SAMedLib.evaluation.surface import check_shapes, distances_in_box, union_box, voxel_size

ENGINES = ("fast", "medpy")
Box = tuple[slice, ...]


@dataclass(frozen=True)
class Measurement:
    """One label value, measured without judging: no convention for empties, distances None where one is empty.

    Attributes:
        value: the label.
        predicted, referenced, both: voxel counts.
        dice: 0 to 1; 1 where both are empty.
        hd95, hd, assd: distances in the unit of the spacing.
        nsd: normalised surface Dice at the tolerance asked for.
    """

    value: int
    predicted: int
    referenced: int
    both: int
    dice: float
    hd95: float | None = None
    hd: float | None = None
    assd: float | None = None
    nsd: float | None = None


def measure_labels(
    prediction: np.ndarray,
    reference: np.ndarray,
    num_labels: int,
    spacing: Sequence[float] | float | None = None,
    tolerance: float = 2.0,
    engine: str = "fast",
    threads: int | None = None,
) -> list[Measurement]:
    """Measure labels 1..num_labels of two label arrays of one shape.

    Args:
        prediction, reference: integer labels, any dimension; uint8 is fastest, other types are converted.
        spacing: voxel size along each axis; None measures in voxels.
        tolerance: for the normalised surface Dice, in the unit of `spacing`.
        engine: "fast", or "medpy" to have Dice and HD95 from medpy on whole volumes (the same numbers, slowly).
        threads: None for all processors.

    Raises:
        SAMedError: if the shapes differ, a label is above num_labels, or the spacing does not fit.
    """
    if engine not in ENGINES:
        raise SAMedError(f"There is no engine called {engine!r}; choose from {', '.join(ENGINES)}.")
    check_shapes(np.asarray(prediction), np.asarray(reference))
    prediction = _as_labels(prediction, num_labels, "prediction")
    reference = _as_labels(reference, num_labels, "reference")
    scale = voxel_size(spacing, prediction.ndim)
    threads = threads or os.cpu_count() or 1
    # box search, erosion and k-d trees all release the interpreter's lock
    with ThreadPoolExecutor(threads) as pool:
        boxes = pool.map(lambda labels: _boxes(labels, num_labels), (prediction, reference))
        pairs = list(enumerate(zip(*boxes, strict=True), start=1))
        pairs.sort(key=lambda pair: _size(pair[1]), reverse=True)  # the liver first, or everybody waits for it

        def measure(pair: tuple[int, tuple[Box | None, Box | None]]) -> Measurement:
            return _measure(pair[0], pair[1], prediction, reference, scale, tolerance, threads)

        measured = sorted(pool.map(measure, pairs), key=lambda measurement: measurement.value)
    if engine == "medpy":
        return [_with_medpy(one, prediction, reference, scale) for one in measured]
    return measured


def _as_labels(array: np.ndarray, num_labels: int, role: str) -> np.ndarray:
    """uint8 labels with at least one axis; raises SAMedError for values that are no label of the set."""
    array = np.atleast_1d(array)
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if not (low >= 0 and high <= num_labels):
        wrong = high if high > num_labels else low
        raise SAMedError(
            f"The {role} holds the label {wrong}, but the labels are 0 to {num_labels}; map its labels to the label "
            "set first (--map)."
        )
    if array.dtype == np.uint8:
        return array
    labels = array.astype(np.uint8)
    if not np.array_equal(labels, array):
        raise SAMedError(f"The {role} holds values that are not whole numbers; give labels, not probabilities.")
    return labels


def _boxes(labels: np.ndarray, num_labels: int) -> list[Box | None]:
    """Bounding box of each label 1..num_labels, None where absent."""
    # or-ing whole rows runs at memory speed, ten times faster than looking for labels voxel by voxel
    outer = []
    for axis in range(labels.ndim):
        profile = labels
        for other in reversed([a for a in range(labels.ndim) if a != axis]):
            profile = np.bitwise_or.reduce(profile, axis=other)
        occupied = np.flatnonzero(profile)
        if not occupied.size:
            return [None] * num_labels
        outer.append(slice(int(occupied[0]), int(occupied[-1]) + 1))
    found: list[Box | None] = [None] * num_labels
    for index, box in enumerate(ndimage.find_objects(labels[tuple(outer)], max_label=num_labels)):
        if box is not None:
            found[index] = tuple(
                slice(start.start + inner.start, start.start + inner.stop)
                for start, inner in zip(outer, box, strict=True)
            )
    return found


def _size(boxes: tuple[Box | None, Box | None]) -> int:
    return sum(int(np.prod([side.stop - side.start for side in box])) for box in boxes if box is not None)


def _measure(
    value: int,
    boxes: tuple[Box | None, Box | None],
    prediction: np.ndarray,
    reference: np.ndarray,
    scale: np.ndarray,
    tolerance: float,
    threads: int,
) -> Measurement:
    if boxes[0] is None or boxes[1] is None:
        counts = [
            0 if box is None else int(np.count_nonzero(labels[box] == value))
            for box, labels in zip(boxes, (prediction, reference), strict=True)
        ]
        return Measurement(value, *counts, 0, metrics.dice_of_counts(*counts, 0))
    box = union_box(boxes[0], boxes[1])
    predicted, referenced = prediction[box] == value, reference[box] == value
    counts = [int(np.count_nonzero(mask)) for mask in (predicted, referenced, predicted & referenced)]
    distances = distances_in_box(predicted, referenced, scale, threads)
    return Measurement(
        value,
        *counts,
        metrics.dice_of_counts(*counts),
        hd95=metrics.hd95_of(*distances),
        hd=metrics.hd_of(*distances),
        assd=metrics.assd_of(*distances),
        nsd=metrics.nsd_of(*distances, tolerance),
    )


def _with_medpy(one: Measurement, prediction: np.ndarray, reference: np.ndarray, scale: np.ndarray) -> Measurement:
    try:
        from medpy.metric.binary import dc
        from medpy.metric.binary import hd95 as medpy_hd95
    except ModuleNotFoundError as error:  # there is no wheel of it, so that 3D Slicer goes without
        raise SAMedError("--engine medpy needs the package medpy; leave it out for the same numbers.") from error

    predicted, referenced = prediction == one.value, reference == one.value
    distance = None if one.hd95 is None else float(medpy_hd95(predicted, referenced, voxelspacing=scale))
    # of two empty masks medpy says 1, but not-a-number with NumPy 2.4 and later
    overlap = float(dc(predicted, referenced)) if one.predicted or one.referenced else one.dice
    return replace(one, dice=overlap, hd95=distance)
