"""Labelled abdominal CT phantoms: procedural anatomy, no patient's data."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from SAMedLib.data.phantom import gut, organs, skeleton, torso, vessels
from SAMedLib.data.phantom.patient import Patient, draw_patient
from SAMedLib.data.phantom.scanner import COVERAGES, Scan, add_table, draw_scan, expose
from SAMedLib.data.phantom.shapes import Board, rotation_matrix, smooth_noise
from SAMedLib.data.phantom.spaces import Spaces
from SAMedLib.data.phantom.tissue import PHASES
from SAMedLib.errors import SAMedError
from SAMedLib.imaging.volume import Geometry, Volume

_BODY = (300.0, 215.0)  # width and depth of the standard torso at the muscles, mm


@dataclass(frozen=True)
class Phantom:
    """A made-up CT and its reference segmentation.

    Attributes:
        volume: HU int16 [Z, Y, X]; x grows to the patient's left, y to the front, z to the head ("LAS").
        labels: uint8 [Z, Y, X] with the values of `SAMedLib.organs.SYNAPSE`.
        parameters: seed, phase, spacing, coverage and all else that was drawn, ready for JSON.
    """

    volume: Volume
    labels: np.ndarray
    parameters: dict


def make_phantom(
    seed: int,
    *,
    spacing: tuple[float, float, float] | None = None,
    size: tuple[int, int, int] | None = None,
    phase: str | None = None,
    in_plane: int | None = None,
    num_slices: int | None = None,
    coverage: str = "random",
) -> Phantom:
    """Make one phantom. The same arguments give the same phantom; whatever is left out is drawn from the seed.

    Args:
        seed: any non-negative integer.
        spacing: mm per voxel along x, y, z.
        size: voxels along x, y, z.
        phase: contrast phase, one of "none", "arterial", "portal", "late".
        in_plane: columns and rows, where `size` is not given.
        num_slices: slices, where `size` is not given.
        coverage: what part of the patient is scanned, one of COVERAGES: "full" spans the abdomen from the diaphragm to
            below the kidneys, "hips" holds hardly any organ, "random" draws one of the others.

    Raises:
        SAMedError: if an option is out of range.
    """
    _check(seed, spacing, size, phase, in_plane, num_slices, coverage)
    rng = np.random.default_rng(seed)
    phase = phase or str(rng.choice(PHASES, p=[0.35, 0.15, 0.35, 0.15]))
    patient = draw_patient(phase, rng)
    body = tuple(
        float((length + 2 * patient.fat) * stretch) for length, stretch in zip(_BODY, patient.stretch, strict=False)
    )
    scan = draw_scan(
        rng,
        body,
        patient.stretch[2],
        size=size,
        spacing=spacing,
        in_plane=in_plane,
        num_slices=num_slices,
        coverage=coverage,
    )
    board = Board(_coordinates(scan, patient, rng), scan.spacing[::-1], rng)
    board.hu[...] = scan.background
    if scan.table:
        add_table(board, scan, -(78 + patient.fat) * patient.stretch[1], rng)
    _paint(board, patient, scan, rng)
    hu = expose(board, scan, rng)
    geometry = Geometry(
        size=scan.size,
        spacing=scan.spacing,
        origin=_origin(scan),
        direction=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
    )
    parameters = {"seed": int(seed), "phase": phase, "scan": asdict(scan), "patient": asdict(patient)}
    return Phantom(Volume(hu, geometry, f"phantom_{seed:05d}"), board.labels, parameters)


def _check(seed, spacing, size, phase, in_plane, num_slices, coverage) -> None:
    if seed < 0:
        raise SAMedError(f"The phantom's seed is {seed}; use a whole number from 0.")
    if phase is not None and phase not in PHASES:
        raise SAMedError(f"There is no contrast phase {phase!r}; choose from {', '.join(PHASES)}.")
    if coverage not in COVERAGES:
        raise SAMedError(f"There is no coverage {coverage!r}; choose from {', '.join(COVERAGES)}.")
    for name, values in (
        ("spacing", spacing),
        ("size", size),
        ("in_plane", (in_plane,)),
        ("num_slices", (num_slices,)),
    ):
        if values is not None and any(v is not None and not v > 0 for v in values):
            raise SAMedError(f"The phantom's {name} is {values}; use positive numbers.")


def _origin(scan: Scan) -> tuple[float, float, float]:
    """LPS position of the first voxel: right, posterior, inferior corner."""
    x, y, z = (c - (n - 1) / 2 * s for c, n, s in zip(scan.center, scan.size, scan.spacing, strict=True))
    return float(x), float(-y), float(z)


def _coordinates(scan: Scan, patient: Patient, rng: np.random.Generator):
    """Where each voxel lies in the standard torso: position, tilt, the patient's proportions, a smooth warp."""
    axes = [(np.arange(n) - (n - 1) / 2) * s + c for n, s, c in zip(scan.size, scan.spacing, scan.center, strict=True)]
    rotation = rotation_matrix(scan.tilt) / np.asarray(patient.stretch)[:, None]
    shape, steps = scan.size[::-1], scan.spacing[::-1]
    coordinates = []
    for row in rotation:
        plane = row[2] * axes[2][:, None, None] + row[1] * axes[1][None, :, None] + row[0] * axes[0][None, None, :]
        warp = 3.2 * smooth_noise(shape, steps, 75.0, rng) + 1.2 * smooth_noise(shape, steps, 38.0, rng)
        coordinates.append(plane.astype(np.float32) + warp)
    return tuple(coordinates)


def _paint(board: Board, patient: Patient, scan: Scan, rng: np.random.Generator) -> None:
    """Back to front: what is painted later lies before, and indents, what was painted earlier."""
    spaces = Spaces(board, patient)
    torso.paint_body(board, patient, spaces)
    skeleton.paint_ribs(board, patient, spaces)
    torso.paint_chest(board, patient, spaces)
    gut.paint_mesentery(board, patient, spaces, rng)
    gut.paint_small_bowel(board, patient, spaces, rng)
    gut.paint_colon(board, patient, spaces, rng)
    gut.paint_stomach(board, patient, spaces, rng)
    organs.paint_spleen(board, patient, spaces, rng)
    organs.paint_liver(board, patient, spaces, rng)
    organs.paint_kidneys(board, patient, rng)
    organs.paint_adrenals(board, patient, rng)
    gut.paint_duodenum(board, patient, rng)
    gut.paint_esophagus(board, patient, rng)
    organs.paint_pancreas(board, patient, rng)
    vessels.paint_portal_veins(board, patient, rng)
    organs.paint_gallbladder(board, patient, spaces, rng)
    torso.paint_back_muscles(board, patient)
    vessels.paint_great_vessels(board, patient, spaces, rng)
    skeleton.paint_pelvis(board, patient)
    torso.paint_pelvic_organs(board, patient)
    skeleton.paint_spine(board, patient)
    if scan.arms:
        torso.paint_arms(board, patient)
