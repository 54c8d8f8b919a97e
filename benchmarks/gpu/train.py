"""One training step of VGG-9 on a GPU: images a second, part of the floor, against our own BPTT.

    python benchmarks/gpu/train.py --out OUT --revision REV

`localspike bench train --device cuda` at B=128, T=6, and whether the bars are met.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localspike.bench import record, train
from localspike.bench.report import train_text
from localspike.bench.workload import Workload
from localspike.errors import LocalspikeError

BARS = {
    "bptt bf16 / tess bf16": 1.5,
    "bptt float32 / tess bf16": 3.0,
}
"""Ratios of the median step times, each at least so much."""
TOLD = (
    *BARS,
    "bptt float32 / tess float32",
    "floor bf16 / tess bf16",
    "floor bf16 / tess bf16 in any order",
    "floor float32 / tess float32",
)


def judged(methods: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every ratio that can be made of the methods measured, and whether its bar is met."""
    found = {}
    for pair in TOLD:
        above, below = pair.split(" / ")
        if above in methods and below in methods:
            value = methods[above]["step_s"]["median"] / methods[below]["step_s"]["median"]
            bar = BARS.get(pair)
            found[pair] = {"ratio": value, "bar": bar, "met": None if bar is None else value >= bar}
    return found


def main(arguments: Sequence[str]) -> int:
    """Measure, judge, keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the record")
    parser.add_argument("--revision", help="the checkout's, where there is no git to ask")
    parser.add_argument("--net", default="vgg9")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args(arguments)
    work = Workload.of(asked.net, asked.batch, asked.steps)
    request = train.Request(work, asked.rounds, asked.threads, asked.device, out=asked.out)
    found = train.run(request, lambda line: print(line, file=sys.stderr, flush=True))
    found["bars"] = judged(found["methods"])
    found["command"] = shlex.join(["python", "benchmarks/gpu/train.py", *arguments])
    found["revision"] = asked.revision or found["revision"]
    record.write(found, asked.out, train.name_of(request))
    print(train_text(found))
    for name, method in found["methods"].items():
        print(f"{name}: {method['samples_per_s']:.0f} images/s")
    for pair, one in found["bars"].items():
        bar = (
            "" if one["bar"] is None else f", bar {one['bar']}: {'met' if one['met'] else 'MISSED'}"
        )
        print(f"{pair}: {one['ratio']:.2f}{bar}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LocalspikeError as error:
        sys.exit(f"error: {error}")
