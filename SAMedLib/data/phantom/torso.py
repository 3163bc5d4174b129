"""Soft tissue around the organs: skin, fat, muscle, lungs, heart, bladder, arms."""

from __future__ import annotations

import numpy as np

from SAMedLib.data.phantom.patient import Patient
from SAMedLib.data.phantom.shapes import Board, Shape
from SAMedLib.data.phantom.spaces import Spaces


def paint_body(board: Board, patient: Patient, spaces: Spaces) -> None:
    """Skin, subcutaneous fat, the muscular wall and the fat inside it."""
    hu = patient.hu
    everywhere = board.everywhere
    behind = 1 - np.clip(board.y / 100, -1, 1)
    flank = np.clip(np.abs(board.x) / 130, 0, 1) * behind
    fat = patient.fat * (1 + 0.13 * board.noise(everywhere, 90.0)) * (0.85 + 0.17 * flank)
    fat *= np.interp(board.z, (-200, -60, 60, 160), (1.15, 1.1, 0.75, 0.7)).astype(np.float32)
    # the natal and lumbar furrow: little fat over the spinous processes
    fat *= 1 - 0.45 * np.exp(-((board.x / 22) ** 2)) * (board.y < 0)
    body = Shape(everywhere, spaces.hull - np.maximum(fat, 3).astype(np.float32))
    board.paint(body, hu["muscle"] - 25)
    strands = 6 * board.noise(everywhere, 9.0)
    board.paint(body.grown(-patient.skin), hu["fat"] + strands)
    muscle_texture = hu["muscle"] + 5 * board.noise(everywhere, 12.0)
    board.paint(Shape(everywhere, spaces.hull), muscle_texture)
    _paint_muscle_fat(board, patient, spaces)
    board.paint(Shape(everywhere, spaces.cavity), hu["fat"] + 4 + strands)


def _paint_muscle_fat(board: Board, patient: Patient, spaces: Spaces) -> None:
    """Fat planes between the muscles: sheets parallel to the wall, and strands between the back muscles."""
    fat = patient.hu["fat"] + 25
    depth = spaces.cavity - 0.45 * patient.wall_thickness
    side = 55 - np.abs(board.x)
    sheet = np.abs(depth + 1.5 * board.noise(board.everywhere, 40.0)) - np.float32(0.35 + 0.0125 * patient.fat)
    board.paint(Shape(board.everywhere, np.maximum(sheet, side.astype(np.float32))), fat)
    marbling = board.noise(board.everywhere, (60.0, 14.0, 14.0))
    back = np.maximum(board.y + 22, spaces.hull + 3)
    strands = np.maximum((2.1 - 0.015 * patient.fat - np.abs(marbling)) * 6, back)
    board.paint(Shape(board.everywhere, strands.astype(np.float32)), fat + 20)
    # linea alba
    midline = np.maximum(np.maximum(np.abs(board.x) - 2.5, 60 - board.y), board.z - 55).astype(np.float32)
    board.paint(Shape(board.everywhere, midline).cut(spaces.hull), fat + 30)


def paint_back_muscles(board: Board, patient: Patient) -> None:
    """Psoas and quadratus lumborum inside the cavity, the crura of the diaphragm beside the aorta."""
    muscle = patient.hu["muscle"]
    size = patient.muscle
    for side in (-1, 1):
        psoas = board.tube(
            [
                (side * 24, 0, 35),
                (side * 34, -4, -15),
                (side * 44, 4, -75),
                (side * 62, 30, -140),
                (side * 82, 55, -215),
            ],
            np.array([5, 13, 19, 19, 15]) * size,
            rough=1.5,
        )
        board.paint(psoas, muscle + 3)
        quadratus = board.tube(
            [(side * 62, -34, 20), (side * 72, -30, -70)], np.array([9, 14]) * size, steps=3, rough=1
        )
        board.paint(quadratus, muscle)
        iliacus = board.tube([(side * 98, 20, -85), (side * 96, 42, -170)], np.array([14, 19]) * size, steps=4, rough=2)
        board.paint(iliacus, muscle)
        crus = board.tube(
            [(side * 10 + 2, 24, -25), (side * 15 + 3, 28, 20), (side * 18 + 4, 30, 60), (side * 14 + 4, 48, 85)],
            [3, 5.5, 5, 3.5],
            rough=1,
        )
        board.paint(crus, muscle + 4)


def paint_chest(board: Board, patient: Patient, spaces: Spaces) -> None:
    """Diaphragm, lungs with vessels, heart and mediastinal fat."""
    if board.z.max() < 20:
        return
    hu = patient.hu
    everywhere = board.everywhere
    thorax = np.maximum(spaces.cavity + 1, 1.5 - spaces.abdomen)
    board.paint(Shape(everywhere, thorax), hu["fat"] + 10)
    diaphragm = np.maximum(np.abs(spaces.abdomen + 1.0) - 1.6, spaces.cavity)
    diaphragm = np.maximum(diaphragm, 24 + patient.diaphragm - board.z).astype(np.float32)
    board.paint(Shape(everywhere, diaphragm), hu["muscle"])
    middle = 24 - np.abs(board.x - 4 * np.clip(board.y / 40, -1, 1)) - 12 * np.clip((board.y - 20) / 60, 0, 1)
    heart = board.union(
        [
            board.ellipsoid((28, 72, 150 + patient.diaphragm), (66, 52, 46), turn=(0, 0.2, -0.5), rough=3),
            board.ellipsoid((-14, 60, 165 + patient.diaphragm), (38, 40, 50), rough=2),
        ],
        12,
    )
    heart_far = board.whole(heart, 40.0)
    lung = np.maximum(thorax + 1.5, middle)
    lung = np.maximum(lung, 7 - heart_far).astype(np.float32)
    board.paint(Shape(everywhere, lung), hu["lung"] + 25 * board.noise(everywhere, 18.0))
    vessels = np.hypot(board.noise(everywhere, 16.0), board.noise(everywhere, 16.0)) - np.float32(0.3)
    board.paint(Shape(everywhere, np.maximum(vessels * 12, lung + 4)), 0.5 * hu["heart"])
    if heart is not None:
        heart = heart.without(spaces.abdomen, 2)
        board.paint(heart, hu["muscle"] + 0.3 * (hu["heart"] - hu["muscle"]))
        rooms = board.noise(heart.box, 32.0)
        board.paint(Shape(heart.box, np.maximum(heart.field + 7, (0.25 - np.abs(rooms)) * 12)), hu["heart"])


def paint_pelvic_organs(board: Board, patient: Patient) -> None:
    """Bladder, uterus or prostate, rectum."""
    hu = patient.hu
    size = patient.bladder
    bladder = board.ellipsoid((0, 62, -190), (size * 1.15, size, size * 0.8), rough=3)
    if bladder is not None:
        board.paint(bladder.grown(3), hu["muscle"] - 8)
        board.paint(bladder, hu["bladder"])
    below = board.ellipsoid((0, 25, -205), (24, 20, 26), rough=2)
    board.paint(below, hu["uterus"])
    rectum = board.tube([(4, 2, -260), (0, -2, -200), (8, 14, -150)], [14, 18, 15], rough=2)
    if rectum is not None:
        board.paint(rectum, hu["gut wall"])
        board.paint(rectum.grown(-4), 20 + 30 * board.noise(rectum.box, 8.0))


def paint_arms(board: Board, patient: Patient) -> None:
    """Arms beside the trunk, where the field of view reaches them."""
    hu = patient.hu
    for side in (-1, 1):
        x = side * (188 + 1.1 * patient.fat)
        limb = board.tube(
            [(x, -25, -260), (x, -30, 20), (x - side * 8, -35, 240)], [38, 42, 50], steps=4, rough=3, scale=40
        )
        if limb is None:
            continue
        board.paint(limb, hu["muscle"] - 20)
        board.paint(limb.grown(-2), hu["fat"])
        board.paint(limb.grown(-6 - 0.2 * patient.fat), hu["muscle"] + 6 * board.noise(limb.box, 12.0))
        bones = [(0, 0, 12)] if board.z.mean() > 0 else [(-10, 6, 9), (10, -6, 8)]
        for dx, dy, radius in bones:
            bone = board.tube([(x + dx, -28 + dy, -260), (x + dx, -30 + dy, 240)], radius, steps=2, rough=0.5)
            board.paint(bone, hu["cortical bone"])
            board.paint(bone and bone.grown(-3), hu["marrow"] - 60)
