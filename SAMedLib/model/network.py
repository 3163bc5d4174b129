"""What training, inference and model files need of a network, whichever it is."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from SAMedLib.errors import SAMedError
from SAMedLib.model.lora import LoRALinear
from SAMedLib.model.metadata import ModelMetadata, default_metadata
from SAMedLib.model.networks import NetworkConfig
from SAMedLib.model.tensor_files import read_tensors
from SAMedLib.organs import Classes


class SAMedOutput(NamedTuple):
    """low_res_logits [B, K, L, L], masks (logits) [B, K, S, S], iou_predictions [B, K]; K counts the background.

    L is config.logits_size: S/4 for SAMed, S for the others, which predict no IoU (None).
    """

    low_res_logits: Tensor
    masks: Tensor
    iou_predictions: Tensor | None


class Network(nn.Module):
    """A network of a given configuration, freshly initialised.

    Parameters that the configuration does not tune have requires_grad False.

    Attributes:
        config: what was built.
        metadata: what the model says about itself; saved with its files.
        of_classes: what depends on the number of classes, as a plural for a sentence.
    """

    of_classes: ClassVar[str]

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.metadata: ModelMetadata = default_metadata(config)

    @abstractmethod
    def forward(self, images: Tensor) -> SAMedOutput:
        """Logits per class, the background included.

        Args:
            images: [B, 1, S, S] float, the HU window scaled to [0, 1]; S is config.image_size.

        Raises:
            ValueError: if the images have another shape.
        """

    @abstractmethod
    def low_res_logits(self, images: Tensor) -> Tensor:
        """[B, 1, S, S] -> [B, K, L, L], L being config.logits_size: what the loss is computed on."""

    @abstractmethod
    def masks(self, low_res_logits: Tensor) -> Tensor:
        """[B, K, L, L] -> [B, K, S, S]: those logits at the image's size."""

    @abstractmethod
    def load_base(self, path: str | Path, *, keep_mapped: bool = False) -> None:
        """Take pretrained weights. Raises SAMedError if they do not fit, or the network has no such."""

    @abstractmethod
    def take_weights(
        self, path: Path, state: dict[str, Tensor], metadata: ModelMetadata | None, classes: Classes | None = None
    ) -> list[str]:
        """As load_adapter, for a file that read_tensors has read already; `path` is for messages."""

    @abstractmethod
    def tensors_of_base(self) -> set[str]:
        """Names of tensors, in the state dict, that come from the base and stay as they are."""

    @abstractmethod
    def _write(self, path: Path, dtype: torch.dtype | None) -> None: ...

    def load_adapter(self, path: str | Path, classes: Classes | None = None) -> list[str]:
        """Take the tuned weights of a file.

        LoRA factors that the file lacks keep their initialisation: a model without LoRA can be finetuned with it.

        Args:
            classes: given, the file is a start for training: for each of the network's classes, the file's class that
                it begins with, None for one that begins anew (see matching_classes). A SAMed then also takes a file
                of another image size and resizes the position tables; the other networks begin their last layer anew
                unless the classes are all of the file's, in order.

        Returns:
            names of the tensors of which something kept its initialisation for the sake of the classes.

        Raises:
            SAMedError: if the file is unreadable, or was made for another network.
        """
        return self.take_weights(Path(path), *read_tensors(Path(path)), classes)

    def save_adapter(self, path: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write the tuned weights, with full metadata for .safetensors.

        Args:
            dtype: store floating-point tensors like this, None as they are.

        Raises:
            SAMedError: if LoRA is merged, or the file's format cannot hold the network.
        """
        if any(layer.merged for layer in self._lora_layers()):
            raise SAMedError("The model's LoRA is merged into its weights; call unmerge_lora() before saving it.")
        self._write(Path(path), dtype)

    def merge_lora(self) -> None:
        """Fold LoRA into the weights, for inference: same numbers, less work."""
        for layer in self._lora_layers():
            layer.merge()

    def unmerge_lora(self) -> None:
        """Restore the weights exactly as they were before merge_lora()."""
        for layer in self._lora_layers():
            layer.unmerge()

    def _lora_layers(self) -> list[LoRALinear]:
        return [module for module in self.modules() if isinstance(module, LoRALinear)]
