"""Spine, ribs, sternum and pelvis."""

from __future__ import annotations

import numpy as np

from SAMedLib.data.phantom.patient import Patient
from SAMedLib.data.phantom.shapes import Board, Shape
from SAMedLib.data.phantom.spaces import Spaces

VERTEBRA_PITCH = 35.0


def paint_spine(board: Board, patient: Patient) -> None:
    """Vertebrae with arch, canal and processes, discs between them, and the muscles beside them."""
    hu = patient.hu
    bottom, top = board.z.min() - 40, board.z.max() + 40
    around = board.tube([(0, -44, -130), (0, -44, 60), (0, -50, 260)], [30, 30, 27], steps=4)
    if around is not None:
        board.paint(around, hu["muscle"] + 4 * board.noise(around.box, 12.0))
    column = _column(board)
    if column is not None:
        phase = np.abs((board.z[column.box] / VERTEBRA_PITCH + 0.5) % 1 - 0.5) * VERTEBRA_PITCH  # 0 at mid-body
        end = phase - np.float32(VERTEBRA_PITCH / 2 - 4.5)
        column = column.grown(1.2 * (phase / 13 - 1))  # a waist in the middle of each body
        board.paint(column, hu["disc"])
        body = Shape(column.box, np.maximum(column.field, end))
        trabeculae = 30 * board.noise(column.box, 5.0)
        board.paint(body, hu["marrow"] + 0.35 * (hu["cortical bone"] - hu["marrow"]))
        board.paint(body.grown(-1.6), hu["marrow"] + trabeculae)
    first = int(np.floor(max(bottom, -125) / VERTEBRA_PITCH))
    for level in range(first, int(np.ceil(min(top, 240) / VERTEBRA_PITCH)) + 1):
        _paint_arch(board, patient, level * VERTEBRA_PITCH)
    canal = board.tube([(0, -27, -130), (0, -29, 0), (0, -33, 240)], [9.5, 9, 8.5], steps=4)
    board.paint(canal, 25 + 0.2 * hu["muscle"])


def _column(board: Board) -> Shape | None:
    """The vertebral bodies and discs in one: wider than deep, slimmer towards the head."""
    box = board.box((-40, -40, -125), (40, 36, 260))
    if box is None:
        return None
    x, y, z = board.at(box)
    levels = (-112, 0, 80, 240)
    middle = np.interp(z, levels, (2, -2, -4, -8)).astype(np.float32)
    radius = np.interp(z, levels, (22.5, 20.5, 18, 16)).astype(np.float32)
    field = np.hypot(x / 1.14, (y - middle) / 0.88) - radius + np.float32(0.8) * board.noise(box, 20.0)
    return Shape(box, np.maximum(field, -118 - z))


def _paint_arch(board: Board, patient: Patient, z: float) -> None:
    bone, marrow = patient.hu["cortical bone"], patient.hu["marrow"]
    thoracic = z > 60
    parts = []
    for side in (-1, 1):
        parts.append(board.tube([(side * 13, -14, z + 3), (side * 16, -30, z)], [6, 6], steps=1))
        parts.append(board.tube([(side * 16, -32, z + 8), (side * 15, -36, z - 16)], [6.5, 6], steps=1))
        parts.append(board.tube([(side * 15, -32, z), (side * 4, -44, z - 4)], [5, 5], steps=1))
        reach = 34 if thoracic else 42
        tip = -46 if thoracic else -34
        parts.append(board.tube([(side * 17, -30, z), (side * reach, tip, z + 3)], [5, 3.5], steps=1))
    parts.append(board.tube([(0, -42, z - 4), (0, -70, z - (24 if thoracic else 8))], [4.5, 3.5], steps=1))
    if not thoracic:
        parts.append(board.tube([(0, -44, z - 10), (0, -68, z - 14)], [4, 3.5], steps=1))
    arch = board.union(parts, 3.0)
    if arch is not None:
        board.paint(arch, bone)
        board.paint(arch.grown(-2.0), marrow + 120)


def paint_ribs(board: Board, patient: Patient, spaces: Spaces) -> None:
    """Oblique ribs in the wall above the costal margin, turning to cartilage in front; the sternum."""
    hu = patient.hu
    margin = np.where(board.y > 60, 5 + 0.9 * (board.y - 60), 5 - 0.25 * (60 - board.y)) - np.abs(board.x) / 13
    costal = (margin - board.z + patient.rib_margin).astype(np.float32)
    slant = 0.62 * board.y + 0.75 * np.abs(board.x) * np.clip((20 - board.y) / 80, 0, 1)
    phase = (board.z + slant + 4 * board.noise(board.everywhere, 80.0)) / 27.0
    away = np.abs(phase % 1 - 0.5) * 27.0  # 0 in the middle of a rib, along the slanted direction
    depth = spaces.cavity - np.float32(6.5)
    rib = np.maximum((np.hypot(depth / 4, away / 7.5) - 1) * 4, costal)
    rib = np.maximum(rib, 18 - np.abs(board.x)).astype(np.float32)
    front = (board.y - 82 + 0.1 * board.z).astype(np.float32)  # where cartilage begins
    bone = Shape(board.everywhere, np.maximum(rib, front))
    board.paint(Shape(board.everywhere, rib), hu["cartilage"] + 15 * board.noise(board.everywhere, 10.0))
    board.paint(bone, hu["cortical bone"] * 0.9)
    board.paint(bone.grown(-1.4), hu["marrow"] + 60)
    sternum = board.ellipsoid((0, 118, 150), (20, 8, 80), turn=(0.12, 0, 0))
    if sternum is not None:
        board.paint(sternum, hu["cortical bone"] * 0.6)
        board.paint(sternum.grown(-2), hu["marrow"])


def paint_pelvis(board: Board, patient: Patient) -> None:
    """Iliac wings, sacrum and hip joints."""
    box = board.box((-170, -110, -290), (170, 130, -50))
    if box is None:
        return
    hu = patient.hu
    x, y, z = board.at(box)
    height = z[:, :1, :1]  # a wing's outline may ignore the small tilt within a slice
    levels = (-260, -200, -150, -110, -70)
    back_x, back_y, front_x, front_y = (
        np.interp(height, levels, values).astype(np.float32)
        for values in (
            (70, 62, 52, 45, 62),
            (10, 0, -34, -48, -10),
            (78, 92, 108, 122, 124),
            (45, 55, 66, 72, 50),
        )
    )
    step_x, step_y = front_x - back_x, front_y - back_y
    across = np.abs(x) - back_x
    along = np.clip((across * step_x + (y - back_y) * step_y) / (step_x**2 + step_y**2), 0, 1)
    bow = 28 * along * (1 - along)
    normal = np.hypot(across - along * step_x, y - back_y - along * step_y + bow)
    thick = 4 + 4.5 * np.abs(along - 0.5) + 8 * np.clip((-170 - z) / 40, 0, 1)
    crest = z + 62 + 180 * (along - 0.55) ** 2
    wings = Shape(box, np.maximum(np.maximum(normal - thick, crest), -250 - z).astype(np.float32))
    sacrum = board.ellipsoid((0, -30, -150), (48, 22, 48), turn=(0.45, 0, 0), rough=2, scale=15)
    bones = [wings, sacrum]
    for side in (-1, 1):
        bones.append(board.ellipsoid((side * 90, 28, -222), (25, 25, 25)))
        bones.append(board.tube([(side * 90, 28, -222), (side * 130, 22, -255)], [17, 20], steps=2))
    for bone in bones:
        if bone is not None:
            board.paint(bone, hu["cortical bone"])
            board.paint(bone.grown(-2.2), hu["marrow"] + 40 + 30 * board.noise(bone.box, 6.0))
