"""The network that a run starts with: a SAM base, an adapter for the same or other labels, or nothing."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from SAMedLib.errors import SAMedError
from SAMedLib.model import DecoderConfig, EncoderConfig, ModelMetadata, SAMed, SAMedConfig
from SAMedLib.model.checkpoint import apply_adapter, infer_published_metadata, is_complete, read_tensors
from SAMedLib.model.load import find_adapter, find_base
from SAMedLib.organs import LabelSet
from SAMedLib.training.options import MODEL_SIZES, TrainingOptions
from SAMedLib.weights import store

_TUNABLE = ("rank", "lora_targets", "encoder_tuning", "decoder_tuning", "image_size", "slice_size")


@dataclass(frozen=True)
class StartingPoint:
    """What is known before the data is: everything but the classes.

    Attributes:
        metadata: of the start, with the configuration that will be trained; its labels give way to those of the data.
        base: SAM weights to load first, None where none are needed.
        adapter: file to take tuned weights from, and its tensors; None to start from the base, or from nothing.
    """

    metadata: ModelMetadata
    base: Path | None
    adapter: tuple[Path, dict[str, Tensor]] | None

    def build(self, label_set: LabelSet) -> tuple[SAMed, list[str]]:
        """The network for these labels, and remarks for the user about what was not taken over.

        What is not loaded is drawn from torch's global random numbers.
        """
        remarks = []
        config = dataclasses.replace(self.metadata.config, num_classes=label_set.num_classes)
        model = SAMed(config)
        if self.base:
            model.load_base(self.base)
        if self.adapter:
            path, state = self.adapter
            # without its metadata: labels, data and metrics of the start are not those of this run
            fresh = apply_adapter(model, path, state, None, other_classes=True)
            remarks = self._remarks(label_set, path, fresh)
        model.metadata = self.metadata.replace(
            config=config, label_set=label_set, base=model.metadata.base, provenance={}
        )
        return model, remarks

    def _remarks(self, label_set: LabelSet, path: Path, fresh: list[str]) -> list[str]:
        before = self.metadata.label_set
        if fresh:
            return [
                f"{path.name} has {len(before.labels)} labels, the data has {len(label_set.labels)}: the mask tokens, "
                f"hypernetworks and IoU head of the decoder start anew, everything else is kept."
            ]
        if before.names != label_set.names:
            return [
                f"{path.name} was trained on {', '.join(before.names)}; the data has {', '.join(label_set.names)}: "
                f"its outputs are kept in this order, as a start."
            ]
        return []


def starting_point(options: TrainingOptions) -> StartingPoint:
    """Find what the options name.

    Raises:
        SAMedError: if weights are missing or damaged, or options contradict each other or the start.
    """
    return _from_adapter(options, options.start) if options.start else _from_base(options)


def _from_base(options: TrainingOptions) -> StartingPoint:
    size = options.model_size or "vit_b"
    scratch = options.init == "scratch"
    if size == "tiny" and not (scratch or options.base):
        raise SAMedError(
            "There is no SAM base for the tiny model; use --start tiny (the embedded one) or --init scratch."
        )
    full = scratch or options.encoder_tuning == "full"
    config = SAMedConfig.tiny() if size == "tiny" else SAMedConfig(*_parts(size))
    tuning = {"lora_targets": () if full else ("q", "v"), "encoder_tuning": "full" if full else "lora"}
    config = dataclasses.replace(config, **{**tuning, **_given(options)})
    if scratch and config.encoder_tuning != "full":
        raise SAMedError("--init scratch with --encoder-tuning lora would leave the encoder random; use full.")
    base = None
    if not scratch:
        base = find_base(ModelMetadata(config), options.base) if options.base else _registered_base(size)
    return StartingPoint(ModelMetadata(config, demonstration=options.demonstration), base, None)


def _from_adapter(options: TrainingOptions, start: str) -> StartingPoint:
    path, base_name = find_adapter(start)
    state, metadata = read_tensors(path)
    metadata = metadata or infer_published_metadata(path, state)
    if options.model_size and _parts(options.model_size)[0] != metadata.config.encoder:
        raise SAMedError(
            f"{path} is not a {options.model_size} model; leave out --model-size, which the start decides."
        )
    given = _given(options)
    if given.get("encoder_tuning") == "lora" and not metadata.config.lora_targets:
        given.setdefault("lora_targets", ("q", "v"))
    config = dataclasses.replace(metadata.config, **given)
    base = None
    if options.base or not is_complete(state):
        base = find_base(metadata, options.base or base_name)
    demonstration = metadata.demonstration or options.demonstration
    return StartingPoint(metadata.replace(config=config, demonstration=demonstration), base, (path, state))


def resumed_model(metadata: ModelMetadata, base: str | None) -> SAMed:
    """The network of a run that goes on; its tuned weights come from the run's state.

    Raises:
        SAMedError: if the run's base is missing, or another file now.
    """
    model = SAMed(metadata.config)
    if metadata.base:
        path = find_base(metadata, base)
        if not path.is_file():
            raise SAMedError(
                f"The run's base {path} is not there any more; say where {metadata.base.name} is with --base."
            )
        model.load_base(path)
        if model.metadata.base != metadata.base and model.metadata.base.sha256 != metadata.base.sha256:
            raise SAMedError(f"{path} is not the base that the run started with ({metadata.base.name}); give that one.")
    model.metadata = metadata
    return model


def _given(options: TrainingOptions) -> dict:
    return {name: getattr(options, name) for name in _TUNABLE if getattr(options, name) is not None}


def _parts(size: str) -> tuple[EncoderConfig, DecoderConfig]:
    if size == "tiny":
        return EncoderConfig.tiny(), DecoderConfig.tiny()
    if size in MODEL_SIZES:
        return getattr(EncoderConfig, size)(), DecoderConfig()
    path = Path(size)
    if path.suffix != ".json":
        raise SAMedError(
            f"There is no model size called {size!r}; choose from {', '.join(MODEL_SIZES)}, or give a .json."
        )
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        return EncoderConfig(**parts["encoder"]), DecoderConfig(**parts["decoder"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise SAMedError(f"{path} does not describe a network ({error}); it needs encoder and decoder.") from error


def _registered_base(size: str) -> Path:
    if size not in MODEL_SIZES:
        raise SAMedError(f"No base is known for {size}; give one with --base, or use --init scratch.")
    return store.locate(size)
