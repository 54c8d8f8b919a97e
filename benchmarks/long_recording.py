"""Memory of learning from one long recording, streamed from disk a step at a time.

    python benchmarks/long_recording.py                      # 10 minutes at 50,000 events/s
    python benchmarks/long_recording.py --minutes 0.5        # a short one
    python benchmarks/long_recording.py --form evt3          # or dat, aedat4, npz, npy (default)

A made-up recording (a spot that circles before a 32 × 32 event camera, in noise) is written to a
temporary file chunk by chunk, then read back with `chunks_of`, binned with `stream_frames` (10 ms
steps) and learned with `Learner.stream` by a small convolutional net under TESS, its weights
changing at every step; what it learns is the quadrant of the spot. Resident memory is sampled
along the way. Its slope is a least-squares line over all samples after the first tenth; constant
memory means that the rise it predicts over the whole run is within noise. Nothing is timed against
a bar. The record is a JSON file under --out.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from localspike import Learner, rules
from localspike.data import EVENT, Sensor, formats, make_events
from localspike.data.chunks import chunks_of, save_chunks
from localspike.data.formats import Recording
from localspike.data.frame_stream import stream_frames
from localspike.learn.memory import high_water_mib
from localspike.nn import (
    LIF,
    AvgPool,
    Conv2d,
    Flatten,
    Integrator,
    Linear,
    Network,
    Readout,
    Spiking,
)
from localspike.recipes.folder import revision, versions

HERE = Path(__file__).resolve().parent
SENSOR = Sensor(2, 32, 32)
STEP_US, SECOND_US, PERIOD_S = 10_000, 1_000_000, 8.0
SAMPLES = 300
THREADS = 1
FORMS = ("dat", "npz", "aedat2", "aedat3", "aedat4", "evt2", "evt3")


def spot(t: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where the spot is at times t (µs)."""
    angle = 2 * np.pi * t / (PERIOD_S * SECOND_US)
    return 16 + 9 * np.cos(angle), 16 + 9 * np.sin(angle)


def quadrant(step: int) -> int:
    """The quadrant in which the spot is in the middle of a step."""
    x, y = spot(np.float64((step + 0.5) * STEP_US))
    return int(x >= 16) + 2 * int(y >= 16)


def generate(seconds: int, rate: int) -> Iterator[NDArray[np.void]]:
    """One chunk of events a second: three in four on the spot, one in four noise."""
    for second in range(seconds):
        rng = np.random.default_rng((0, second))
        t = np.sort(rng.integers(0, SECOND_US, rate)) + second * SECOND_US
        noise = rng.random(rate) < 0.25
        place = [
            np.where(noise, rng.integers(0, 32, rate), centre + rng.normal(0, 2, rate))
            for centre in spot(t)
        ]
        x, y = (axis.clip(0, 31).astype(np.uint16) for axis in place)
        yield make_events(t, x, rng.integers(0, 2, rate, dtype=np.uint8), y)


def write(path: Path, form: str, seconds: int, rate: int) -> None:
    """The recording on disk; only npy is written in pieces."""
    if form == "npy":
        save_chunks(path, generate(seconds, rate))
        return
    events = np.concatenate([np.zeros(0, EVENT), *generate(seconds, rate)])
    getattr(formats, f"write_{form}")(path, Recording(events, SENSOR))


def build() -> Learner:
    """2 × 32 × 32 → 8 maps of 7 × 7 → 4 classes, learning at every step."""
    torch.manual_seed(0)
    blocks: dict[str, Spiking | Readout] = {
        "conv": Spiking(
            Conv2d(2, 8, 5, stride=2), LIF(0.9, threshold=0.5), tail=(AvgPool(2), Flatten())
        ),
        "readout": Readout(Linear(8 * 49, 4), Integrator(0.0)),
    }
    net = Network(blocks, (2, 32, 32))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    return Learner(net, rules.tess(), optimizer, update="step")


def resident_mib() -> tuple[float, float]:
    """What is resident now: all of it, and the part that is not of files."""
    text = Path("/proc/self/status").read_text()
    found = dict(re.findall(r"^(VmRSS|RssAnon):\s+(\d+) kB", text, re.MULTILINE))
    return int(found["VmRSS"]) / 1024, int(found["RssAnon"]) / 1024


def stream(learner: Learner, path: Path, steps: int) -> tuple[NDArray[Any], float, int]:
    """Memory along the way (step, resident, anonymous), the share of right answers in the last
    tenth, and events seen. What is noted down is allocated before, so that it is no growth."""
    every, late = max(1, steps // SAMPLES), steps - steps // 10
    samples, taken = np.zeros((steps // every + 1, 3)), 0
    right, events = 0, 0.0
    frames = stream_frames(chunks_of(path), SENSOR, STEP_US, counts=True)
    for step, frame in enumerate(frames):
        label = quadrant(step)
        logits = learner.stream(frame, torch.tensor([label])).logits
        events += float(frame.sum())
        right += step >= late and int(logits.argmax()) == label
        if step % every == 0:
            samples[taken], taken = (step, *resident_mib()), taken + 1
    return samples[:taken], right / (steps - late), int(events)


def slope(samples: NDArray[Any], column: int) -> float:
    """KiB per 1,000 steps, over all samples after the first tenth."""
    kept = samples[len(samples) // 10 :]
    return float(np.polyfit(kept[:, 0], kept[:, column], 1)[0]) * 1024 * 1000


def main() -> None:
    """Write, stream, fit the line, keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=50_000, help="events per second")
    parser.add_argument("--form", choices=("npy", *FORMS), default="npy")
    parser.add_argument("--out", type=Path, default=HERE / "records")
    chosen = parser.parse_args()
    torch.set_num_threads(THREADS)
    seconds = max(1, round(60 * chosen.minutes))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"long.{chosen.form}"
        write(path, chosen.form, seconds, chosen.rate)
        size = path.stat().st_size
        gc.collect()
        learner, before, started = build(), resident_mib()[0], time.perf_counter()
        samples, right, events = stream(learner, path, seconds * SECOND_US // STEP_US)
        took = time.perf_counter() - started
    rows = figures(samples, before) | {
        "minutes": seconds / 60, "form": chosen.form, "file_mib": size / 2**20, "events": events,
        "steps": seconds * SECOND_US // STEP_US, "seconds": took, "right_in_last_tenth": right,
    }  # fmt: skip
    print(json.dumps({key: value for key, value in rows.items() if key != "samples"}, indent=1))
    print(f"recorded in {record(chosen.out, rows)}")


def figures(samples: NDArray[Any], before: float) -> dict[str, Any]:
    """Slopes, and the spread of resident memory after the first tenth."""
    kept = samples[len(samples) // 10 :, 1]
    return {
        "resident_before_mib": before,
        "resident_mib": {"min": kept.min(), "max": kept.max(), "last": kept[-1]},
        "high_water_mib": high_water_mib(),
        "slope_kib_per_1000_steps": {"resident": slope(samples, 1), "anonymous": slope(samples, 2)},
        "samples": samples.tolist(),
    }


def record(out: Path, rows: dict[str, Any]) -> Path:
    """Write the figures with everything they depend on."""
    now = datetime.now(UTC)
    path = out / f"long_recording-{now:%Y%m%d-%H%M%S}.json"
    about = {
        "what": "resident memory while one long recording is streamed through Learner.stream",
        "command": shlex.join(["python", "benchmarks/long_recording.py", *sys.argv[1:]]),
        "when": now.isoformat(timespec="seconds"),
        "revision": revision(),
        "versions": {**versions(), "threads": THREADS},
        **rows,
    }
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(about, indent=1) + "\n")
    return path


if __name__ == "__main__":
    main()
