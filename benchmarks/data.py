"""Epochs fed by localspike and by a per-sample torch Dataset doing the same; the cache; waiting.

    python benchmarks/data.py            # a JSON record in benchmarks/records/
    python benchmarks/data.py --quick    # fewer samples and repeats, nothing recorded

Needs LOCALSPIKE_DATA with N-MNIST (the 1 ms file) and CIFAR-10. Before anything is timed, the arms
must give the same samples where nothing is drawn. Per case the arms take turns, an epoch each, each
round beginning with another one, so that drift of the machine hits all of them alike; a ratio is
one of medians, that of processor time one of this process alone. Workers of a DataLoader live on
from epoch to epoch and are warm. What is timed is the loop over the batches without a network, one
torch thread per process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch
from per_sample import Augmented, Events, Images, loader

from localspike import Learner, models, rules
from localspike.data import Dataset, EventAugment, ImageAugment, cifar10, keywords, nmnist
from localspike.data.cache import fetch
from localspike.learn.feed import Feed
from localspike.recipes.folder import revision, versions

HERE = Path(__file__).resolve().parent
BATCH, STEPS = 64, 8
# Threads that wait for each other measure what else the machine does.
THREADS = 1
REPEATS, QUICK_REPEATS = 9, 3
LIMIT: dict[str, int | None] = {"nmnist": None, "cifar10": 10_000}
QUICK_LIMIT: dict[str, int | None] = {"nmnist": 640, "cifar10": 1_280}
IMAGE, SOUND = ImageAugment(), EventAugment(groups=2)
MOVED = EventAugment(shift=2, bands=1, drop=0.0, groups=1)
THINNED = EventAugment(shift=2, bands=1, drop=0.1, groups=1)
MINE, CACHED, PLAIN = "localspike", "localspike, from the cache", "torch Dataset, workers="

Epoch = Callable[[], Iterable[Any]]
Figures = dict[str, float]


class Case(NamedTuple):
    """What is fed, and the arms: each gives the batches of an epoch."""

    name: str
    samples: int
    arms: dict[str, Epoch]


def cases(limit: dict[str, int | None], cache: Path) -> Iterator[Case]:
    """N-MNIST without and with augmentation, CIFAR-10 with it."""
    events = nmnist("train", limit=limit["nmnist"])
    kept, _ = fetch(lambda: events, {"limit": limit["nmnist"]}, cache=cache)
    raw = nmnist("train", limit=limit["nmnist"], bin_ms=1, steps=400)
    each = Events(raw, bin_us=10_000, steps=events.steps)
    check_same(events, kept, each)
    yield case("nmnist", {MINE: events, CACHED: kept}, None, each)
    for name, augment in (("moved", MOVED), ("moved and thinned", THINNED)):
        samples = Augmented(each, augment.shift, augment.drop)
        yield case(f"nmnist, {name}", {MINE: events, CACHED: kept}, augment, samples)
    images = cifar10("train", limit=limit["cifar10"])
    check_same(images, images, Images(images, ImageAugment(pad=0, flip=False, cutout=0), flip=0.0))
    yield case("cifar10, crop, flip, cutout", {MINE: images}, IMAGE, Images(images, IMAGE))


def check_same(mine: Dataset, cached: Dataset, samples: Any) -> None:
    """Stop unless our first batch is that of the per-sample data set."""
    chosen = list(range(BATCH))
    theirs = torch.stack([samples[number][0] for number in chosen])
    labels = torch.tensor([samples[number][1] for number in chosen])
    for data in (mine, cached):
        batch = data.batch(chosen)
        frames = batch.frames[0] if theirs.dim() == 4 else batch.frames.transpose(0, 1)
        if not (torch.equal(frames, theirs) and torch.equal(batch.labels, labels)):
            raise SystemExit(f"{mine.name}: the arms do not give the same samples")


def case(name: str, mine: dict[str, Dataset], augment: Any, samples: Any) -> Case:
    """Ours by name, and the per-sample data set with 0 and with 2 workers."""
    arms: dict[str, Epoch] = {
        key: ours(Feed(data, BATCH, data.sample_shape, shuffle=True, augment=augment))
        for key, data in mine.items()
    }
    arms |= {f"{PLAIN}{count}": theirs(loader(samples, BATCH, count)) for count in (0, 2)}
    return Case(name, len(next(iter(mine.values()))), arms)


def ours(feed: Feed) -> Epoch:
    """The next epoch at each call."""
    epochs = iter(range(10**9))
    return lambda: feed.batches(epoch=next(epochs))


def theirs(batches: Iterable[Any]) -> Epoch:
    """The same loader at each call; it shuffles anew."""
    return lambda: batches


def seconds(epoch: Epoch) -> tuple[float, float]:
    """Time to have all batches of an epoch, and processor time of this process."""
    started, worked = time.perf_counter(), time.process_time()
    for _ in epoch():
        pass
    return time.perf_counter() - started, time.process_time() - worked


def spread(values: list[float]) -> Figures:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compare(this: Case, repeats: int) -> list[dict[str, Any]]:
    """A row per arm: time of an epoch, and how many times longer than ours its median is."""
    names, rounds = list(this.arms), []
    for number in range(repeats + 1):  # the first warms up
        turn = number % len(names)
        rounds.append({arm: seconds(this.arms[arm]) for arm in names[turn:] + names[:turn]})
    times, worked = (
        {arm: [one[arm][what] for one in rounds[1:]] for arm in names} for what in (0, 1)
    )
    first, work = statistics.median(times[MINE]), statistics.median(worked[MINE])
    return [
        {
            "case": this.name,
            "arm": arm,
            "samples": this.samples,
            "batch": BATCH,
            "n": repeats,
            "epoch_s": spread(values),
            "ratio_of_medians": statistics.median(values) / first,
            "ratio_of_processor_time": _in_one_process(arm, statistics.median(worked[arm]) / work),
        }
        for arm, values in times.items()
    ]


def _in_one_process(arm: str, ratio: float) -> float | None:
    """Workers' time is not that of this process."""
    return ratio if not arm.startswith(PLAIN) or arm == f"{PLAIN}0" else None


def opening(limit: dict[str, int | None], repeats: int) -> list[dict[str, Any]]:
    """Per data set: time to load it from its files, and from the cache, in turns."""
    rows = []
    for name, load in (("nmnist", nmnist), ("cifar10", cifar10)):
        with tempfile.TemporaryDirectory() as folder:

            def build(load: Any = load, name: str = name) -> Dataset:
                data: Dataset = load("train", limit=limit[name])
                return data

            _, note = fetch(build, {}, cache=folder)
            rounds = [
                (timed(build), timed(lambda f=folder, b=build: fetch(b, {}, cache=f)))
                for _ in range(max(3, repeats // 3))
            ]
        made, found = ([one[arm] for one in rounds] for arm in (0, 1))
        rows.append(
            {
                "case": f"opening {name}",
                "n": len(rounds),
                "files_s": spread(made),
                "cache_s": spread(found),
                "ratio_of_medians": statistics.median(made) / statistics.median(found),
                "entry_bytes": note.nbytes,
                "bytes_over_entry": note.ratio,
            }
        )
    return rows


def waiting(limit: dict[str, int | None], repeats: int) -> list[dict[str, Any]]:
    """Per data set: the share of a training step for which a small net waits for its batch."""
    nets = {
        "keywords": ("mlp 80-200-200-10", models.mlp(80, (200, 200), 10), SOUND),
        "nmnist": ("mlp 2312-200-200-10", models.mlp(2312, (200, 200), 10), None),
        "cifar10": ("vgg9 width 0.25", models.vgg9(3, 10, width=0.25), IMAGE),
    }
    loads: dict[str, Callable[..., Dataset]] = {
        "keywords": keywords,
        "nmnist": nmnist,
        "cifar10": cifar10,
    }
    rows = []
    for name, (title, net, augment) in nets.items():
        data = loads[name]("train", limit=limit.get(name) or 2_000)
        feed = Feed(data, BATCH, net.sample_shape, shuffle=True, augment=augment)
        learner = Learner(net, rules.PRESETS["tess"](), torch.optim.Adam(net.parameters()))
        shares = [_share(learner, feed, epoch) for epoch in range(repeats + 1)][1:]
        rows.append({"case": f"waiting {name}, {title}", "n": repeats, "share": spread(shares)})
    return rows


def _share(learner: Learner, feed: Feed, epoch: int) -> float:
    """Time spent in the feed over all time, of a few steps."""
    waited, started = 0.0, time.perf_counter()
    batches = feed.batches(epoch=epoch)
    for _ in range(STEPS):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        learner.fit(batch.frames, batch.labels)
    return waited / (time.perf_counter() - started)


def timed(action: Callable[[], Any]) -> float:
    """Seconds one call takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def show(row: dict[str, Any]) -> str:
    """A row as a line of text."""
    if "share" in row:
        share = row["share"]
        return (
            f"{row['case']:32} {100 * share['median']:.2f} % of a step "
            f"({100 * share['min']:.2f} to {100 * share['max']:.2f})"
        )
    if "arm" not in row:
        files, cache = row["files_s"], row["cache_s"]
        return (
            f"{row['case']:16} files {files['median']:.2f} s ({files['min']:.2f} to "
            f"{files['max']:.2f}), cache {cache['median']:.3f} s ({cache['min']:.3f} to "
            f"{cache['max']:.3f}), {row['bytes_over_entry']:.1f} times smaller than bytes"
        )
    time_, per = row["epoch_s"], 1e6 / row["samples"]
    work = row["ratio_of_processor_time"]
    return (
        f"  {row['arm']:26} {time_['median']:7.3f} s/epoch ({time_['min']:.3f} to "
        f"{time_['max']:.3f})  {per * time_['median']:6.1f} µs/sample  "
        f"ratio {row['ratio_of_medians']:.2f}" + (f" (processor {work:.2f})" if work else "")
    )


def processor() -> str:
    """The name of the processor, where the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Measure every case, print a table, and keep a record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few samples, nothing recorded")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="epochs timed per arm")
    given = parser.parse_args()
    quick = given.quick
    torch.set_num_threads(THREADS)
    repeats, limit = (QUICK_REPEATS, QUICK_LIMIT) if quick else (given.repeats, LIMIT)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for this in cases(limit, Path(folder)):
            print(f"{this.name}: {this.samples} samples", flush=True)
            found = compare(this, repeats)
            rows += found
            print("\n".join(map(show, found)), flush=True)
    for row in (*opening(limit, repeats), *waiting(limit, repeats)):
        rows.append(row)
        print(show(row), flush=True)
    if not quick:
        print(f"recorded in {record(rows)}")


def record(rows: list[dict[str, Any]]) -> Path:
    """Write the rows with everything they depend on."""
    now = datetime.now(UTC)
    path = HERE / "records" / f"data-{now:%Y%m%d-%H%M%S}.json"
    about = {
        "what": "time of an epoch fed by localspike and by a per-sample torch Dataset",
        "command": shlex.join(["python", "benchmarks/data.py", *sys.argv[1:]]),
        "when": now.isoformat(timespec="seconds"),
        "revision": revision(),
        "versions": {**versions(), "threads": THREADS},
        "hardware": {"processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()},
        "rows": rows,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(about, indent=1) + "\n")
    return path.relative_to(HERE.parent)


if __name__ == "__main__":
    main()
