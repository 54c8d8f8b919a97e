"""A keyword spotter that goes on learning on a Cortex-M4F: accuracy for speakers it never heard.

    localspike train keywords-tess --out runs/words
    python examples/keyword_spotter/spotter.py runs/words
    python examples/keyword_spotter/spotter.py runs/words --machine cortex-m4   # emulated, 256 KB

Exports the run, writes the clips of the embedded test speakers into ``clips.h``, builds
``spotter.c`` with 256 KB of RAM and runs it. Each speaker's clips are dealt into folds; the device
adapts to all but one of them and is judged on that one. How it adapts was chosen by ``choose.py``
on training speakers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapting import RAM, Heard, Knobs, adapt, report, speakers_of, spread

from localspike.bench.environment import hardware
from localspike.errors import LocalspikeError
from localspike.recipes.exporting import export_c
from localspike.recipes.folder import revision, versions

NEEDS = {
    "host": "cc",
    "cortex-m4": "qemu-system-arm",
    "cortex-m3": "qemu-system-arm",
    "rv32": "qemu-system-riscv32",
}


def record(asked: argparse.Namespace, knobs: Knobs, found: list[Heard], made: Any) -> str:
    """What was run and what came out, as JSON."""
    gains = [x.gain for x in found]
    mode = "gather" if knobs.update == "sequence" else "learn"
    said = {
        "kind": "keyword spotter",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "hardware": hardware(),
        "command": " ".join(["python", *sys.argv]),
        "machine": asked.machine,
        "split": asked.speakers,
        "dtype": asked.dtype,
        "knobs": asdict(knobs),
        "model_hash": made["model_hash"],
        "arena_bytes": made["arena_bytes"][mode],
        "ram_bytes": RAM,
        "speakers": [{**asdict(x), "gain": round(x.gain, 2)} for x in found],
        "gain": {"mean": statistics.mean(gains), "sd": spread(gains), "n": len(gains)},
        "versions": versions(),
    }
    return json.dumps(said, indent=1) + "\n"


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a trained keyword run")
    parser.add_argument("--out", type=Path, default=Path("spotter"), help="folder of the export")
    parser.add_argument("--machine", default="host", choices=NEEDS)
    parser.add_argument("--speakers", default="test", choices=["val", "test"])
    parser.add_argument("--least", type=int, default=30, help="clips of a speaker, at least")
    parser.add_argument("--dtype", default="f32", choices=["f32", "int16", "int8"])
    for name, default in asdict(Knobs()).items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--record", type=Path, help="JSON file to write")
    return parser.parse_args()


def main() -> None:
    asked = parsed()
    if missing := [tool for tool in ("make", NEEDS[asked.machine]) if shutil.which(tool) is None]:
        sys.exit(f"not installed: {', '.join(missing)} (make emulators)")
    knobs = Knobs(**{name: getattr(asked, name) for name in asdict(Knobs())})
    try:
        made = export_c(asked.run, asked.out, dtype=asked.dtype, say=lambda _: None)
        speakers = list(speakers_of(asked.speakers, asked.least))
        found = adapt(asked.out, speakers, knobs, asked.machine)
    except (LocalspikeError, RuntimeError) as error:
        sys.exit(str(error))
    print(report(found))
    if asked.record:
        asked.record.parent.mkdir(parents=True, exist_ok=True)
        asked.record.write_text(record(asked, knobs, found, made.numbers))


if __name__ == "__main__":
    main()
