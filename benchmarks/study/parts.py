"""What the parts of `tess_plus` bring where nets are small: one taken away, or two, on keywords.

Validation after the last epoch, with the step size that won its grid there. The seeds are neither
the grid's nor those of final runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from contest import CONTESTANTS, chosen
from jobs import Job

PLACE = "keywords-fc"
SEEDS = (10, 11, 12, 13, 14)
VOTES = CONTESTANTS["tess_plus"].settings
PARTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "bptt": ("BPTT, beside it", "bptt", ()),
    "tess": ("TESS, beside it", "tess", ()),
    "plus": ("`tess_plus`: a basis that learns, running statistics, votes", "tess_plus", VOTES),
    "silent": ("without votes", "tess_plus", ("rule.votes=false",)),
    "nostats": (
        "without running statistics",
        "tess_plus",
        (*VOTES, "model.norm_momentum=none"),
    ),
    "silent-nostats": (
        "without both: a basis that learns",
        "tess_plus",
        CONTESTANTS["tess_plus-basis"].settings,
    ),
    "equal": (
        "all three, one step size for weights, readout and basis",
        "tess_plus",
        (*VOTES, "rule_factor=1", "readout_factor=1"),
    ),
}
"""By name: what it is, the entry, and its settings."""


def jobs() -> Iterator[Job]:
    """Every part and seed, once the grids are whole."""
    for name, (_, entry, settings) in PARTS.items():
        lr = chosen(PLACE, entry)
        for seed in SEEDS if lr is not None else ():
            changes = (f"lr={lr!r}", *settings)
            yield Job(f"parts/{PLACE}", name, seed, f"{PLACE}/{entry}", changes)
