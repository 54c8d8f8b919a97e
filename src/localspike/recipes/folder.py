"""The run folder: what was asked, with what, and what came of it."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ..config import RunConfig, differences, from_json, to_json
from ..errors import CheckpointError, ConfigError
from ..learn.atomic import write_atomically, writing

PACKAGES: tuple[str, ...] = (
    "localspike",
    "torch",
    "numpy",
    "msgspec",
    "tyro",
    "safetensors",
    "tqdm",
)
PACKAGES += ("matplotlib", "tensorboardX")


def prepare(folder: Path, config: RunConfig, resume: bool) -> None:
    """Check that ``folder`` can hold this run; nothing is written.

    Raises
    ------
    ConfigError
        If it holds another run, or this one and ``resume`` is off, or none and it is on.
    """
    if (folder / "config.json").exists():
        _refuse_another(folder, config)
        if not resume:
            raise ConfigError(
                f"{folder} already holds this run",
                fix="Add --resume to go on with it, or choose another folder with --out",
            )
    elif resume:
        raise ConfigError(
            f"nothing to resume in {folder}",
            expected="a run folder with a config.json",
            fix="Start without --resume, or give the run's folder with --out",
        )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} exists and is no run folder", fix="Choose another folder with --out"
        )


def _refuse_another(folder: Path, config: RunConfig) -> None:
    found = differences(read_config(folder), config)
    if found:
        raise ConfigError(
            f"{folder} holds another run, as key (there, asked)",
            got=", ".join(found[:3]) + (f" and {len(found) - 3} more" if found[3:] else ""),
            fix="Choose another folder with --out, or the same settings to resume",
        )


def create(folder: Path, config: RunConfig) -> None:
    """Make the folder and write config, versions, revision and command."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", to_json(config))
    write_json(folder / "versions.json", versions())
    write_atomically(folder / "revision", (revision() + "\n").encode())
    write_atomically(folder / "command", (shlex.join(sys.argv) + "\n").encode())


def write_json(path: Path, tree: Any) -> None:
    """Write JSON atomically."""
    write_atomically(path, (json.dumps(tree, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON; CheckpointError if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read", got=error, expected="the JSON file of a run"
        ) from error


def read_config(folder: Path) -> RunConfig:
    """The configuration a run was started with.

    Raises
    ------
    ConfigError
        If there is no run in ``folder`` or its configuration has unknown keys.
    """
    if not (folder / "config.json").exists():
        raise ConfigError(
            f"no run in {folder}",
            expected="a folder made by `localspike train` or `localspike demo`",
        )
    return from_json(read_json(folder / "config.json"))


def versions() -> dict[str, Any]:
    """What the numbers of a run may depend on: packages, interpreter, machine.

    >>> versions()["torch"] == torch.__version__
    True
    """
    found: dict[str, Any] = {name: _version(name) for name in PACKAGES}
    found["torch"] = torch.__version__
    return found | {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "accelerators": accelerators(),
    }


def changed_versions(folder: Path) -> list[str]:
    """What differs between the versions a run was started with and those at hand."""
    path, now = folder / "versions.json", versions()
    then = read_json(path) if path.exists() else now
    return [
        f"{key} {then.get(key)} -> {now.get(key)}"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    ]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's own name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def accelerators() -> list[str]:
    """Names of the CUDA devices, and MPS where it works."""
    cuda = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return cuda + (["mps"] if torch.backends.mps.is_available() else [])


def revision() -> str:
    """The git revision of this package's own checkout, with ``+changes`` if it is not clean."""
    here = Path(__file__).resolve()
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return f"localspike {_version('localspike')}, not a git checkout"
    changed = _git(here.parent, "status", "--porcelain", "--untracked-files=no")
    return f"{_git(here.parent, 'rev-parse', 'HEAD')}{'+changes' if changed else ''}"


def _git(folder: Path, *arguments: Sequence[str] | str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *map(str, arguments)],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
