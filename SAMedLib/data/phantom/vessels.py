"""Aorta, vena cava, and the arteries and veins of the abdomen outside the liver."""

from __future__ import annotations

import numpy as np

from SAMedLib.data.phantom.patient import Patient
from SAMedLib.data.phantom.shapes import KEEP, Board, Shape, bent, moved
from SAMedLib.data.phantom.spaces import Spaces
from SAMedLib.organs import SYNAPSE

AORTA = SYNAPSE["aorta"].value


def paint_great_vessels(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    hu = patient.hu
    wave = rng.normal(0, 2.5, 6)
    radius = rng.uniform(7.5, 11.5)
    cava = board.tube(
        [(-20, 30, -75), (-22, 30, -20), (-22 + wave[0], 34, 30), (-22, 38, 75), (-18, 48, 118)],
        np.array([1.0, 1.05, 1.1, 1.15, 1.15]) * rng.uniform(7.5, 12.5),
        rough=1.2,
    )
    board.paint(cava, hu["cava"] + (12 if patient.phase in ("arterial", "portal") else 2) * _mixing(board, cava))
    for side in (-1, 1):
        for name, depth in (("aorta", 6), ("cava", -6)):
            iliac = board.tube(
                [
                    (-4 + 6 * (name == "aorta"), 31, -74),
                    (side * 30, 20 + depth, -112),
                    (side * 48, 26 + depth, -160),
                    (side * 72, 66 + depth, -235),
                ],
                [6.5, 5.5, 5, 4.5],
            )
            board.paint(iliac, hu[name])
    bend = rng.normal(0, 3)
    aorta = board.tube(
        [
            (7, 31, -72),
            (11 + wave[1], 32, -35),
            (12 + bend, 33 + wave[2], 0),
            (11 + bend, 34, 40),
            (12 + wave[3], 32, 80),
            (18 + wave[4], 22, 120),
            (24 + wave[5], 14, 260),
        ],
        np.array([0.9, 0.95, 1.0, 1.08, 1.15, 1.2, 1.25]) * radius,
        steps=18,
        rough=0.5,
    )
    arteries = (
        ([(12, 40, 30), (8, 56, 28), (-12, 58, 32), (-36, 58, 36)], 3.0),  # coeliac trunk to the liver
        ([(8, 56, 28), (40, 36, 36), (78, 6, 42)], 2.6),  # splenic artery
        ([(12, 40, 16), (8, 54, 4), (4, 54, -40), (-10, 62, -90)], [4.0, 3.6, 3.2, 2.0]),  # superior mesenteric
    )
    for points, size in arteries:
        board.paint(board.tube(bent(rng, points, 1.5), size, 10), hu["aorta"])
    if aorta is not None:
        texture = max(2.0, 0.02 * hu["aorta"]) * board.noise(aorta.box, 12.0)
        board.paint(aorta.grown(0.8), hu["muscle"] - 5)
        board.paint(aorta, hu["aorta"] + texture, AORTA)
        if rng.random() < 0.4:
            plaque = np.maximum(
                np.abs(aorta.field + 0.6) - 0.9, (rng.uniform(1.5, 2.3) - board.noise(aorta.box, 9.0)) * 4
            )
            board.paint(Shape(aorta.box, plaque.astype(np.float32)), rng.uniform(350, 900), KEEP)


def _mixing(board: Board, shape: Shape | None) -> np.ndarray | float:
    return 0.0 if shape is None else board.noise(shape.box, 14.0)


def paint_portal_veins(board: Board, patient: Patient, rng: np.random.Generator) -> None:
    size = rng.uniform(0.85, 1.15)
    meet = moved(rng, (-5, 54, 10), 2)
    veins = (
        ([(-8, 64, -95), (-4, 60, -40), meet], [3.5, 5.5, 6.5]),
        ([(82, 2, 42), (46, 32, 30), (14, 52, 20), meet], [3.5, 4.5, 5, 6]),
        ([meet, (-22, 54, 26), (-42, 54, 38)], [6.8, 6.8, 6.2]),
    )
    for points, radii in veins:
        board.paint(board.tube(points, np.array(radii) * size, 8), patient.hu["portal"])
