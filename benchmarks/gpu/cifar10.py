"""CIFAR-10 to the end in parts: a call trains until its minutes are over, the next one goes on.

    python benchmarks/gpu/cifar10.py tess --out /tmp/runs --back OUT --minutes 8.5

Runs `localspike train cifar10-RULE` (VGG-9, T=6, 200 epochs, validation from the training images,
the test images read once at the end) and keeps a record of all parts with the time each took from
its process's start to its end, so that loading, compiling and judging are in it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from localspike.bench.record import about, write
from localspike.learn.metrics import read_journal
from localspike.recipes.folder import read_config, read_json

# A checkpoint takes about a second, an epoch a few; a part ends with one in any case.
SETTINGS = (
    "learner.precision=bf16",
    "training.checkpoint_every=0",
    "training.checkpoint_epochs=20",
    "training.log_every=0",
)
BAR_S = 20 * 60
WHAT = "a whole CIFAR-10 run, in parts; seconds are those of the processes from start to end"


def command(asked: argparse.Namespace, folder: Path) -> list[str]:
    """The part's `localspike train`."""
    run = [sys.executable, "-m", "localspike", "train", f"cifar10-{asked.rule.replace('_', '-')}"]
    run += [*SETTINGS, f"training.seed={asked.seed}", *asked.settings]
    run += ["--device", asked.device, "--minutes", f"{asked.minutes:g}", "--out", str(folder)]
    if asked.data_root is not None:
        run += ["--data-root", str(asked.data_root)]
    return [*run, "--resume"] if (folder / "config.json").exists() else run


def part_of(asked: argparse.Namespace, folder: Path, mark: Path) -> dict[str, Any]:
    """Train for one part; what it took and how far it came. ``mark`` is there while it runs."""
    line, started = command(asked, folder), time.perf_counter()
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise SystemExit(f"cannot write {asked.out}: {error.strerror}") from None
    code = subprocess.run(line, check=False).returncode
    seconds = round(time.perf_counter() - started, 3)
    mark.unlink()
    return {"seconds": seconds, "exit_code": code, "epochs_done": len(epochs(folder))}


def cut_part(folder: Path, mark: Path) -> dict[str, Any]:
    """The part that was killed under way: at least the time from its beginning to its last sign."""
    signs = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    begun = mark.stat().st_mtime
    seconds = round(max(signs, default=begun) - begun, 3)
    return {"seconds": max(0.0, seconds), "exit_code": None, "epochs_done": len(epochs(folder))}


def epochs(folder: Path) -> list[dict[str, Any]]:
    """The journal's lines about whole epochs; none before there is a journal."""
    if not (folder / "metrics.jsonl").exists():
        return []
    return [line for line in read_journal(folder) if line["kind"] == "epoch"]


def summary(asked: argparse.Namespace, folder: Path, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of a run so far."""
    config, result = read_config(folder), folder / "result.json"
    seconds = sum(part["seconds"] for part in parts)
    ended = result.exists()
    timed = all(part["exit_code"] is not None for part in parts)
    return {
        "rule": asked.rule,
        "seed": asked.seed,
        "n": 1,
        "device": asked.device,
        "precision": config.learner.precision,
        "settings": asked.settings,
        "epochs": config.training.epochs,
        "epochs_done": len(epochs(folder)),
        "parts": parts,
        "seconds": round(seconds, 3),
        "within_bar": seconds < BAR_S if ended and timed else None,
        "bar_s": BAR_S,
        "result": read_json(result) if ended else None,
        "curve": [
            {key: line[key] for key in ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")}
            for line in epochs(folder)
        ],
    }


def main(arguments: Sequence[str]) -> int:
    """One part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rule", help="tess, bptt, s_tllr, frozen, ...")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="changes to the recipe")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of runs, kept between parts"
    )
    parser.add_argument("--back", type=Path, help="folder that is handed back: record and metrics")
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--revision", help="the checkout's, where there is no git to ask")
    asked = parser.parse_intermixed_args(arguments)
    name = f"cifar10-{asked.rule}-seed{asked.seed}"
    folder, kept = asked.out / name, asked.out / f"{name}.json"
    head = about(WHAT, "cifar10", {})
    head["command"] = shlex.join(["python", "benchmarks/gpu/cifar10.py", *arguments])
    head["revision"] = asked.revision or head["revision"]
    parts = parts_before(kept)
    mark = asked.out / f"{name}.running"
    if mark.exists():
        parts.append(cut_part(folder, mark))
        mark.unlink()
    if (folder / "result.json").exists():
        print(f"{folder} is finished")
    else:
        parts.append(part_of(asked, folder, mark))
    if not epochs(folder):
        return int(parts[-1]["exit_code"] or 1) if parts else 1
    found = head | summary(asked, folder, parts)
    write(found, asked.out, name)
    hand_back(asked.back, [kept, folder / "metrics.jsonl", folder / "result.json"], name)
    print(line_of(found))
    return int(parts[-1]["exit_code"] or 0) if parts else 0


def parts_before(kept: Path) -> list[dict[str, Any]]:
    """The parts of the record so far; a record that cannot be read is refused, not replaced."""
    if not kept.exists():
        return []
    try:
        return list(json.loads(kept.read_text())["parts"])
    except (ValueError, TypeError, KeyError):
        raise SystemExit(f"{kept} is damaged: move it away, and its times are lost") from None


def hand_back(back: Path | None, files: Sequence[Path], name: str) -> None:
    """Copy the files that are there, the run's own under the run's name."""
    if back is None:
        return
    back.mkdir(parents=True, exist_ok=True)
    for path in files:
        if path.exists():
            shutil.copyfile(
                path, back / (path.name if name in path.name else f"{name}-{path.name}")
            )


def line_of(found: dict[str, Any]) -> str:
    """How far a run is."""
    last, result = found["curve"][-1], found["result"]
    text = (
        f"{found['rule']}: {found['epochs_done']} of {found['epochs']} epochs in "
        f"{found['seconds'] / 60:.1f} min and {len(found['parts'])} parts, "
        f"validation {100 * last['val_accuracy']:.2f} %"
    )
    if result is None:
        return f"{text}; the same command goes on"
    return f"{text}, test {100 * result['test_accuracy']:.2f} %"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
