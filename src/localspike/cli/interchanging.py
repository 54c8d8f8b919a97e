"""`localspike export nir` and `localspike export onnx`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal, Protocol

from ..errors import ConfigError
from ..export.nir_graph import DT, Gain
from ..recipes.interchange import Written, export_graph
from .output import print_json, say, speaker

OPTIONS: dict[str, tuple[str, object]] = {
    "learn": ("c", "all"),
    "budget": ("c", None),
    "dtype": ("c", "f32"),
    "headroom": ("c", None),
    "dt": ("nir", None),
    "gain": ("nir", None),
}
"""By option: the target it belongs to, and its default."""


class Asked(Protocol):
    """What `localspike export` was told."""

    @property
    def target(self) -> Literal["c", "nir", "onnx"]: ...
    @property
    def run(self) -> Path: ...
    @property
    def out(self) -> Path: ...
    @property
    def dt(self) -> float | None: ...
    @property
    def gain(self) -> Gain | None: ...
    @property
    def json(self) -> bool: ...


def refuse_options_of_others(asked: Asked) -> None:
    """Refuse an option that means nothing for this target."""
    for option, (target, default) in OPTIONS.items():
        if asked.target != target and getattr(asked, option) != default:
            raise ConfigError(
                f"--{option} means nothing for {asked.target}",
                got=getattr(asked, option),
                expected=f"it with {target} only",
                fix="Leave it out",
            )


def export_file(asked: Asked) -> int:
    """Write a run's NIR graph or ONNX step and say what it is."""
    made = export_graph(
        asked.run,
        asked.out,
        asked.target,
        dt=DT if asked.dt is None else asked.dt,
        gain=asked.gain or "r",
        say=speaker(asked.json),
    )
    if asked.json:
        print_json(asdict(made))
    else:
        say(_told(made))
    return 0


def _told(made: Written) -> str:
    lines = [f"Wrote {made.file}: {made.bytes:,} bytes, to infer only."]
    if made.target == "onnx":
        lines += [f"One call is one time step. State: {', '.join(made.states)}."]
    return "\n".join([*lines, *made.notes])
