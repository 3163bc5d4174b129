"""Draw the extension's icon: an axial slice of the abdomen, organs in their segment colours, on a dark tile."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

REPOSITORY = Path(__file__).resolve().parents[1]
PLACES = (REPOSITORY / "SAMedSlicer.png", REPOSITORY / "SAMedSlicer" / "Resources" / "Icons" / "SAMedSlicer.png")
SIZE, FINER = 128, 8  # drawn eight times as large, then reduced

TILE, BODY, EDGE, BONE = (24, 30, 41), (78, 88, 104), (226, 231, 238), (242, 236, 220)
LIVER, STOMACH, SPLEEN = (224, 118, 84), (244, 190, 104), (178, 122, 206)
KIDNEY, AORTA = (236, 98, 128), (230, 62, 52)


def blob(
    x: float, y: float, width: float, height: float, tilt: float = 0.0, bend: float = 0.0
) -> list[tuple[float, float]]:
    """An ellipse in icon coordinates, turned by `tilt` degrees, sagging by `bend` at its ends."""
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    along, across = width / 2 * np.cos(angle), height / 2 * np.sin(angle)
    across = across + bend * np.cos(angle) ** 2
    turn = np.deg2rad(tilt)
    points = np.stack(
        [x + along * np.cos(turn) - across * np.sin(turn), y + along * np.sin(turn) + across * np.cos(turn)], axis=1
    )
    return [tuple(point) for point in points * FINER]


def draw() -> Image.Image:
    image = Image.new("RGBA", (SIZE * FINER, SIZE * FINER), (0, 0, 0, 0))
    canvas = ImageDraw.Draw(image)
    canvas.rounded_rectangle((0, 0, SIZE * FINER - 1, SIZE * FINER - 1), radius=24 * FINER, fill=TILE)
    canvas.polygon(blob(64, 65, 118, 92), fill=EDGE)
    canvas.polygon(blob(64, 65, 109, 83), fill=BODY)
    canvas.polygon(blob(40, 53, 58, 42, -24, 5), fill=LIVER)  # the patient's right is on the left
    canvas.polygon(blob(81, 45, 36, 24, 24, -2), fill=STOMACH)
    canvas.polygon(blob(101, 66, 17, 34, 14), fill=SPLEEN)
    canvas.polygon(blob(37, 83, 21, 17, 30), fill=KIDNEY)
    canvas.polygon(blob(89, 85, 21, 17, -30), fill=KIDNEY)
    canvas.polygon(blob(64, 88, 24, 19), fill=BONE)
    canvas.polygon(blob(66, 69, 15, 15), fill=AORTA)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def main() -> int:
    icon = draw()
    for place in PLACES:
        place.parent.mkdir(parents=True, exist_ok=True)
        icon.save(place, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
