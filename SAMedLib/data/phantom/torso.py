"""Everything around the organs: skin, fat, muscle, bone, lungs, heart, and the spaces that bound the abdomen."""

from __future__ import annotations

import numpy as np

from SAMedLib.data.phantom.patient import Patient
from SAMedLib.data.phantom.shapes import Board, Shape

VERTEBRA_PITCH = 35.0

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


def paint_body(board: Board, patient: Patient, spaces: Spaces) -> None:
    """Skin, subcutaneous fat, the muscular wall and the fat inside it."""
    hu = patient.hu
    everywhere = board.everywhere
    angle_front = np.clip(board.y / 100, -1, 1)
    side = np.clip(np.abs(board.x) / 130, 0, 1)
    fat = patient.fat * (1 + 0.13 * board.noise(everywhere, 90.0)) * (0.85 + 0.35 * side * (1 - angle_front) * 0.5)
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
    sheet = np.abs(depth + 1.5 * board.noise(board.everywhere, 40.0)) - np.float32(0.35 + 0.05 * patient.fat / 4)
    board.paint(Shape(board.everywhere, np.maximum(sheet, side.astype(np.float32))), fat)
    marbling = board.noise(board.everywhere, (60.0, 14.0, 14.0))
    back = np.maximum(board.y + 22, spaces.hull + 3)
    strands = np.maximum((2.1 - 0.015 * patient.fat - np.abs(marbling)) * 6, back)
    board.paint(Shape(board.everywhere, strands.astype(np.float32)), fat + 20)
    # linea alba
    midline = np.maximum(np.maximum(np.abs(board.x) - 2.5, 60 - board.y), board.z - 55).astype(np.float32)
    board.paint(Shape(board.everywhere, midline).cut(spaces.hull), fat + 30)


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
    low = np.where(board.y > 60, 5 + 0.9 * (board.y - 60), 5 - 0.25 * (60 - board.y)) + 10 * np.abs(board.x) / 130 * -1
    costal = (low - board.z + patient.rib_margin).astype(np.float32)
    slant = 0.62 * board.y + 0.75 * np.abs(board.x) * np.clip((20 - board.y) / 80, 0, 1)
    phase = (board.z + slant + 4 * board.noise(board.everywhere, 80.0)) / 27.0
    away = np.abs(phase % 1 - 0.5) * 27.0  # 0 in the middle of a rib, along the slanted direction
    depth = spaces.cavity - np.float32(6.5)
    rib = np.maximum((np.hypot(depth / 4, away / 7.5) - 1) * 4, costal)
    rib = np.maximum(rib, 18 - np.abs(board.x)).astype(np.float32)
    front = (board.y - 82 + 0.1 * board.z).astype(np.float32)  # where cartilage begins
    shape = Shape(board.everywhere, rib)
    bone = Shape(board.everywhere, np.maximum(rib, front))
    board.paint(shape, hu["cartilage"] + 15 * board.noise(board.everywhere, 10.0))
    board.paint(bone, hu["cortical bone"] * 0.9)
    board.paint(bone.grown(-1.4), hu["marrow"] + 60)
    sternum = board.tube([(0, 128, 75), (0, 122, 120), (0, 108, 230)], [7, 9, 10], steps=5)
    if sternum is not None:
        wide = board.ellipsoid((0, 118, 150), (20, 8, 80), turn=(0.12, 0, 0))
        board.paint(wide, hu["cortical bone"] * 0.6)
        board.paint(wide and wide.grown(-2), hu["marrow"])


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


def paint_pelvis(board: Board, patient: Patient) -> None:
    """Iliac wings, sacrum, hip joints and the bladder."""
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
