"""What makes one patient differ from another: habitus, contrast and the proportions that several parts share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from SAMedLib.data.phantom.tissue import draw_tissues


@dataclass(frozen=True)
class Patient:
    """Lengths in mm; factors are relative to the standard torso.

    Attributes:
        hu: mean HU of each tissue.
        fat: thickness of subcutaneous fat; visceral: 0 (lean) to 1 (much fat around the organs).
        stretch: scale of the whole torso along x, y, z.
    """

    phase: str
    hu: dict[str, float]
    fat: float
    visceral: float
    stretch: tuple[float, float, float]
    belly: float
    squareness: float
    wall_thickness: float
    skin: float
    diaphragm: float
    dome_right: float
    dome_left: float
    rib_margin: float
    muscle: float
    bladder: float


def draw_patient(phase: str, rng: np.random.Generator) -> Patient:
    habitus = rng.beta(1.6, 1.9)  # 0 thin, 1 obese
    visceral = float(np.clip(habitus + rng.normal(0, 0.22), 0, 1))
    width = rng.normal(1.0 + 0.13 * habitus, 0.055)
    return Patient(
        phase=phase,
        hu=draw_tissues(phase, rng),
        fat=float(4 + 42 * habitus**1.5 * rng.uniform(0.6, 1.2)),
        visceral=visceral,
        stretch=(
            float(np.clip(width, 0.86, 1.25)),
            float(np.clip(rng.normal(0.93 + 0.14 * visceral, 0.045), 0.82, 1.2)),
            float(np.clip(rng.normal(1.0, 0.05), 0.88, 1.13)),
        ),
        belly=float(rng.uniform(0.9, 1.02) + 0.1 * visceral),
        squareness=float(rng.uniform(1.95, 2.3)),
        wall_thickness=float(rng.uniform(11, 19)),
        skin=float(rng.uniform(1.4, 2.6)),
        diaphragm=float(rng.normal(0, 9)),
        dome_right=float(rng.uniform(84, 104)),
        dome_left=float(rng.uniform(72, 92)),
        rib_margin=float(rng.uniform(-15, 20)),
        muscle=float(rng.uniform(0.78, 1.15)),
        bladder=float(rng.uniform(22, 62)),
    )
