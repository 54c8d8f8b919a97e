"""An export's folder: runtime, model, self-check, manifest."""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from . import emit
from .plan import MODES, Plan, numbers
from .vectors import header, make_vectors

RUNTIME = (
    "ls.h", "ls_inside.h", "ls.c", "ls_map.c", "ls_learn.c", "ls_extra.c", "ls_fixed.c",
    "ls_store.c", "Makefile",
)  # fmt: skip
CHECKS = ("selfcheck.c", "misuse.c", "fuzz.c", "fuzz_check.h")


def files_of(plan: Plan, counts: NDArray[np.uint8] | None = None) -> dict[str, str]:
    """Every file of an export by its path; ``counts`` are test inputs in place of random ones."""
    runtime = resources.files("localspike.export") / "runtime"
    vectors = make_vectors(plan, counts)
    manifest = {
        **numbers(plan),
        "notes": list(plan.notes),
        "test": {
            "spikes": {k: f"{v:08x}" for k, v in vectors.spikes.items()},
            "weights": {k: f"{v:08x}" for k, v in vectors.weights.items()},
            "rates": {k: round(v, 4) for k, v in vectors.rates.items()},
        },
    }
    found = {name: (runtime / name).read_text(encoding="utf-8") for name in RUNTIME}
    return found | {
        "ls_dtype.h": emit.dtype_header(plan),
        "ls_model.h": emit.header(plan),
        "ls_model.c": emit.source(plan),
        **{f"test/{name}": (runtime / name).read_text(encoding="utf-8") for name in CHECKS},
        "test/vectors.h": header(plan, vectors),
        "manifest.json": json.dumps(manifest, indent=1) + "\n",
    }


def budget_table(plan: Plan) -> str:
    """Bytes per layer and mode as a table."""
    rows = [f"{'layer':<12}" + "".join(f"{mode:>12}" for mode in MODES)]
    by_mode = [plan.buffers(mode) for mode in MODES]
    for name in by_mode[0]:
        totals = (f"{sum(buffers[name].values()):>12,}" for buffers in by_mode)
        rows.append(f"{name or 'net':<12}" + "".join(totals))
    totals = (f"{plan.arena(mode):>12,}" for mode in MODES)
    return "\n".join([*rows, f"{'arena':<12}" + "".join(totals)])
