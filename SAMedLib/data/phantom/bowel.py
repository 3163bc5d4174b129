"""Hollow neighbours of the organs: oesophagus, duodenum, small bowel, colon, and the vessels of the mesentery."""

from __future__ import annotations

import numpy as np

from SAMedLib.data.phantom.organs import _about, _wander, fill_gut
from SAMedLib.data.phantom.patient import Patient
from SAMedLib.data.phantom.shapes import Board, Shape
from SAMedLib.data.phantom.torso import Spaces


def paint_small_bowel(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    """A tangle of loops below the stomach: the lines in which two smooth random fields vanish, thickened."""
    low, high = (-105, 18, -190), (108, 125, 42)
    box = board.box(low, high)
    if box is None:
        return
    x, y, z = board.at(box)
    top = np.interp(x, (-90, -30, 20, 90), (-45, -25, 0, 35)).astype(np.float32) + np.float32(rng.normal(0, 6))
    region = np.maximum(spaces.cavity[box] + 7, (z - top) * 0.7)
    region = np.maximum(region, 28 + 6 * patient.visceral - y)
    region = np.maximum(region, np.maximum(np.abs(x) - 100, -185 - z)).astype(np.float32)
    hole = board.noise(box, 55.0)  # mesenteric fat
    region = np.maximum(region, (hole - (1.6 - 1.1 * patient.visceral)) * 10)
    scale = rng.uniform(30, 42)
    one, two = board.noise(box, scale), board.noise(box, scale)
    loops = (np.sqrt(one * one + two * two) - np.float32(rng.uniform(0.7, 0.95))) * np.float32(0.5 * scale)
    loops = np.maximum(loops, region).astype(np.float32)
    board.paint(Shape(box, loops), patient.hu["gut wall"] + 6 * board.noise(box, 14.0))
    kind = board.noise(box, 42.0)
    lumen = loops + np.float32(rng.uniform(2.0, 3.2)) + np.float32(0.8) * board.noise(box, 7.0)
    fluid = rng.uniform(0, 35) + 5 * board.noise(box, 12.0)
    board.paint(Shape(box, np.maximum(lumen, (kind - 0.7) * 12)), fluid)
    if rng.random() < 0.35:
        board.paint(Shape(box, np.maximum(lumen, (0.3 - kind) * 12)), rng.uniform(90, 380))
    if rng.random() < 0.7:
        gas = np.maximum(lumen, (kind + 0.9) * 12)
        gas = np.maximum(gas, (70 - y) * 0.5)
        board.paint(Shape(box, gas.astype(np.float32)), -900)


def paint_mesentery(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    """Small vessels and strands in the fat of the abdomen."""
    box = board.box((-115, -30, -220), (115, 120, 80))
    if box is None:
        return
    lines = np.hypot(board.noise(box, 26.0), board.noise(box, 26.0)) * 14 - np.float32(rng.uniform(1.3, 2.3))
    lines = np.maximum(lines, np.maximum(spaces.cavity[box] + 8, spaces.abdomen[box] + 8)).astype(np.float32)
    board.paint(Shape(box, lines), 0.6 * patient.hu["portal"] + 0.4 * patient.hu["muscle"])
    nodes = (2.35 - board.noise(box, 15.0)) * 8
    nodes = np.maximum(nodes, np.maximum(spaces.cavity[box] + 10, spaces.abdomen[box] + 8)).astype(np.float32)
    board.paint(Shape(box, nodes), patient.hu["muscle"])


def paint_colon(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    wide = rng.uniform(0.75, 1.2)
    sag = rng.uniform(-70, 15)
    parts = (
        ([(-78, 48, -150), (-92, 38, -110), (-98, 22, -60), (-92, 28, -34)], [20, 25, 22, 21]),
        (
            [
                (-92, 28, -34),
                (-78, 76, -30),
                (-40, 104, -38 + sag),
                (10, 108, -42 + sag),
                (55, 102, -15 + 0.4 * sag),
                (92, 50, 32),
            ],
            [21, 20, 18, 18, 18, 18],
        ),
        ([(92, 50, 32), (104, 20, 18), (106, 8, -40), (100, 18, -100), (78, 30, -140)], [18, 16, 14, 13, 14]),
        ([(78, 30, -140), (40, 40, -165), (-5, 45, -150), (5, 12, -165)], [14, 15, 14, 14]),
    )
    for points, radii in parts:
        points = _wander(rng, points, 4)
        piece = board.tube(points, np.array(radii) * wide * rng.uniform(0.85, 1.1), steps=14, rough=3.2, scale=16)
        if piece is None:
            continue
        piece = piece.cut(spaces.cavity, 5)
        board.paint(piece.grown(2), patient.hu["fat"])
        board.paint(piece, patient.hu["gut wall"] - 5)
        lumen = piece.grown(-rng.uniform(1.8, 3.5))
        _fill_colon(board, lumen, rng)


def _fill_colon(board: Board, lumen: Shape, rng: np.random.Generator) -> None:
    kind = rng.choice(["stool", "gas", "fluid", "contrast"], p=[0.45, 0.3, 0.13, 0.12])
    if kind == "stool":
        grain = board.noise(lumen.box, 5.0)
        hu = rng.uniform(0, 70) + 25 * board.noise(lumen.box, 9.0) - rng.uniform(120, 500) * (grain > 0.8)
    elif kind == "contrast":
        hu = rng.uniform(100, 500) + 40 * board.noise(lumen.box, 8.0)
    else:
        hu = rng.uniform(5, 40) + 6 * board.noise(lumen.box, 9.0)
    board.paint(lumen, hu.astype(np.float32))
    y = board.y[lumen.box]
    center = board.noise(lumen.box, 60.0) * 25 + {"stool": 30, "gas": -35, "fluid": 12, "contrast": 10}[str(kind)]
    level = np.float32(np.median(y[lumen.field < 0])) if (lumen.field < 0).any() else np.float32(40)
    board.paint(Shape(lumen.box, np.maximum(lumen.field, (level + center - y).astype(np.float32))), -970)


def paint_duodenum(board: Board, patient: Patient, rng: np.random.Generator) -> None:
    points = _wander(
        rng,
        [(-16, 78, 6), (-38, 70, 6), (-50, 50, -8), (-46, 42, -42), (-18, 44, -54), (18, 50, -48), (36, 60, -22)],
        3,
    )
    radii = np.array([10, 13, 13, 12, 11.5, 11.5, 11.5]) * rng.uniform(0.8, 1.15)
    tube = board.tube(points, radii, steps=16, rough=1.8, scale=15)
    if tube is None:
        return
    board.paint(tube, patient.hu["gut wall"] + 4)
    lumen = tube.grown(-rng.uniform(2.5, 4) + 1.2 * board.noise(tube.box, 8.0))
    fill_gut(board, patient, lumen, rng, 0, gas=rng.uniform(0, 0.5), level=62)


def paint_esophagus(board: Board, patient: Patient, rng: np.random.Generator) -> None:
    rise = 0.7 * patient.diaphragm
    tube = board.tube(
        [(2, 26, 240), (6, 34, 150), (14, 44, 108 + rise), _about(rng, (34, 36, 84 + rise), 3)],
        [7, 8, 8.5, 9],
        8,
        rough=0.8,
    )
    if tube is None:
        return
    board.paint(tube, patient.hu["gut wall"])
    if rng.random() < 0.5:
        board.paint(tube.grown(-5.5), -600 if rng.random() < 0.6 else 20)
