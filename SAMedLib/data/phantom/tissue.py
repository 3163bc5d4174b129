"""How bright each tissue is: Hounsfield ranges per contrast phase, drawn once per phantom.

The ranges are wider than in a textbook: scanners, voltages and patients differ, and a network
must not learn one of them.
"""

from __future__ import annotations

import numpy as np

PHASES = ("none", "arterial", "portal", "late")

# low and high mean HU in the phases none, arterial, portal, late
_RANGES = {
    "liver": ((38, 68), (52, 88), (80, 132), (72, 108)),
    "spleen": ((30, 56), (80, 150), (78, 138), (70, 110)),
    "cortex": ((18, 40), (140, 240), (150, 225), (110, 180)),
    "medulla": ((20, 38), (45, 110), (125, 210), (110, 190)),
    "renal pelvis": ((0, 15), (0, 20), (0, 40), (20, 700)),
    "aorta": ((32, 50), (210, 420), (125, 200), (85, 135)),
    "cava": ((30, 48), (50, 130), (105, 180), (85, 135)),
    "portal": ((30, 48), (60, 160), (140, 210), (85, 135)),
    "hepatic vein": ((28, 44), (45, 85), (125, 200), (85, 130)),
    "pancreas": ((22, 50), (75, 135), (70, 120), (60, 95)),
    "adrenal": ((10, 35), (45, 80), (50, 90), (45, 80)),
    "gut wall": ((25, 48), (55, 120), (65, 110), (50, 90)),
    "stomach wall": ((25, 48), (50, 115), (60, 110), (50, 90)),
    "muscle": ((42, 62), (48, 68), (52, 74), (52, 72)),
    "heart": ((32, 50), (120, 300), (110, 180), (85, 130)),
    "bile": ((-2, 22), (-2, 22), (-2, 22), (-2, 30)),
    "bladder": ((-5, 20), (-5, 20), (-5, 30), (0, 300)),
    "fat": ((-120, -90), (-118, -88), (-118, -88), (-118, -88)),
    "marrow": ((60, 220), (60, 220), (70, 240), (70, 240)),
    "cortical bone": ((350, 900), (350, 900), (350, 900), (350, 900)),
    "cartilage": ((70, 130), (70, 130), (70, 130), (70, 130)),
    "lung": ((-890, -780), (-890, -780), (-890, -780), (-890, -780)),
    "disc": ((60, 110), (60, 110), (60, 110), (60, 110)),
    "uterus": ((35, 60), (60, 110), (70, 130), (70, 110)),
}


def draw_tissues(phase: str, rng: np.random.Generator) -> dict[str, float]:
    """Mean HU of each tissue in one patient in this phase."""
    column = PHASES.index(phase)
    hu = {name: float(rng.uniform(*ranges[column])) for name, ranges in _RANGES.items()}
    if rng.random() < 0.18:  # fatty liver
        hu["liver"] -= rng.uniform(10, 45)
    if phase == "none":  # blood is blood
        for vessel in ("cava", "portal", "hepatic vein", "heart"):
            hu[vessel] = hu["aorta"] + rng.uniform(-3, 3)
        hu["medulla"] = hu["cortex"] + rng.uniform(-3, 3)
    if phase == "late":
        for vessel in ("cava", "portal", "hepatic vein", "heart"):
            hu[vessel] = hu["aorta"] + rng.uniform(-8, 8)
    return hu
