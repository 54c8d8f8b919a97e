"""The training loop: epochs of steps, validation, checkpoints, and stopping in good order."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..data import Batch
from ..errors import NumericalError
from .checkpoint import Checkpoint, CheckpointStore, check_same_model
from .evaluation import evaluate
from .feed import Feed
from .fptt import FPTT
from .hearing import choose_votes
from .interrupt import Interrupted, Paused, StopRequest
from .metrics import Journal, Meter
from .pack import layout
from .progress import Progress

LARGEST = 1e18
"""Of a weight: in float32 the square of a larger one is infinite."""


@dataclass(frozen=True)
class Plan:
    """How long to train and how often to write: ``*_every`` count steps, 0 = per epoch only.

    The checkpoint after an epoch is written after every ``checkpoint_epochs`` of them, after the
    last, and whenever a sitting ends.
    """

    epochs: int
    log_every: int = 50
    checkpoint_every: int = 100
    schedule_every: str = "epoch"
    digest: str = ""
    checkpoint_epochs: int = 1

    def due(self, epoch: int) -> bool:
        """Whether a checkpoint is written after so many epochs.

        >>> [epoch for epoch in range(1, 6) if Plan(5, checkpoint_epochs=2).due(epoch)]
        [2, 4, 5]
        """
        return epoch % self.checkpoint_epochs == 0 or epoch >= self.epochs


@dataclass
class Position:
    """Where a run stands: batches learned, current epoch, batches of it done, seconds spent."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0


class Trainer:
    """Trains one learner in one run folder; a run taken up again ends bit-identically.

    ``learner`` has ``fit``, ``evaluate``, ``state_dict`` and ``load_state_dict`` and works on
    ``net`` with ``optimizer``. ``say`` receives lines for the user; ``until`` is a time of
    `time.monotonic` by which this sitting is to end, after one epoch at the earliest.

    Raises
    ------
    NumericalError
        If a value is not finite; the checkpoint before it stays.
    CheckpointError
        If a checkpoint is of another model or the folder cannot be written to.
    Interrupted
        After SIGINT or SIGTERM, once the state is saved.
    Paused
        After an epoch, once the state is saved, where the next might outlast ``until``.
    """

    def __init__(
        self,
        learner: Any,
        net: nn.Module,
        optimizer: Optimizer,
        scheduler: LRScheduler | None,
        train: Feed,
        validation: Feed,
        plan: Plan,
        folder: Path,
        say: Callable[[str], None] = print,
        bar: bool = True,
        until: float = math.inf,
    ) -> None:
        self.until = until
        self.learner, self.net, self.optimizer, self.scheduler = learner, net, optimizer, scheduler
        self.train, self.validation, self.plan, self.folder = train, validation, plan, folder
        self.say, self.bar = say, bar
        self.store = CheckpointStore(folder / "checkpoints")
        self.position, self.journal_size = Position(), 0
        self.epoch_meter, self.recent_meter = Meter(), Meter()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up a saved run: weights, optimiser, scheduler, learner, generators, position."""
        state = checkpoint.state
        check_same_model(checkpoint.entry("model"), layout(self.net.state_dict()), checkpoint.name)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self.learner.load_state_dict(state["learner"])
        self.epoch_meter.load_state_dict(state["epoch_meter"], self.train.device)
        self.recent_meter.load_state_dict(state["recent_meter"], self.train.device)
        set_generators(state["generators"], self.train.device)
        self.position = Position(**checkpoint.entry("position"))
        self.journal_size = checkpoint.entry("journal_bytes")

    def run(self) -> None:
        """Train until the plan's last epoch is done."""
        total, done = self.plan.epochs * len(self.train), self.position.step
        started = time.perf_counter() - self.position.seconds
        with (
            StopRequest() as stop,
            Journal(self.folder, self.journal_size, done) as self.journal,
            Progress(total, done, self.bar, self.folder.name) as self.progress,
        ):
            self.stop, self.started = stop, started
            while self.position.epoch < self.plan.epochs:
                begun, left = time.monotonic(), len(self.train) - self.position.batch
                self._train_epoch()
                trained = time.monotonic()
                self._close_epoch()
                # An epoch taken up near its end was short, but its validation was not.
                whole = (trained - begun) * len(self.train) / left if left else self._usual_epoch()
                self._leave_in_time(whole + time.monotonic() - trained)

    def _usual_epoch(self) -> float:
        """Seconds an epoch has taken in all sittings, validations among them."""
        spent = time.perf_counter() - self.started
        return spent * len(self.train) / max(self.position.step, 1)

    def _train_epoch(self) -> None:
        at = self.position
        for batch in self.train.batches(at.epoch, at.batch):
            self._step(batch)
            if at.batch == len(self.train):
                self._flush()  # or an unfinished group of accumulated batches would be lost
            if self.stop.asked:
                self._leave()
            every = self.plan.checkpoint_every
            if every and at.step % every == 0 and at.batch < len(self.train):
                self.save()

    def _step(self, batch: Batch) -> None:
        at = self.position
        try:
            result = self.learner.fit(batch.frames, batch.labels, batch.lengths)
        except NumericalError as error:
            raise self._not_finite(error) from error
        at.step += 1
        at.batch += 1
        for meter in (self.epoch_meter, self.recent_meter):
            meter.add(result.loss, result.logits, batch.labels, result.rates)
        if self.plan.schedule_every == "step":
            self._schedule()
        if self.plan.log_every and at.step % self.plan.log_every == 0:
            self._log_step()
        self.progress.advance()

    def _flush(self) -> None:
        try:
            self.learner.flush()
        except NumericalError as error:
            raise self._not_finite(error) from error

    def _log_step(self) -> None:
        # Of the last update, before clipping; empty before the first of a sitting.
        norms = {"grad_norm": self.learner.grad_norms}
        self._write("train", self.recent_meter.means() | norms)
        self.recent_meter = Meter()

    def _close_epoch(self) -> None:
        if isinstance(self.optimizer, FPTT):
            self.optimizer.settle()  # what is judged and saved are its averaged weights
        chooses = self._chooses_votes()
        judge = choose_votes if chooses else evaluate
        judged = judge(self.learner, self.validation, self._leave_if_asked)
        trained = self.epoch_meter.means()
        self._write(
            "epoch",
            {
                "loss": trained["loss"],
                "accuracy": trained["accuracy"],
                "val_loss": judged.loss,
                "val_accuracy": judged.accuracy,
                "rates": trained["rates"],
                **({"votes_heard": self.learner.credit.heard} if chooses else {}),
            },
        )
        if self.plan.schedule_every == "epoch":
            self._schedule(judged.loss)
        at = self.position
        at.epoch, at.batch = at.epoch + 1, 0
        self.epoch_meter, self.recent_meter = Meter(), Meter()
        self.say(epoch_line(at.epoch, self.plan.epochs, trained, judged.loss, judged.accuracy))
        saved = self.plan.due(at.epoch)
        if saved:
            self.save()
        self._leave_if_asked(saved)

    def _chooses_votes(self) -> bool:
        """Whether validation decides who is heard; a learner of another kind need not know."""
        return getattr(getattr(self.learner, "credit", None), "chooses_votes", False)

    def _schedule(self, loss: float = math.inf) -> None:
        if self.scheduler is None:
            return
        with warnings.catch_warnings():
            # A resumed run may end its epoch before this process has made an optimiser step,
            # and a gradient may still be accumulating: torch takes both for a mistake.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            if isinstance(self.scheduler, ReduceLROnPlateau):
                self.scheduler.step(loss)
            else:
                self.scheduler.step()

    def _write(self, kind: str, numbers: Mapping[str, Any]) -> None:
        at, lr = self.position, self.optimizer.param_groups[0]["lr"]
        head = {"kind": kind, "step": at.step, "epoch": at.epoch + 1, "lr": float(lr)}
        self.journal.write(head | dict(numbers))

    def save(self) -> str:
        """Write a checkpoint of everything the rest of the run depends on; returns its name."""
        self._check_finite()
        self.position.seconds = time.perf_counter() - self.started
        weights = self.net.state_dict()
        record = {
            "step": self.position.step,
            "position": vars(self.position),
            "journal_bytes": self.journal.size,
            "config": self.plan.digest,
            "model": layout(weights),
        }
        state = {
            "net": weights,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "learner": self.learner.state_dict(),
            "epoch_meter": self.epoch_meter.state_dict(),
            "recent_meter": self.recent_meter.state_dict(),
            "generators": generators(self.train.device),
        }
        return self.store.save(record, state)

    def _leave_if_asked(self, saved: bool = False) -> None:
        if self.stop.asked:
            self._leave(saved)

    def _leave_in_time(self, took: float) -> None:
        """Leave if another epoch that takes as long as the last would end after ``until``."""
        at = self.position
        if at.epoch < self.plan.epochs and time.monotonic() + took > self.until:
            if not self.plan.due(at.epoch):
                self.save()
            raise Paused(at.epoch, self.plan.epochs)

    def _leave(self, saved: bool = False) -> None:
        if not saved:
            self.save()
        raise Interrupted(
            f"stopped after step {self.position.step}, everything is saved", self.stop.number
        )

    def _check_finite(self) -> None:
        for name, tensor in self.net.state_dict().items():
            if not tensor.is_floating_point() or not tensor.numel():
                continue
            largest = float(tensor.abs().max())
            if not math.isfinite(largest):
                raise self._not_finite(NumericalError(f"{name} is not finite"))
            if largest > LARGEST:
                raise self._not_finite(
                    NumericalError(
                        f"{name} has grown without bound",
                        got=f"{largest:.0e}",
                        expected=f"at most {LARGEST:.0e}",
                    )
                )

    def _not_finite(self, error: NumericalError) -> NumericalError:
        names = self.store.names()
        kept = f"The last good checkpoint is {names[-1]}" if names else "Nothing was saved yet"
        at = self.position
        return NumericalError(
            f"{error.what}, in training step {at.step + 1} (epoch {at.epoch + 1})",
            got=error.got,
            expected=error.expected,
            fix=f"{kept}; a smaller step size or learner.clip_norm=1 may help",
        )


def epoch_line(
    epoch: int, epochs: int, trained: Mapping[str, Any], loss: float, accuracy: float
) -> str:
    """One line about a finished epoch.

    >>> epoch_line(1, 3, {"loss": 2.0, "accuracy": 0.25}, 1.5, 0.5)
    'epoch 1/3: train loss 2.000, accuracy 25.0 %; validation loss 1.500, accuracy 50.0 %'
    """
    return (
        f"epoch {epoch}/{epochs}: train loss {_short(trained['loss'])}, "
        f"accuracy {100 * trained['accuracy']:.1f} %; "
        f"validation loss {_short(loss)}, accuracy {100 * accuracy:.1f} %"
    )


def _short(loss: float) -> str:
    return f"{loss:.3f}" if abs(loss) < 1e6 else f"{loss:.3g}"


def generators(device: torch.device) -> dict[str, Tensor]:
    """States of the global random generators a run can draw from."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        found["mps"] = torch.mps.get_rng_state()
    return found


def set_generators(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the generators back; a run moved to another kind of device keeps what applies."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    if device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])
