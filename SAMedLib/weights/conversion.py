"""Adapters from one file format into the other."""

from __future__ import annotations

from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.weights import store
from SAMedLib.weights.inspection import check_pth


def convert(
    source: Path,
    target: Path,
    report: Reporter = SILENT,
    image_size: int | None = None,
    slice_size: int | None = None,
) -> None:
    """Write the adapter in `source` to `target`; the target's ending decides: .pth (published) or .safetensors (ours).

    A .pth says nothing about itself: what its tensors tell, and what is true of the published adapters (window,
    orientation, organs, SAM base of the same size), becomes the metadata of the .safetensors.

    Args:
        image_size, slice_size: what a .pth was trained with, where that is not the published 512 and 224.

    Raises:
        SAMedError: if the source is no adapter or damaged, or the published layout cannot hold it.
    """
    if target.suffix not in (".pth", ".safetensors"):
        raise SAMedError(f"{target} must end in .pth or .safetensors; the ending decides what is written.")
    if target.exists() and target.samefile(source):
        raise SAMedError(f"{target} is the input and would be overwritten; give another output.")
    report.progress("converting", 0, 3, f"reading {source.name}")
    from SAMedLib.model import BaseWeights
    from SAMedLib.model.build import build_network
    from SAMedLib.model.checkpoint import describe_adapter
    from SAMedLib.model.tensor_files import is_complete, read_tensors

    if source.suffix == ".pth":
        check_pth(source)
    state, metadata = read_tensors(source)
    says_nothing = metadata is None
    metadata = describe_adapter(source, state, metadata, image_size, slice_size)
    if says_nothing:
        weights = store.default_store()
        encoder = metadata.config.encoder
        name = weights.base_name(None, None, (encoder.embed_dim, encoder.depth))
        if name:
            base = weights.registry.files[name]
            metadata = metadata.replace(base=BaseWeights(base.filename, base.sha256))
    if target.suffix == ".pth" and is_complete(state):
        raise SAMedError(f"{source} holds a whole model, for which the .pth layout has no place; keep it as it is.")
    report.progress("converting", 1, 3, "building the network that it must fit")
    model = build_network(metadata.config)
    model.metadata = metadata
    model.take_weights(source, state, metadata)
    report.progress("converting", 2, 3, f"writing {target.name}")
    model.save_adapter(target)
    report.progress("converting", 3, 3)
