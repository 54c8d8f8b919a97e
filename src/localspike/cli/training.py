"""`localspike train`."""

from __future__ import annotations

import math
import shlex
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..config import RunConfig, override
from ..errors import ConfigError
from ..learn.interrupt import Paused
from ..recipes import Result, recipe, train
from ..recipes.plugin import load_plugins
from .arguments import DataRoot, Device, Json, Plugins
from .output import counted, percent, print_json, say, signalled, speaker, whisper


@dataclass(frozen=True)
class Train:
    """Train a recipe; the settings come right after its name."""

    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """Name of a recipe; `localspike list` shows them."""
    settings: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[KEY=VALUE ...]")
    ] = ()
    """Changes to the recipe, e.g. epochs=5 lr=1e-3; `localspike info RECIPE` shows all keys."""
    data_root: DataRoot = None
    out: Path | None = None
    """Run folder; runs/RECIPE-SEED where none is given."""
    resume: bool = False
    """Go on with the run in that folder where its last checkpoint left off."""
    plugin: Plugins = ()
    json: Json = False
    device: Device = "auto"
    minutes: float | None = None
    """End within so many minutes, after one epoch at least, everything saved; --resume goes on."""

    def __call__(self) -> int:
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError("--minutes", got=self.minutes, expected="a number > 0")
        load_plugins(self.plugin)
        config = self._config()
        folder = self.out or Path("runs") / f"{self.recipe}-{config.training.seed}"
        try:
            result = train(
                config,
                folder,
                data_root=self.data_root,
                resume=self.resume,
                say=speaker(self.json),
                bar=not self.json,
                seconds=math.inf if self.minutes is None else 60 * self.minutes,
            )
        except Paused as stopped:
            self._tell(stopped, folder)
            return 0
        except KeyboardInterrupt as stopped:
            # Interrupted while training, which saves; or later, when the last checkpoint holds all.
            what = str(stopped) or "interrupted"
            how = "Nothing was saved yet."
            if (folder / "config.json").exists():
                how = f"Resume with: {self._resume_command(folder)}"
            whisper(f"localspike: {what}. {how}")
            return signalled(getattr(stopped, "number", signal.SIGINT))
        if self.json:
            print_json(asdict(result))
        else:
            say(_summary(result))
        return 0

    def _tell(self, stopped: Paused, folder: Path) -> None:
        """Where a sitting with an end has come to, and how to go on."""
        command = self._resume_command(folder)
        if self.json:
            print_json({**vars(stopped), "folder": str(folder), "resume": command})
        else:
            say(f"{self.recipe}: {stopped}. Go on with: {command}")

    def _config(self) -> RunConfig:
        config = override(recipe(self.recipe), self.settings)
        if self.device == "auto":
            return config
        return override(config, [f"training.device={self.device}"])

    def _resume_command(self, folder: Path) -> str:
        command = ["localspike", "train", self.recipe, *self.settings]
        if self.data_root is not None:
            command += ["--data-root", str(self.data_root)]
        for file in self.plugin:
            command += ["--plugin", str(file)]
        if self.device != "auto":
            command += ["--device", self.device]
        if self.minutes is not None:
            command += ["--minutes", f"{self.minutes:g}"]
        return shlex.join([*command, "--out", str(folder), "--resume"])


def _summary(result: Result) -> str:
    return (
        f"{result.recipe}: test accuracy {percent(result.test_accuracy)} "
        f"on {counted(result.test_samples, 'sample')} after {counted(result.epochs, 'epoch')} "
        f"({result.schedule}, {result.seconds:.1f} s, "
        f"peak memory +{result.peak_memory_mib:.1f} MiB). Everything is in {result.folder}."
    )
