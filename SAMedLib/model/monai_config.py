"""The networks that come from MONAI, to put beside SAMed, as plain data.

They see slices at their own size, 224 pixels unless said otherwise, and predict at that size. There are no pretrained
weights for them: they start from random numbers, or from a model trained before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar

from SAMedLib.errors import SAMedError
from SAMedLib.model.config import ENCODER_TUNING, canonical_targets, check_choice, check_whole, from_fields

LEVELS = 5  # of both U-Nets


@dataclass(frozen=True)
class MonaiConfig:
    """What all of them have.

    Attributes:
        image_size: side of the square input and output, a multiple of `grid`.
        slice_size: slices are brought to this square size first, then to image_size.
        num_classes: background included.
        grid: pixels, along one side, behind one value of the deepest layer.
    """

    image_size: int = 224
    slice_size: int = 224
    num_classes: int = 9

    network: ClassVar[str]
    title: ClassVar[str]
    grid: ClassVar[int] = 16

    def __post_init__(self) -> None:
        check_whole(self.title, self, image_size=1, slice_size=1, num_classes=2)
        # instance norm needs more than one value in the deepest layer
        if self.image_size % self.grid or self.image_size < 2 * self.grid:
            raise SAMedError(
                f"Image size {self.image_size} does not suit {self.title}; give a multiple of {self.grid} pixels, at "
                f"least {2 * self.grid}."
            )

    @property
    def logits_size(self) -> int:
        """Side of the logits: the image's."""
        return self.image_size

    def to_json(self) -> dict:
        return {"network": self.network, **asdict(self)}

    @classmethod
    def from_json(cls, data: dict) -> MonaiConfig:
        """Raises SAMedError for fields that this version does not know, or values that do not fit."""
        return from_fields(cls, data)


@dataclass(frozen=True)
class ConvolutionalConfig(MonaiConfig):
    """A U-shaped network of convolutions.

    Attributes:
        channels: of its five levels, the finest first; the default is that of the U-Net paper.
    """

    channels: tuple[int, ...] = (64, 128, 256, 512, 1024)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", _sizes(self.title, "channels", self.channels, LEVELS))
        super().__post_init__()


@dataclass(frozen=True)
class UNetConfig(ConvolutionalConfig):
    """MONAI's BasicUNet: two convolutions a level, with instance norm."""

    network: ClassVar[str] = "unet"
    title: ClassVar[str] = "U-Net"


@dataclass(frozen=True)
class AttentionUNetConfig(ConvolutionalConfig):
    """MONAI's AttentionUnet: a U-Net with attention gates on its skip connections, with batch norm.

    The gates weigh pixels; they have no queries and values, so no LoRA.
    """

    network: ClassVar[str] = "attention-unet"
    title: ClassVar[str] = "Attention U-Net"


@dataclass(frozen=True)
class TransformerConfig(MonaiConfig):
    """A transformer encoder with a decoder of convolutions.

    Attributes:
        rank: LoRA rank.
        lora_targets: which projections of the encoder's attention get LoRA, of q, k, v, o.
        encoder_tuning: "full" (all weights trained, no LoRA) or "lora" (weights frozen, LoRA trained).
        decoder_tuning: "full", or "frozen": nothing but the last layer is trained.
    """

    rank: int = 4
    lora_targets: tuple[str, ...] = ("q", "v")
    encoder_tuning: str = "full"
    decoder_tuning: str = "full"

    def __post_init__(self) -> None:
        check_whole(self.title, self, rank=1)
        check_choice(self, "encoder_tuning", ENCODER_TUNING)
        check_choice(self, "decoder_tuning", ("full", "frozen"))
        object.__setattr__(self, "lora_targets", canonical_targets(self.lora_targets, self.encoder_tuning))
        super().__post_init__()


@dataclass(frozen=True)
class SwinUNETRConfig(TransformerConfig):
    """MONAI's SwinUNETR in two dimensions (arXiv 2201.01266).

    Attributes:
        feature_size: channels of the finest level, a multiple of 12.
        depths, num_heads: blocks, and heads of each block, of the four stages; a stage is twice as wide as the one
            before.
        window_size: patches along one side of a window.
    """

    feature_size: int = 48
    depths: tuple[int, ...] = (2, 2, 2, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7

    network: ClassVar[str] = "swin-unetr"
    title: ClassVar[str] = "Swin UNETR"
    grid: ClassVar[int] = 32

    def __post_init__(self) -> None:
        check_whole(self.title, self, feature_size=12, window_size=2)
        for name in ("depths", "num_heads"):
            object.__setattr__(self, name, _sizes(self.title, name, getattr(self, name), 4))
        if self.feature_size % 12:
            raise SAMedError(f"{self.title}'s feature_size is {self.feature_size}; it must be a multiple of 12.")
        for stage, heads in enumerate(self.num_heads):
            _check_heads(self.title, self.feature_size * 2**stage, heads)
        super().__post_init__()


@dataclass(frozen=True)
class UNETRConfig(TransformerConfig):
    """MONAI's UNETR in two dimensions: a ViT of twelve blocks on patches of 16 pixels (arXiv 2103.10504).

    Attributes:
        feature_size: channels of the decoder's finest level.
        hidden_size, mlp_dim, num_heads: of the ViT; the default is ViT-B.
    """

    feature_size: int = 16
    hidden_size: int = 768
    mlp_dim: int = 3072
    num_heads: int = 12

    network: ClassVar[str] = "unetr"
    title: ClassVar[str] = "UNETR"

    def __post_init__(self) -> None:
        check_whole(self.title, self, feature_size=1, hidden_size=1, mlp_dim=1, num_heads=1)
        _check_heads(self.title, self.hidden_size, self.num_heads)
        super().__post_init__()


def _sizes(title: str, name: str, values: object, count: int) -> tuple[int, ...]:
    if (
        not isinstance(values, (list, tuple))
        or len(values) != count
        or any(type(value) is not int or value < 1 for value in values)
    ):
        raise SAMedError(f"{title}'s {name} are {values!r}; give {count} whole numbers of at least 1.")
    return tuple(values)


def _check_heads(title: str, width: int, heads: int) -> None:
    if width % heads:
        raise SAMedError(f"{title}'s width {width} does not divide into {heads} heads.")
