"""`localspike export`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..export.fixed import Dtype
from ..recipes.exporting import Exported, export_c
from ..recipes.plugin import load_plugins
from .arguments import Json, Plugins
from .interchanging import export_file, refuse_options_of_others
from .output import print_json, say, speaker
from .using import RunFolder

Target = Annotated[
    Literal["c", "nir", "onnx"], tyro.conf.Positional, tyro.conf.arg(metavar="c|nir|onnx")
]
Out = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]


@dataclass(frozen=True)
class Export:
    """Write a trained run for a device (C that infers and learns on) or as NIR or ONNX."""

    target: Target
    """c: portable C. nir: a graph for other simulators. onnx: one time step, state in and out."""
    run: RunFolder
    """Run folder."""
    out: Out
    """Folder to write: new, empty, or an export to be replaced. The file, for nir and onnx."""
    learn: str = "all"
    """What learns on the device: all, none, or last-k for the last k blocks."""
    budget: str | None = None
    """Most bytes of arena, as 256KB; more is refused with a table of bytes per layer."""
    dt: float | None = None
    """nir: seconds a time step takes, 1e-4 unless given."""
    gain: Literal["r", "weights"] | None = None
    """nir: what makes up for the leak, resistances (r) or weights, for Norse."""
    dtype: Dtype = "f32"
    """Weights: f32, or int16 or int8 in fixed point that learns by stochastic rounding."""
    headroom: float | None = None
    """In fixed point, how many times the largest trained weight a weight may reach (2)."""
    plugin: Plugins = ()
    json: Json = False

    def __call__(self) -> int:
        load_plugins(self.plugin)
        refuse_options_of_others(self)
        if self.target != "c":
            return export_file(self)
        made = export_c(
            self.run,
            self.out,
            learn=self.learn,
            budget=self.budget,
            dtype=self.dtype,
            headroom=self.headroom,
            say=speaker(self.json),
        )
        if self.json:
            print_json(asdict(made))
        else:
            say(_told(made))
        return 0


def _told(made: Exported) -> str:
    n, arena = made.numbers, made.numbers["arena_bytes"]
    learns = ", ".join(n["learns"]) or "nothing"
    return "\n".join(
        [
            f"Wrote {made.folder}: {n['inputs']} inputs, {n['classes']} classes.",
            f"Learns: {learns}; weights {n['dtype']}.",
            f"Arena: {arena['infer']:,} bytes to infer, {arena['learn']:,} to learn at every step, "
            f"{arena['gather']:,} once a sequence; weights in flash {n['flash_bytes']:,}.",
            f"Check it: make -C {made.folder} test",
        ]
    )
