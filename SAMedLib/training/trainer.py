"""The training loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from SAMedLib.durations import in_words
from SAMedLib.errors import Cancelled, SAMedError
from SAMedLib.events import SILENT, Reporter
from SAMedLib.model import Network
from SAMedLib.training.averaging import WeightAverage
from SAMedLib.training.batches import Batches, Part
from SAMedLib.training.losses import samed_loss
from SAMedLib.training.options import Timetable, TrainingOptions
from SAMedLib.training.records import Records
from SAMedLib.training.schedule import POWERS, learning_rate
from SAMedLib.training.state import changing_weights
from SAMedLib.training.stopping import StopRequest
from SAMedLib.training.validation import Validator

WEIGHT_DECAY = {"adamw": 0.1, "sgd": 1e-4}
_STEPS_TO_ESTIMATE_FROM = (2, 12)


class Losses(NamedTuple):
    """Of one step."""

    total: float
    cross_entropy: float
    dice: float


class Trainer:
    """Trains a network step by step; everything it needs comes in through the constructor.

    Args:
        fabric: launched; decides device, precision and processes.
        model: what is trained, in place.
        batches: the training data.
        options: how to train.
        times: how long.
        parts: parts in which a step is computed.
        validator: measures the model after an epoch; None for no validation.
        records: what the run writes; None to write nothing (ranks other than 0 write nothing anyway).
        report: told about progress; asked whether to stop.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: Network,
        batches: Batches,
        options: TrainingOptions,
        times: Timetable,
        parts: int = 1,
        validator: Validator | None = None,
        records: Records | None = None,
        report: Reporter = SILENT,
    ) -> None:
        self._fabric, self.model, self._batches = fabric, model.train(), batches
        self._options, self._times, self._parts = options, times, parts
        self._validator, self._records, self._report = validator, records, report
        self._network, self._optimizer = fabric.setup(_ForLoss(model, options.loss_at), make_optimizer(model, options))
        self._average = WeightAverage(model, options.ema) if options.ema else None
        self.step = 0  # steps done
        self._closed_at = 0  # the step whose end-of-epoch work is done
        self.best_dice: float | None = None
        self._measured: dict[str, Any] | None = None  # by the last validation
        self._saved = time.monotonic()
        self._pace: dict[int, float] = {}

    def run(self) -> None:
        """Train until the timetable ends.

        Raises:
            Cancelled: when asked to stop; the state is saved, and a resume goes on exactly.
            SAMedError: if the loss is not a number.
        """
        with StopRequest(self._report) as stop:
            while True:
                if stop.agreed(self._fabric.device):
                    self._save_and_stop()
                if self._epoch_ends and self._closed_at != self.step:
                    self._close_epoch(stop)
                if self.step >= self._times.total_steps:
                    return
                self._advance()

    @property
    def epoch(self) -> int:
        """The epoch that the last step belongs to, from 1."""
        return -(-self.step // self._times.steps_per_epoch)

    @property
    def _epoch_ends(self) -> bool:
        last = self.step == self._times.total_steps
        return self.step > 0 and (last or self.step % self._times.steps_per_epoch == 0)

    def take_step(self, parts: Sequence[Part]) -> tuple[Losses, float]:
        """One step of the optimiser on a batch; its losses, and the learning rate used.

        Raises:
            SAMedError: if the loss is not a number; the weights are then as they were before the step.
        """
        times, options = self._times, self._options
        power = POWERS[options.schedule]
        rate = learning_rate(self.step, options.lr, times.warmup, times.max_iterations, power)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        losses = torch.zeros(3, device=self._fabric.device)
        for number, part in enumerate(parts, start=1):
            with self._gradients_stay_here(number < len(parts)):
                losses += self._backward(part)
        if options.clip:
            self._fabric.clip_gradients(self._network, self._optimizer, max_norm=options.clip, error_if_nonfinite=False)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        if self._average:
            self._average.update()
        self.step += 1
        return Losses(*losses.tolist()), rate

    def _backward(self, part: Part) -> Tensor:
        """Add a part's gradients; its share of the three losses."""
        logits = self._network(part.images)
        losses = torch.stack(samed_loss(logits, part.labels, self._options.dice_weight)) * part.share
        if not losses[0].isfinite():
            raise SAMedError(
                f"The loss is not a number at step {self.step + 1}; start again with a --lr below "
                f"{self._options.lr:g}, or with --clip 1. The last save is kept."
            )
        self._fabric.backward(losses[0])
        return losses.detach()

    def _gradients_stay_here(self, enabled: bool) -> contextlib.AbstractContextManager:
        if enabled and self._fabric.world_size > 1:
            return self._fabric.no_backward_sync(self._network)
        return contextlib.nullcontext()

    def _advance(self) -> None:
        losses, rate = self.take_step(self._batches.parts(self.step, self._parts))
        values = {"loss": losses.total, "loss_ce": losses.cross_entropy, "loss_dice": losses.dice, "lr": rate}
        if self._records:
            self._records.metric(self.step, epoch=self.epoch, **values)
        self._report.metric(self.step, epoch=self.epoch, **values)
        self._say_progress(
            "training", self.step, self._times.total_steps, f"epoch {self.epoch}, loss {losses.total:.4f}"
        )
        self._estimate()
        if time.monotonic() - self._saved > 60 * self._options.save_every_minutes:
            self._save()

    def _close_epoch(self, stop: StopRequest) -> None:
        last = self.step == self._times.total_steps
        if self._validator and (last or self.epoch % self._times.val_every == 0):
            try:
                self._validate(stop)
            except Cancelled:
                self._save_and_stop()
        self._closed_at = self.step
        self._save(draw=True)

    def _validate(self, stop: StopRequest) -> None:
        def on_batch(done: int, total: int) -> None:
            # several ranks cannot agree here: they may have different numbers of batches
            if self._fabric.world_size == 1 and stop.agreed(self._fabric.device):
                raise Cancelled
            self._say_progress("validating", done, total, f"epoch {self.epoch}")

        assert self._validator is not None
        with self.averaged_weights():
            measured = self._validator.measure(self.model, self._fabric.autocast, on_batch)
            values = {
                "epoch": self.epoch,
                "mean_dice": measured.mean,
                "dice": measured.dice,
                "mean_hd95": measured.mean_hd95,
                "hd95": measured.hd95,
            }
            if self._records:
                self._records.metric(self.step, **values)
            self._report.metric(self.step, **values)
            organs = ", ".join(f"{name} {_number(value)}" for name, value in measured.dice.items())
            distance = "" if measured.mean_hd95 is None else f"; HD95 {measured.mean_hd95:.1f} voxels"
            self._report.say(f"Epoch {self.epoch}: validation Dice {measured.mean:.4f} ({organs}){distance}")
            self._measured = values
            if self.best_dice is None or measured.mean > self.best_dice:
                self.best_dice = measured.mean
                if self._records:
                    self._records.save_adapter("best", self.model, self.progress())

    def _save(self, draw: bool = False) -> None:
        self._saved = time.monotonic()
        if not self._records:
            return
        self._records.save_state(self.state_dict())
        if self.step:
            with self.averaged_weights():
                self._records.save_adapter("last", self.model, self.progress())
        if draw:
            self._records.draw(final=self.step == self._times.total_steps)

    def _save_and_stop(self) -> NoReturn:
        self._save(draw=True)
        self._report.note(f"The run is saved as of step {self.step}; go on with --resume.")
        raise Cancelled

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """What is validated and saved: the running mean of the weights, if there is one."""
        with self._average.in_place() if self._average else contextlib.nullcontext():
            yield

    def progress(self) -> dict[str, Any]:
        """How far the run is, for the record of an adapter."""
        return {"steps": self.step, "epochs": self.epoch, "validation": self._measured}

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resume needs, beside what the run started with."""
        return {
            "step": self.step,
            "closed_at": self._closed_at,
            "best_dice": self.best_dice,
            "measured": self._measured,
            "weights": changing_weights(self.model),
            "optimizer": self._optimizer.state_dict(),
            "precision": self._fabric.strategy.precision.state_dict(),
            "average": self._average.state_dict() if self._average else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own = changing_weights(self.model)
        if own.keys() != state["weights"].keys():
            raise SAMedError("The saved state belongs to another network than config.json describes; start a new run.")
        for name, tensor in own.items():
            tensor.copy_(state["weights"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        self._fabric.strategy.precision.load_state_dict(state["precision"])
        if self._average:
            self._average.load_state_dict(state["average"])
        self.step, self._closed_at = state["step"], state["closed_at"]
        self.best_dice, self._measured = state["best_dice"], state["measured"]

    def _say_progress(self, stage: str, done: int, total: int, message: str) -> None:
        # all ranks must stop at the same step, so a wish to stop waits for the loop to ask
        with contextlib.suppress(Cancelled):
            self._report.progress(stage, done, total, message)

    def _estimate(self) -> None:
        """Say once how long it will take; the first steps are slower than the others."""
        first, last = _STEPS_TO_ESTIMATE_FROM
        done = len(self._pace) + 1
        if done > last:
            return
        self._pace[done] = time.monotonic()
        if done == last:
            seconds = (self._pace[last] - self._pace[first]) / (last - first)
            remaining = seconds * (self._times.total_steps - self.step)
            self._report.say(f"{seconds:.2f} s a step: {in_words(remaining)} to go, without validation.")


class _ForLoss(nn.Module):
    """The part of the network that the loss sees, as a module's forward, which precision and DDP wrap."""

    def __init__(self, model: Network, loss_at: str) -> None:
        super().__init__()
        self.model, self._at_image = model, loss_at == "image"

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model.low_res_logits(images)
        return self.model.masks(logits) if self._at_image else logits


def make_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """Over the trainable parameters. Those that get no gradient are not changed: not by weight decay either."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise SAMedError("Nothing is trained with these options; give --lora-targets or another --decoder-tuning.")
    decay = options.weight_decay if options.weight_decay is not None else WEIGHT_DECAY[options.optimizer]
    if options.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=options.lr, momentum=0.9, weight_decay=decay)
    return torch.optim.AdamW(parameters, lr=options.lr, betas=(0.9, 0.999), weight_decay=decay)


def _number(value: float | None) -> str:
    return "absent" if value is None else f"{value:.3f}"
