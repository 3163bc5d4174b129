"""How the scan was taken: field of view, spacing, position on the table, kernel, noise, streaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from SAMedLib.data.phantom.shapes import Board, smooth_noise

# z ranges (mm in the standard torso) of the scans that people take
# what a scan covers: from and to in mm along z, and how often it is drawn; the first is the abdomen, whole
_RANGES = {
    "full": ((-85.0, 150.0), 0.39),
    "upper": ((-15.0, 150.0), 0.16),  # the upper abdomen
    "few": ((20.0, 110.0), 0.08),  # a few slices through liver and spleen
    "lower": ((-110.0, 45.0), 0.12),
    "pelvis": ((-250.0, 145.0), 0.17),  # the abdomen with the pelvis
    "chest": ((-70.0, 230.0), 0.08),  # the abdomen with the chest
    "hips": ((-290.0, -70.0), 0.0),  # the pelvis alone: no organ but ends of kidneys and aorta
}
COVERAGES = ("random", *_RANGES)


@dataclass(frozen=True)
class Scan:
    """Grid and quality of one scan; millimetres and HU.

    Attributes:
        size, spacing: along x, y, z.
        center: of the grid, relative to the standard torso's origin, before the patient is scaled.
        tilt: rotation of the patient about x, y, z in radians.
        blur: in-plane standard deviation of the point spread, in voxels.
        noise: standard deviation in HU; grain: its in-plane correlation length in voxels, negative for a sharp kernel.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    center: tuple[float, float, float]
    tilt: tuple[float, float, float]
    coverage: str
    blur: float
    noise: float
    grain: float
    streaks: float
    arms: bool
    table: bool
    background: float


def add_table(board: Board, scan: Scan, back: float, rng: np.random.Generator) -> None:
    """The table under the patient: a curved shell. `back` is the y of the skin, in mm on the grid."""
    _, ny, nx = board.shape
    x = (np.arange(nx, dtype=np.float32) - (nx - 1) / 2) * scan.spacing[0] + scan.center[0] - rng.normal(0, 8)
    y = (np.arange(ny, dtype=np.float32) - (ny - 1) / 2) * scan.spacing[1] + scan.center[1]
    bow = rng.uniform(0, 0.0011)
    depth = back - rng.uniform(2, 14) + bow * x[None] ** 2 - y[:, None]
    half = rng.uniform(190, 260)
    thick = rng.uniform(12, 50)
    shell = np.minimum(np.abs(depth - 2), np.abs(depth - thick)) - rng.uniform(0.8, 2.0)
    shell = np.maximum(shell, np.abs(x[None]) - half)
    foam = np.maximum(np.maximum(-depth, depth - thick), np.abs(x[None]) - half)
    pixel = max(scan.spacing[:2])
    board.hu += np.clip(0.5 - foam / pixel, 0, 1) * rng.uniform(20, 120)
    share = np.clip(0.5 - shell / pixel, 0, 1)
    board.hu += share * (rng.uniform(-350, 250) - board.hu)


def expose(board: Board, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """What the scanner makes of the painted patient: HU int16 [Z, Y, X]."""
    hu = board.hu
    if scan.blur > 0:
        hu = gaussian_filter(hu, (0, scan.blur, scan.blur), truncate=3)
    body = np.clip((hu + 900) / 900, 0, 1)
    grains = rng.standard_normal(hu.shape, np.float32)
    smooth = gaussian_filter(grains, (0, abs(scan.grain), abs(scan.grain)), truncate=3)
    if scan.grain < 0:  # a sharp kernel lifts high frequencies
        smooth = grains - 0.8 * smooth
    local = 0.75 + 0.25 * body
    hu = hu + smooth * (local * np.float32(scan.noise / max(float(smooth.std()), 1e-3)))
    if scan.streaks > 0:
        lines = gaussian_filter1d(rng.standard_normal(hu.shape, np.float32), 18, axis=2)
        lines = gaussian_filter1d(lines, 0.6, axis=1)
        hu += lines * (body * np.float32(scan.streaks / max(float(lines.std()), 1e-3)))
        hu += body * smooth_noise(hu.shape, board.spacing, 110.0, rng) * np.float32(0.5 * scan.streaks)
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def draw_scan(
    rng: np.random.Generator,
    body: tuple[float, float],
    stretch: float,
    *,
    size,
    spacing,
    in_plane,
    num_slices,
    coverage,
) -> Scan:
    """Draw what the caller left open.

    Args:
        body: full width and depth of the patient in mm.
        stretch: the patient's scale along z.
        size, spacing: along x, y, z, or None.
        in_plane: columns and rows; num_slices: slices; both give way to `size`.
        coverage: one of COVERAGES; "random" draws one, and all but "full" shift its ends.
    """
    exact = coverage == "full"
    if coverage == "random":
        coverage = list(_RANGES)[int(rng.choice(len(_RANGES), p=[share for _, share in _RANGES.values()]))]
    low, high = (end if exact else end + rng.normal(0, 12) for end in _RANGES[coverage][0])
    low, high = low * stretch, high * stretch
    middle, length = (low + high) / 2, high - low
    snug = rng.random() < 0.3
    field = body[0] * (rng.uniform(0.94, 1.05) if snug else rng.uniform(1.05, 1.5))
    columns = int(size[0]) if size is not None else int(in_plane or rng.choice([160, 192, 224, 256]))
    rows = int(size[1]) if size is not None else columns
    tall = rows / columns
    if size is None and in_plane is None and rng.random() < 0.25:
        tall = rng.uniform(max(0.72, body[1] / field), 1.0)
        rows = round(columns * tall)
    if spacing is not None:
        dx, dy = float(spacing[0]), float(spacing[1])
    else:
        dx = dy = field / columns
    if size is not None:
        slices = int(size[2])
    elif num_slices is not None:
        slices = int(num_slices)
    else:
        dz = float(spacing[2]) if spacing is not None else rng.choice([1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0])
        slices = max(1, round(length / dz))
    dz = float(spacing[2]) if spacing is not None else float(np.clip(length / slices, 0.8, 8.0))
    loose = max(0.0, (columns * dx - body[0]) / 2)
    high_low = max(0.0, (rows * dy - body[1]) / 2)
    sharp = rng.random() < 0.25
    return Scan(
        size=(columns, rows, slices),
        spacing=(dx, dy, dz),
        center=(
            float(np.clip(rng.normal(0, 8), -0.7 * loose - 4, 0.7 * loose + 4)),
            float(25 + np.clip(rng.normal(0, 14), -0.6 * high_low - 3, 0.6 * high_low + 3)),
            float(middle + rng.uniform(-0.15, 0.15) * max(0.0, length - slices * dz)),
        ),
        tilt=tuple(float(v) for v in rng.normal(0, (0.03, 0.03, 0.06))),
        coverage=coverage,
        blur=float(rng.uniform(0.0, 0.75)),
        noise=float((rng.gamma(2.0, 5.0) + 2) * rng.uniform(0.7, 1.1)),
        grain=float(-rng.uniform(0.8, 1.5) if sharp else rng.uniform(0.4, 1.1)),
        streaks=float(rng.uniform(2, 9)) if rng.random() < 0.25 else 0.0,
        arms=bool(rng.random() < 0.25),
        table=bool(rng.random() < 0.85),
        background=-1000.0 if rng.random() < 0.8 else -1024.0,
    )
