"""Which of ITK's readers reads a file: chosen here, by the file's first bytes and name.

ITK itself would ask every reader that it has. Those of formats that no CT comes in (HDF5, MINC, VTK, MRC, ...) print
reports about files that are not theirs, or take a file that breaks off for a whole one.
"""

from __future__ import annotations

from pathlib import Path

import SimpleITK as sitk

from SAMedLib.errors import SAMedError

NIFTI, NRRD, METAIMAGE, DICOM = "NiftiImageIO", "NrrdImageIO", "MetaImageIO", "GDCMImageIO"
_EXTENSIONS = {
    (".nii", ".nii.gz", ".hdr", ".img", ".img.gz"): NIFTI,
    (".nrrd", ".nhdr"): NRRD,
    (".mha", ".mhd"): METAIMAGE,
    (".dcm", ".ima"): DICOM,
}
# formats of photographs: they hold no Hounsfield units
_PICTURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
_PREAMBLE = 132


def open_reader(path: Path) -> sitk.ImageFileReader:
    """ITK's reader for this file, which it has not looked into yet.

    Raises:
        SAMedError: if the file is a picture or of no kind that a CT comes in.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is no file that can be read" if path.exists() else "does not exist"
        raise SAMedError(f"{path} {what}; give an image file.")
    with open(path, "rb") as handle:
        start = handle.read(_PREAMBLE)
    if is_dicom(start):
        return reader_of_kind(DICOM, path)
    name = path.name.lower()
    for extensions, kind in _EXTENSIONS.items():
        if name.endswith(extensions):
            return reader_of_kind(kind, path)
    for magic, kind in _PICTURES.items():
        if start.startswith(magic):
            raise SAMedError(f"{path} is a picture ({kind}) without Hounsfield units; give the CT.")
    # old DICOM files lack the preamble and begin with a tag of group 8; they often have no extension either
    if start[:2] == b"\x08\x00":
        return reader_of_kind(DICOM, path)
    raise SAMedError(f"{path} is not an image that can be read; give it as NIfTI, NRRD, MHA or DICOM.")


def reader_of_kind(kind: str, path: Path) -> sitk.ImageFileReader:
    """One of ITK's readers, told to read this file."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(kind)
    reader.SetFileName(itk_name(path))
    return reader


def itk_name(path: Path) -> str:
    """The path for ITK.

    Raises:
        SAMedError: if its name is no text (bytes that are not UTF-8): ITK would end the whole process over it.
    """
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        raise SAMedError(f"The name of {path} is not valid text (UTF-8); rename it.") from None
    return str(path)


def is_dicom(start: bytes) -> bool:
    """Whether a file that begins with these bytes says that it is DICOM (its preamble)."""
    return start[128:_PREAMBLE] == b"DICM"
