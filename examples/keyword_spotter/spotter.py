"""A keyword spotter that goes on learning on a Cortex-M4F: accuracy for speakers it never heard.

    localspike train keywords-tess --out runs/words
    python examples/keyword_spotter/spotter.py runs/words --machine host
    python examples/keyword_spotter/spotter.py runs/words --machine cortex-m4   # emulated, 256 KB

Exports the run, writes the clips of the embedded test speakers into ``clips.h``, builds
``spotter.c`` with 256 KB of RAM and runs it. Each speaker's clips are halved word by word; the
device adapts to one half and is judged on the other, then the halves change places. Step size,
passes and what learns were chosen on validation speakers (``--speakers val``).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import localspike
from localspike.data.speech import SPLITS, keywords, read_keywords
from localspike.errors import LocalspikeError
from localspike.recipes.exporting import export_c

HERE = Path(__file__).resolve().parent
LINE = re.compile(r"speaker (\w+): clips (\d+), before (\d+), after (\d+)")
RAM = "0x40000"


@dataclass(frozen=True)
class Heard:
    """What the device said of one speaker."""

    speaker: str
    clips: int
    before: int
    after: int

    @property
    def gain(self) -> float:
        """Points of accuracy won."""
        return 100.0 * (self.after - self.before) / self.clips


def clips_of(split: str, least: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Speaker, frames [clips, T, 80] and labels of everyone with at least ``least`` clips."""
    data, file = keywords(split), read_keywords()
    who = file.arrays["speaker"][file.arrays["split"] == SPLITS.index(split)]
    frames, labels, _ = data.batch(np.arange(len(data)).tolist())
    for speaker, n in sorted(Counter(who.tolist()).items()):
        if n >= least:
            mine = np.flatnonzero(who == speaker)
            yield speaker, frames[:, mine].numpy().swapaxes(0, 1), labels[mine].numpy()


def halves(labels: np.ndarray) -> list[int]:
    """0 or 1 for each clip, so that every word is in both halves as evenly as can be."""
    seen: Counter[int] = Counter()
    found = []
    for label in labels.tolist():
        found.append((seen[label] + label) % 2)
        seen[label] += 1
    return found


def table(kind: str, name: str, values: Iterable[object]) -> str:
    """A constant array in C."""
    return f"static const {kind} {name} = {{{','.join(map(str, values))}}};"


def header(speakers: list[tuple[str, np.ndarray, np.ndarray]], asked: argparse.Namespace) -> str:
    """clips.h."""
    order = np.random.default_rng(asked.seed)
    counts, events, begins, labels, sides, rows = [], [], [0], [], [], []
    for speaker, frames, words in speakers:
        rows.append(f'{{"{speaker}", {len(labels)}u, {len(words)}u}}')
        side = halves(words)
        for i in order.permutation(len(words)):
            heard = [np.repeat(np.arange(len(x)), x.astype(int)) for x in frames[i]]
            counts.append("{" + ",".join(str(len(x)) for x in heard) + "}")
            events += np.concatenate(heard).tolist()
            begins.append(len(events))
            labels.append(int(words[i]))
            sides.append(side[i])
    most = max(int(x) for row in counts for x in row.strip("{}").split(","))
    knobs = {
        "RATE": f"{asked.rate!r}f", "MOMENTUM": f"{asked.momentum!r}f", "EPOCHS": f"{asked.passes}u",
        "GATHERED": int(asked.update == "sequence"), "STEPS": f"{speakers[0][1].shape[1]}u",
        "LAYERS": f"0x{(1 << 32) - (1 << asked.first):x}u", "SPEAKERS": f"{len(rows)}u",
        "MOST_EVENTS": f"{max(most, 1)}u",
    }  # fmt: skip
    return "\n".join(
        [
            "#include <stdint.h>",
            *(f"#define {name} {value}" for name, value in knobs.items()),
            "typedef struct { const char *name; unsigned first, clips; } speaker;",
            table("speaker", "speakers[]", rows),
            table("uint8_t", "clip_counts[][STEPS]", counts),
            table("uint8_t", "clip_events[]", events),
            table("uint32_t", "clip_begins[]", begins),
            table("int", "clip_label[]", labels),
            table("uint8_t", "clip_half[]", sides),
            "",
        ]
    )


def run(folder: Path, machine: str) -> list[Heard]:
    """Build and run the program; what it said of every speaker."""
    command = [
        "make", "-s", "-C", str(folder), machine, f"MAIN={HERE / 'spotter.c'}", f"RAM={RAM}",
        f"EXTRA=-I{folder}", "SECONDS_AT_MOST=3000",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [Heard(w, int(n), int(b), int(a)) for w, n, b, a in LINE.findall(_said(ran))]
    if ran.returncode or not found:
        sys.exit(f"{' '.join(command)}\nfailed with {ran.returncode}: {_said(ran)[-2000:]}")
    return found


def _said(ran: subprocess.CompletedProcess[str]) -> str:
    return ran.stdout + ran.stderr


def report(found: list[Heard]) -> str:
    """A line a speaker, then the mean gain and its spread."""
    lines = [f"{'speaker':<10}{'clips':>6}{'before':>9}{'after':>8}{'gain':>8}"]
    for x in found:
        before, after = 100 * x.before / x.clips, 100 * x.after / x.clips
        lines.append(f"{x.speaker:<10}{x.clips:>6}{before:>8.1f}%{after:>7.1f}%{x.gain:>+8.1f}")
    gains = [x.gain for x in found]
    spread = statistics.stdev(gains) if len(gains) > 1 else float("nan")
    total = sum(x.clips for x in found)
    before, after = (100 * sum(n) / total for n in zip(*((x.before, x.after) for x in found)))
    lines.append(f"{'mean':<10}{total:>6}{before:>8.1f}%{after:>7.1f}%{statistics.mean(gains):>+8.1f}"
                 f"  sd {spread:.1f} over {len(gains)} speakers")  # fmt: skip
    return "\n".join(lines)


def record(path: Path, asked: argparse.Namespace, found: list[Heard], exported: dict) -> None:
    """What was run and what came out."""
    gains = [x.gain for x in found]
    data = {
        "kind": "keyword spotter",
        "command": " ".join(["python", *sys.argv]),
        "settings": {k: str(v) for k, v in vars(asked).items()},
        "model_hash": exported["model_hash"],
        "arena_bytes": exported["arena_bytes"]["gather" if asked.update == "sequence" else "learn"],
        "ram_bytes": int(RAM, 16),
        "speakers": [{**asdict(x), "gain": round(x.gain, 2)} for x in found],
        "gain_mean": statistics.mean(gains),
        "gain_sd": statistics.stdev(gains) if len(gains) > 1 else None,
        "versions": {"localspike": localspike.__version__, "python": platform.python_version()},
        "machine": platform.machine(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a trained keyword run")
    parser.add_argument("--out", type=Path, default=Path("spotter"), help="folder of the export")
    parser.add_argument("--machine", default="host", choices=["host", "cortex-m4", "cortex-m3", "rv32"])
    parser.add_argument("--speakers", default="test", choices=["val", "test"])
    parser.add_argument("--least", type=int, default=30, help="clips of a speaker, at least")
    parser.add_argument("--dtype", default="f32", choices=["f32", "int16", "int8"])
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--momentum", type=float, default=0.0)
    parser.add_argument("--passes", type=int, default=10, help="over the clips to learn from")
    parser.add_argument("--update", default="step", choices=["step", "sequence"])
    parser.add_argument("--first", type=int, default=0, help="the first layer that learns")
    parser.add_argument("--seed", type=int, default=0, help="of the order of clips")
    parser.add_argument("--record", type=Path, help="JSON file to write")
    return parser.parse_args(arguments)


def main() -> None:
    asked = parsed()
    needed = ["make", {"host": "cc", "rv32": "qemu-system-riscv32"}.get(asked.machine, "qemu-system-arm")]
    if missing := [tool for tool in needed if shutil.which(tool) is None]:
        sys.exit(f"not installed: {', '.join(missing)} (make emulators)")
    try:
        made = export_c(asked.run, asked.out, dtype=asked.dtype, say=lambda _: None)
        speakers = list(clips_of(asked.speakers, asked.least))
    except LocalspikeError as error:
        sys.exit(str(error))
    (asked.out / "clips.h").write_text(header(speakers, asked))
    found = run(asked.out.resolve(), asked.machine)
    print(report(found))
    if asked.record:
        record(asked.record, asked, found, made.numbers)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
