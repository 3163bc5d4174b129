"""From the labels that a file holds to those that are evaluated: by name, by SNOMED code, or by an explicit map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from SAMedLib.errors import SAMedError
from SAMedLib.organs import Label, LabelSet


@dataclass(frozen=True)
class SourceLabel:
    """A label as a file or its dataset describes it.

    Attributes:
        value: in the voxels.
        name: None if nothing says.
        code: SNOMED code, followed by "/" and the modifier's code if it has a laterality; None if nothing says.
        layer: of the segmentation, where segments may overlap.
    """

    value: int
    name: str | None = None
    code: str | None = None
    layer: int = 0

    def __str__(self) -> str:
        return str(self.value) if self.name is None else f"{self.name} ({self.value})"


def parse_map(text: str) -> dict[str, str]:
    """`"6=liver, 1=spleen"` as a dictionary; raises SAMedError for anything else.

    What is left of the equals sign is a voxel value, a segment's name, or a SNOMED code ("64033007/24028007" with its
    modifier); what is right of it is an organ of the label set that is evaluated.
    """
    found: dict[str, str] = {}
    for entry in text.split(","):
        source, equals, organ = (part.strip() for part in entry.partition("="))
        if not (source and equals and organ):
            raise SAMedError(
                f"{entry.strip()!r} is no mapping; write SOURCE=ORGAN, for example --map 6=liver,1=spleen."
            )
        if source in found:
            raise SAMedError(f"The label {source} is mapped twice; map it once.")
        found[source] = organ
    return found


def resolve(
    sources: Sequence[SourceLabel] | None,
    label_set: LabelSet,
    explicit: Mapping[str, str] | None,
    where: str,
    option: str | None = "--map",
) -> Mapping[tuple[int, int], int] | None:
    """Which value of which layer becomes which label.

    Args:
        sources: the labels of the file; None if nothing says what its values mean.
        label_set: the labels evaluated.
        explicit: the user's map; labels that it does not mention become background.
        where: the file's name, for messages.
        option: with which the user maps these labels, None if there is none.

    Returns:
        (layer, value) to label value, all others are background; None (no names, no map) to take values as they are.

    Raises:
        SAMedError: if the map names what is not there, or not one label can be matched by name or code.
    """
    if explicit is not None:
        return _follow(explicit, sources, label_set, where)
    if sources is None:
        return None
    matched = {
        (source.layer, source.value): label.value
        for source in sources
        if (label := _same_organ(source, label_set)) is not None
    }
    if not matched:
        mapping = f"say which is which with {option} SOURCE=ORGAN,... or " if option else ""
        raise SAMedError(
            f"{where} holds {', '.join(map(str, sources)) or 'no labels'}, none of which is one of "
            f"{', '.join(label_set.names)} by name or code; {mapping}choose other organs with --labels."
        )
    return matched


def apply_map(
    layers: Sequence[np.ndarray], mapping: Mapping[tuple[int, int], int], where: str, option: str = "--map"
) -> np.ndarray:
    """Layers of uint8 labels, all of one shape, as one array of target labels; what is not in the mapping becomes 0.

    Raises:
        SAMedError: if segments of different layers claim the same voxel for different organs.
    """
    merged = np.zeros(layers[0].shape, dtype=np.uint8)
    for layer, labels in enumerate(layers):
        table = np.zeros(256, dtype=np.uint8)
        for (source_layer, value), target in mapping.items():
            if source_layer == layer:
                table[value] = target
        mapped = table[labels]
        clash = np.flatnonzero((merged != 0) & (mapped != 0) & (merged != mapped))
        if clash.size:
            raise SAMedError(
                f"{where} gives {clash.size} voxels to two organs at once (segments overlap); a voxel can be scored "
                f"for one organ only, so leave one of them out with {option}."
            )
        np.maximum(merged, mapped, out=merged)
    return merged


def _follow(
    explicit: Mapping[str, str], sources: Sequence[SourceLabel] | None, label_set: LabelSet, where: str
) -> dict[tuple[int, int], int]:
    layers = {source.layer for source in sources or ()} or {0}
    mapping = {}
    for text, organ in explicit.items():
        target = label_set[organ].value
        if text.isdigit() and int(text) <= 255:
            mapping.update({(layer, int(text)): target for layer in layers})
            continue
        found = [one for one in sources or () if _plain(text) == _plain(one.name or "") or text == one.code]
        if not found:
            names = ", ".join(map(str, sources)) if sources else "values without names"
            raise SAMedError(f"{where} has no label {text!r} to map to {organ}; it holds {names}.")
        mapping.update({(one.layer, one.value): target for one in found})
    return mapping


def _same_organ(source: SourceLabel, label_set: LabelSet) -> Label | None:
    for label in label_set:
        if source.name is not None and _plain(source.name) == _plain(label.name):
            return label
    for label in label_set:
        if source.code is not None and source.code == code_of(label):
            return label
    return None


def describe(
    sources: Sequence[SourceLabel] | None, mapping: Mapping[tuple[int, int], int] | None, label_set: LabelSet
) -> str:
    """What was done to the labels, for the report."""
    if mapping is None:
        return f"values taken as {label_set.name} labels"
    unnamed = set(mapping) - {(one.layer, one.value) for one in sources or ()}
    if (
        not unnamed
        and len(mapping) == len(sources or ())
        and all(
            one.name is not None
            and _plain(one.name) == _plain(label_set.labels[mapping[one.layer, one.value] - 1].name)
            for one in sources or ()
        )
    ):
        return f"matched by name: {', '.join(str(one) for one in sources or ())}"
    names = {(one.layer, one.value): str(one) for one in sources or ()}
    names = {**{key: str(key[1]) for key in mapping}, **names}
    used = [f"{names[key]} as {label_set.labels[target - 1].name}" for key, target in mapping.items()]
    unused = [name for key, name in names.items() if key not in mapping]
    return ", ".join(used) + (f"; not evaluated: {', '.join(unused)}" if unused else "")


def code_of(label: Label) -> str | None:
    """The label's SNOMED code as `SourceLabel.code` writes it."""
    if label.code is None:
        return None
    return label.code.value if label.modifier is None else f"{label.code.value}/{label.modifier.value}"


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " _-")
