"""Use a trained run: judge a split, or answer for files of frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config import RunConfig, build_learner, build_network, pick_device
from ..config.build import known_of, load_split, test_feed
from ..data.files import load_arrays
from ..errors import DataError, ShapeError
from ..learn import Learner
from ..learn.checkpoint import CheckpointStore, check_same_model
from ..learn.checks import HEARD, load_own
from ..learn.evaluation import Evaluation, evaluate
from ..learn.hearing import Opinions, opinions, require_voters
from ..learn.pack import layout
from ..learn.votes import Votes
from ..nn import Network
from .begin import require_own
from .folder import read_config

DataRoot = str | os.PathLike[str] | None


class Run(NamedTuple):
    """A trained run, ready for use; ``own`` is what its rule has learnt beside the weights."""

    config: RunConfig
    net: Network
    device: torch.device
    checkpoint: str
    step: int
    classes: tuple[str, ...]
    own: dict[str, Tensor]


def load_run(
    folder: str | os.PathLike[str], device: str = "auto", say: Callable[[str], None] = print
) -> Run:
    """The network of a run folder with the weights of its newest checkpoint.

    Raises
    ------
    ConfigError, CheckpointError
        If there is no run or no whole checkpoint in ``folder``, or it is of another model.
    """
    folder = Path(folder)
    config = read_config(folder)
    checkpoint = CheckpointStore(folder / "checkpoints").newest(say)
    net = build_network(config)
    check_same_model(checkpoint.entry("model"), layout(net.state_dict()), checkpoint.name)
    require_own(checkpoint, folder)
    net.load_state_dict(checkpoint.state["net"])
    there = pick_device(device)
    classes = known_of(config).classes
    step = checkpoint.entry("step")
    learned = checkpoint.state["learner"]
    own = {name: x for name, x in learned.items() if name.startswith("own.") or name == HEARD}
    return Run(config, net.to(there), there, checkpoint.name, step, classes, own)


def learner_of(run: Run) -> Learner:
    """A learner without an optimiser, to judge with: the run's net and its rule's own tensors."""
    learner = build_learner(run.config, run.net, None)
    load_own(learner.credit, run.own)
    if HEARD not in run.own:  # a run of before there was a choice: layers that could vote did
        learner.credit.heard = True
    return learner


def evaluate_run(run: Run, split: str = "test", data_root: DataRoot = None) -> Evaluation:
    """Judge one split with a run's weights."""
    feed = test_feed(run.config, load_split(run.config, split, data_root), run.net, run.device)
    return evaluate(learner_of(run), feed)


def layers_of_run(run: Run, split: str = "test", data_root: DataRoot = None) -> Opinions:
    """Judge one split by what each layer of a run predicts alone.

    Raises
    ------
    ConfigError
        If the run's rule has no layers that predict a class.
    """
    learner = learner_of(run)
    require_voters(learner)  # before data are read
    feed = test_feed(run.config, load_split(run.config, split, data_root), run.net, run.device)
    return opinions(learner, feed)


def predict_files(run: Run, files: Sequence[str | os.PathLike[str]]) -> list[dict[str, Any]]:
    """The class of every sample of every file, with the logits it was read from.

    All files are read and checked before anything is answered.

    Raises
    ------
    DataError, ShapeError
        If a file cannot be read or its frames do not fit the network.
    """
    inputs = [(Path(file), read_frames(Path(file), run)) for file in files]
    return [
        {"file": str(path), "sample": index, "class": run.classes[best], "logits": logits}
        for path, (frames, lengths) in inputs
        for index, (best, logits) in enumerate(_answers(run, frames, lengths))
    ]


@torch.no_grad()
def _answers(run: Run, frames: Tensor, lengths: Tensor | None) -> list[tuple[int, list[float]]]:
    learner = learner_of(run)
    if Votes(learner.credit).voters:  # what is judged is what answers
        labels = torch.zeros(frames.shape[1], dtype=torch.int64, device=frames.device)
        logits = learner.evaluate(frames, labels, lengths).logits.cpu()
    else:
        logits = run.net(frames, lengths).cpu()
    return [(int(row.argmax()), row.tolist()) for row in logits]


def read_frames(path: Path, run: Run) -> tuple[Tensor, Tensor | None]:
    """Frames [T, B, ...] float32 and lengths [B] or None of a ``.npz`` or ``.npy`` file.

    A file holds one sample [T, ...] or a batch [T, B, ...]; a ``.npz`` names them ``frames`` and,
    if it has them, ``lengths``.
    """
    arrays = load_arrays(path)
    frames = arrays.get("", arrays.get("frames"))
    if frames is None:
        raise DataError(
            f"{path} has no frames",
            got=f"arrays {sorted(arrays)}",
            expected="an array `frames`",
            fix="Save it with numpy.savez(file, frames=...)",
        )
    with _naming(path):
        tensor = _in_shape(frames, run).to(run.device)
        lengths = None if "lengths" not in arrays else _lengths(arrays["lengths"])
        run.net.check(tensor, lengths)
    return tensor, lengths


def _lengths(given: NDArray[Any]) -> Tensor:
    if given.dtype.kind not in "iu":
        raise ShapeError(
            "lengths have the wrong dtype", got=given.dtype, expected="integers, one per sample"
        )
    return torch.from_numpy(np.atleast_1d(given).astype(np.int64))


def _in_shape(frames: NDArray[Any], run: Run) -> Tensor:
    """Frames [T, B, ...] float32 in the shape the network takes."""
    if frames.dtype.kind not in "biuf":
        raise ShapeError("frames have the wrong dtype", got=frames.dtype, expected="numbers")
    with np.errstate(over="ignore"):  # infinity is refused with all that is not finite
        tensor = torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float32))
    sample = known_of(run.config).sample_shape
    dims = ", ".join(map(str, sample))
    if tensor.shape[1:] == sample:
        tensor = tensor[:, None]
    if tensor.ndim < 2 or tensor.shape[2:] != sample:
        raise ShapeError(
            "frames have the wrong shape",
            got=list(frames.shape),
            expected=f"[T, {dims}] for one sample or [T, B, {dims}] for several",
            fix="Put time first",
        )
    return tensor.flatten(2) if len(run.net.sample_shape) < len(sample) else tensor


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors about what a file holds name the file."""
    try:
        yield
    except (DataError, ShapeError) as error:
        raise type(error)(
            f"{path}: {error.what}", got=error.got, expected=error.expected, fix=error.fix
        ) from error
