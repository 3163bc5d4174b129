"""What is done with labels after the network: choose organs, drop islands."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

from SAMedLib.organs import LabelSet


def select_organs(labels: np.ndarray, label_set: LabelSet, names: Iterable[str]) -> np.ndarray:
    """Set all labels but those of the named organs to 0; values keep their meaning.

    Raises:
        SAMedError: if a name is not in the label set.
    """
    kept = np.zeros(256, dtype=labels.dtype)
    for label in label_set.select(names):
        kept[label.value] = label.value
    return kept[labels]


def keep_largest(labels: np.ndarray) -> np.ndarray:
    """Keep each label's largest connected component (26 neighbours; of equals the first), set the others to 0.

    Args:
        labels: unsigned integers [Z, Y, X].

    Returns:
        A new array of the same shape and dtype.
    """
    result = labels.copy()
    neighbours = ndimage.generate_binary_structure(labels.ndim, labels.ndim)
    for value, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        components, count = ndimage.label(labels[box] == value, structure=neighbours)
        if count > 1:
            sizes = np.bincount(components.ravel())
            sizes[0] = 0
            result[box][(components > 0) & (components != sizes.argmax())] = 0
    return result
