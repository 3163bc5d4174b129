"""Draw the thumbnails of the samples in Slicer's Sample Data module: a slice of the phantom, plain and with organs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from SAMedLib.data.phantom import Phantom, make_phantom
from SAMedLib.demo import DEMO_SEED
from SAMedLib.imaging.orientation import reorient
from SAMedLib.imaging.overview import axial_choice
from SAMedLib.organs import SYNAPSE

ICONS = Path(__file__).resolve().parents[1] / "SAMedSlicer" / "Resources" / "Icons"
WIDTH, HEIGHT = 288, 260


def picture(hu: np.ndarray, organs: np.ndarray) -> Image.Image:
    """A slice with the patient's right on the left; organs tinted and outlined where there are any."""
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(hu, cmap="gray", vmin=-160, vmax=240, interpolation="bicubic")
    for label in SYNAPSE:
        inside = (organs == label.value).astype(float)
        if inside.any():
            color = [channel / 255 for channel in label.color]
            axes.contourf(inside, levels=[0.5, 1.5], colors=[color], alpha=0.45)
            axes.contour(inside, levels=[0.5], colors=[color], linewidths=1.4)
    rows, columns = np.nonzero(hu > -250)
    middle, half = (rows.min() + rows.max()) / 2, (columns.max() - columns.min()) / 2 + 6
    axes.set_xlim(columns.min() - 6, columns.max() + 6)
    axes.set_ylim(middle + half * HEIGHT / WIDTH, middle - half * HEIGHT / WIDTH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = Image.frombytes("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba()))
    return drawn.convert("RGB").quantize(128)


def main() -> int:
    phantom: Phantom = make_phantom(DEMO_SEED, phase="portal", coverage="full", spacing=(1.6, 1.6, 4.0), in_plane=256)
    direction = phantom.volume.geometry.direction
    hu, organs = (reorient(array, direction, "LPS") for array in (phantom.volume.array, phantom.labels))
    index = max(axial_choice(organs), key=lambda one: np.count_nonzero(np.bincount(organs[one].ravel())[1:]))
    picture(hu[index], np.zeros_like(organs[index])).save(ICONS / "Phantom.png", optimize=True)
    picture(hu[index], organs[index]).save(ICONS / "PhantomReference.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
