"""The network that a run starts with: a SAM base, a model for the same or other labels, or nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from SAMedLib.errors import SAMedError
from SAMedLib.model import ModelMetadata, Network, SAMedConfig
from SAMedLib.model.build import build_network
from SAMedLib.model.checkpoint import infer_published_metadata
from SAMedLib.model.load import find_adapter, find_base
from SAMedLib.model.monai_config import TransformerConfig
from SAMedLib.model.monai_network import check_monai
from SAMedLib.model.networks import NETWORKS, NetworkConfig
from SAMedLib.model.tensor_files import is_complete, read_tensors
from SAMedLib.organs import Classes, LabelSet, matching_classes
from SAMedLib.training.network_size import MODEL_SIZES, size_fields
from SAMedLib.training.options import TrainingOptions
from SAMedLib.weights import store

_TUNABLE = ("rank", "lora_targets", "encoder_tuning", "decoder_tuning", "image_size", "slice_size", "align_corners")


@dataclass(frozen=True)
class StartingPoint:
    """What is known before the data is: everything but the classes.

    Attributes:
        metadata: of the start, with the configuration that will be trained; its labels give way to those of the data.
        base: SAM weights to load first, None where none are needed.
        adapter: file to take tuned weights from, and its tensors; None to start from the base, or from nothing.
        remarks: sentences for the user about what the network starts with.
    """

    metadata: ModelMetadata
    base: Path | None
    adapter: tuple[Path, dict[str, Tensor]] | None
    remarks: tuple[str, ...] = ()

    def build(self, label_set: LabelSet) -> tuple[Network, list[str]]:
        """The network for these labels, and remarks for the user about what was not taken over.

        What is not loaded is drawn from torch's global random numbers.
        """
        remarks = list(self.remarks)
        config = dataclasses.replace(self.metadata.config, num_classes=label_set.num_classes)
        model = build_network(config)
        if self.base:
            model.load_base(self.base)
        if self.adapter:
            path, state = self.adapter
            classes = matching_classes(self.metadata.label_set, label_set)
            # without its metadata: labels, data and metrics of the start are not those of this run
            fresh = model.take_weights(path, state, None, classes)
            remarks += self._label_remarks(label_set, path, classes, model.of_classes if fresh else "")
        model.metadata = self.metadata.replace(
            config=config, label_set=label_set, base=model.metadata.base, provenance={}
        )
        return model, remarks

    def _label_remarks(self, label_set: LabelSet, path: Path, classes: Classes, anew: str) -> list[str]:
        """What becomes of the start's labels; `anew` names what does not keep its weights, "" if everything does."""
        before = self.metadata.label_set
        known = [label.name for label, there in zip(label_set, classes[1:], strict=True) if there is not None]
        new = [label.name for label, there in zip(label_set, classes[1:], strict=True) if there is None]
        if anew and not isinstance(self.metadata.config, SAMedConfig):
            return [f"The labels of {path.name} are not those of the data: {anew} start anew, everything else is kept."]
        if new:
            begin = "begins" if len(new) == 1 else "begin"
            knows = f"{path.name} knows {', '.join(known)}" if known else f"{path.name} knows none of the data's labels"
            return [f"{knows}; {', '.join(new)} {begin} anew."]
        if len(known) < len(before.labels):
            return [f"Of the labels of {path.name}, the run goes on with {', '.join(known)}."]
        if not any(before.find(name) for name in known):
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
    if options.start:
        return _from_adapter(options, options.start)
    if options.network in (None, SAMedConfig.network):
        return _from_base(options)
    return _from_nothing(options, options.network)


def _from_base(options: TrainingOptions) -> StartingPoint:
    size = options.model_size or "vit_b"
    scratch = options.init == "scratch"
    if size == "tiny" and not (scratch or options.base):
        raise SAMedError(
            "There is no SAM base for the tiny model; use --start tiny (the embedded one) or --init scratch."
        )
    full = scratch or options.encoder_tuning == "full"
    config = SAMedConfig.tiny() if size == "tiny" else SAMedConfig(**size_fields(SAMedConfig, size))
    tuning = {"lora_targets": () if full else ("q", "v"), "encoder_tuning": "full" if full else "lora"}
    config = _tuned(dataclasses.replace(config, **tuning), options)
    if scratch and config.encoder_tuning != "full":
        raise SAMedError("--init scratch with --encoder-tuning lora would leave the encoder random; use full.")
    base = None
    if not scratch:
        base = find_base(ModelMetadata(config), options.base) if options.base else _registered_base(size)
    return StartingPoint(ModelMetadata(config, demonstration=options.demonstration), base, None)


def _from_nothing(options: TrainingOptions, network: str) -> StartingPoint:
    """A network that has no pretrained weights."""
    kind = NETWORKS[network]
    fields = size_fields(kind, options.model_size) if options.model_size else {}
    config = _tuned(kind(**fields), options)
    check_monai(config)
    _check_files(config, options)
    remarks = [f"{config.title} starts with random weights: there are no pretrained ones for it."]
    if isinstance(config, TransformerConfig):
        if config.decoder_tuning == "frozen":
            raise SAMedError(
                "--decoder-tuning frozen would leave the decoder random; use full, or give a trained run with --start."
            )
        if config.encoder_tuning == "lora":
            remarks.append(
                "Under LoRA the encoder's random weights stay as they are; to adapt a trained encoder, give its run "
                "with --start."
            )
    metadata = ModelMetadata(config, demonstration=options.demonstration)
    return StartingPoint(metadata, None, None, (*remarks, *_unused_base(config, options)))


def _from_adapter(options: TrainingOptions, start: str) -> StartingPoint:
    path, base_name = find_adapter(start)
    state, metadata = read_tensors(path)
    metadata = metadata or infer_published_metadata(path, state)
    before = metadata.config
    if options.network not in (None, before.network):
        raise SAMedError(f"{path} is a {before.title}; leave out --network, which the start decides.")
    if options.model_size and dataclasses.replace(before, **size_fields(type(before), options.model_size)) != before:
        raise SAMedError(
            f"{path} is not a {options.model_size} model; leave out --model-size, which the start decides."
        )
    config = _tuned(before, options)
    _check_files(config, options)
    base, remarks = None, _unused_base(config, options)
    if not remarks and (options.base or not is_complete(state)):
        base = find_base(metadata, options.base or base_name)
    demonstration = metadata.demonstration or options.demonstration
    metadata = metadata.replace(config=config, demonstration=demonstration)
    return StartingPoint(metadata, base, (path, state), tuple(remarks))


def resumed_model(metadata: ModelMetadata, base: str | None) -> Network:
    """The network of a run that goes on; its tuned weights come from the run's state.

    Raises:
        SAMedError: if the run's base is missing, or another file now.
    """
    model = build_network(metadata.config)
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


def _tuned(config: NetworkConfig, options: TrainingOptions) -> NetworkConfig:
    """The configuration with what the options say about tuning and sizes."""
    given = {name: getattr(options, name) for name in _TUNABLE if getattr(options, name) is not None}
    known = {field.name for field in dataclasses.fields(config)}
    if strange := [name for name in given if name not in known]:
        why = "predicts at the image's size" if strange[0] == "align_corners" else "has no attention to put LoRA into"
        raise SAMedError(f"{config.title} {why}; leave out --{strange[0].replace('_', '-')}.")
    if given.get("encoder_tuning") == "lora" and not config.lora_targets:
        given.setdefault("lora_targets", ("q", "v"))
    return dataclasses.replace(config, **given)


def _unused_base(config: NetworkConfig, options: TrainingOptions) -> list[str]:
    # not an error: the runs of an experiment share the option, and only some of them may be of SAMed
    if not options.base or isinstance(config, SAMedConfig):
        return []
    return [f"The base {options.base} is for SAMed; {config.title} does not build on it."]


def _check_files(config: NetworkConfig, options: TrainingOptions) -> None:
    if options.save_pth and not isinstance(config, SAMedConfig):
        raise SAMedError(f"--save-pth writes SAMed's published layout, which cannot hold {config.title}; leave it out.")


def _registered_base(size: str) -> Path:
    if size not in MODEL_SIZES:
        raise SAMedError(f"No base is known for {size}; give one with --base, or use --init scratch.")
    return store.locate(size)
