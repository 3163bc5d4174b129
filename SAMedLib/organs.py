"""What label values mean: the eight Synapse organs, and label sets for other data.

SNOMED codes and colours follow 3D Slicer's General Anatomy terminology list, so that segments written outside Slicer
look the same as segments that a user names by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from SAMedLib.errors import SAMedError


@dataclass(frozen=True)
class Code:
    """A SNOMED CT concept."""

    value: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One foreground class.

    Attributes:
        value: the voxel value in a labelmap, 1..255.
        name: the name shown to people, unique in its label set.
        color: RGB, 0..255.
        code: the anatomical structure, None if unknown.
        modifier: its laterality, None if it has none.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    code: Code | None = None
    modifier: Code | None = None


@dataclass(frozen=True)
class LabelSet:
    """Foreground labels in the order of their values 1..K-1; value 0 is background.

    Raises:
        SAMedError: if the values are not 1, 2, 3, ... or a name occurs twice.
    """

    name: str
    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        values = [label.value for label in self.labels]
        if values != list(range(1, len(values) + 1)):
            raise SAMedError(f"Label set {self.name} has the values {values}; number its labels 1, 2, 3, ... in order.")
        if len(set(self.names)) != len(self.labels):
            raise SAMedError(f"Label set {self.name} uses a name twice: {', '.join(self.names)}; give each its own.")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def num_classes(self) -> int:
        """Number of classes with the background."""
        return len(self.labels) + 1

    def __iter__(self):
        return iter(self.labels)

    def __getitem__(self, name: str) -> Label:
        """The label called `name`; see find(). Raises SAMedError if there is none."""
        if label := self.find(name):
            return label
        raise SAMedError(f"There is no organ called {name!r}; choose from {', '.join(self.names)}.")

    def find(self, name: str) -> Label | None:
        """The label called `name`, None if there is none; case, spaces, underscores and hyphens do not matter."""
        return next((label for label in self.labels if _plain(label.name) == _plain(name)), None)

    def select(self, names: Iterable[str]) -> tuple[Label, ...]:
        """The named labels, in label order."""
        wanted = {self[name].value for name in names}
        return tuple(label for label in self.labels if label.value in wanted)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> LabelSet:
        try:
            return cls(str(data["name"]), tuple(_label_from_json(entry) for entry in data["labels"]))
        except (KeyError, TypeError, ValueError) as error:
            raise SAMedError("The label set is not readable; it needs a name and labels.") from error

    @classmethod
    def from_names(cls, name: str, names: Iterable[str]) -> LabelSet:
        """Labels 1..n with these names: known organs keep their code and colour, others get a distinct colour."""
        labels = []
        for value, organ in enumerate(names, start=1):
            if known := SYNAPSE.find(organ):
                labels.append(Label(value, organ, known.color, known.code, known.modifier))
            else:
                labels.append(Label(value, organ, _distinct_color(value)))
        return cls(name, tuple(labels))


# for each class of a network, the class of a model that it begins with; None for one that the model does not know
Classes = Sequence["int | None"]


def matching_classes(before: LabelSet, after: LabelSet) -> Classes:
    """Where the classes of a model for the labels `before` go in one for the labels `after`.

    They are matched by the names of their labels; by their order if no name is known and the numbers are equal. The
    background, class 0, is always known.
    """
    found = [before.find(label.name) for label in after]
    if not any(found) and len(before.labels) == len(after.labels):
        return range(after.num_classes)
    return [0, *(label and label.value for label in found)]


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c not in " _-")


def _code_from_json(data: dict | None) -> Code | None:
    return None if data is None else Code(str(data["value"]), str(data["meaning"]))


def _label_from_json(data: dict) -> Label:
    red, green, blue = (int(c) for c in data["color"])
    return Label(
        int(data["value"]),
        str(data["name"]),
        (red, green, blue),
        _code_from_json(data.get("code")),
        _code_from_json(data.get("modifier")),
    )


def _distinct_color(index: int) -> tuple[int, int, int]:
    """A readable colour for the index-th label: hues a golden angle apart."""
    import colorsys

    red, green, blue = colorsys.hsv_to_rgb((index * 0.61803398875) % 1.0, 0.55, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


_KIDNEY = Code("64033007", "Kidney")

SYNAPSE = LabelSet(
    "synapse",
    (
        Label(1, "spleen", (157, 108, 162), Code("78961009", "Spleen")),
        Label(2, "right kidney", (185, 102, 83), _KIDNEY, Code("24028007", "Right")),
        Label(3, "left kidney", (185, 102, 83), _KIDNEY, Code("7771000", "Left")),
        Label(4, "gallbladder", (139, 150, 98), Code("28231008", "Gallbladder")),
        Label(5, "liver", (221, 130, 101), Code("10200004", "Liver")),
        Label(6, "stomach", (216, 132, 105), Code("69695003", "Stomach")),
        Label(7, "aorta", (224, 97, 76), Code("15825003", "Aorta")),
        Label(8, "pancreas", (249, 180, 111), Code("15776009", "Pancreas")),
    ),
)
