"""The settings of a training that the panel offers, in the words of the panel."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slicer.i18n import tr as _


@dataclass(frozen=True)
class Setting:
    """One option of `samed train`.

    Attributes:
        name: the option's name; its default and its choices are the library's.
        title: what it is called in the panel.
        help: the tool tip.
        kind: "whole", "number", "choice", "flag", "names" (separated by commas) or "text".
        automatic: shown where the value follows from others.
        choices: where the library does not list them.
        example: of a value, where there is no default.
    """

    name: str
    title: str
    help: str
    kind: str
    automatic: str = ""
    choices: tuple[str, ...] = ()
    example: str = "1"


def mainSettings() -> list[Setting]:
    """Those that matter for everybody."""
    return [
        Setting("epochs", _("Epochs"), _("How often training sees every slice."), "whole"),
        Setting("batch_size", _("Batch size"), _("Slices per step. Smaller needs less memory."), "whole"),
        Setting(
            "lr",
            _("Learning rate"),
            _("How far a step goes. Lower it if the loss jumps; raise it if the curves hardly move."),
            "number",
        ),
        Setting(
            "augmentation",
            _("Augmentation"),
            _(
                "How slices are varied. published: turned and flipped as in the paper. strong: also stretched and with "
                "other contrast, for few cases or several scanners. none: as they are."
            ),
            "choice",
        ),
    ]


def networkSettings() -> list[Setting]:
    start = _("as the start has it")
    return [
        Setting("rank", _("LoRA rank"), _("Size of the adapter in the encoder."), "whole", start, example="4"),
        Setting(
            "lora_targets",
            _("LoRA targets"),
            _("Which projections of the attention get an adapter: of q, k, v, o, separated by commas."),
            "names",
            start,
            example="q,v",
        ),
        Setting(
            "encoder_tuning",
            _("Encoder"),
            _("lora: only adapters are trained. full: all weights; needs more memory."),
            "choice",
            start,
        ),
        Setting(
            "decoder_tuning",
            _("Decoder"),
            _("full: all of the mask decoder is trained. lora: adapters in it (SAMed_s). frozen: as it is."),
            "choice",
            start,
        ),
        Setting("image_size", _("Image size"), _("Pixels of the network's input."), "whole", start, example="512"),
        Setting("slice_size", _("Slice size"), _("Pixels of slices before that."), "whole", start, example="224"),
        Setting(
            "align_corners",
            _("Exact masks"),
            _("Masks lie where the labels lie. Without it, as published, up to 1.5 pixels of the network too far in."),
            "flag",
        ),
    ]


def courseSettings() -> list[Setting]:
    return [
        Setting("optimizer", _("Optimizer"), _("adamw is the published one."), "choice"),
        Setting(
            "weight_decay",
            _("Weight decay"),
            _("Pulls weights towards zero."),
            "number",
            _("0.1 for adamw, 0.0001 for sgd"),
            example="0.1",
        ),
        Setting(
            "warmup",
            _("Warmup steps"),
            _("Steps in which the learning rate rises; 0 for none."),
            "whole",
            _("250, or a tenth of a short training"),
            example="250",
        ),
        Setting("schedule", _("Schedule"), _("published: decay with power 0.9. paper: a straight line."), "choice"),
        Setting(
            "max_epochs",
            _("Epochs to rate zero"),
            _("Where the learning rate would reach zero."),
            "whole",
            _("5/4 of the epochs"),
            example="200",
        ),
        Setting(
            "loss_at",
            _("Compare at"),
            _("logits: the network's coarse grid, as published. image: its picture; finer borders, a slower step."),
            "choice",
        ),
        Setting("dice_weight", _("Dice weight"), _("Share of Dice in the loss; the rest is cross entropy."), "number"),
        Setting("clip", _("Gradient limit"), _("Largest norm of the gradients."), "number", _("none"), example="1"),
        Setting(
            "ema",
            _("Weight averaging"),
            _("Decay of a running mean of the weights, which then is what is saved."),
            "number",
            _("none"),
            example="0.999",
        ),
    ]


def computingSettings() -> list[Setting]:
    return [
        Setting(
            "device",
            _("Device"),
            _("auto takes the graphics card if PyTorch can use it."),
            "choice",
            choices=("auto", "cpu", "cuda", "mps"),
        ),
        Setting("precision", _("Precision"), _("auto: bf16-mixed on a graphics card with it, else fp32."), "choice"),
        Setting(
            "accumulate",
            _("Parts of a step"),
            _("Computes a step in so many parts, to save memory."),
            "whole",
            _("as memory asks"),
        ),
        Setting("seed", _("Seed"), _("Of the order and the variations of the slices."), "whole"),
        Setting(
            "val_every",
            _("Validate every"),
            _("Epochs between two validations."),
            "whole",
            _("so that it takes less than 5 % of the time, but ten times in a training"),
        ),
        Setting("save_every_minutes", _("Save every (min)"), _("How often to save within an epoch."), "number"),
        Setting("save_pth", _("Also in the published format"), _("Writes .pth files beside .safetensors."), "flag"),
        Setting(
            "demonstration",
            _("Demonstration model"),
            _("Marks the model as not meant for patients."),
            "flag",
        ),
    ]


def allSettings() -> list[Setting]:
    return [*mainSettings(), *networkSettings(), *courseSettings(), *computingSettings()]


def inPanelWords(sentence: str) -> str:
    """A sentence of the library that names options of its command line, with the panel's names for them."""
    names = {"--" + setting.name.replace("_", "-"): setting.title for setting in allSettings()}
    names |= {"--val-cases": _("Validation cases"), "--start": _("Start from"), "--resume": _("Resume")}
    return re.sub(r"--[a-z][a-z-]*", lambda found: f"'{names[found[0]]}'" if found[0] in names else found[0], sentence)
