"""Scans that are damaged, or no CT: built byte by byte, so that each has exactly one thing wrong."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk

from bad_input import Bad
from made_ct import direction_of, soft_tissue, write_dicom_series, write_dicom_slice, write_image

HU = soft_tissue((5, 20, 24))
POSITIONS = [3.0 * k for k in range(5)]
EXTENSIONS = (".nrrd", ".mha", ".nii", ".nii.gz")


@cache
def whole(extension: str) -> bytes:
    """A good scan as a file of this kind."""
    with TemporaryDirectory() as folder:
        path = write_image(Path(folder) / f"scan{extension}", HU, spacing=(0.8, 0.7, 2.5))
        return path.read_bytes()


def nifti(values: np.ndarray = HU, at: dict[int, bytes] | None = None) -> bytes:
    """A .nii whose header has these bytes at these offsets."""
    content = bytearray(whole(".nii")[:352]) + bytearray(values.tobytes())
    for offset, change in (at or {}).items():
        content[offset : offset + len(change)] = change
    return bytes(content)


def nrrd(fields: dict[str, str], data: bytes | None = None) -> bytes:
    """A .nrrd with these header fields instead of a good one's."""
    header = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "24 20 5",
        "space directions": "(0.8,0,0) (0,0.7,0) (0,0,2.5)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(0,0,0)",
        **fields,
    }
    lines = "\n".join(f"{name}: {value}" for name, value in header.items() if value)
    return f"NRRD0004\n{lines}\n\n".encode() + (HU.astype("<i2").tobytes() if data is None else data)


def mha(fields: dict[str, str], data: bytes | None = None) -> bytes:
    """A .mha with these header fields instead of a good one's."""
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": "0 0 0",
        "ElementSpacing": "0.8 0.7 2.5",
        "DimSize": "24 20 5",
        "ElementType": "MET_SHORT",
        **fields,
    }
    lines = "\n".join(f"{name} = {value}" for name, value in header.items() if value)
    body = HU.astype("<i2").tobytes() if data is None else data
    return f"{lines}\nElementDataFile = LOCAL\n".encode() + body


def put(name: str, content: bytes | Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content() if callable(content) else content)
        return folder / name

    return make


def _image(name: str, array: np.ndarray, vector: bool = False) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(folder / name))
        return folder / name

    return make


def _truncated() -> Iterator[Bad]:
    for extension in (*EXTENSIONS, ".nhdr"):
        for percent in (0, 1, 3, 8, 20, 50, 80, 99):
            yield Bad(f"{extension} cut to {percent}%", partial(_cut, extension, percent))


def _cut(extension: str, percent: int, folder: Path) -> Path:
    if extension == ".nhdr":
        path = write_image(folder / "scan.nhdr", HU)
        data = next(p for p in folder.iterdir() if p != path)
        data.write_bytes(data.read_bytes()[: data.stat().st_size * percent // 100])
        return path
    content = whole(extension)
    return put(f"scan{extension}", content[: len(content) * percent // 100])(folder)


def _values() -> Iterator[Bad]:
    labels = np.random.default_rng(0).integers(0, 9, HU.shape)
    for extension in EXTENSIONS:
        for value in (np.nan, np.inf, -np.inf):
            array = np.full(HU.shape, value, np.float32)
            yield Bad(f"{extension} only {value}", _image(f"scan{extension}", array), "finite|constant")
        for kind, value in (("i2", 0), ("i2", -1024), ("f4", 40.5), ("u1", 7), ("f8", 0)):
            array = np.full(HU.shape, value, kind)
            yield Bad(f"{extension} constant {kind} {value}", _image(f"scan{extension}", array), "constant")
        for kind in ("u1", "i2", "f4"):
            yield Bad(f"{extension} label map {kind}", _image(f"scan{extension}", labels.astype(kind)), "label map")
        colour = np.zeros((*HU.shape, 3), np.uint8)
        yield Bad(f"{extension} colour", _image(f"scan{extension}", colour, vector=True), "3 values per voxel")
        vectors = np.zeros((*HU.shape, 6), np.float32)
        yield Bad(f"{extension} vectors", _image(f"scan{extension}", vectors, vector=True), "values per voxel")
        if extension not in (".nrrd",):
            frames = np.stack([HU, HU])
            yield Bad(f"{extension} four dimensions", partial(_four_dimensions, extension, frames), "4 dimensions")


def _four_dimensions(extension: str, frames: np.ndarray, folder: Path) -> Path:
    path = folder / f"scan{extension}"
    sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(frame) for frame in frames]), str(path))
    return path


def _headers() -> Iterator[Bad]:
    sizes = ("0 20 5", "24 20 0", "0 0 0", "-24 20 5", "24 20", "x y z", "1e9 1e9 1e9",
             "1000000 1000000 1000000", "4294967296 4294967296 4294967296", "24 20 500", "")  # fmt: skip
    for text in sizes:
        yield Bad(f".nrrd sizes {text!r}", put("scan.nrrd", nrrd({"sizes": text})))
        yield Bad(f".mha DimSize {text!r}", put("scan.mha", mha({"DimSize": text})))
    for size in (0, -1, -32768, 32767):
        change = struct.pack("<h", size)
        for axis in (1, 2, 3):
            yield Bad(f".nii dim {axis} {size}", put("scan.nii", nifti(at={40 + 2 * axis: change})))
    for directions in ("(0,0,0) (0,0.7,0) (0,0,2.5)", "(0.8,0,0) (0.8,0,0) (0,0,2.5)", "(nan,0,0) (0,0.7,0) (0,0,2.5)",
                       "(inf,0,0) (0,0.7,0) (0,0,2.5)", "(1,0,0) (0,1,0) (1,1,0)", "(1,0) (0,1)",
                       "(1e-30,0,0) (0,0.7,0) (0,0,2.5)",
                       "(1e30,0,0) (0,0.7,0) (0,0,2.5)", "(0.8,0,0) (0,0.7,0) (0,0,100000)"):  # fmt: skip
        yield Bad(f".nrrd directions {directions}", put("scan.nrrd", nrrd({"space directions": directions})))
    for matrix in ("0 0 0 0 0 0 0 0 0", "1 0 0 1 0 0 0 0 1", "nan 0 0 0 1 0 0 0 1", "1 0 0 0 1 0"):
        yield Bad(f".mha matrix {matrix}", put("scan.mha", mha({"TransformMatrix": matrix})))
    for spacing in ("0 0.7 2.5", "nan 0.7 2.5", "inf 1 1", "-0.8 0.7 2.5", "1e-30 1e-30 1e-30", "1e30 1 1",
                    "0.8 0.7 1e5", "a b c"):  # fmt: skip
        yield Bad(f".mha spacing {spacing}", put("scan.mha", mha({"ElementSpacing": spacing})))
    for origin in ("nan 0 0", "inf 0 0"):
        yield Bad(f".nrrd origin {origin}", put("scan.nrrd", nrrd({"space origin": f"({origin.replace(' ', ',')})"})))
    for spacing in (float("nan"), float("inf"), 1e30, 1e-30):
        for axis in (1, 2, 3):
            # no sform, so that the spacing is what counts
            change = {76 + 4 * axis: struct.pack("<f", spacing), 254: struct.pack("<h", 0)}
            yield Bad(f".nii pixdim {axis} {spacing}", put("scan.nii", nifti(at=change)))
    for row in ((0, 0, 0, 0), (np.nan, 0, 0, 0), (np.inf, 0, 0, 0), (0, -0.7, 0, 0)):
        change = {252: struct.pack("<hh", 0, 1), 280: struct.pack("<4f", *row)}
        yield Bad(f".nii sform row {row}", put("scan.nii", nifti(at=change)))
    for kind in ("quaternion", "", "block", "int2048"):
        yield Bad(f".nrrd type {kind!r}", put("scan.nrrd", nrrd({"type": kind})))
    for encoding in ("bzip2", "hex", "text", "zstd", ""):
        yield Bad(f".nrrd raw data called {encoding!r}", put("scan.nrrd", nrrd({"encoding": encoding})))
    for kind in ("MET_NONE", "MET_OTHER", ""):
        yield Bad(f".mha type {kind!r}", put("scan.mha", mha({"ElementType": kind})))
    for code in (0, 1, 32, 128, 1792, 2304, 9999):
        yield Bad(f".nii datatype {code}", put("scan.nii", nifti(at={70: struct.pack("<h", code)})))
    for offset in (float("nan"), -1.0, 1e9):
        yield Bad(f".nii data at {offset}", put("scan.nii", nifti(at={108: struct.pack("<f", offset)})))
    elsewhere = nrrd({"data file": "../../elsewhere.raw", "encoding": "raw"}, b"")
    yield Bad(".nhdr whose data are gone", put("scan.nhdr", elsewhere))


def _bombs() -> Iterator[Bad]:
    zeros = bytes(1 << 20)

    def inflated(header: bytes, mebibytes: int) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        parts = [packer.compress(header)]
        parts += [packer.compress(zeros) for _ in range(mebibytes)]
        return b"".join([*parts, packer.flush()])

    small = nifti()
    yield Bad("a gzip bomb behind a whole .nii.gz", put("scan.nii.gz", lambda: inflated(small, 300)), "more than")
    huge = nifti(at={42: struct.pack("<hhh", 32000, 32000, 32000)})
    yield Bad("a .nii.gz that claims 65 TB", put("scan.nii.gz", gzip.compress(huge)))
    for size in ("40000 40000 40000", "9000000 9000000 2"):
        packed = gzip.compress(zeros)
        yield Bad(
            f".nrrd of gzip that claims {size}", put("scan.nrrd", nrrd({"sizes": size, "encoding": "gzip"}, packed))
        )
        fields = {"DimSize": size, "CompressedData": "True"}
        yield Bad(f".mha of zlib that claims {size}", put("scan.mha", mha(fields, zlib.compress(zeros))))


def _no_images() -> Iterator[Bad]:
    archive = b"PK\x03\x04" + bytes(200)
    contents = {
        "nothing": b"",
        "text": b"findings: none\n",
        "a web page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "zeros": bytes(5000),
        "noise": np.random.default_rng(0).bytes(5000),
        "a zip archive": archive,
        "a pickle": b"\x80\x04\x95\x00\x00.",
        "gzip of nothing": gzip.compress(b""),
        "gzip of text": gzip.compress(b"findings: none\n" * 100),
    }
    for what, content in contents.items():
        for name in ("scan.nii.gz", "scan.nii", "scan.nrrd", "scan.mha", "scan.nhdr", "scan.dcm", "scan", "scan.hdr"):
            yield Bad(f"{what} as {name}", put(name, content))
    for extension in (".png", ".jpg", ".bmp", ".tif"):
        picture = np.random.default_rng(0).integers(0, 255, (20, 24), np.uint8)
        yield Bad(f"a picture {extension}", _image(f"scan{extension}", picture), "picture")


def _paths() -> Iterator[Bad]:
    def absent(folder: Path) -> Path:
        return folder / "scan.nii.gz"

    def loop(folder: Path) -> Path:
        (folder / "scan.nii.gz").symlink_to(folder / "other.nii.gz")
        (folder / "other.nii.gz").symlink_to(folder / "scan.nii.gz")
        return folder / "scan.nii.gz"

    def dangling(folder: Path) -> Path:
        (folder / "scan.nii.gz").symlink_to(folder / "gone")
        return folder / "scan.nii.gz"

    def loop_of_folders(folder: Path) -> Path:
        (folder / "scan").mkdir()
        (folder / "scan" / "again").symlink_to(folder / "scan")
        return folder / "scan"

    def empty(folder: Path) -> Path:
        (folder / "scan").mkdir()
        return folder / "scan"

    def archive(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "scan.zip", "w") as made:
            made.writestr("scan.nii", whole(".nii"))
        return folder / "scan.zip"

    def below_a_file(folder: Path) -> Path:
        (folder / "file").write_bytes(b"")
        return folder / "file" / "scan.nii"

    def pipe(folder: Path) -> Path:
        os.mkfifo(folder / "scan.nii")
        return folder / "scan.nii"

    def only_text(folder: Path) -> Path:
        (folder / "scan").mkdir()
        (folder / "scan" / "report.txt").write_text("findings: none")
        return folder / "scan"

    def damaged_by_umlauts(folder: Path) -> Path:
        return put("scan Müller 心.nii.gz", whole(".nii.gz")[:300])(folder)

    def very_long(folder: Path) -> Path:
        return folder / f"scan{'n' * 300}.nii.gz"

    makers = (
        absent,
        loop,
        dangling,
        loop_of_folders,
        empty,
        archive,
        below_a_file,
        only_text,
        damaged_by_umlauts,
        very_long,
    )
    for make in (*makers, pipe) if hasattr(os, "mkfifo") else makers:
        yield Bad(make.__name__.replace("_", " "), make)


def _series(positions: list[float] | None = None, **tags) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return write_dicom_series(folder / "scan", HU, POSITIONS if positions is None else positions, **tags)

    return make


def _series_with(change: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        change(_series()(folder))
        return folder / "scan"

    return make


def _cut_slice(percent: int, folder: Path) -> None:
    path = sorted(folder.iterdir())[2]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * percent // 100])


def _add_slice(pixels: np.ndarray, z: float, tags: dict, folder: Path) -> None:
    write_dicom_slice(folder / "other", pixels.astype(np.int32) + 1024, (-12.5, -30.25, z), **tags)


def _dicom() -> Iterator[Bad]:
    for gap in range(1, 5):
        positions = [z + (3 if k >= gap else 0) for k, z in enumerate(POSITIONS)]
        yield Bad(f"a slice missing after slice {gap}", _series(positions), "slices missing|evenly")
        positions = [*POSITIONS[:4], POSITIONS[gap - 1]]
        yield Bad(f"slice {gap} twice", _series(positions), "same position")
    for degrees in (3, 10, 25, -15):
        tilt = np.radians(degrees)
        tags = {"ImageOrientationPatient": [1, 0, 0, 0, round(np.cos(tilt), 8), round(np.sin(tilt), 8)]}
        yield Bad(f"a gantry tilted by {degrees} degrees", _series([9.0 * k for k in range(5)], **tags), "gantry")
    for modality in ("MR", "PT", "US", "NM", "XA", "RTDOSE", "SEG"):
        yield Bad(f"modality {modality}", _series(Modality=modality), "not CT")
    for name, value in (("ImagePositionPatient", None), ("ImageOrientationPatient", None), ("Rows", None),
                        ("PixelSpacing", [1e9, 1e9]), ("PixelSpacing", [0, 0]), ("PixelSpacing", [-1, 1]),
                        ("PixelSpacing", None), ("Columns", 0), ("BitsAllocated", 7),
                        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0]),
                        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0])):  # fmt: skip
        yield Bad(f"every slice has {name} {value}", _series(**{name: value}))
    for percent in (20, 50, 75, 99):
        yield Bad(f"a slice cut to {percent}%", _series_with(partial(_cut_slice, percent)))
    second = {"SeriesInstanceUID": "1.2.3.9", "SeriesNumber": 9}
    others = {
        "another size": (HU[0, :10], 20, {}),
        "another orientation": (HU[0], 20, {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}),
        "another pixel spacing": (HU[0], 20, {"PixelSpacing": [0.5, 0.5]}),
        "no position": (HU[0], 20, {"ImagePositionPatient": None}),
        "the position of the first": (HU[0], 0, {}),
    }
    for what, (pixels, z, tags) in others.items():
        yield Bad(f"one slice more with {what}", _series_with(partial(_add_slice, pixels, z, tags)))

    def two_series(folder: Path) -> Path:
        _series()(folder)
        return write_dicom_series(folder / "scan", HU, POSITIONS, prefix="b", **second)

    def two_without_identifiers(folder: Path) -> Path:
        write_dicom_series(folder / "scan", HU, POSITIONS, SeriesInstanceUID="")
        return write_dicom_series(folder / "scan", HU, POSITIONS, prefix="b", SeriesInstanceUID="")

    yield Bad("two series", two_series, "choose one with --series")
    yield Bad("two series without identifiers", two_without_identifiers, "same position|--series")


def bad_volumes() -> list[Bad]:
    return [*_truncated(), *_values(), *_headers(), *_bombs(), *_no_images(), *_paths(), *_dicom()]


def strange_volumes() -> list[Bad]:
    """Scans that look wrong and are not: to be segmented on the very grid that they have."""

    def oriented(code: str) -> Callable[[Path], Path]:
        return lambda folder: write_image(folder / f"{code}.nrrd", HU, direction=direction_of(code))

    def no_extension(folder: Path) -> Path:
        return _series()(folder).rename(folder / "IM 0001")

    return [
        Bad("one slice", lambda folder: write_image(folder / "scan.nii.gz", HU[:1])),
        Bad("one DICOM slice", lambda folder: write_dicom_series(folder / "scan", HU[:1], [0.0])),
        Bad("2000 x 2016 pixels", lambda folder: write_image(folder / "scan.mha", np.tile(HU[2:3], (1, 100, 84)))),
        Bad("4000 x 4000 pixels", lambda folder: write_image(folder / "scan.mha", np.tile(HU[2:4], (1, 200, 167)))),
        Bad("three pixels wide", lambda folder: write_image(folder / "scan.nrrd", HU[:, :3, :3])),
        Bad("letters of other scripts", lambda folder: write_image(folder / "Bauch Müller 腹部.nii.gz", HU)),
        Bad("a folder of other scripts", lambda folder: _series()(folder).rename(folder / "Живот ß")),
        Bad("mirrored", oriented("RPS")),
        Bad("turned and mirrored", oriented("SAL")),
        Bad("empty identifiers", _series(SeriesInstanceUID="", StudyInstanceUID="", SOPInstanceUID="")),
        Bad("names that say nothing", no_extension),
        Bad("a skewed grid in NRRD", put("scan.nrrd", nrrd({"space directions": "(0.8,0,0) (0.4,0.7,0) (0,0,2.5)"}))),
        Bad("no geometry in NRRD", put("scan.nrrd", nrrd({"space": "", "space directions": "", "space origin": ""}))),
        Bad("some voxels without a value", lambda folder: write_image(folder / "scan.nii", _with_holes())),
        Bad("a link to a scan", _linked),
        Bad("64-bit floats", lambda folder: write_image(folder / "scan.mha", HU.astype(np.float64))),
    ]


def _with_holes() -> np.ndarray:
    array = HU.astype(np.float32)
    array[1, 3:5, 2:9] = np.nan, np.inf, np.nan, -np.inf, 0, 1, 2
    return array


def _linked(folder: Path) -> Path:
    write_image(folder / "elsewhere.nii.gz", HU)
    (folder / "scan.nii.gz").symlink_to(folder / "elsewhere.nii.gz")
    return folder / "scan.nii.gz"
