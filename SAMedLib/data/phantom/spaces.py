"""The spaces that bound everything else: abdominal cavity, muscular hull, diaphragm."""

from __future__ import annotations

import numpy as np

from SAMedLib.data.phantom.patient import Patient
from SAMedLib.data.phantom.shapes import Board

# the abdominal and thoracic cavity at heights z: half width, front, back (mm)
_LEVELS = (-270, -200, -140, -100, -70, -30, 0, 40, 90, 140, 220)
_HALF_WIDTH = (92, 98, 112, 124, 127, 128, 130, 134, 136, 132, 118)
_FRONT = (90, 100, 116, 122, 124, 124, 126, 130, 128, 116, 100)
_BACK = (-30, -45, -38, -22, -18, -24, -36, -54, -62, -66, -62)


class Spaces:
    """Signed fields (mm, negative inside) that bound the organs, on the whole board.

    Attributes:
        cavity: inside the ribs and the muscular wall.
        hull: inside the muscles; between hull and skin lies subcutaneous fat.
        abdomen: below the diaphragm.
    """

    def __init__(self, board: Board, patient: Patient):
        width = np.interp(board.z, _LEVELS, _HALF_WIDTH).astype(np.float32)
        front = (np.interp(board.z, _LEVELS, _FRONT) * patient.belly).astype(np.float32)
        back = np.interp(board.z, _LEVELS, _BACK).astype(np.float32)
        self.cavity = _superellipse(board, width, front, back, patient.squareness)
        self.cavity += np.float32(2.0) * board.noise(board.everywhere, 60.0)
        wall = patient.wall_thickness
        front_part = np.clip(board.y / 60 - 0.3, 0, 1)
        wall = wall * (1 - 0.3 * front_part) * np.interp(board.z, (20, 80), (1, 0.85)).astype(np.float32)
        # gluteal muscles widen the hull behind and beside the pelvis
        pelvic = np.clip((-board.z - 90) / 60, 0, 1) * (1 - 0.85 * front_part)
        trunk, back = self.cavity - wall - 22 * pelvic, _back_muscles(board, patient) - 10 * pelvic
        overlap = np.maximum(30 - np.abs(trunk - back), 0)  # the furrow between them is shallow
        self.hull = (np.minimum(trunk, back) - overlap * overlap / 120).astype(np.float32)
        self.abdomen = _below_diaphragm(board, patient)


def _superellipse(board: Board, half_width, front, back, power: float) -> np.ndarray:
    y = board.y - (front + back) / 2
    distance = np.sqrt(board.x**2 + y**2) + np.float32(1e-3)
    rho = (np.abs(board.x / half_width) ** power + np.abs(y / ((front - back) / 2)) ** power) ** (1 / power)
    return distance * (1 - 1 / np.maximum(rho, np.float32(1e-3)))


def _back_muscles(board: Board, patient: Patient) -> np.ndarray:
    """The erector muscles on both sides of the spinous processes."""
    levels = (-150, -70, 20, 90, 200)
    across = np.interp(board.z, levels, (34, 40, 42, 36, 34)).astype(np.float32)
    deep = np.interp(board.z, levels, (24, 31, 30, 23, 20)).astype(np.float32) * np.float32(0.6 + 0.4 * patient.muscle)
    middle = np.interp(board.z, levels, (-48, -48, -48, -58, -60)).astype(np.float32)
    x = (np.abs(board.x) - 0.85 * across) / across
    y = (board.y - middle) / deep
    return (np.sqrt(x * x + y * y) - 1) * deep


def _below_diaphragm(board: Board, patient: Patient) -> np.ndarray:
    far = 40.0
    rise = patient.diaphragm
    right = board.ellipsoid((-64, 42, 25 + rise), (92, 102, patient.dome_right), rough=3.0, scale=60)
    left = board.ellipsoid((64, 36, 22 + rise), (92, 98, patient.dome_left), rough=3.0, scale=60)
    middle = board.ellipsoid((0, 62, 20 + rise), (80, 75, 78))
    field = board.whole(board.union([right, left, middle], 14), far)
    return np.minimum(field, board.z - np.float32(22 + rise))
