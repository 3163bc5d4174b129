"""Hollow organs from the oesophagus to the colon, and the vessels of the mesentery."""

from __future__ import annotations

import numpy as np

from SAMedLib.data.phantom.patient import Patient
from SAMedLib.data.phantom.shapes import KEEP, Board, Shape, bent, moved
from SAMedLib.data.phantom.spaces import Spaces
from SAMedLib.organs import SYNAPSE

STOMACH = SYNAPSE["stomach"].value


def paint_esophagus(board: Board, patient: Patient, rng: np.random.Generator) -> None:
    rise = 0.7 * patient.diaphragm
    tube = board.tube(
        [(2, 26, 240), (6, 34, 150), (14, 44, 108 + rise), moved(rng, (34, 36, 84 + rise), 3)],
        [7, 8, 8.5, 9],
        8,
        rough=0.8,
    )
    if tube is None:
        return
    board.paint(tube, patient.hu["gut wall"])
    if rng.random() < 0.5:
        board.paint(tube.grown(-5.5), -600 if rng.random() < 0.6 else 20)


def paint_stomach(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    """Fundus below the left dome, body to the front and down, antrum over to the right; gas floats in front."""
    filling = rng.beta(1.4, 1.8)
    rise = 0.7 * patient.diaphragm
    sag = rng.uniform(-25, 12)
    points = bent(
        rng,
        [
            (52, 8, 88 + rise),
            (60, 30, 68 + rise),
            (64, 64, 42),
            (50, 88, 16 + sag),
            (20, 92, 2 + sag),
            (-16, 78, 6 + 0.3 * sag),
        ],
        4.0,
    )
    radii = np.array([30, 33, 30, 25, 20, 10]) * (0.6 + 0.62 * filling) * rng.uniform(0.88, 1.12, 6)
    bag = board.tube(points, radii, steps=14, rough=2.8, scale=32)
    if bag is None:
        return
    bag = bag.cut(spaces.cavity, 4).cut(spaces.abdomen, 3)
    if rng.random() < 0.5 + 0.4 * patient.visceral:
        board.paint(bag.grown(1.5 + 2 * patient.visceral), patient.hu["fat"])
    wall = rng.uniform(2.5, 5.5) + (1 - filling) * 2.5
    folds = (1.2 + 2.0 * (1 - filling)) * board.noise(bag.box, 10.0)
    board.paint(bag, patient.hu["stomach wall"] + 4 * board.noise(bag.box, 12.0), STOMACH)
    inside = Shape(bag.box, bag.field + np.float32(wall) + folds)
    _fill(board, patient, inside, rng, KEEP, gas=rng.beta(1.2, 1.6), level=float(np.average(points[:, 1])))


def _fill(
    board: Board, patient: Patient, inside: Shape, rng: np.random.Generator, label: int, gas: float, level: float
) -> None:
    """Fluid, food or positive contrast, and gas above a horizontal level."""
    kind = rng.choice(["fluid", "food", "contrast"], p=[0.45, 0.37, 0.18])
    if kind == "fluid":
        content = rng.uniform(-5, 35) + 4 * board.noise(inside.box, 10.0)
    elif kind == "food":
        lumps = board.noise(inside.box, 9.0)
        content = rng.uniform(15, 55) + rng.uniform(10, 30) * lumps - 150 * (lumps > rng.uniform(1.0, 2.2))
    else:
        content = rng.uniform(90, 420) + 15 * board.noise(inside.box, 14.0)
    board.paint(inside, content.astype(np.float32), label)
    if gas > 0.08:
        y = board.y[inside.box]
        surface = level + 38 * (1 - 2 * gas) + 0.4 * board.noise(inside.box, 30.0)
        board.paint(Shape(inside.box, np.maximum(inside.field, (surface - y).astype(np.float32))), -960, label)


def paint_duodenum(board: Board, patient: Patient, rng: np.random.Generator) -> None:
    points = bent(
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
    _fill(board, patient, lumen, rng, 0, gas=rng.uniform(0, 0.5), level=62)


def paint_small_bowel(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    """Packed loops below and behind the stomach; each indents those that were there before."""
    crowd = int(rng.integers(44, 80) * (1 - 0.3 * patient.visceral))
    width = rng.uniform(8.5, 13)
    contrast = rng.uniform(90, 380) if rng.random() < 0.25 else None
    low, high = np.array([-92, 34 + 8 * patient.visceral, -175]), np.array([98, 112, 55])
    for _ in range(crowd):
        start = rng.uniform(low, high)
        if start[2] > np.interp(start[0], (-60, 10, 40, 90), (-35, 0, 30, 55)):
            continue
        points = _loop(rng, start, low, high)
        radii = width * rng.uniform(0.7, 1.25) * rng.uniform(0.8, 1.15, len(points))
        loop = board.tube(points, radii, steps=8, rough=1.6, scale=14)
        if loop is None:
            continue
        loop = loop.cut(spaces.cavity, 5).cut(spaces.abdomen, 6)
        board.paint(loop.grown(rng.uniform(0, 1 + 3 * patient.visceral)), patient.hu["fat"])
        board.paint(loop, patient.hu["gut wall"] + 5 * board.noise(loop.box, 9.0))
        if rng.random() < 0.2:  # collapsed
            continue
        lumen = loop.grown(-rng.uniform(1.8, 3.4) + rng.uniform(0.3, 1.6) * board.noise(loop.box, 6.0))
        if contrast is not None and rng.random() < 0.6:
            board.paint(lumen, contrast + 15 * board.noise(loop.box, 12.0))
        else:
            board.paint(lumen, rng.uniform(0, 38) + 6 * board.noise(loop.box, 9.0))
        if rng.random() < 0.22:
            level = points[:, 1].mean() + rng.normal(0, 6) - board.y[loop.box]
            board.paint(Shape(loop.box, np.maximum(lumen.field, level).astype(np.float32)), -930)


def _loop(rng: np.random.Generator, start: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """A winding curve of five points, 26 mm apart, within bounds."""
    points, heading = [start], rng.normal(0, 1, 3) * (1, 0.8, 0.7)
    for _ in range(4):
        heading = heading / np.linalg.norm(heading) + rng.normal(0, 0.65, 3)
        points.append(np.clip(points[-1] + 26 * heading / np.linalg.norm(heading), low, high))
    return np.array(points)


def paint_mesentery(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    """Small vessels and strands in the fat of the abdomen."""
    box = board.box((-115, -30, -220), (115, 120, 80))
    if box is None:
        return
    lines = np.hypot(board.noise(box, 24.0), board.noise(box, 24.0)) * 13 - np.float32(rng.uniform(1.3, 2.5))
    fine = np.hypot(board.noise(box, 13.0), board.noise(box, 13.0)) * 7 - np.float32(rng.uniform(0.7, 1.5))
    lines = np.maximum(np.minimum(lines, fine), np.maximum(spaces.cavity[box] + 8, spaces.abdomen[box] + 8)).astype(
        np.float32
    )
    board.paint(Shape(box, lines), 0.6 * patient.hu["portal"] + 0.4 * patient.hu["muscle"])
    nodes = (2.35 - board.noise(box, 15.0)) * 8
    nodes = np.maximum(nodes, np.maximum(spaces.cavity[box] + 10, spaces.abdomen[box] + 8)).astype(np.float32)
    board.paint(Shape(box, nodes), patient.hu["muscle"])


def paint_colon(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    wide = rng.uniform(0.75, 1.4)
    sag = rng.uniform(-70, 15)
    high = rng.uniform(-15, 45)  # of the splenic flexure
    flexure = (rng.uniform(76, 98), rng.uniform(35, 70), 32 + high)
    parts = (
        ([(-78, 48, -150), (-92, 38, -110), (-98, 22, -60), (-92, 28, -34)], [20, 25, 22, 21]),
        (
            [
                (-92, 28, -34),
                (-78, 76, -30),
                (-40, 104, -38 + sag),
                (10, 108, -42 + sag),
                (55, 102, -15 + 0.4 * sag),
                (75, 90, 15 + 0.5 * high),
                flexure,
            ],
            [21, 20, 18, 18, 18, 18, 18],
        ),
        ([flexure, (104, 22, 12 + 0.5 * high), (106, 8, -40), (100, 18, -100), (78, 30, -140)], [18, 16, 14, 13, 14]),
        ([(78, 30, -140), (40, 40, -165), (-5, 45, -150), (5, 12, -165)], [14, 15, 14, 14]),
    )
    for points, radii in parts:
        points = bent(rng, points, 4)
        piece = board.tube(points, np.array(radii) * wide * rng.uniform(0.85, 1.2), steps=14, rough=3.2, scale=16)
        if piece is None:
            continue
        piece = piece.cut(spaces.cavity, 5)
        board.paint(piece.grown(2), patient.hu["fat"])
        board.paint(piece, patient.hu["gut wall"] - 5)
        lumen = piece.grown(-rng.uniform(1.8, 3.5))
        _fill_colon(board, lumen, rng)


def _fill_colon(board: Board, lumen: Shape, rng: np.random.Generator) -> None:
    kind = rng.choice(["stool", "gas", "fluid", "contrast"], p=[0.42, 0.24, 0.22, 0.12])
    if kind == "stool":
        grain = board.noise(lumen.box, 5.0)
        hu = rng.uniform(0, 70) + 25 * board.noise(lumen.box, 9.0) - rng.uniform(120, 500) * (grain > 0.8)
    elif kind == "contrast":
        hu = rng.uniform(100, 500) + 40 * board.noise(lumen.box, 8.0)
    else:
        hu = rng.uniform(5, 62) + 6 * board.noise(lumen.box, 9.0)
    board.paint(lumen, hu.astype(np.float32))
    if kind in ("fluid", "contrast") and rng.random() < 0.45:  # full, without gas
        return
    y = board.y[lumen.box]
    center = board.noise(lumen.box, 60.0) * 25 + {"stool": 30, "gas": -35, "fluid": 12, "contrast": 10}[str(kind)]
    level = np.float32(np.median(y[lumen.field < 0])) if (lumen.field < 0).any() else np.float32(40)
    board.paint(Shape(lumen.box, np.maximum(lumen.field, (level + center - y).astype(np.float32))), -970)
