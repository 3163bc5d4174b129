"""One picture of a segmented scan: axial slices through the organs and a coronal, as a radiologist looks at them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from SAMedLib.errors import SAMedError
from SAMedLib.files import write_then_rename
from SAMedLib.imaging.orientation import reorient, source_axes
from SAMedLib.imaging.volume import Volume, label_counts
from SAMedLib.organs import LabelSet

AXIAL_PICTURES = 6
# the usual abdominal window, centre 40 and width 400 HU
_LOW, _HIGH = -160.0, 240.0
_BODY = -250  # HU
_MARGIN_MM = 12.0
_ROOM_FOR_NAME = 0.025  # half the organ's width, as a part of the picture's
# columns run to the patient's left, rows to the back, slices to the head: radiological convention
_DISPLAY = "LPS"


def write_overview(path: Path | str, volume: Volume, labels: np.ndarray, label_set: LabelSet, footer: str = "") -> None:
    """Draw up to six axial slices and a coronal with the organs in colour, and a legend with mL, as a PNG.

    Axial slices are seen from the feet, the coronal from the front: the patient's right is on the left. Pixels keep
    their true proportions.

    Args:
        volume: the CT in HU.
        labels: integers on the same grid.
        footer: a line at the bottom.

    Raises:
        SAMedError: if the path does not end in .png.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = check_picture_path(path)
    direction = volume.geometry.direction
    spacing = [volume.geometry.spacing[axis] for axis, _ in source_axes(direction, _DISPLAY)]
    hu, organs = (reorient(array, direction, _DISPLAY) for array in (volume.array, labels))
    rows, columns = _body_box(hu, spacing)
    hu, organs = hu[:, rows, columns], organs[:, rows, columns]

    figure = Figure(figsize=(15, 7.4), facecolor="black")
    grid = figure.add_gridspec(
        2, 4, width_ratios=(1, 1, 1, 1.25), left=0.01, right=0.99, top=0.91, bottom=0.05, wspace=0.03, hspace=0.1
    )
    for place, index in enumerate(axial_choice(organs)):
        axes = figure.add_subplot(grid[place // 3, place % 3])
        _draw(axes, hu[index], organs[index], label_set, spacing[1] / spacing[0])
        _mark_sides(axes, f"slice {index + 1} of {len(hu)}")
    axes = figure.add_subplot(grid[0, 3])
    middle = coronal_choice(organs)
    _draw(axes, hu[::-1, middle], organs[::-1, middle], label_set, spacing[2] / spacing[0])
    _mark_sides(axes, "coronal")
    _draw_legend(figure.add_subplot(grid[1, 3]), label_set, label_counts(labels) * volume.geometry.voxel_ml)
    figure.suptitle(volume.name, color="white", fontsize=14)
    figure.text(0.5, 0.012, footer, color="0.75", fontsize=10, ha="center")
    with write_then_rename(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=110, facecolor="black")


def check_picture_path(path: Path | str) -> Path:
    """Raises SAMedError unless the path ends in .png."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise SAMedError(f"{path} is not the name of a picture; end it in .png.")
    return path


def axial_choice(labels: np.ndarray, count: int = AXIAL_PICTURES) -> list[int]:
    """Slices worth seeing, from head to feet: the labelled range in equal parts, of each the slice with most organs.

    Args:
        labels: [Z, Y, X] with z towards the head.
    """
    organs = np.array([np.count_nonzero(np.bincount(slice_.ravel())[1:]) for slice_ in labels])
    voxels = np.array([np.count_nonzero(slice_) for slice_ in labels])
    labelled = np.flatnonzero(voxels) if voxels.any() else np.arange(len(labels))
    parts = np.array_split(np.arange(labelled[0], labelled[-1] + 1), min(count, labelled[-1] - labelled[0] + 1))
    # more organs first; then more of them; then the middle of the part
    best = [max(part, key=lambda i: (organs[i], voxels[i], -abs(i - part[len(part) // 2]))) for part in parts]
    return [int(index) for index in reversed(best)]


def coronal_choice(labels: np.ndarray) -> int:
    """The row whose coronal shows most organs, of these the one with most of them; the middle one without labels."""
    planes = range(labels.shape[1])
    middle = labels.shape[1] // 2
    return max(
        planes,
        key=lambda y: (
            np.count_nonzero(np.bincount(labels[:, y].ravel())[1:]),
            np.count_nonzero(labels[:, y]),
            -abs(y - middle),
        ),
    )


def _body_box(hu: np.ndarray, spacing: list[float]) -> tuple[slice, slice]:
    """Rows and columns of the largest thing that is not air, with a margin."""
    shadow = (hu > _BODY).any(axis=0)
    things, count = ndimage.label(shadow)
    if not count:
        return slice(None), slice(None)
    sizes = np.bincount(things.ravel())
    sizes[0] = 0
    box = ndimage.find_objects(things)[int(sizes.argmax()) - 1]
    margins = [int(np.ceil(_MARGIN_MM / mm)) for mm in (spacing[1], spacing[0])]
    rows, columns = (
        slice(max(0, part.start - margin), part.stop + margin) for part, margin in zip(box, margins, strict=True)
    )
    return rows, columns


def _draw(axes, hu: np.ndarray, organs: np.ndarray, label_set: LabelSet, aspect: float) -> None:
    """A grey slice, organs tinted and outlined, pixels `aspect` times as high as wide."""
    axes.set_axis_off()
    axes.imshow(hu, cmap="gray", vmin=_LOW, vmax=_HIGH, aspect=aspect, interpolation="bilinear")
    tint = np.zeros((*organs.shape, 4))
    for label in label_set:
        tint[organs == label.value] = (*_rgb(label.color), 0.25)
    axes.imshow(tint, aspect=aspect, interpolation="nearest")
    for label in label_set:
        inside = organs == label.value
        if inside.any() and min(inside.shape) > 1:
            # a frame of zeros, so that an organ at the edge gets a closed outline
            framed = np.pad(inside, 1).astype(float)
            x, y = np.arange(-1, organs.shape[1] + 1), np.arange(-1, organs.shape[0] + 1)
            axes.contour(x, y, framed, levels=[0.5], colors=[_rgb(label.color)], linewidths=1.3)
            _write_name(axes, label.name, framed[1:-1, 1:-1] > 0, aspect)
    axes.set_xlim(-0.5, organs.shape[1] - 0.5)
    axes.set_ylim(organs.shape[0] - 0.5, -0.5)


def _write_name(axes, name: str, inside: np.ndarray, aspect: float) -> None:
    """An organ's name where it is widest, if it has the room: several organs share a colour in Slicer's list."""
    from matplotlib.patheffects import withStroke

    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=(aspect, 1.0))[1:-1, 1:-1]
    if depth.max() < _ROOM_FOR_NAME * inside.shape[1]:
        return
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    outline = [withStroke(linewidth=2, foreground="black")]
    axes.text(column, row, name, color="white", fontsize=8, ha="center", va="center", path_effects=outline)


def _mark_sides(axes, caption: str) -> None:
    style = {"transform": axes.transAxes, "color": "white", "fontsize": 10}
    axes.text(0.02, 0.5, "R", va="center", **style)
    axes.text(0.98, 0.5, "L", va="center", ha="right", **style)
    axes.set_title(caption, color="white", fontsize=10, loc="left", pad=4)


def _draw_legend(axes, label_set: LabelSet, ml: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(label_set.labels) + 0.5, -0.5)
    for row, label in enumerate(label_set):
        axes.add_patch(Rectangle((0.1, row + 0.15), 0.07, 0.6, color=_rgb(label.color)))
        found = ml[label.value] > 0
        axes.text(0.22, row + 0.45, label.name, color="white" if found else "0.55", fontsize=12, va="center")
        amount = f"{ml[label.value]:,.0f} mL" if ml[label.value] >= 10 else f"{ml[label.value]:.1f} mL"
        style = {"fontsize": 12, "va": "center", "ha": "right"}
        axes.text(0.95, row + 0.45, amount if found else "not found", color="white" if found else "0.55", **style)


def _rgb(color: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = color
    return red / 255, green / 255, blue / 255
