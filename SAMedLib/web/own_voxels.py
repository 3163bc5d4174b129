"""What an upload may lead to: a header can name any file of the server as the one that holds its voxels."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import SimpleITK as sitk

from SAMedLib.errors import SAMedError

# NIfTI and DICOM hold their voxels, or name no file; the whole file is searched, wherever its header may end
_NAMING = {
    "NiftiImageIO": None,
    "GDCMImageIO": None,
    "NrrdImageIO": re.compile(rb"(?:^|[\r\n])[ \t]*data ?file[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE),
    "MetaImageIO": re.compile(rb"ElementDataFile[^=:\r\n]*[=:][ \t]*([^\r\n]*)", re.IGNORECASE),
}
_WITHIN = b"LOCAL"
_NO_NAME = re.compile(rb"list|.*%", re.IGNORECASE)  # a list of names follows, or they are counted up


def check_own_voxels(path: Path) -> None:
    """Refuse an uploaded file whose voxels are not in it, nor in a file that was sent along; a folder passes.

    Raises:
        SAMedError: saying what to send; also for formats that could lead elsewhere in ways that are not looked into.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    reader = sitk.ImageFileReader.GetImageIOFromFileName(str(path))
    if reader and reader not in _NAMING:
        kind = reader.removesuffix("ImageIO")
        raise SAMedError(f"{path} is a file of the kind {kind}; give the CT as NIfTI, NRRD, MetaImage or DICOM.")
    naming = _NAMING.get(reader)
    if naming is None:  # reading it says better what it is
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        named = [match.strip() for match in naming.findall(content)]
    sent = {entry.name.encode() for entry in path.parent.iterdir()}
    for name in named:
        if name.upper() != _WITHIN and (name not in sent or _NO_NAME.match(name)):
            raise SAMedError(
                f"{path} has its voxels in another file, {name.decode(errors='replace')[:80]!r}, which was not sent; "
                "choose both, or give it as one file."
            )
