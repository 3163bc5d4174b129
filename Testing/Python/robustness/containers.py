"""Files around the voxels of a scan: compressed streams, headers that stand alone, formats that no CT comes in."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bad_input import Bad
from made_ct import write_image
from volumes import HU, mha, nrrd, put, whole


def bad_containers() -> list[Bad]:
    return [*_streams(), *_headers_alone(), *_other_formats()]


def _streams() -> Iterator[Bad]:
    """Compressed voxels that break off, are changed, or are others: ITK reads them as zeros and says nothing."""
    voxels = HU.astype("<i2").tobytes()
    for name, pack, make in (
        (".nrrd", gzip.compress, lambda data: nrrd({"encoding": "gzip"}, data)),
        (".mha", zlib.compress, lambda data: mha({"CompressedData": "True"}, data)),
    ):
        whole_stream = pack(voxels)
        middle, end = len(whole_stream) // 2, len(whole_stream) - 3
        for what, data in {
            "nothing": b"",
            "a stream of too few voxels": pack(voxels[:-2]),
            "a stream that is cut": whole_stream[:middle],
            "a stream without its end": whole_stream[:-5],
            "a stream with a byte changed": _changed(whole_stream, middle),
            "a wrong checksum": _changed(whole_stream, end),
            "a stream of 300 MB": pack(bytes(300 << 20)),
            "text": b"text" * 99,
        }.items():
            yield Bad(f"{name} of {what}", put(f"scan{name}", make(data)))


def _changed(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def _headers_alone() -> Iterator[Bad]:
    """Headers whose voxels lie elsewhere, or nowhere; patterns that would make C's printf read and write memory."""
    named = ("%n%s%s%s 1 5 1", "slice%03d.raw 1 5 1", "gone.raw", "scan", "../..", "LIST\ngone.raw\n")
    for name in named:
        yield Bad(f".mhd whose voxels are {name!r}", put("scan.mhd", mha({}, b"").replace(b"LOCAL", name.encode())))
        yield Bad(f".nhdr whose voxels are {name!r}", put("scan.nhdr", nrrd({"data file": name}, b"")))

    def without_voxels(folder: Path) -> Path:
        write_image(folder / "scan.hdr", HU)
        (folder / "scan.img").unlink()
        return folder / "scan.hdr"

    def cut(ending: str, given: str, folder: Path) -> Path:
        write_image(folder / f"scan{ending}", HU)
        path = folder / f"scan{ending}"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return folder / given

    yield Bad(".hdr without .img", without_voxels)
    for ending, given in ((".img", "scan.hdr"), (".img", "scan.img"), (".img.gz", "scan.img.gz")):
        yield Bad(f"{given} whose {ending} is cut", partial(cut, ending, given))
    analyze = struct.pack("<i", 348) + whole(".nii")[4:344] + bytes(4)
    yield Bad("a header of Analyze", put("scan.hdr", analyze), "left and right")


def _other_formats() -> Iterator[Bad]:
    """What ITK could read, or tries to, and no CT comes in."""
    hdf5 = b"\x89HDF\r\n\x1a\n" + bytes(600)
    vtk = b"# vtk DataFile Version 3.0\nx\nBINARY\nDATASET STRUCTURED_POINTS\nDIMENSIONS 3 3 3\nSPACING 1 1 1\n"
    contents = {
        "HDF5": hdf5,
        "netCDF": b"CDF\x01" + bytes(500),
        "VTK": vtk + b"ORIGIN 0 0 0\nPOINT_DATA 27\nSCALARS a short\nLOOKUP_TABLE default\n",
        "MRC": bytes(208) + b"MAP " + bytes(2000),
        "GIPL": bytes(252) + b"\xef\xff\xe9\xb0" + bytes(99),
        "half a PNG": b"\x89PNG\r\n\x1a\n" + bytes(50),
        "half a TIFF": b"II*\0" + bytes(100),
    }
    for what, content in contents.items():
        for name in ("scan", "scan.mnc", "scan.h5", "scan.vtk", "scan.mrc", "scan.mgz", "scan.nii", "scan.dcm"):
            yield Bad(f"{what} as {name}", put(name, content))
