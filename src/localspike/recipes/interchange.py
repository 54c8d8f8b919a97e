"""Networks for other programs, to infer with: NIR graphs in and out, ONNX out."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..data.formats.shd import MAGIC as HDF5
from ..errors import ConfigError, DataError, LocalspikeError, os_advice, os_reason
from ..export.nir_flat import KNOWN
from ..export.nir_graph import DT, Gain, nir_graph, notes
from ..export.nir_nodes import RESETS, Reading
from ..export.nir_read import network_of
from ..export.onnx_step import onnx_step, states_of
from ..learn.atomic import write_atomically, writing
from ..learn.votes import Votes
from ..nn import Network
from ..optional import require
from .use import learner_of, load_run

PathLike = str | os.PathLike[str]
ELSEWHERE = "name another folder"
UNHEARD = "Layers vote beside the readout in `localspike eval`; here the readout answers alone."
PRODUCER = "localspike"
"""Begins an ONNX model that `onnx_step` has made."""


@dataclass(frozen=True)
class Written:
    """A file for another program; ``notes`` are what a user must know of it."""

    file: str
    target: str
    bytes: int
    states: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def write_nir(net: Network, path: PathLike, *, dt: float = DT, gain: Gain = "r") -> Written:
    """Write a network's inference as a NIR graph (HDF5).

    Parameters
    ----------
    net:
        Its gains and running statistics are folded into the weights first.
    path:
        A new file, or one that ends in .nir and is replaced.
    dt:
        Seconds a time step takes; a peer must be told the same.
    gain:
        "r": resistances τ/dt, weights as they are. "weights": resistances 1 and weights times τ/dt,
        for programs that ignore resistances (Norse).

    Raises
    ------
    IllegalError
        What NIR cannot carry, by name.
    ConfigError
        A file of another kind is there, or a ``dt`` or ``gain`` that means nothing.
    MissingDependencyError
        Without the package ``nir``.
    """
    target = _target(path, ".nir")
    graph = nir_graph(net, dt=dt, gain=gain)
    held = io.BytesIO()
    require("nir", "NIR").write(held, graph)
    return _write(target, held.getvalue(), "nir", said=notes(net))


def read_nir(
    path: PathLike,
    *,
    dt: float | None = None,
    reset: str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Network:
    """The network of a NIR file, to infer with; ours or another program's.

    Parameters
    ----------
    path:
        An HDF5 file of a NIR graph.
    dt:
        Seconds a time step takes. None: as the file's neurons say (ours do), or 1e-4.
    reset:
        What a spike does to a membrane: "soft", "hard" (to 0) or "none". None: as the file's
        neurons say, or "hard", which is NIR's own.
    dtype:
        Of the network's weights.

    Raises
    ------
    DataError
        No file, no NIR graph, or a node that no part of a network can be, by name.
    ConfigError
        A ``dt`` or ``reset`` that means nothing.
    MissingDependencyError
        Without the package ``nir``.

    >>> import tempfile
    >>> from localspike.nn import models
    >>> path = Path(tempfile.mkdtemp()) / "net.nir"
    >>> _ = write_nir(models.mlp(12, (8,), 4), path)
    >>> list(read_nir(path).modules_by_name)
    ['hidden1', 'readout']
    """
    if reset is not None and reset not in RESETS:
        raise ConfigError("reset", got=repr(reset), expected=f"one of {RESETS}")
    if dt is not None and not 0.0 < dt < float("inf"):
        raise ConfigError("dt", got=dt, expected="seconds > 0, e.g. 1e-4")
    graph = _read(Path(path))
    try:
        return network_of(graph, Reading(dt, reset, dtype))
    except LocalspikeError as error:
        raise DataError(
            f"{path}: {error.what}", got=error.got, expected=error.expected, fix=error.fix
        ) from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise _no_graph(Path(path), error) from error


def write_onnx(net: Network, path: PathLike) -> Written:
    """Write one time step of a network as ONNX, with its state in and out.

    The model's inputs are ``x`` [batch, ...] and a tensor for every state, zeros at the start of a
    sequence; its outputs the step's ``logits``, every block's spikes, and the states for the next
    step, named ``<state>.next``. What a `Network` sums over the steps are the logits.

    Raises
    ------
    IllegalError
        What ONNX has no operator for, by name.
    ConfigError
        A file of another kind is there.
    MissingDependencyError
        Without the package ``onnx``.
    """
    target = _target(path, ".onnx")
    content = onnx_step(net).SerializeToString()
    return _write(target, content, "onnx", states=tuple(states_of(net)))


def export_graph(
    run_folder: PathLike,
    out: PathLike,
    target: str,
    *,
    dt: float = DT,
    gain: Gain = "r",
    say: Callable[[str], None] = print,
) -> Written:
    """Write a run's network as a NIR graph or an ONNX step; see `write_nir`, `write_onnx`."""
    _target(out, f".{target}")
    run = load_run(run_folder, "cpu", say)
    unheard = bool(Votes(learner_of(run).credit).counted)
    if target == "nir":
        made = write_nir(run.net, out, dt=dt, gain=gain)
    else:
        made = write_onnx(run.net, out)
    if unheard:
        return replace(made, notes=(*made.notes, UNHEARD))
    return made


def _target(path: PathLike, suffix: str) -> Path:
    """Refuse to replace what is no export."""
    target = Path(path)
    if target.is_dir() or (target.exists() and not _is_export(target, suffix)):
        raise ConfigError(
            f"{target} is there and was not written as {suffix}",
            got="a folder" if target.is_dir() else "a file",
            fix=f"Name a new file, e.g. {target.stem or 'net'}-2{suffix}",
        )
    return target


def _is_export(target: Path, suffix: str) -> bool:
    """Whether a file is of the kind its name says: HDF5, or an ONNX model of ours."""
    if target.suffix != suffix or not target.is_file():
        return False
    with writing(target, "name another file"), target.open("rb") as file:
        begins = file.read(64)
    return begins.startswith(HDF5) if suffix == ".nir" else PRODUCER.encode() in begins


def _write(
    target: Path,
    content: bytes,
    kind: str,
    states: tuple[str, ...] = (),
    said: tuple[str, ...] = (),
) -> Written:
    parent = next(p for p in target.absolute().parents if p.exists())
    if not parent.is_dir():
        raise ConfigError(
            f"{target} cannot be written", got=f"{parent} is a file", fix="Name another folder"
        )
    with writing(target, ELSEWHERE):
        target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, content, ELSEWHERE)
    return Written(str(target), kind, len(content), states, said)


def _read(path: Path) -> Any:
    """The graph of a file, whatever shapes its writer left out of it."""
    nir = require("nir", "NIR")
    if not path.is_file():
        raise DataError(f"{path} cannot be read", got="no such file", expected="a NIR file")
    try:
        # Some writers leave shapes out, or a batch in them: a network finds its own.
        graph = nir.read(path, type_check=False)
    except OSError as error:
        fix = os_advice(error) if error.errno else "Write or fetch it again"
        said = os_reason(error)
        raise DataError(f"{path} cannot be read as NIR", got=said, fix=fix) from error
    except Exception as error:  # whatever two packages make of bytes that are no graph
        raise _no_graph(path, error) from error
    return graph


def _no_graph(path: Path, error: Exception) -> DataError:
    """A file that the package ``nir`` cannot read; which node it does not know, it does not say."""
    strange = _strange(path) if isinstance(error, AssertionError) else []
    return DataError(
        f"{path} holds no NIR graph that can be read",
        got=f"nodes {', '.join(strange)}" if strange else f"{type(error).__name__} {error}".strip(),
        expected=f"a graph of {', '.join(KNOWN)}",
    )


def _strange(path: Path) -> list[str]:
    """Nodes of unknown types, as "type (name)"."""
    found: list[str] = []

    def look(place: str, item: Any) -> None:
        *_, last = parts = place.split("/")  # node, nodes, a, nodes, b, …, type
        if last == "type" and (kind := item[()].decode()) not in (*KNOWN, "NIRGraph"):
            found.append(f"{kind} ({'.'.join(parts[2:-1:2])})")

    # Whatever else is damaged in the file has been refused already.
    with suppress(Exception), require("h5py", "NIR").File(path, "r") as file:
        file.visititems(look)
    return found
