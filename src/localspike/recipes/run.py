"""Carry out one configuration: train, judge the test split once, leave a complete run folder."""

from __future__ import annotations

import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ..config import RunConfig, Session
from ..config.build import load_split, test_feed
from ..data import Dataset
from ..errors import CheckpointError, ConfigError, MissingDependencyError
from ..learn.evaluation import evaluate
from ..learn.memory import high_water_mib, keep_heap, release_heap, restart_high_water
from ..learn.metrics import read_journal
from ..learn.trainer import Trainer
from .begin import Say, begun
from .effort import training_macs
from .figures import draw
from .folder import prepare, read_json, write_json


@dataclass(frozen=True)
class Result:
    """What came of a run; ``confusion`` counts the test split as [true][predicted].

    ``seconds`` is time spent training and validating over all sittings, ``peak_memory_mib`` the
    rise of the high-water mark over its value once net and data were built (this sitting).
    ``train_samples`` are those of one epoch, ``time_steps`` is T, ``training_macs`` the products of
    all epochs; 0 in results of older versions.
    """

    recipe: str
    rule: str
    folder: str
    seed: int
    test_accuracy: float
    test_loss: float
    test_samples: int
    val_accuracy: float
    val_loss: float
    steps: int
    epochs: int
    seconds: float
    peak_memory_mib: float
    parameters: int
    schedule: str
    schedule_reason: str
    device: str
    classes: tuple[str, ...]
    confusion: list[list[int]]
    train_samples: int = 0
    time_steps: int = 0
    training_macs: int = 0


def train(
    config: RunConfig,
    folder: str | os.PathLike[str],
    *,
    data_root: str | os.PathLike[str] | None = None,
    resume: bool = False,
    say: Say = print,
    bar: bool = True,
    figures: bool = True,
    seconds: float = math.inf,
) -> Result:
    """Train ``config`` in ``folder`` and judge its final weights on the test split, once.

    A resumed run ends with the weights and metrics of an uninterrupted one, bit for bit. With
    ``seconds`` a sitting ends after the last epoch that fits into them, by `Paused`; after its
    first one at the earliest. This process keeps the memory it frees from now on (`keep_heap`).

    Raises
    ------
    LocalspikeError
        Anything wrong with settings, data, folder or checkpoint, before anything is written.
    NumericalError
        A value was not finite; the last good checkpoint stays.
    Interrupted
        SIGINT or SIGTERM; everything is saved.
    Paused
        The time is over and epochs are left; everything is saved.
    """
    if not seconds > 0:
        raise ConfigError("seconds", got=seconds, expected="a number > 0")
    folder, until = Path(folder), time.monotonic() + seconds
    prepare(folder, config, resume)
    if resume and (folder / "result.json").exists():
        say(f"{folder} is finished, there is nothing to resume.")
        return read_result(folder)
    with begun(
        config, folder, data_root=data_root, resume=resume, say=say, bar=bar, until=until
    ) as run:
        session, trainer = run
        release_heap()
        keep_heap()
        before = restart_high_water(session.device)
        trainer.run()
        rise = high_water_mib(session.device) - before
        test = load_split(config, "test", data_root)
        result = finish(session, trainer, test, rise)
        write_json(folder / "result.json", asdict(result))
        if figures:
            draw_figures(session, folder, test, result, say)
    return result


def finish(session: Session, trainer: Trainer, test: Dataset, rise: float) -> Result:
    """Judge the final weights on the test split."""
    judged = evaluate(session.learner, test_feed(session.config, test, session.net, session.device))
    folder = trainer.folder
    last = [line for line in read_journal(folder) if line["kind"] == "epoch"][-1]
    return Result(
        recipe=session.config.recipe,
        rule=session.config.rule.name,
        folder=str(folder),
        seed=session.config.training.seed,
        test_accuracy=judged.accuracy,
        test_loss=judged.loss,
        test_samples=judged.samples,
        val_accuracy=last["val_accuracy"],
        val_loss=last["val_loss"],
        steps=trainer.position.step,
        epochs=trainer.position.epoch,
        seconds=round(trainer.position.seconds, 3),
        peak_memory_mib=round(rise, 3),
        parameters=sum(p.numel() for p in session.net.parameters()),
        schedule=session.learner.schedule,
        schedule_reason=session.learner.schedule_reason,
        device=str(session.device),
        classes=test.classes,
        confusion=judged.confusion.tolist(),
        train_samples=len(session.train.dataset),
        time_steps=test.steps,
        training_macs=training_macs(session, trainer.position.epoch),
    )


def read_result(folder: Path) -> Result:
    """The result of a finished run.

    Raises
    ------
    CheckpointError
        If the run has none yet or the file is damaged.
    """
    tree = read_json(folder / "result.json")
    try:
        # The folder may have been moved since.
        return Result(**{**tree, "classes": tuple(tree["classes"]), "folder": str(folder)})
    except (TypeError, KeyError) as error:
        raise CheckpointError(
            f"{folder / 'result.json'} is damaged", got=error, fix="Remove it and resume the run"
        ) from error


def draw_figures(session: Session, folder: Path, test: Dataset, result: Result, say: Say) -> None:
    """Draw the run's figures, or say what to install."""
    try:
        draw(session, folder, test, result.confusion, result.test_accuracy)
    except MissingDependencyError as error:
        say(f"Figures are skipped: {error}")
