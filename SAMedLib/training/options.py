"""Everything that a training run can be told, with the published settings as defaults."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from SAMedLib.errors import SAMedError
from SAMedLib.model.config import DECODER_TUNING, ENCODER_TUNING
from SAMedLib.model.networks import NETWORKS, NetworkConfig
from SAMedLib.training.schedule import POWERS

PRECISIONS = {"fp32": "32-true", "bf16-mixed": "bf16-mixed", "fp16-mixed": "16-mixed"}  # ours: Lightning Fabric's
CHOICES = {
    "network": tuple(NETWORKS),
    "init": ("base", "scratch"),
    "encoder_tuning": ENCODER_TUNING,
    "decoder_tuning": DECODER_TUNING,
    "schedule": tuple(POWERS),
    "optimizer": ("adamw", "sgd"),
    "loss_at": ("logits", "image"),
    "augmentation": ("published", "strong", "none"),
    "precision": ("auto", *PRECISIONS),
}
MODEL_SIZES = ("vit_b", "vit_l", "vit_h", "tiny")
PUBLISHED_WARMUP = 250
PUBLISHED_MAX_OVER_STOP = 200 / 160

# what may be changed when a run is resumed: where things are, how long and how to compute, not what is computed
CHANGEABLE = frozenset(
    {
        *("data", "val_data", "val_every", "base", "start", "epochs", "max_steps"),
        *("accumulate", "precision", "device", "save_every_minutes", "save_pth"),
    }
)


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of one run; None means that the value follows from the others.

    Attributes:
        data: dataset folder, prepared Synapse or nnU-Net/MSD layout.
        val_data: dataset folder to validate on, instead of cases held out of `data`.
        val_cases: cases to hold out of `data`: how many, which fraction of them, or names separated by commas.
        val_every: epochs between validations. None: see epochs_between_validations.
        network: samed, or one of MONAI's to put beside it: unet, attention-unet, swin-unetr, unetr. None: that of
            `start`, or samed.
        model_size: vit_b, vit_l, vit_h, tiny, or a JSON file (see network_size). None: that of `start`, or vit_b; for
            other networks their usual size.
        base: SAM weights, a path or a registry name. None: what `start` names, or the registry's of this size.
        start: model to go on from: a registry name, an adapter file, or a run folder.
        init: "base", or "scratch" for no pretrained weights at all.
        rank, lora_targets, encoder_tuning, decoder_tuning, image_size, slice_size, align_corners: see SAMedConfig, or
            that of the network. None: those of `start`, or the published ones.
        epochs: stop after these.
        max_epochs: epochs at which the rate would reach zero; None: 5/4 of where the run stops (200 for 160).
        max_steps: stop after these, if that is earlier.
        batch_size: slices per step, of all ranks and parts together.
        accumulate: parts in which a step is computed, to save memory. Cross entropy does not notice; Dice then is the
            mean of the Dice of the parts, not that of the whole batch. None: as many as the memory asks for.
        lr: the highest learning rate.
        warmup: steps of linear warmup; None: 250, or a tenth of a shorter run.
        schedule: "published" (decay with power 0.9) or "paper" (linear).
        optimizer: "adamw" (betas 0.9, 0.999) or "sgd" (momentum 0.9).
        weight_decay: None: 0.1 for adamw, 1e-4 for sgd.
        dice_weight: share of Dice in the loss.
        loss_at: where prediction and labels are compared: at the size of the logits, as published, or at the image's,
            with the logits enlarged as for a prediction; then borders between the logits' pixels are learned too.
        augmentation: "published", "strong" or "none".
        clip: largest gradient norm, None to leave gradients alone.
        ema: decay of a running mean of the weights, which then is what is validated and saved; None for no mean.
        precision: fp32, bf16-mixed, fp16-mixed, or auto: bf16-mixed on a CUDA device that has it, else fp32.
        device: auto, cpu, cuda, cuda:N or mps.
        seed: of initialisation, order and augmentation.
        save_every_minutes: how often the state is saved within an epoch.
        save_pth: also write adapters in the published layout.
        demonstration: mark the model as one that is not meant for patients.
    """

    data: str
    val_data: str | None = None
    val_cases: str = "0"
    val_every: int | None = None
    network: str | None = None
    model_size: str | None = None
    base: str | None = None
    start: str | None = None
    init: str = "base"
    rank: int | None = None
    lora_targets: tuple[str, ...] | None = None
    encoder_tuning: str | None = None
    decoder_tuning: str | None = None
    image_size: int | None = None
    slice_size: int | None = None
    align_corners: bool | None = None
    epochs: int = 160
    max_epochs: int | None = None
    max_steps: int | None = None
    batch_size: int = 24
    accumulate: int | None = None
    lr: float = 0.005
    warmup: int | None = None
    schedule: str = "published"
    optimizer: str = "adamw"
    weight_decay: float | None = None
    dice_weight: float = 0.8
    loss_at: str = "logits"
    augmentation: str = "published"
    clip: float | None = None
    ema: float | None = None
    precision: str = "auto"
    device: str = "auto"
    seed: int = 1234
    save_every_minutes: float = 10.0
    save_pth: bool = False
    demonstration: bool = False

    def __post_init__(self) -> None:
        if self.lora_targets is not None:
            object.__setattr__(self, "lora_targets", tuple(self.lora_targets))
        for name, choices in CHOICES.items():
            if getattr(self, name) not in (None, *choices):
                raise SAMedError(f"{_flag(name)} is {getattr(self, name)}; choose from {', '.join(choices)}.")
        for name in ("val_every", "epochs", "max_epochs", "max_steps", "batch_size", "accumulate"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SAMedError(f"{_flag(name)} is {value}; it must be at least 1.")
        for name in ("warmup", "weight_decay", "save_every_minutes", "seed"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise SAMedError(f"{_flag(name)} is {value}; it cannot be negative, so give 0 or more.")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SAMedError(f"{_flag(name)} is {value}; it must be above 0.")
        for name in ("lr", "clip", "weight_decay", "save_every_minutes"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise SAMedError(f"{_flag(name)} is {value}; it must be a finite number.")
        if self.seed >= 2**63:
            raise SAMedError(f"--seed is {self.seed}; it must be below 2^63.")
        if self.ema is not None and not 0 < self.ema < 1:
            raise SAMedError(f"--ema is {self.ema}; it must lie between 0 and 1, for example 0.999.")
        if not 0 <= self.dice_weight <= 1:
            raise SAMedError(f"--dice-weight is {self.dice_weight}; it must lie between 0 and 1.")
        if self.max_epochs is not None and self.epochs > self.max_epochs:
            raise SAMedError(
                f"--epochs {self.epochs} goes past --max-epochs {self.max_epochs}, where the learning rate is zero; "
                f"raise --max-epochs or leave it out."
            )
        if not self.val_cases.strip(" ,"):
            raise SAMedError("--val-cases names no case; give a number of cases, a fraction below 1, or case names.")
        if self.val_data is not None and self.val_cases != "0":
            raise SAMedError("--val-data and --val-cases say two things; give one of them.")
        if self.init == "scratch" and (self.start or self.base):
            raise SAMedError("--init scratch takes no weights; leave out --start and --base.")

    def label_size(self, config: NetworkConfig) -> int:
        """Side at which the loss compares."""
        return config.image_size if self.loss_at == "image" else config.logits_size

    def to_json(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> TrainingOptions:
        if not isinstance(data, dict):
            raise SAMedError("The run's options are not readable; start a new run.")
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(data) - known):
            raise SAMedError(f"The run was made with the unknown option {unknown[0]!r}; update SAMedLib.")
        try:
            return cls(**data)
        except TypeError as error:
            raise SAMedError("The run's options are not readable; start a new run.") from error

    def with_absolute_folders(self) -> TrainingOptions:
        """So that a run can be resumed from another working folder."""
        val_data = self.val_data and str(Path(self.val_data).resolve())
        return dataclasses.replace(self, data=str(Path(self.data).resolve()), val_data=val_data)

    def changed_for_resume(self, given: dict) -> TrainingOptions:
        """These options with those `given` now, if the run may go on with them.

        Raises:
            SAMedError: if one of them would make it another run.
        """
        for name, value in given.items():
            recorded = getattr(self, name)
            if value != recorded and name not in CHANGEABLE:
                raise SAMedError(
                    f"The run was started with {_flag(name)} {_written(recorded)}, which cannot change on the way; "
                    f"leave {_flag(name)} out, or start a new run from this one with --start."
                )
        return dataclasses.replace(self, **given)


@dataclass(frozen=True)
class Timetable:
    """How many steps a run takes, and what its learning rate follows.

    Attributes:
        steps_per_epoch: batches in the training set.
        total_steps: where the run stops.
        max_iterations: where the learning rate would reach zero.
        warmup: steps of linear warmup.
        val_every: epochs between validations.
    """

    steps_per_epoch: int
    total_steps: int
    max_iterations: int
    warmup: int
    val_every: int = 1

    @property
    def epochs(self) -> int:
        return -(-self.total_steps // self.steps_per_epoch)


def timetable(options: TrainingOptions, steps_per_epoch: int) -> Timetable:
    total = options.epochs * steps_per_epoch
    if options.max_steps is not None:
        total = min(total, options.max_steps)
    if options.max_epochs is not None:
        max_iterations = options.max_epochs * steps_per_epoch
    else:
        max_iterations = round(total * PUBLISHED_MAX_OVER_STOP)
    warmup = options.warmup if options.warmup is not None else min(PUBLISHED_WARMUP, total // 10)
    return Timetable(steps_per_epoch, total, max_iterations, warmup, options.val_every or 1)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _written(value: object) -> str:
    if value is None:
        return "left out"
    return ",".join(value) if isinstance(value, tuple) else str(value)
