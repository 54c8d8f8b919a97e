"""Multiply-accumulates of learning one sequence batch, block by block, from sizes alone.

Equal to what `learn.meter.macs_of` counts while a learner runs, but for three things it counts in
its own way:

* a convolution in g groups: its counter takes a weight contraction for g times what it is;
* outer products of a single sample, which `torch.einsum` does without a product that it sees: the
  contraction of a trace per synapse of a linear layer, and one product of `Contrast`;
* a regulariser of firing rates, which belongs to the learner and is not in a description: with a
  filter behind Ψ it contracts once more.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..describe import BlockDescription, Description, TraceDescription
from .setting import Setting
from .signals import signal_products, unknown
from .view import Afferent, View

TRACES = ("TwoTrace", "SynapseTrace", "RankOne", "ThroughTime")


@dataclass(frozen=True)
class Products:
    """Multiply-accumulates: forward, own learning signal, weight contraction, error sent down.

    ``traces`` are products of eligibility traces themselves (looking through recurrent weights).

    >>> (Products(6, 2, 6) + Products(forward=4, sent=1)).total
    19
    """

    forward: int = 0
    signal: int = 0
    contraction: int = 0
    sent: int = 0
    traces: int = 0

    def __add__(self, other: Products) -> Products:
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Products(*(a + b for a, b in pairs))

    @property
    def total(self) -> int:
        """All of them."""
        return self.forward + self.signal + self.contraction + self.sent + self.traces


def products(about: Description, setting: Setting) -> dict[str, Products]:
    """Multiply-accumulates of a sequence batch [T, B], by block.

    Raises
    ------
    IllegalError
        For signals or traces of a user's own.

    >>> from localspike import describe, models, rules
    >>> about = describe.describe(models.mlp(20, (30,), 4), rules.tess())
    >>> products(about, Setting())["hidden1"]  # 20·30; 2 · 4·30; twice 20·30
    Products(forward=600, signal=240, contraction=1200, sent=0, traces=0)
    >>> products(about, Setting(schedule="layerwise"))["hidden1"].contraction
    600
    """
    view = View(about, setting)
    kinds = {trace.kind for trace in about.traces.values()}
    for kind in kinds - {*TRACES}:
        raise unknown(kind)
    return {block.name: _of_block(view, block) for block in about.blocks}


def _of_block(view: View, block: BlockDescription) -> Products:
    afferents, trace = view.afferents(block), view.about.traces[block.name]
    return Products(
        sum(view.setting.times(a.shown) * a.samples * a.products for a in afferents),
        signal_products(view, block),
        _contraction(view, block, afferents, trace) if view.learns(block) else 0,
        _sent(view, block, afferents, trace),
        _looking_through(view, block, afferents, trace) if view.learns(block) else 0,
    )


def _contraction(
    view: View, block: BlockDescription, afferents: list[Afferent], trace: TraceDescription
) -> int:
    if not view.setting.streams:
        return sum(_whole(view, a, trace) for a in afferents)
    steps = view.signal_steps
    if trace.kind == "SynapseTrace":
        return steps * _dense(view, block, afferents, trace)
    return steps * sum(_terms(view, block, a, trace) * a.samples * a.products for a in afferents)


def _whole(view: View, a: Afferent, trace: TraceDescription) -> int:
    """One contraction of the sequence, and what crosses from part to part of a long one."""
    crossed = view.setting.crossings if any(trace.pre.values()) else 0
    return (view.setting.times(a.shown) + crossed) * a.samples * a.products


def _terms(view: View, block: BlockDescription, a: Afferent, trace: TraceDescription) -> int:
    """Contractions of one step: two where pre and post trace meet different pre factors.

    A stream takes what a normalisation would undo out of its gradient by one more.
    """
    traced = trace.pre.get(a.name) or trace.fast.get(a.name)
    band = view.about.rule["band"] is not None and block.kind != "readout"
    normalised = block.synapse.normalised and trace.kind == "TwoTrace" and a.name == "input"
    recentred = normalised and not band
    return 1 + bool(traced and trace.post_gain) + band + recentred


def _dense(
    view: View, block: BlockDescription, afferents: list[Afferent], trace: TraceDescription
) -> int:
    """Σ m · E over a trace per synapse; with W_rec seen through, of every neuron by each."""
    n, rows = block.neurons, view.rows(block)
    if trace.through_layer:
        found = sum(n * n * a.fan_in for a in afferents)
        return rows * (found + (n * n if block.synapse.bias else 0))
    return rows * (sum(a.products for a in afferents) + (n if block.synapse.bias else 0))


def _looking_through(
    view: View, block: BlockDescription, afferents: list[Afferent], trace: TraceDescription
) -> int:
    """W_rec times all derivatives of the step before, or in reverse time times one a neuron."""
    if not trace.through_layer:
        return 0
    n, steps, rows = block.neurons, view.setting.steps, view.rows(block)
    if not view.setting.streams:
        return steps * rows * n * n
    synapses = sum(a.fan_in for a in afferents) + 1  # a bias has its trace, there or not
    return (steps - 1) * rows * n**3 * synapses


def _sent(
    view: View, block: BlockDescription, afferents: list[Afferent], trace: TraceDescription
) -> int:
    """The error on its way from a block to those it reads; through time also to its own past."""
    if view.signal["kind"] != "Backprop":
        return 0
    reached, steps = view.reached(), view.signal_steps
    below, *loop = afferents
    asked = any(source in reached for source in block.sources)
    found = steps * below.samples * below.products if asked else 0
    if trace.kind == "ThroughTime" and loop and block.name in reached:
        found += (view.setting.steps - 1) * loop[0].samples * loop[0].products
    return found
