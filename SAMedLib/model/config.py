"""What a SAMed network is, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from SAMedLib.errors import SAMedError

PATCH_SIZE = 16
LORA_TARGETS = ("q", "k", "v", "o")
ENCODER_TUNING = ("lora", "full")
DECODER_TUNING = ("full", "lora", "frozen")
_WRONG_KIND = "The model description holds a value of a wrong kind; correct it, or get the file again."
_WIDEST, _DEEPEST = 1 << 14, 1 << 8

_Config = TypeVar("_Config")


def check_whole(part: str, config: object, **least: int) -> None:
    """Raises SAMedError if one of these fields is no whole number, below the least that it may be, or absurd."""
    for name, smallest in least.items():
        value = getattr(config, name)
        if not isinstance(value, int) or value < smallest:
            raise SAMedError(f"{part}'s {name} is {value!r}; it must be a whole number of at least {smallest}.")
        # a damaged file must not fill the memory before its tensors are found not to fit
        most = _DEEPEST if name == "depth" else _WIDEST
        if value > most:
            raise SAMedError(f"{part}'s {name} is {value}; it must be at most {most}, more than any network has.")


def check_choice(config: object, name: str, choices: Sequence[str]) -> None:
    """Raises SAMedError if this field is none of the choices."""
    if getattr(config, name) not in choices:
        raise SAMedError(f"{name} is {getattr(config, name)!r}; choose from {', '.join(choices)}.")


def canonical_targets(targets: Sequence[str], encoder_tuning: str) -> tuple[str, ...]:
    """LoRA targets in the order that the numbering of tensors in files counts on; none if all weights are trained.

    Raises:
        SAMedError: if one is unknown.
    """
    unknown = [target for target in targets if target not in LORA_TARGETS]
    if unknown:
        raise SAMedError(f"LoRA target {unknown[0]!r} is unknown; choose from {', '.join(LORA_TARGETS)}.")
    return () if encoder_tuning == "full" else tuple(target for target in LORA_TARGETS if target in targets)


def from_fields(kind: type[_Config], data: Mapping[str, Any]) -> _Config:
    """A dataclass from its fields as JSON has them.

    Raises:
        SAMedError: for fields that this version does not know, or values that do not fit.
    """
    try:
        known = {f.name for f in fields(kind)}
        if unknown := sorted(set(data) - known):
            raise SAMedError(f"The model description has the unknown field {unknown[0]!r}; update SAMedLib.")
        return kind(**data)
    except (TypeError, ValueError, AttributeError) as error:
        raise SAMedError(_WRONG_KIND) from error


@dataclass(frozen=True)
class EncoderConfig:
    """SAM's ViT image encoder (segment_anything/modeling/image_encoder.py).

    Blocks in `global_attn_indexes` attend to the whole image, the others to windows of `window_size` tokens (0: to the
    whole image too).
    """

    embed_dim: int = 768
    depth: int = 12
    num_heads: int = 12
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11)
    window_size: int = 14

    def __post_init__(self) -> None:
        object.__setattr__(self, "global_attn_indexes", tuple(self.global_attn_indexes))
        check_whole("The encoder", self, embed_dim=1, depth=1, num_heads=1, window_size=0)
        if self.embed_dim % self.num_heads:
            raise SAMedError(
                f"Encoder width {self.embed_dim} does not divide into {self.num_heads} heads; choose a multiple."
            )
        if any(not 0 <= index < self.depth for index in self.global_attn_indexes):
            raise SAMedError(
                f"Global attention blocks {self.global_attn_indexes} do not fit {self.depth} blocks; "
                f"choose lower numbers."
            )

    @classmethod
    def vit_b(cls) -> EncoderConfig:
        return cls()

    @classmethod
    def vit_l(cls) -> EncoderConfig:
        return cls(embed_dim=1024, depth=24, num_heads=16, global_attn_indexes=(5, 11, 17, 23))

    @classmethod
    def vit_h(cls) -> EncoderConfig:
        return cls(embed_dim=1280, depth=32, num_heads=16, global_attn_indexes=(7, 15, 23, 31))

    @classmethod
    def tiny(cls) -> EncoderConfig:
        """The embedded model's encoder; its window divides the 16 x 16 token grid of a 256-pixel image."""
        return cls(embed_dim=192, depth=8, num_heads=3, global_attn_indexes=(1, 3, 5, 7), window_size=8)


@dataclass(frozen=True)
class DecoderConfig:
    """SAM's mask decoder and prompt encoder; `embed_dim` is also the width of the encoder's neck."""

    embed_dim: int = 256
    depth: int = 2
    num_heads: int = 8
    mlp_dim: int = 2048
    iou_hidden_dim: int = 256
    mask_in_chans: int = 16

    def __post_init__(self) -> None:
        # SAM scales masks up to an eighth of the width, and starts its mask prompts at a quarter of mask_in_chans
        check_whole(
            "The decoder", self, embed_dim=8, depth=1, num_heads=1, mlp_dim=1, iou_hidden_dim=1, mask_in_chans=4
        )
        # cross attention works at half the width
        if self.embed_dim % (2 * self.num_heads):
            raise SAMedError(
                f"Decoder width {self.embed_dim} does not divide into {self.num_heads} heads at half the width."
            )

    @classmethod
    def tiny(cls) -> DecoderConfig:
        return cls(embed_dim=128, num_heads=4, mlp_dim=512, iou_hidden_dim=128)


@dataclass(frozen=True)
class SAMedConfig:
    """A SAMed network and how it is tuned.

    Attributes:
        image_size: side of the square network input, a multiple of 16.
        slice_size: slices are brought to this square size first, then to image_size, as published.
        num_classes: background included.
        rank: LoRA rank.
        lora_targets: which projections of every encoder block get LoRA, of q, k, v, o; () leaves the encoder as it is.
        encoder_tuning: "lora" (weights frozen, LoRA trained) or "full" (all weights trained, no LoRA).
        decoder_tuning: "full" (SAMed), "lora" (SAMed_s: LoRA in the two-way transformer, the rest trained), "frozen".
        align_corners: enlarge logits on the grid on which training makes labels smaller, corner on corner. Published:
            False; masks then lie 1.5 pixels further in at the image's edges, less towards its middle.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    image_size: int = 512
    slice_size: int = 224
    num_classes: int = 9
    rank: int = 4
    lora_targets: tuple[str, ...] = ("q", "v")
    encoder_tuning: str = "lora"
    decoder_tuning: str = "full"
    align_corners: bool = False

    network: ClassVar[str] = "samed"
    title: ClassVar[str] = "SAMed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "lora_targets", canonical_targets(self.lora_targets, self.encoder_tuning))
        check_choice(self, "encoder_tuning", ENCODER_TUNING)
        check_choice(self, "decoder_tuning", DECODER_TUNING)
        check_choice(self, "align_corners", (False, True))
        check_whole("The model", self, image_size=1, slice_size=1, num_classes=2, rank=1)
        if self.image_size % PATCH_SIZE:
            raise SAMedError(f"Image size {self.image_size} is no multiple of {PATCH_SIZE}; choose one.")

    @classmethod
    def tiny(cls) -> SAMedConfig:
        """The embedded model: trained whole, from scratch."""
        return cls(
            encoder=EncoderConfig.tiny(),
            decoder=DecoderConfig.tiny(),
            image_size=256,
            slice_size=256,
            lora_targets=(),
            encoder_tuning="full",
        )

    @property
    def tokens(self) -> int:
        """Tokens along one side of the image."""
        return self.image_size // PATCH_SIZE

    @property
    def low_res_size(self) -> int:
        """Side of the decoder's masks, a quarter of the image's."""
        return self.image_size // 4

    @property
    def logits_size(self) -> int:
        """Side of the logits that the loss is computed on: the decoder's masks."""
        return self.low_res_size

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> SAMedConfig:
        """Raises SAMedError for fields that this version does not know, or values that do not fit."""
        try:
            values = dict(data)
            values["encoder"] = EncoderConfig(**values.get("encoder", {}))
            values["decoder"] = DecoderConfig(**values.get("decoder", {}))
        except (TypeError, ValueError, AttributeError) as error:
            raise SAMedError(_WRONG_KIND) from error
        return from_fields(cls, values)
