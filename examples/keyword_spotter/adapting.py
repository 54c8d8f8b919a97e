"""Clips of speakers as C tables, and what the device said of them."""

from __future__ import annotations

import re
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localspike.data.speech import SPLITS, keywords, read_keywords

HERE = Path(__file__).resolve().parent
LINE = re.compile(r"speaker (\w+): clips (\d+), before (\d+), after (\d+)")
RAM = 0x40000


@dataclass(frozen=True)
class Knobs:
    """How a device adapts: step size, passes, when weights change, from which layer on.

    ``seed`` is of the clips' order and of stochastic rounding.
    """

    rate: float = 1e-4
    passes: int = 10
    update: str = "step"
    momentum: float = 0.0
    first: int = 0
    folds: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Speaker:
    """Everything one person said: frames [clips, T, 80], words [clips]."""

    name: str
    frames: NDArray[Any]
    words: NDArray[Any]

    def fold_of(self, folds: int) -> list[int]:
        """A fold for each clip, so that every word is spread over them evenly."""
        said: Counter[int] = Counter()
        found = []
        for word in self.words.tolist():
            found.append((said[word] + word) % folds)
            said[word] += 1
        return found


@dataclass(frozen=True)
class Heard:
    """How many of a speaker's clips the device understood."""

    speaker: str
    clips: int
    before: int
    after: int

    @property
    def gain(self) -> float:
        """Points of accuracy won."""
        return 100.0 * (self.after - self.before) / self.clips


def speakers_of(split: str, least: int) -> Iterator[Speaker]:
    """Everyone in a split with at least ``least`` clips."""
    data, file = keywords(split), read_keywords()
    who = file.arrays["speaker"][file.arrays["split"] == SPLITS.index(split)]
    frames, words, _ = data.batch(range(len(data)))
    for name, n in sorted(Counter(who.tolist()).items()):
        if n >= least:
            mine = np.flatnonzero(who == name)
            yield Speaker(name, frames[:, mine].numpy().swapaxes(0, 1), words[mine].numpy())


def _table(kind: str, name: str, values: Iterable[object]) -> str:
    return f"static const {kind} {name} = {{{','.join(map(str, values))}}};"


def header(speakers: list[Speaker], knobs: Knobs) -> str:
    """clips.h: the settings, and every clip as channels of events step by step."""
    draw = np.random.default_rng(knobs.seed)
    rows: list[str] = []
    counts: list[list[int]] = []
    events: list[int] = []
    begins, words, folds = [0], [], []
    for speaker in speakers:
        rows.append(f'{{"{speaker.name}", {len(words)}u, {len(speaker.words)}u}}')
        fold = speaker.fold_of(knobs.folds)
        for i in draw.permutation(len(speaker.words)):
            steps = [np.repeat(np.arange(len(x)), x.astype(int)) for x in speaker.frames[i]]
            counts.append([len(x) for x in steps])
            events += np.concatenate(steps).tolist()
            begins.append(len(events))
            words.append(int(speaker.words[i]))
            folds.append(fold[i])
    defined = {
        "RATE": f"{knobs.rate!r}f",
        "SEED": f"{knobs.seed + 1}u",
        "MOMENTUM": f"{knobs.momentum!r}f",
        "PASSES": f"{knobs.passes}u",
        "FOLDS": f"{knobs.folds}u",
        "GATHERED": int(knobs.update == "sequence"),
        "LAYERS": f"0x{(1 << 32) - (1 << knobs.first):x}u",
        "SPEAKERS": f"{len(rows)}u",
        "STEPS": f"{len(counts[0])}u",
        "MOST_EVENTS": f"{max(1, *map(max, counts))}u",
    }
    return "\n".join(
        [
            "#include <stdint.h>",
            *(f"#define {name} {value}" for name, value in defined.items()),
            "typedef struct { const char *name; unsigned first, clips; } speaker;",
            _table("speaker", "speakers[]", rows),
            _table("uint8_t", "clip_counts[][STEPS]", (f"{{{str(x)[1:-1]}}}" for x in counts)),
            _table("uint8_t", "clip_events[]", events),
            _table("uint32_t", "clip_begins[]", begins),
            _table("int", "clip_label[]", words),
            _table("uint8_t", "clip_fold[]", folds),
            "",
        ]
    )


def adapt(folder: Path, speakers: list[Speaker], knobs: Knobs, machine: str) -> list[Heard]:
    """Build `spotter.c` with an export and run it.

    Raises
    ------
    RuntimeError
        With what the compiler or the program said, if one of them failed.
    """
    (folder / "clips.h").write_text(header(speakers, knobs))
    command = [
        "make", "-s", "-C", str(folder), machine, f"MAIN={HERE / 'spotter.c'}", f"RAM={RAM:#x}",
        f"EXTRA=-I{folder.resolve()}", "SECONDS_AT_MOST=5000",
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    said = ran.stdout + ran.stderr
    found = [Heard(w, int(n), int(b), int(a)) for w, n, b, a in LINE.findall(said)]
    if ran.returncode or len(found) != len(speakers):
        raise RuntimeError(f"{' '.join(command)}\nended with {ran.returncode}: {said[-2000:]}")
    return found


def spread(values: list[float]) -> float:
    """Standard deviation; not a number of a single value."""
    return statistics.stdev(values) if len(values) > 1 else float("nan")


def report(found: list[Heard]) -> str:
    """A line a speaker, then the mean gain and its spread."""
    lines = [f"{'speaker':<10}{'clips':>6}{'before':>9}{'after':>9}{'gain':>8}"]
    for x in found:
        lines.append(_line(x.speaker, x.clips, x.before, x.after, x.gain))
    gains = [x.gain for x in found]
    clips, before, after = (sum(getattr(x, n) for x in found) for n in ("clips", "before", "after"))
    total = _line("all", clips, before, after, statistics.mean(gains))
    return "\n".join([*lines, f"{total}  sd {spread(gains):.1f} over {len(gains)} speakers"])


def _line(name: str, clips: int, before: float, after: float, gain: float) -> str:
    shares = (f"{100.0 * x / clips:>8.1f}%" for x in (before, after))
    return f"{name:<10}{clips:>6}{''.join(shares)}{gain:>+8.1f}"
