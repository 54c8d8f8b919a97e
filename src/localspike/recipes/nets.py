"""The nets a comparison trains on each data set; everything about them that no rule may change."""

from __future__ import annotations

from typing import Any

from ..config import DataConfig, Part, RunConfig, SchedulerConfig, TrainingConfig
from ..config.options import nearest
from ..errors import ConfigError
from ..nn import LIF


def _base(
    data: DataConfig, model: str, neuron: LIF, *, epochs: int = 10, **options: Any
) -> RunConfig:
    return RunConfig(
        recipe="",
        data=data,
        model=Part(model, options),
        neuron=neuron,
        rule=Part("bptt"),
        scheduler=SchedulerConfig("CosineAnnealingLR"),
        training=TrainingConfig(epochs=epochs, batch_size=64, log_every=0, threads=1, device="cpu"),
    )


_NMNIST = DataConfig("nmnist", {"bin_ms": 10})
_KEYWORDS = DataConfig("keywords")
_BRAILLE = DataConfig("braille", {"bin_ms": 20})
_SLOW = LIF(decay=0.9, threshold=1.0)

NETS: dict[str, dict[str, RunConfig]] = {
    "nmnist": {
        "fc": _base(_NMNIST, "mlp", _SLOW, hidden=(200,), rate=0.05),
        "conv": _base(
            _NMNIST,
            "convnet",
            _SLOW,
            epochs=5,
            channels=(16, 32),
            kernel=5,
            stride=3,
            pooling="avg",
            rate=0.1,
        ),
    },
    "keywords": {
        "fc": _base(_KEYWORDS, "mlp", _SLOW, hidden=(200, 200), rate=0.05),
        "rec": _base(_KEYWORDS, "recurrent", _SLOW, hidden=(128,), readout_decay=0.0, rate=0.05),
    },
    "braille": {
        "fc": _base(_BRAILLE, "mlp", _SLOW, hidden=(128,), rate=0.05),
        "rec": _base(_BRAILLE, "recurrent", _SLOW, hidden=(128,), readout_decay=0.0, rate=0.05),
    },
}
"""By data set and net: the run all rules share, under a rule that stands for any."""


def nets_of(data: str) -> tuple[str, ...]:
    """Names of a data set's nets.

    Raises
    ------
    ConfigError
        If nothing is compared on this data set.

    >>> nets_of("nmnist")
    ('fc', 'conv')
    """
    if data not in NETS:
        raise ConfigError(f"no comparison is set up on data {data!r}", fix=nearest(data, NETS))
    return tuple(NETS[data])


def base_of(data: str, net: str) -> RunConfig:
    """What all rules share on one net.

    Raises
    ------
    ConfigError
        If there is no such net; the message has the nearest names.

    >>> base_of("braille", "rec").model.name
    'recurrent'
    """
    if net not in nets_of(data):
        raise ConfigError(f"unknown net {net!r} for {data}", fix=nearest(net, NETS[data]))
    return NETS[data][net]
