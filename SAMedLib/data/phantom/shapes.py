"""The drawing board: a sampling grid seen through the patient's own coordinates, and implicit shapes painted on it.

Coordinates are millimetres in a standard torso: x grows to the patient's left, y to the front, z to the head; the
origin is the centre of the second lumbar vertebra. A shape is a scalar field, negative inside, in about millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

Slices = tuple[slice, slice, slice]
KEEP = -1  # paint without touching the labels
PAD = 9.0  # mm around a shape in which its field is exact


@dataclass
class Shape:
    """A field on a part of the board: inside where `field` < 0."""

    box: Slices
    field: np.ndarray

    def cut(self, whole: np.ndarray, margin: float = 0.0) -> Shape:
        """The part of the shape where a field on the whole board is below -margin."""
        return Shape(self.box, np.maximum(self.field, whole[self.box] + np.float32(margin)))

    def without(self, whole: np.ndarray, margin: float = 0.0) -> Shape:
        """The part of the shape where a field on the whole board is above margin."""
        return Shape(self.box, np.maximum(self.field, np.float32(margin) - whole[self.box]))

    def grown(self, mm: float | np.ndarray) -> Shape:
        """The shape with its surface moved outwards (inwards if negative)."""
        return Shape(self.box, self.field - np.float32(mm) if np.isscalar(mm) else self.field - mm)


class Board:
    """Intensities and labels on a grid [Z, Y, X], and where each voxel lies in the standard torso.

    Args:
        coordinates: x, y, z of every voxel in the standard torso, float32 [Z, Y, X] each, smooth and nearly aligned
            with the axes.
        spacing: millimetres per voxel along z, y, x.
        rng: source of all texture.
    """

    def __init__(self, coordinates: tuple[np.ndarray, np.ndarray, np.ndarray], spacing, rng: np.random.Generator):
        self.x, self.y, self.z = coordinates
        self.spacing = tuple(float(s) for s in spacing)
        self.rng = rng
        self.hu = np.full(self.x.shape, -1000.0, np.float32)
        self.labels = np.zeros(self.x.shape, np.uint8)
        self._stride = tuple(max(1, min(4, n // 8)) for n in self.x.shape)
        thin = tuple(slice(None, None, s) for s in self._stride)
        self._thin = tuple(c[thin] for c in coordinates)
        self._reach = 1.3 * max(n * s for n, s in zip(self._stride, self.spacing, strict=True))

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.hu.shape

    @property
    def everywhere(self) -> Slices:
        return tuple(slice(0, n) for n in self.shape)

    def box(self, low, high) -> Slices | None:
        """The part of the board that holds all points between two corners; None if that is nothing."""
        inside = np.ones(self._thin[0].shape, bool)
        for c, lo, hi in zip(self._thin, low, high, strict=True):
            inside &= (c > lo - self._reach) & (c < hi + self._reach)
        box = []
        for axis, (n, step) in enumerate(zip(self.shape, self._stride, strict=True)):
            hit = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
            if not len(hit):
                return None
            box.append(slice(max(0, hit[0] * step - step), min(n, (hit[-1] + 1) * step + step)))
        return tuple(box)

    def at(self, box: Slices) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.x[box], self.y[box], self.z[box]

    def noise(self, box: Slices, scale: float) -> np.ndarray:
        """Smooth random field of unit variance; `scale` is its node distance in mm."""
        return smooth_noise([s.stop - s.start for s in box], self.spacing, scale, self.rng)

    def paint(self, shape: Shape | None, hu: float | np.ndarray, label: int = 0) -> None:
        """Put a tissue on the board; voxels that the surface crosses get their share of it.

        `hu` is a number, an array on the shape's box, or an array on the whole board.
        """
        if shape is None:
            return
        share = coverage(shape.field)
        view = self.hu[shape.box]
        if not np.isscalar(hu) and hu.shape == self.shape:
            hu = hu[shape.box]
        view += share * (hu - view)
        if label != KEEP:
            self.labels[shape.box][shape.field < 0] = label

    # shapes

    def ellipsoid(self, center, radii, turn=(0.0, 0.0, 0.0), rough: float = 0.0, scale: float = 35.0) -> Shape | None:
        """An ellipsoid turned about x, y, z (radians), its surface moved by smooth noise of `rough` mm."""
        rotation = rotation_matrix(turn)
        extent = np.sqrt((rotation**2) @ (np.asarray(radii, float) ** 2)) + PAD + 2 * rough
        box = self.box(np.subtract(center, extent), np.add(center, extent))
        if box is None:
            return None
        offset = [c - np.float32(o) for c, o in zip(self.at(box), center, strict=True)]
        total = np.zeros(offset[0].shape, np.float32)
        for column, radius in zip(rotation.T, radii, strict=True):
            along = sum(o * np.float32(w / radius) for o, w in zip(offset, column, strict=True))
            total += along * along
        size = float(np.cbrt(np.prod(radii)))
        field = (np.sqrt(total) - 1) * np.float32(size)
        if rough:
            field += np.float32(rough) * self.noise(box, scale)
        return Shape(box, field)

    def tube(self, points, radii, steps: int = 14, rough: float = 0.0, scale: float = 20.0) -> Shape | None:
        """A sweep along a smooth curve through `points` [n, 3] with a radius (or radii) at each of them."""
        curve, radius = smooth_curve(points, radii, steps)
        margin = PAD + 2 * rough
        low, high = curve - radius[:, None] - margin, curve + radius[:, None] + margin
        box = self.box(low.min(0), high.max(0))
        if box is None:
            return None
        field = np.full([s.stop - s.start for s in box], margin, np.float32)
        for i in range(len(curve) - 1):
            part = self.box(np.minimum(low[i], low[i + 1]), np.maximum(high[i], high[i + 1]))
            if part is None:
                continue
            part = tuple(slice(max(p.start, b.start), min(p.stop, b.stop)) for p, b in zip(part, box, strict=True))
            if any(p.start >= p.stop for p in part):
                continue
            offset = [c - np.float32(o) for c, o in zip(self.at(part), curve[i], strict=True)]
            step = (curve[i + 1] - curve[i]).astype(np.float32)
            along = sum(o * s for o, s in zip(offset, step, strict=True)) / np.float32(step @ step + 1e-6)
            np.clip(along, 0, 1, out=along)
            distance = np.zeros(along.shape, np.float32)
            for o, s in zip(offset, step, strict=True):
                distance += (o - along * s) ** 2
            distance = np.sqrt(distance) - (np.float32(radius[i]) + along * np.float32(radius[i + 1] - radius[i]))
            inner = tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True))
            np.minimum(field[inner], distance, out=field[inner])
        if rough:
            field += np.float32(rough) * self.noise(box, scale)
        return Shape(box, field)

    def union(self, shapes: list[Shape | None], blend: float = 10.0) -> Shape | None:
        """The shapes melted together over `blend` mm."""
        shapes = [s for s in shapes if s is not None]
        if not shapes:
            return None
        box = tuple(slice(min(s.box[a].start for s in shapes), max(s.box[a].stop for s in shapes)) for a in range(3))
        far = np.float32(PAD + blend)
        total = np.full([s.stop - s.start for s in box], far, np.float32)
        for shape in shapes:
            inner = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(shape.box, box, strict=True))
            view = total[inner]
            other = np.minimum(shape.field, far)
            overlap = np.maximum(np.float32(blend) - np.abs(view - other), 0)
            view[...] = np.minimum(view, other) - overlap * overlap / np.float32(4 * blend)
        return Shape(box, total)

    def whole(self, shape: Shape | None, far: float = 60.0) -> np.ndarray:
        """The shape's field on the whole board; `far` where it is not known."""
        field = np.full(self.shape, far, np.float32)
        if shape is not None:
            field[shape.box] = shape.field
        return field


def coverage(field: np.ndarray) -> np.ndarray:
    """The share of each voxel that lies inside: a ramp over the change of the field across the voxel."""
    change = np.zeros(field.shape, np.float32)
    for axis, n in enumerate(field.shape):
        if n < 2:
            continue
        lower, upper = [slice(None)] * 3, [slice(None)] * 3
        lower[axis], upper[axis] = slice(0, n - 1), slice(1, n)
        step = np.abs(field[tuple(upper)] - field[tuple(lower)])
        step *= 0.5
        change[tuple(lower)] += step
        change[tuple(upper)] += step
    share = 0.5 - field / np.maximum(change, 1e-3)
    return np.clip(share, 0, 1, out=share)


def smooth_noise(shape, spacing, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Random cubic B-spline of about unit variance; nodes `scale` mm apart (a number, or one per axis)."""
    scales = np.broadcast_to(np.asarray(scale, float), 3)
    along_z, along_y, along_x = (_spline_basis(n, step, s) for n, step, s in zip(shape, spacing, scales, strict=True))
    nodes = along_z.shape[1], along_y.shape[1], along_x.shape[1]
    planes = along_y @ (rng.standard_normal(nodes, np.float32) @ along_x.T)
    field = along_z @ planes.reshape(nodes[0], -1)
    # the variance of a cubic B-spline with unit-variance coefficients is 0.479 per axis, averaged over positions
    field *= np.float32(0.479**-1.5)
    return field.reshape(shape)


def _spline_basis(n: int, step: float, scale: float) -> np.ndarray:
    position = np.arange(n) * step / scale
    nodes = int(position[-1]) + 4
    distance = np.abs(position[:, None] + 1 - np.arange(nodes)[None])
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.maximum(2 - distance, 0) ** 3 / 6
    return np.where(distance < 1, inner, outer).astype(np.float32)


def smooth_curve(points, radii, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """`steps` + 1 points on a curve through `points`, and radii along it."""
    points = np.asarray(points, float)
    radii = np.broadcast_to(np.asarray(radii, float), len(points))
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1) + 1e-6)])
    fine = np.linspace(0, length[-1], steps + 1)
    return PchipInterpolator(length, points)(fine), PchipInterpolator(length, radii)(fine)


def rotation_matrix(turn) -> np.ndarray:
    """Rotation about x, then y, then z, in radians."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(turn), np.cos(turn)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def moved(rng: np.random.Generator, point, sd: float) -> np.ndarray:
    """The point moved by about `sd` mm along each axis, never more than twice that."""
    return np.asarray(point, float) + np.clip(rng.normal(0, sd, 3), -2 * sd, 2 * sd)


def bent(rng: np.random.Generator, points, sd: float) -> np.ndarray:
    """Points of a curve, moved by about `sd` mm as a whole and by less than half of that each."""
    points = np.asarray(points, float)
    return points + rng.normal(0, sd, 3) + rng.normal(0, 0.4 * sd, points.shape)
