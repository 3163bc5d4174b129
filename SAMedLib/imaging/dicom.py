"""DICOM folders: which series are there, and one of them as an image on a regular grid.

Slices are put in order by their position along the slice normal; identifiers are used only to tell series apart, so
files whose UIDs are empty, or whose names say nothing, read like any others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SAMedLib.errors import SAMedError, is_out_of_memory
from SAMedLib.imaging.readers import DICOM, is_dicom, itk_name, reader_of_kind

_SERIES_UID, _SERIES_NUMBER, _SERIES_DESCRIPTION = "0020|000e", "0020|0011", "0008|103e"
_MODALITY, _IMAGE_TYPE = "0008|0060", "0008|0008"
_POSITION, _ORIENTATION, _PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"
# stated modalities that may hold a CT; anonymisers blank the field or write "other"
_CT_MODALITIES = ("CT", "OT", "")
# share of the slice distance by which one gap may differ: rounded positions do, missing slices do not
_GAP_REFUSED, _GAP_NOTED = 0.1, 0.01


@dataclass(frozen=True)
class _Slice:
    path: Path
    tags: dict[str, str]
    size: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def position(self) -> np.ndarray:
        return _numbers(self.tags[_POSITION])

    @property
    def orientation(self) -> np.ndarray:
        return _numbers(self.tags[_ORIENTATION])

    @property
    def normal(self) -> np.ndarray:
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def is_localizer(self) -> bool:
        return "LOCALIZER" in self.tags[_IMAGE_TYPE].upper()


def is_dicom_file(path: Path) -> bool:
    """Whether the file says that it is DICOM (its preamble), a DICOMDIR index excepted."""
    if not path.is_file() or path.name.startswith(".") or path.name.upper() == "DICOMDIR":
        return False
    with open(path, "rb") as handle:
        start = handle.read(132)
    if is_dicom(start):
        return True
    # old files lack the preamble and begin with a tag of group 8
    return start[:2] == b"\x08\x00" and _can_be_read(path)


def _can_be_read(path: Path) -> bool:
    try:
        reader_of_kind(DICOM, path).ReadImageInformation()
    except RuntimeError:
        return False
    return True


def holds_dicom(folder: Path) -> bool:
    """Whether DICOM files lie directly in the folder."""
    return any(is_dicom_file(path) for path in sorted(folder.iterdir()))


def check_modality(reader: sitk.ImageFileReader, path: Path) -> None:
    """Raises SAMedError if a DICOM file states a modality other than CT, or no size of its pixels."""
    tags = _tags(reader)
    _refuse_modality(tags[_MODALITY], path)
    _check_pixel_size(tags, reader.GetSize(), path)


def read_dicom_folder(folder: Path, series: str | None = None) -> tuple[sitk.Image, tuple[str, ...]]:
    """Read the CT series in a folder, rescaled to HU.

    Args:
        folder: DICOM files lie directly in it; other files are passed over.
        series: series number or UID, needed if there are several CT series.

    Returns:
        The 3D image, slices in ascending order along their normal, and notes for the user.

    Raises:
        SAMedError: if there is no CT series, if there are several and none is chosen, or if the slices do not make a
            regular grid (missing or doubled slices, mixed sizes, gantry tilt).
    """
    slices = _scan(folder)
    if not slices:
        raise SAMedError(f"{folder} holds no DICOM image; give a folder of DICOM slices, or a folder of cases.")
    chosen, notes = _choose_series(_group(slices), series, folder)
    _refuse_modality(chosen[0].tags[_MODALITY], folder)
    for entry in chosen:
        _check_pixel_size(entry.tags, entry.size, entry.path)
    if len(chosen) == 1:
        return _read([chosen[0]], folder), notes
    ordered = _in_order(chosen, folder)
    notes = (*notes, *_check_gaps(ordered, folder))
    return _read(ordered, folder), notes


def _scan(folder: Path) -> list[_Slice]:
    slices = []
    for path in sorted(folder.iterdir()):
        if not is_dicom_file(path):
            continue
        reader = reader_of_kind(DICOM, path)
        try:
            reader.ReadImageInformation()
        except RuntimeError:  # a report, a structure set, ...: DICOM, but no image
            continue
        slices.append(_Slice(path, _tags(reader), reader.GetSize(), reader.GetSpacing()))
    return slices


def _tags(reader: sitk.ImageFileReader) -> dict[str, str]:
    wanted = (_SERIES_UID, _SERIES_NUMBER, _SERIES_DESCRIPTION, _MODALITY, _IMAGE_TYPE)
    wanted += (_POSITION, _ORIENTATION, _PIXEL_SPACING)
    present = {tag: reader.GetMetaData(tag) for tag in wanted if reader.HasMetaDataKey(tag)}
    # text in a header may be in any encoding; what is not UTF-8 must not break a message
    return {tag: present.get(tag, "").encode("utf-8", "replace").decode("utf-8").strip(" \0") for tag in wanted}


def _group(slices: Sequence[_Slice]) -> list[list[_Slice]]:
    """Slices by series; where UIDs are empty the series number tells them apart. Scouts among slices are left out."""
    groups: dict[tuple[str, str], list[_Slice]] = {}
    for entry in slices:
        uid = entry.tags[_SERIES_UID]
        groups.setdefault((uid, "" if uid else entry.tags[_SERIES_NUMBER]), []).append(entry)
    return [[entry for entry in group if not entry.is_localizer] or group for group in groups.values()]


def _choose_series(
    groups: list[list[_Slice]], series: str | None, folder: Path
) -> tuple[list[_Slice], tuple[str, ...]]:
    if series is not None:
        matches = [group for group in groups if series in (group[0].tags[_SERIES_UID], group[0].tags[_SERIES_NUMBER])]
        if len(matches) == 1:
            return matches[0], ()
        problem = "several series" if matches else "no series"
        raise SAMedError(f"{folder} has {problem} {series!r}; choose with --series from {_list_series(groups)}.")
    if len(groups) == 1:
        return groups[0], ()
    # scouts and dose reports lie beside the one real scan in many exports
    scans = [g for g in groups if len(g) > 1 and g[0].tags[_MODALITY] in _CT_MODALITIES and not g[0].is_localizer]
    if len(scans) == 1:
        note = f"{folder} holds {len(groups)} series; using the only CT with several slices, {_describe(scans[0])}."
        return scans[0], (note,)
    raise SAMedError(f"{folder} holds {len(groups)} series; choose one with --series: {_list_series(groups)}.")


def _list_series(groups: Sequence[list[_Slice]]) -> str:
    numbers = [group[0].tags[_SERIES_NUMBER] for group in groups]
    return "; ".join(_describe(group, unique=numbers.count(group[0].tags[_SERIES_NUMBER]) == 1) for group in groups)


def _describe(group: Sequence[_Slice], unique: bool = True) -> str:
    tags = group[0].tags
    selector = (tags[_SERIES_NUMBER] if unique else "") or tags[_SERIES_UID] or "(no number)"
    size = " x ".join(map(str, group[0].size[:2]))
    described = f" {tags[_SERIES_DESCRIPTION]!r}" if tags[_SERIES_DESCRIPTION] else ""
    kind = f"{tags[_MODALITY]}, " if tags[_MODALITY] else ""
    return f"{selector}{described} ({kind}{len(group)} slices of {size})"


def _refuse_modality(modality: str, path: Path) -> None:
    if modality.upper() not in _CT_MODALITIES:
        raise SAMedError(f"{path} is {modality}, not CT, by its DICOM header; give a CT.")


def _check_pixel_size(tags: dict[str, str], size: Sequence[int], path: Path) -> None:
    """GDCM takes 1 mm where the header has no pixel size, and mL and distances would be wrong without a word."""
    stated = tags[_PIXEL_SPACING]
    if not stated and len(size) > 2 and size[2] > 1:  # files of several frames state it for each of them
        return
    numbers = _numbers(stated)
    if numbers.size != 2 or not (numbers > 0).all():
        raise SAMedError(f"{path} does not say how large its pixels are; export the series again.")


def _in_order(slices: Sequence[_Slice], folder: Path) -> list[_Slice]:
    """Slices of one size and orientation, in ascending order along their normal."""
    first = slices[0]
    for entry in slices:
        if entry.size[:2] != first.size[:2] or not np.allclose(entry.spacing[:2], first.spacing[:2], rtol=1e-4):
            raise SAMedError(
                f"{folder} mixes slices of different size: {first.path.name} has {_extent(first)}, {entry.path.name} "
                f"has {_extent(entry)}; keep one kind in the folder."
            )
        if len(entry.size) > 2 and entry.size[2] > 1:
            raise SAMedError(f"{folder} mixes multi-frame files ({entry.path.name}) with others; give that file alone.")
        if entry.position.size != 3 or entry.orientation.size != 6:
            raise SAMedError(f"{entry.path} does not say where its slice lies; export the series again.")
        if not np.allclose(entry.orientation, first.orientation, atol=1e-3):
            raise SAMedError(
                f"{folder} mixes slice orientations ({first.path.name} and {entry.path.name}); keep one in the folder."
            )
    return sorted(slices, key=lambda entry: float(entry.position @ first.normal))


def _extent(entry: _Slice) -> str:
    return f"{entry.size[0]} x {entry.size[1]} pixels of {entry.spacing[0]:.4g} x {entry.spacing[1]:.4g} mm"


def _check_gaps(ordered: Sequence[_Slice], folder: Path) -> tuple[str, ...]:
    """Refuse slices that do not lie on a regular grid; notes for small irregularities."""
    normal = ordered[0].normal
    positions = np.array([entry.position for entry in ordered])
    along = positions @ normal
    gaps = np.diff(along)
    typical = float(np.median(gaps))
    if (doubled := gaps <= max(0.1 * typical, 1e-3)).any():
        at = int(np.argmax(doubled))
        raise SAMedError(
            f"{folder} has two slices at the same position, {along[at]:.2f} mm along the slice normal "
            f"({ordered[at].path.name} and {ordered[at + 1].path.name}); keep one scan in the folder."
        )
    sideways = positions[-1] - positions[0] - (along[-1] - along[0]) * normal
    if np.linalg.norm(sideways) > max(min(ordered[0].spacing[:2]), 0.5):
        angle = np.degrees(np.arctan2(np.linalg.norm(sideways), along[-1] - along[0]))
        raise SAMedError(
            f"{folder} was scanned with a tilted gantry ({angle:.1f} degrees between the slice normal and the table): "
            "its slices make no rectangular grid; straighten it first, for example with dcm2niix or 3D Slicer."
        )
    deviation = np.abs(gaps - typical) / typical
    worst = int(np.argmax(deviation))
    where = f"between {ordered[worst].path.name} and {ordered[worst + 1].path.name} ({gaps[worst]:.3f} mm)"
    if deviation[worst] > _GAP_REFUSED:
        raise SAMedError(
            f"{folder} has slices missing or unevenly spaced: the slices lie {typical:.3f} mm apart, except {where}; "
            "export the whole series again."
        )
    if deviation[worst] > _GAP_NOTED:
        return (f"{folder} has slices {typical:.3f} mm apart, but {where}; the mean distance is used.",)
    return ()


def _read(slices: Sequence[_Slice], folder: Path) -> sitk.Image:
    try:
        if len(slices) == 1:
            image = reader_of_kind(DICOM, slices[0].path).Execute()
        else:
            reader = sitk.ImageSeriesReader()
            reader.SetImageIO(DICOM)
            reader.SetFileNames([itk_name(entry.path) for entry in slices])
            image = reader.Execute()
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise SAMedError(f"{folder} holds DICOM files whose pixels cannot be read; export the series again.") from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise SAMedError(f"{folder} holds colour images, not a CT.")
    return image


def _numbers(text: str) -> np.ndarray:
    try:
        return np.array([float(part) for part in text.split("\\")])
    except ValueError:
        return np.array([])
