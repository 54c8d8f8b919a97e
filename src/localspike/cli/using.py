"""`localspike eval` and `localspike predict`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ..errors import ConfigError
from ..recipes import evaluate_run, layers_of_run, load_run, predict_files
from ..recipes.plugin import load_plugins
from .arguments import DataRoot, Device, Json, Plugins
from .output import counted, percent, print_json, say, speaker, table

RunFolder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Eval:
    """Judge a run's newest weights on one split of its data."""

    run: RunFolder
    """Run folder."""
    split: Literal["train", "val", "test"] = "test"
    """Which split."""
    layers: bool = False
    """What every layer's own prediction reaches, too, for rules whose layers make one."""
    data_root: DataRoot = None
    plugin: Plugins = ()
    json: Json = False
    device: Device = "auto"

    def __call__(self) -> int:
        load_plugins(self.plugin)
        run = load_run(self.run, self.device, speaker(self.json))
        alone = layers_of_run(run, self.split, self.data_root) if self.layers else None
        judged = alone.answered if alone else evaluate_run(run, self.split, self.data_root)
        if self.json:
            print_json(
                {
                    "run": str(self.run),
                    "checkpoint": run.checkpoint,
                    "step": run.step,
                    "split": self.split,
                    "samples": judged.samples,
                    "accuracy": judged.accuracy,
                    "loss": judged.loss,
                    "rates": judged.rates,
                    "classes": list(run.classes),
                    "confusion": judged.confusion.tolist(),
                    **({} if alone is None else alone.plain()),
                }
            )
            return 0
        say(
            f"{self.run} at step {run.step}: accuracy {percent(judged.accuracy)}, "
            f"loss {judged.loss:.3f} on {counted(judged.samples, 'sample')} of split {self.split}"
        )
        if alone is not None:
            answer = "all together, which answers" if alone.heard else "the readout answers alone"
            rows = [*alone.layers.items(), ("readout", alone.readout), (answer, judged.accuracy)]
            say(table([("by itself", "accuracy"), *((name, percent(x)) for name, x in rows)]))
        return 0


@dataclass(frozen=True)
class Predict:
    """Read the class of every sample in files of frames, with a run's newest weights."""

    run: RunFolder
    """Run folder."""
    files: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE [FILE ...]")
    ]
    """.npz with `frames` (and `lengths`), or .npy: [T, ...] for one sample, [T, B, ...] for B."""
    plugin: Plugins = ()
    json: Json = False
    device: Device = "auto"

    def __call__(self) -> int:
        if not self.files:
            raise ConfigError(
                "no file is named",
                expected="files of frames",
                fix="Name them: localspike predict RUN FILE [FILE ...]",
            )
        load_plugins(self.plugin)
        run = load_run(self.run, self.device, speaker(self.json))
        answers = predict_files(run, self.files)
        if self.json:
            print_json({"run": str(self.run), "step": run.step, "predictions": answers})
        else:
            rows = [(answer["file"], answer["sample"], answer["class"]) for answer in answers]
            say(table([("file", "sample", "class"), *rows]))
        return 0
