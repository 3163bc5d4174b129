"""The solid organs and the gallbladder."""

from __future__ import annotations

import numpy as np

from SAMedLib.data.phantom.patient import Patient
from SAMedLib.data.phantom.shapes import KEEP, Board, Shape, bent, moved
from SAMedLib.data.phantom.spaces import Spaces
from SAMedLib.organs import SYNAPSE

SPLEEN, RIGHT_KIDNEY, LEFT_KIDNEY, GALLBLADDER, LIVER, PANCREAS = (
    SYNAPSE[name].value for name in ("spleen", "right kidney", "left kidney", "gallbladder", "liver", "pancreas")
)


def _texture(board: Board, shape: Shape, hu: float, share: float = 0.05, least: float = 2.0) -> np.ndarray:
    """HU with slow and fine variation inside the shape."""
    amount = max(least, abs(hu) * share)
    return hu + 0.6 * amount * board.noise(shape.box, 30.0) + 0.5 * amount * board.noise(shape.box, 9.0)


def paint_liver(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> Shape | None:
    """The liver fills the right dome against wall and diaphragm; returned before its neighbours indent it."""
    size = rng.uniform(0.84, 1.08)
    left_reach = rng.uniform(-25, 35)
    tip = rng.uniform(-22, 22)  # how far down the right lobe reaches
    center = moved(rng, (-78, 37, 54 + patient.diaphragm), 4)
    parts = [
        board.ellipsoid(
            center, np.array([64 * size, 87 * size, 98]), turn=(0.0, -0.2, rng.normal(0.3, 0.1)), rough=3, scale=50
        ),
        board.ellipsoid(
            moved(rng, (-100, 34, 12 + tip), 4), np.array([33, 56, 54]) * size, turn=(0, 0.1, 0), rough=3, scale=45
        ),
        board.ellipsoid(
            moved(rng, (-12 + 0.5 * left_reach, 92, 54 + patient.diaphragm), 4),
            np.array([60 + 0.6 * left_reach, 38, 42]) * size,
            turn=(0.3, -0.12, rng.uniform(-0.15, 0.25)),
            rough=3,
            scale=40,
        ),
        board.ellipsoid((-14, 48, 50 + 0.7 * patient.diaphragm), (20, 14, 26)),  # caudate lobe
    ]
    liver = board.union(parts, 16)
    if liver is None:
        return None
    liver = liver.cut(spaces.cavity, rng.uniform(0.5, 3.5)).cut(spaces.abdomen, 2.0)
    visceral = board.ellipsoid(moved(rng, (0, 12, 12), 5), (62, 52, 62), turn=(0.25, 0.35, 0), rough=4, scale=30)
    retroperitoneal = board.ellipsoid(moved(rng, (-38, -24, 0), 3), (48, 36, 52), rough=2)
    for hollow in (visceral, retroperitoneal):  # duodenum, pancreas, kidney lie here
        if hollow is not None:
            liver = liver.without(board.whole(hollow))
    fissure = board.ellipsoid(
        (-12 + rng.normal(0, 6), 84, 18), (2.5 + 3 * patient.visceral, 26, 34), turn=(0.15, 0.1, 0.15), rough=1.5
    )
    if fissure is not None and rng.random() < 0.75:
        liver = liver.without(board.whole(fissure))
    board.paint(liver, _texture(board, liver, patient.hu["liver"], 0.035), LIVER)
    _paint_liver_vessels(board, patient, liver, rng)
    return liver


def _paint_liver_vessels(board: Board, patient: Patient, liver: Shape, rng: np.random.Generator) -> None:
    inside = board.whole(liver)
    lift = 0.8 * patient.diaphragm
    join = np.array([-16, 40, 98 + lift])
    for end in ((-115, 10, 70), (-70, 95, 75), (15, 100, 80), (-95, 60, 40)):
        vein = board.tube([join, moved(rng, (join + end) / 2 + [0, 0, 6], 6), moved(rng, end, 10)], [6, 4, 1.8], 6)
        if vein is not None:
            board.paint(vein.cut(inside, 2.0), patient.hu["hepatic vein"], KEEP)
    hilum = np.array([-40, 55, 38])
    branches = (
        ((-75, 42, 45), (-115, 30, 30)),
        ((-85, 70, 40), (-100, 90, 30)),
        ((-20, 82, 52), (10, 98, 55)),
        ((-70, 30, 60), (-90, 5, 75)),
    )
    for middle, end in branches:
        vein = board.tube([hilum, moved(rng, middle, 6), moved(rng, end, 8)], [6, 4, 1.6], 6)
        if vein is not None:
            board.paint(vein.cut(inside, 1.0), patient.hu["portal"], KEEP)
    fine = np.hypot(board.noise(liver.box, 22.0), board.noise(liver.box, 22.0)) * 12 - rng.uniform(0.8, 1.6)
    share = 0.5 * patient.hu["portal"] + 0.5 * patient.hu["liver"]
    board.paint(Shape(liver.box, np.maximum(fine, liver.field + 4).astype(np.float32)), share, KEEP)


def paint_gallbladder(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    size = rng.uniform(8, 17)
    neck = moved(rng, (-42, 60, 14), 5)
    fundus = neck + np.array([-14, 34, -30]) * rng.uniform(0.75, 1.3) + rng.normal(0, 5, 3)
    middle = (neck + fundus) / 2 + rng.normal(0, 2, 3)
    bag = board.tube([neck, middle, fundus], [0.35 * size, 0.85 * size, size], steps=6, rough=1.0)
    if bag is None:
        return
    bag = bag.cut(spaces.cavity, 5)
    board.paint(bag.grown(rng.uniform(1.0, 2.2)), patient.hu["gut wall"])
    board.paint(bag.grown(0.6), patient.hu["bile"] + 2 * board.noise(bag.box, 15.0), GALLBLADDER)


def paint_spleen(board: Board, patient: Patient, spaces: Spaces, rng: np.random.Generator) -> None:
    size = rng.uniform(0.78, 1.22)
    center = moved(rng, (92, -4, 50 + 0.8 * patient.diaphragm), 4)
    body = board.ellipsoid(
        center,
        np.array([42, 60, 57]) * size,
        turn=(rng.normal(0.25, 0.12), rng.normal(0.15, 0.1), rng.normal(0.15, 0.12)),
        rough=2.5,
        scale=35,
    )
    if body is None:
        return
    hollow = board.ellipsoid(
        np.add(center, (-52 * size**0.5, 30, rng.normal(0, 8))),
        np.array([42, 46, 75]),
        turn=(0, 0, 0.2),
        rough=2.5,
        scale=30,
    )
    body = body.cut(spaces.cavity, rng.uniform(0.5, 3)).cut(spaces.abdomen, 2.0)
    if hollow is not None:
        body = body.without(board.whole(hollow))
    hu = _texture(board, body, patient.hu["spleen"], 0.04)
    if patient.phase == "arterial":  # the moiré pattern of the arterial spleen
        hu = hu + rng.uniform(10, 35) * np.sin(3 * board.noise(body.box, 24.0))
    board.paint(body, hu, SPLEEN)


def paint_kidneys(board: Board, patient: Patient, rng: np.random.Generator) -> None:
    for side, value in ((-1, RIGHT_KIDNEY), (1, LEFT_KIDNEY)):
        drop = -10 if side < 0 else -1
        center = moved(rng, (side * (66 + 6 * patient.visceral), 3, drop), 4)
        center[2] += rng.normal(0, 7)
        _paint_kidney(board, patient, side, value, center, rng)


def _paint_kidney(board: Board, patient: Patient, side: int, value: int, center, rng: np.random.Generator) -> None:
    hu = patient.hu
    size = rng.uniform(0.88, 1.14)
    radii = np.array([27, 30, 56]) * size * rng.uniform(0.94, 1.06, 3)
    # the upper pole leans back and to the midline
    turn = (rng.normal(0.22, 0.08), -side * rng.normal(0.2, 0.07), side * rng.normal(-0.5, 0.2))
    kidney = board.ellipsoid(center, radii, turn=turn, rough=1.8, scale=25)
    if kidney is None:
        return
    cushion = board.ellipsoid(np.add(center, (side * -2, 0, -4)), radii + 6 + 8 * patient.visceral, turn=turn, rough=3)
    board.paint(cushion, hu["fat"])
    inward = np.array([-side * 0.75, 0.6, 0.0])
    opening = rng.uniform(0.48, 0.66) + 0.08 * patient.visceral
    hilum = board.ellipsoid(
        center + inward * radii[0] * 0.95,
        (opening * radii[0], opening * radii[0], (opening - 0.1) * radii[2]),
        turn=turn,
        rough=2.2,
        scale=12,
    )
    sinus = board.whole(hilum, 30.0)
    parenchyma = kidney.without(sinus)
    cortex = rng.uniform(6.5, 9.5)
    board.paint(parenchyma, _texture(board, parenchyma, hu["cortex"], 0.03), value)
    pyramids = np.maximum(kidney.field + cortex, (0.1 - board.noise(kidney.box, 12.0)) * 7)
    medulla = Shape(kidney.box, np.maximum(pyramids, 2 - sinus[kidney.box]).astype(np.float32))
    board.paint(medulla, hu["medulla"], KEEP)
    if hilum is not None:
        outlet = center + inward * radii[0] * 0.9
        board.paint(board.ellipsoid(outlet, (8, 8, 13), turn=turn, rough=2.5, scale=10), hu["renal pelvis"], KEEP)
        ureter = board.tube(
            [outlet, np.add(outlet, (-side * 14, 2, -28)), (side * 36, 24, -80), (side * 34, 28, -140)],
            [5, 2.6, 2.2, 2.2],
            10,
        )
        board.paint(ureter, hu["renal pelvis"] if patient.phase == "late" else hu["muscle"] - 30)
        for radius, blood, lift, vessel in ((4.8, "cava", 3, (side * 8, 38, 4)), (2.8, "aorta", 0, (12, 30, 0))):
            tube = board.tube([outlet, (outlet + vessel) / 2 + [0, 5, lift], np.add(vessel, (0, 0, lift))], radius, 8)
            board.paint(tube, hu[blood] if radius < 3 else 0.5 * (hu[blood] + hu["cortex"]))


def paint_adrenals(board: Board, patient: Patient, rng: np.random.Generator) -> None:
    for side, top in ((-1, (-30, 10, 62)), (1, (36, 14, 58))):
        top = moved(rng, top, 3)
        for leg in ((side * 4, -16, -16), (side * 16, -10, -18)):
            limb = board.tube([top, top + np.array(leg)], [3.4, 2.2], steps=3, rough=0.6)
            board.paint(limb, patient.hu["adrenal"])


def paint_pancreas(board: Board, patient: Patient, rng: np.random.Generator) -> None:
    size = rng.uniform(0.82, 1.18)
    lift = rng.normal(0, 6)
    points = bent(
        rng,
        [
            (-24, 44, -30),
            (-27, 52, -8),
            (-10, 66, 6 + lift),
            (14, 68, 14 + lift),
            (44, 46, 22 + lift),
            (78, 14, 34 + lift),
        ],
        3.0,
    )
    organ = board.tube(points, np.array([9, 14.5, 9.5, 10.5, 10.5, 8.5]) * size, steps=14, rough=2.4, scale=13)
    if organ is None:
        return
    board.paint(organ.grown(2), patient.hu["fat"])
    fatty = rng.uniform(0, 26) * patient.visceral
    lobules = 9 * board.noise(organ.box, 8.0) + fatty * np.minimum(board.noise(organ.box, 7.0), 0)
    board.paint(organ, patient.hu["pancreas"] + lobules, PANCREAS)
    duct = board.tube(np.add(points[1:], (0, 1, 0)), 1.1, steps=10)
    if duct is not None:
        board.paint(duct.cut(board.whole(organ)), 15, KEEP)
