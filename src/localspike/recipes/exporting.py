"""A trained run as C code that goes on learning on a device."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import data
from ..config import RunConfig
from ..errors import ConfigError, IllegalError
from ..export import Plan, plan_of
from ..export.fixed import DTYPES, HEADROOM, Dtype, in_fixed_point
from ..export.plan import Mode, numbers
from ..export.readme import readme
from ..export.write import budget_table, files_of
from ..learn import Learner
from ..learn.credit import Credit
from ..learn.loss import CrossEntropy
from ..learn.votes import Votes
from ..nn import fold
from .use import Run, learner_of, load_run
from .whole import write_folder

SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([KM]?)i?B?", re.IGNORECASE)
FACTORS = {"": 1, "K": 1024, "M": 1024**2}
LAST = re.compile(r"last-([1-9][0-9]{0,3})")


@dataclass(frozen=True)
class Exported:
    """What was written, and what it takes; ``mode`` is the one the budget was for."""

    folder: str
    mode: Mode
    budget: int | None
    numbers: dict[str, Any]


def export_c(
    run_folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    learn: str = "all",
    budget: str | None = None,
    dtype: Dtype = "f32",
    headroom: float | None = None,
    say: Callable[[str], None] = print,
) -> Exported:
    """Write a run's network as C that infers and learns.

    Parameters
    ----------
    run_folder:
        A run of `localspike train`.
    out:
        A new or empty folder, or one an export is in.
    learn:
        "all" that the run's rule teaches, "none", or "last-k": the last k blocks.
    budget:
        Bytes of arena, as "256KB" (1,024 bytes each); refused where it does not fit, with a table.
    dtype:
        "f32", or "int16" or "int8": weights in fixed point, learnt by stochastic rounding.
    headroom:
        In fixed point, how much larger than the largest trained one of its kind a weight may grow;
        None: `HEADROOM`.

    Raises
    ------
    IllegalError
        What the runtime has no code for, by name, or a budget that does not fit.
    ConfigError
        A folder that holds something else, or a ``learn`` or ``budget`` that means nothing.
    """
    allowed = None if budget is None else bytes_of(budget)
    room = _room(dtype, headroom)
    target = Path(out)
    check_folder(target)
    run = load_run(run_folder, "cpu", say)
    plan = in_fixed_point(plan_of_run(run, learn), dtype, room)
    mode: Mode = "learn" if any(layer.signal != "none" for layer in plan.layers) else "infer"
    if allowed is not None and plan.arena(mode) > allowed:
        say(budget_table(plan))
        raise _too_large(run, plan, mode, allowed, learn, room)
    files = {**files_of(plan), "README.md": readme(plan)}
    write_folder(target, dict(sorted(files.items(), key=lambda item: item[0] != "manifest.json")))
    return Exported(str(target), mode, allowed, dict(numbers(plan)))


def bytes_of(text: str) -> int:
    """Bytes of a size such as 256KB, 47.5k or 40960.

    >>> bytes_of("256KB"), bytes_of("1.5 MiB"), bytes_of("40960")
    (262144, 1572864, 40960)
    """
    found = SIZE.fullmatch(text.strip())
    size = 0.0 if found is None else float(found[1]) * FACTORS[found[2].upper()]
    if not 1.0 <= size < 1e15:
        raise ConfigError(
            "--budget is no size", got=repr(text), expected="a number of bytes, or as 256KB, 1MB"
        )
    return int(size)


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but an export."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"{folder} is a file", fix="Name a folder, new or empty")
    inside = sorted(path.name for path in folder.iterdir())
    if inside and not _is_export(folder):
        raise ConfigError(
            f"{folder} is not empty and no export",
            got=", ".join(inside[:3]),
            fix="Choose another folder",
        )


def _is_export(folder: Path) -> bool:
    """Whether an export was written here, whole or in part: its manifest is the first file."""
    try:
        return "model_hash" in json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def plan_of_run(run: Run, learn: str) -> Plan:
    """The plan of a loaded run, and what a user of it must know."""
    config, learner = run.config, learner_of(run)
    if data.info(config.data.name).card.kind == "image":
        raise IllegalError(
            f"data {config.data.name!r} cannot be exported to C",
            got="still images, whose pixels are analog",
            expected="events or their counts",
            fix="Train on event data, or encode the images as spikes",
        )
    net = fold(run.net)
    learns = blocks_asked(learn, list(net.modules_by_name))
    if learns:
        _check_loss(config)
    plan = plan_of(net, learner.rule, matrices_of(learner.credit), learns, config.recipe)
    return replace(plan, notes=tuple(_notes(run, learner, plan)))


def blocks_asked(learn: str, names: list[str]) -> list[str]:
    """The blocks of a network that are to learn: "all", "none", or "last-k"."""
    if learn == "all":
        return names
    if learn == "none":
        return []
    found = LAST.fullmatch(learn)
    if found is None or int(found[1]) > len(names):
        raise ConfigError(
            "--learn", got=repr(learn), expected=f"all, none, or last-1 … last-{len(names)}"
        )
    return names[-int(found[1]) :]


def _check_loss(config: RunConfig) -> None:
    if config.loss != CrossEntropy():
        raise IllegalError(
            "this run's loss cannot be exported to C",
            got=repr(config.loss),
            expected="plain cross-entropy",
            fix="Export with --learn none to infer only",
        )


def matrices_of(credit: Credit) -> dict[str, Tensor]:
    """Bases and projections that a rule's signals hold, by block."""
    found = {}
    for name, bound in credit.bound.items():
        matrix = getattr(bound, "basis", getattr(bound, "matrix", None))
        if matrix is not None:
            found[name] = matrix.detach()
    return found


def _notes(run: Run, learner: Learner, plan: Plan) -> Iterator[str]:
    config, shape = run.config, list(run.net.sample_shape)
    if len(shape) == 3:
        yield f"Input i is channel i % {shape[0]} of pixel i // {shape[0]}, row by row."
    else:
        yield "Inputs are numbered as a sample's frame is flattened, channels outermost."
    if any(layer.basis is not None and layer.signal == "class" for layer in plan.layers):
        yield "Stored bases stay as they are."
    if Votes(learner.credit).counted:
        yield "Layers do not vote beside the readout."
    if config.data.options.get("counts") is not True:
        yield "It was trained on whether there was an event: give 1 for any number."
    yield from _dropped(config)
    if config.model.options.get("norm_momentum") is not None:
        yield "Running statistics are folded into weights and biases as they were at the end."
    if config.learner.active_steps != "all":
        yield f"Trained with active_steps={config.learner.active_steps}: call ls_learn there only."


def _dropped(config: RunConfig) -> Iterator[str]:
    """What training had and the device does without."""
    had = {
        "dropout": config.model.options.get("dropout"),
        "clip_norm": config.learner.clip_norm,
        "a firing-rate regulariser": config.learner.firing_rate,
    }
    if names := [name for name, value in had.items() if value]:
        yield f"Training had {', '.join(names)}; learning on the device has not."


def _room(dtype: Dtype, headroom: float | None) -> float:
    if headroom is not None and dtype == "f32":
        raise ConfigError(
            "--headroom is of fixed point", got="weights f32", fix="Add --dtype int16 or int8"
        )
    return HEADROOM if headroom is None else headroom


def _too_large(
    run: Run, plan: Plan, mode: Mode, allowed: int, learn: str, room: float
) -> IllegalError:
    """A refusal with what would fit: as much learning in smaller weights, or fewer layers."""
    names = list(run.net.modules_by_name)
    fewer = [*(f"last-{k}" for k in range(len(names) - 1, 0, -1)), "none"]
    own = DTYPES.index(plan.dtype)
    options = [(learn, dtype) for dtype in DTYPES[own + 1 :]]
    options += [(less, DTYPES[own]) for less in (fewer if mode == "learn" else [])]
    fits = [
        f"--learn {learn} --dtype {dtype} ({need:,} bytes)"
        for learn, dtype in options
        if (need := _need(run, learn, dtype, room)) is not None and need <= allowed
    ]
    return IllegalError(
        "the network does not fit the budget",
        got=f"{plan.arena(mode):,} bytes of arena",
        expected=f"at most {allowed:,}",
        fix=f"What fits: {' or '.join(fits[:2])}" if fits else _NOTHING,
    )


_NOTHING = "Nothing of it fits; take a smaller network"


def _need(run: Run, learn: str, dtype: Dtype, room: float) -> int | None:
    """Bytes of arena; none where it cannot be in this format at all."""
    try:
        plan = in_fixed_point(plan_of_run(run, learn), dtype, room)
    except IllegalError:
        return None
    learns = any(layer.signal != "none" for layer in plan.layers)
    return plan.arena("learn" if learns else "infer")
