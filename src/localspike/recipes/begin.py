"""The beginning of every training: all that can be refused is, then one process has the folder."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..config import RunConfig, Session, build_session, digest, digests, rehearse
from ..errors import CheckpointError, LocalspikeError
from ..learn.checkpoint import Checkpoint
from ..learn.lock import locked
from ..learn.trainer import Plan, Trainer
from .folder import changed_versions, clear, create, fits, prepare, read_tree

Say = Callable[[str], None]


@contextmanager
def begun(
    config: RunConfig,
    folder: Path,
    *,
    data_root: str | os.PathLike[str] | None = None,
    resume: bool = False,
    say: Say = print,
    bar: bool = True,
    until: float = math.inf,
) -> Iterator[tuple[Session, Trainer]]:
    """The live objects of a run and its training loop, ready to run, in a folder nobody else has.

    What ends in an error before anything worth keeping is there leaves nothing behind.

    Raises
    ------
    LocalspikeError
        Anything wrong with settings, data, folder or checkpoint, before anything is written.
    """
    prepare(folder, config, resume)
    session = build_session(config, data_root)
    rehearse(session)
    trainer = make_trainer(session, folder, say, bar, until)
    with locked(folder):
        fits(folder, config, resume)  # another process may have been quicker
        try:
            if resume:
                take_up(trainer, say)
            else:
                create(folder, config)
            yield session, trainer
        except BaseException:
            with suppress(LocalspikeError):  # the error on its way is the one to report
                if not resume and not trainer.store.touched():
                    clear(folder)
            raise


def make_trainer(
    session: Session, folder: Path, say: Say, bar: bool, until: float = math.inf
) -> Trainer:
    """The training loop of a session."""
    training = session.config.training
    plan = Plan(
        training.epochs,
        training.log_every,
        training.checkpoint_every,
        session.config.scheduler.every,
        digest(session.config),
        training.checkpoint_epochs,
    )
    return Trainer(
        session.learner, session.net, session.optimizer, session.scheduler,
        session.train, session.validation, plan, folder, say, bar, until,
    )  # fmt: skip


def take_up(trainer: Trainer, say: Say) -> None:
    """Put a trainer where its run folder's newest whole checkpoint left off, and say so."""
    if not trainer.store.names():
        say(f"No checkpoint in {trainer.folder} yet: starting at step 0.")
        return
    checkpoint = trainer.store.newest(say)
    require_own(checkpoint, trainer.folder)
    if changed := changed_versions(trainer.folder):
        say(f"Started elsewhere, the end may differ in rounding: {', '.join(changed)}.")
    trainer.restore(checkpoint)
    trainer.store.set_aside_after(checkpoint.name)
    say(f"Resuming {trainer.folder} at step {trainer.position.step} from {checkpoint.name}.")


def require_own(checkpoint: Checkpoint, folder: Path) -> None:
    """Refuse a checkpoint that the run in ``folder`` has not written.

    Raises
    ------
    CheckpointError
        If it names the digest of other settings than those in the folder's config.json.
    """
    written = checkpoint.record.get("config")
    if written and written not in digests(read_tree(folder)):
        raise CheckpointError(
            f"checkpoint {checkpoint.name} in {folder} was written by other settings",
            got=f"digest {written[:12]}…",
            expected="that of its config.json",
            fix="Put the run's own config.json and checkpoints back, or take its own folder",
        )
