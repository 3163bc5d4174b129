"""From a name or a path to a model that is ready to use."""

from __future__ import annotations

from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.model.build import build_network
from SAMedLib.model.checkpoint import describe_adapter
from SAMedLib.model.metadata import ModelMetadata
from SAMedLib.model.network import Network
from SAMedLib.model.tensor_files import is_complete, read_tensors
from SAMedLib.weights import store

ModelSource = str | Path | tuple[str | Path, str | Path]
DEFAULT_MODEL = "tiny"


def load_model(
    source: ModelSource = DEFAULT_MODEL,
    base: str | Path | None = None,
    for_training: bool = False,
    image_size: int | None = None,
    slice_size: int | None = None,
) -> Network:
    """A model from a registry name, an adapter file, a run folder, or an (adapter, base) pair.

    Args:
        source: "tiny" is the embedded default; a file ends in .safetensors or .pth; a run folder gives its best.
        base: SAM weights, a path or a registry name; None takes what the adapter names.
        for_training: leave LoRA unmerged and the model in training mode.
        image_size, slice_size: what a .pth in the published layout was trained with, if not 512 and 224; the file does
            not tell. Other files do.

    Returns:
        the model on the CPU; in eval mode with LoRA merged unless `for_training`.

    Raises:
        SAMedError: if something is missing, damaged or does not fit.
    """
    if isinstance(source, tuple):
        source, base = source
    adapter, base_name = find_adapter(source)
    state, metadata = read_tensors(adapter)
    metadata = describe_adapter(adapter, state, metadata, image_size, slice_size)
    model = build_network(metadata.config, empty_encoder=True)
    model.metadata = metadata.replace(base=None)
    if base is not None or not is_complete(state):
        path = find_base(metadata, base if base is not None else base_name, adapter)
        model.load_base(path, keep_mapped=not for_training)
    model.take_weights(adapter, state, metadata)
    if for_training:
        return model.train()
    model.merge_lora()
    return model.eval()


def assumed_sizes(source: str | Path, image_size: int | None = None) -> str | None:
    """A sentence for the user about a .pth for which no image size was given; None where nothing is assumed."""
    if image_size is not None or str(source) in store.model_names() or Path(source).suffix not in (".pth", ".pt"):
        return None
    return (
        f"{source} does not say which image size it was trained with: the published 512 is assumed. For another, "
        "segment with --image-size, or convert it once (samed weights convert)."
    )


def find_adapter(source: str | Path) -> tuple[Path, str | None]:
    """The adapter file that `source` means, and the registry's name of its base if the registry says so.

    A model's name means that model even where a file or folder is called the same; that one is ./NAME.
    """
    path = Path(source)
    if str(source) not in store.model_names():
        if path.is_dir():
            for name in ("best.safetensors", "last.safetensors"):
                if (path / name).is_file():
                    return path / name, None
            raise SAMedError(
                f"{path} holds no best.safetensors or last.safetensors; give a run folder or a model file."
            )
        if path.suffix in (".safetensors", ".pth", ".pt") or path.is_file():
            return path, None
    entry = store.model_entry(str(source))
    return store.locate(entry.adapter), entry.base


def find_base(metadata: ModelMetadata, name: str | Path | None = None, adapter: Path | None = None) -> Path:
    """The file of the base called `name` (a path or a registry name), or of the one that the metadata name."""
    if name is None:
        return store.locate_base(metadata, adapter)
    path = Path(name)
    return path if path.suffix in (".safetensors", ".pth", ".pt") else store.locate(str(name))
