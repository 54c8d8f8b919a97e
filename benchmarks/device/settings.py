"""What the runs are made of, by name: those that are reported, and what was tried on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Settings:
    """A net, its events, and how it learns from them.

    ``rate`` falls in a line to ``end`` times itself over all sequences; ``rates`` are its parts by
    block. ``calibrated`` is the firing rate that gains are set for. ``update`` is "step" or
    "sequence". ``headroom`` is what weights of fixed point may grow by.
    """

    net: str = "fc"
    sizes: tuple[int, ...] = (48, 32)
    side: int = 8
    steps: int = 20
    density: float = 1.0
    calibrated: float = 0.15
    epochs: int = 1
    update: str = "step"
    rate: float = 0.02
    end: float = 0.0
    momentum: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)
    pooling: str = "max"
    pre_decay: float = 0.5
    scale: str = "l2"
    pool: int | None = None
    latent_decay: float = 0.0
    headroom: float = 2.0


FC = Settings(rate=0.04)
FC_GATHER = replace(FC, update="sequence", rate=0.01)
CONV = Settings("conv", (16, 32), 16, rates={"conv1": 0.25})
CONV_GATHER = replace(CONV, update="sequence", rate=0.002)
DEEP = Settings("conv", (8, 16, 32), 16)
FOUR = Settings("conv", (16, 32, 32, 32), 16, rates={"conv1": 0.25, "conv2": 0.5})
"""Its readout sees one position of 32 channels: what it can read is up to the filters."""
BY_LAYER = {"conv1": 0.25, "conv2": 0.5}

REPORTED = {
    "fc-step": FC,
    "fc-gather": FC_GATHER,
    "conv-step": CONV,
    "conv-gather": CONV_GATHER,
    "fc-step-3-epochs": replace(FC, epochs=3),
    "fc-frozen": replace(FC, rates={"hidden1": 0.0, "hidden2": 0.0}),
    "conv-frozen": replace(CONV, rates={"conv1": 0.0, "conv2": 0.0}),
    "four-step": FOUR,
    "four-frozen": replace(FOUR, rates={f"conv{i}": 0.0 for i in range(1, 5)}),
    "four-gather": replace(FOUR, update="sequence", rate=0.004),
    "conv-gather-3-epochs": replace(CONV_GATHER, epochs=3),
}
"""Read on the test split."""

TRIED = {
    "deep, constant step 0.01": replace(DEEP, rate=0.01, end=1.0),
    "deep, constant step 0.002": replace(DEEP, rate=0.002, end=1.0),
    "deep, constant step 0.05": replace(DEEP, rate=0.05, end=1.0),
    "deep": DEEP,
    "deep, hidden layers frozen": replace(DEEP, rates={"conv1": 0.0, "conv2": 0.0, "conv3": 0.0}),
    "deep, rates by layer": replace(DEEP, rates=BY_LAYER),
    "deep, rates 1/positions": replace(
        DEEP, rates={"conv1": 1 / 64, "conv2": 1 / 16, "conv3": 1 / 4}
    ),
    "deep, gathered": replace(DEEP, update="sequence", rate=0.006, rates=BY_LAYER),
    "deep, mean pooling": replace(DEEP, pooling="avg"),
    "deep, latents to 1 x 1": replace(DEEP, pool=1),
    "deep, pre decay 0.8": replace(DEEP, pre_decay=0.8),
    "deep, calibrated to 0.3": replace(DEEP, calibrated=0.3),
    "deep, half the events": replace(DEEP, density=0.5),
    "wide": replace(CONV, rates={}),
    "wide, constant step": replace(CONV, rates={}, end=1.0),
    "wide, conv1 at a quarter": CONV,
    "wide, hidden layers frozen": replace(CONV, rates={"conv1": 0.0, "conv2": 0.0}),
    "wide, gathered": CONV_GATHER,
    "wide, gathered, step 0.004": replace(CONV_GATHER, rate=0.004),
    "wide, gathered, momentum 0.5": replace(CONV_GATHER, rate=0.001, momentum=0.5),
    "wide, gathered, momentum 0.9": replace(CONV_GATHER, rate=0.0005, momentum=0.9),
}
"""Read on the validation split."""

KNOWN = {**REPORTED, **TRIED}
