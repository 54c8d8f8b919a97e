"""Adam's step size for every rule on every net: chosen by hand on validation, one number each."""

from __future__ import annotations

DEFAULT = 3e-3
"""For a rule that stands in no table, as one from a plugin does."""

DEFAULTS = {"nmnist/conv": 1e-2}
"""The same where a net asks for another: five epochs of a standardised conv net are short."""

# A rule at its net's default is left out.
STEP_SIZES: dict[str, dict[str, float]] = {
    "nmnist/fc": {"frozen": 1e-2, "decolle": 1e-2, "osttp": 1e-2, "tp": 3e-4, "fptt": 3e-4},
    "nmnist/conv": {"tp": 1e-3, "fptt": 1e-3},
    "keywords/fc": {"tess": 1e-2, "frozen": 1e-2, "tp": 3e-4},
    "keywords/rec": {"tess": 1e-2, "frozen": 1e-2, "tp": 3e-4},
    "braille/fc": {"tess": 1e-2, "frozen": 1e-2, "tp": 3e-4},
    "braille/rec": {"tess": 1e-2, "frozen": 1e-2, "tp": 3e-4},
}


def step_size(data: str, net: str, name: str) -> float:
    """The step size of the entry ``name`` of the family on one net.

    >>> step_size("keywords", "fc", "tess"), step_size("keywords", "fc", "mine")
    (0.01, 0.003)
    """
    place = f"{data}/{net}"
    return STEP_SIZES[place].get(name, DEFAULTS.get(place, DEFAULT))
