"""Running means, the evaluation of a split, and the journal a run writes them to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from ..errors import CheckpointError, os_advice, os_reason
from .atomic import writing
from .board import board


class Meter:
    """Means over the samples seen: loss, accuracy, and the firing rate of each block.

    Sums stay on the device in float64 where it has that, so that reading them is the only wait.

    >>> meter = Meter()
    >>> meter.add(torch.tensor(2.0), torch.eye(2), torch.tensor([0, 0]), {"hidden1": 0.1})
    >>> meter.means()
    {'loss': 2.0, 'accuracy': 0.5, 'rates': {'hidden1': 0.1}}
    """

    def __init__(self) -> None:
        self.count = 0
        self.loss: Tensor | None = None
        self.correct: Tensor | None = None
        self.rates: dict[str, float] = {}

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, rates: Mapping[str, float]) -> None:
        """Take in one batch: mean loss, logits [B, C], labels [B] or shares in classes [B, C]."""
        n = len(labels)
        labels = labels.argmax(-1) if labels.is_floating_point() and labels.ndim == 2 else labels
        hits = (logits.detach().argmax(-1) == labels).sum()
        weighted = loss.detach().to(_sum_type(loss)) * n
        self.count += n
        self.loss = weighted if self.loss is None else self.loss + weighted
        self.correct = hits if self.correct is None else self.correct + hits
        for name, rate in rates.items():
            self.rates[name] = self.rates.get(name, 0.0) + float(rate) * n

    def means(self) -> dict[str, Any]:
        """Loss, accuracy and rates per sample; nothing seen gives no numbers."""
        if not self.count or self.loss is None or self.correct is None:
            return {"loss": None, "accuracy": None, "rates": {}}
        return {
            "loss": float(self.loss) / self.count,
            "accuracy": float(self.correct) / self.count,
            "rates": {name: total / self.count for name, total in self.rates.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """The sums, for a checkpoint."""
        return {
            "count": self.count,
            "loss": self.loss,
            "correct": self.correct,
            "rates": dict(self.rates),
        }

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from saved sums."""
        self.count, self.rates = state["count"], dict(state["rates"])
        self.loss = None if state["loss"] is None else state["loss"].to(device)
        self.correct = None if state["correct"] is None else state["correct"].to(device)


def _sum_type(loss: Tensor) -> torch.dtype:
    return torch.float32 if loss.device.type == "mps" else torch.float64


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts [C, C]: row = true class, column = predicted class.

    >>> confusion(torch.eye(2), torch.tensor([0, 0]))
    tensor([[1, 1],
            [0, 0]])
    """
    classes = logits.shape[-1]
    flat = labels * classes + logits.argmax(-1)
    return torch.bincount(flat, minlength=classes * classes).reshape(classes, classes)


class Journal:
    """``metrics.jsonl``, one object a line, and the same numbers for TensorBoard if installed.

    The lines hold no wall-clock time: two runs of one configuration write the same file.

    >>> import tempfile
    >>> with Journal(Path(tempfile.mkdtemp()), tensorboard=False) as journal:
    ...     journal.write({"kind": "train", "step": 1, "loss": 0.5})
    ...     journal.size
    42
    """

    def __init__(self, folder: Path, size: int = 0, step: int = 0, tensorboard: bool = True):
        self.path = folder / "metrics.jsonl"
        self.size = size
        with writing(self.path):
            self._file: TextIO = _opened_at(self.path, size)
        self._board = board(folder / "tensorboard", step) if tensorboard else None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *reason: object) -> None:
        # A failure already on its way is the one to report, not what closing says after it.
        with suppress(OSError) if reason[0] else writing(self.path):
            self._file.close()
        if self._board is not None:
            with suppress(CheckpointError) if reason[0] else nullcontext():
                self._board.close()

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line and give its numbers to TensorBoard."""
        text = json.dumps(line) + "\n"
        with writing(self.path):
            self._file.write(text)
            self._file.flush()
        self.size += len(text.encode())
        if self._board is not None:
            for name, value in _numbers(line):
                self._board.add(f"{line['kind']}/{name}", value, line["step"])
            if line["kind"] == "epoch":
                self._board.flush()


def _opened_at(path: Path, size: int) -> TextIO:
    """Open for appending after the first ``size`` bytes; what came later is cut off."""
    path.touch()
    found = path.stat().st_size
    if found < size:
        raise CheckpointError(
            f"{path} is shorter than when its checkpoint was written",
            got=f"{found} bytes",
            expected=f"at least {size}",
            fix="Restore the file or start the run again in another folder",
        )
    stream = path.open("r+", encoding="utf-8", newline="\n")
    stream.truncate(size)
    stream.seek(size)
    return stream


def _numbers(line: Mapping[str, Any]) -> list[tuple[str, float]]:
    found = []
    for name, value in line.items():
        if name in ("kind", "step", "epoch") or value is None:
            continue
        nested = value.items() if isinstance(value, Mapping) else [("", value)]
        found += [(f"{name}/{key}".rstrip("/"), float(number)) for key, number in nested]
    return found


def read_journal(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's ``metrics.jsonl``.

    Raises
    ------
    CheckpointError
        If the file is missing or a line is no JSON.
    """
    path = folder / "metrics.jsonl"
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read", got=os_reason(error), fix=os_advice(error)
        ) from error
    except ValueError as error:
        raise CheckpointError(
            f"{path} cannot be read",
            got=error,
            expected="one JSON object a line",
            fix="Restore the file, or train again in another folder",
        ) from error
