"""Synaptic operations: the accumulates that spikes cause, at given firing rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..describe import BlockDescription, Description
from ..errors import ConfigError
from .setting import Setting
from .view import INPUT, View


class Operations(NamedTuple):
    """Of a sample and step: accumulates driven by spikes, and multiply-accumulates that stay.

    An analog frame multiplies; a spike adds one weight to every neuron it reaches. Inputs that
    average pooling made of spikes count as their spikes.
    """

    accumulates: float
    multiplies: int


def operations(
    about: Description, rates: float | Mapping[str, float], input_rate: float | None = None
) -> dict[str, Operations]:
    """Forward operations of a sample and step, by block.

    Parameters
    ----------
    rates:
        Spikes per neuron and step: one number, or one for each block by name.
    input_rate:
        Events per number of the network's input and step; None says that it is analog.

    Raises
    ------
    ConfigError
        For a rate outside 0..1 or a block without one.

    >>> from localspike import describe, models, rules
    >>> about = describe.describe(models.mlp(20, (30,), 4), rules.tess())
    >>> operations(about, 0.1)
    {'hidden1': Operations(accumulates=0.0, multiplies=600), \
'readout': Operations(accumulates=12.0, multiplies=0)}
    """
    names = [block.name for block in about.blocks if block.kind != "readout"]
    every = rates if isinstance(rates, Mapping) else dict.fromkeys(names, rates)
    for name in names:
        check_rate(name, every.get(name))
    if input_rate is not None:
        check_rate(INPUT, input_rate)
    view = View(about, Setting())
    return {block.name: _of(view, block, every, input_rate) for block in about.blocks}


def check_rate(name: str, rate: float | None) -> None:
    """Refuse what is no rate, of a block or of the input."""
    if rate is None or not 0.0 <= rate <= 1.0:
        raise ConfigError(
            f"the rate of {name!r}",
            got="none" if rate is None else rate,
            expected="spikes per neuron and step, 0..1",
        )


def _of(
    view: View, block: BlockDescription, rates: Mapping[str, float], shown: float | None
) -> Operations:
    """A block that adds several sources gets the spikes of each; an analog one multiplies."""
    below, *loop = view.afferents(block)
    driven = sum(rates[source] for source in block.sources if source != INPUT)
    multiplies = 0
    if INPUT in block.sources:
        driven += shown or 0.0
        multiplies = below.products if shown is None else 0
    found = driven * below.products
    if loop:
        found += rates[block.name] * loop[0].products
    return Operations(found, multiplies)
