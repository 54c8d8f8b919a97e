"""What a rule has to remember, block by block and buffer by buffer.

A stream's buffers are those of `learn.streaming.StreamState`, number for number, from its second
step on; the masks of dropout, which only training draws, are not in them. BPTT has no such state:
see `activations`.
"""

from __future__ import annotations

from math import prod

from ..describe import BlockDescription, Description, TraceDescription
from .setting import Setting
from .signals import signal_state, unknown
from .view import Afferent, View

Buffers = dict[str, int]


def state(about: Description, setting: Setting) -> dict[str, Buffers]:
    """Numbers a stream of a batch B carries from step to step, by block and buffer; T is not in it.

    Raises
    ------
    IllegalError
        For signals or traces of a user's own, and for credit through time.

    >>> from localspike import describe, models, rules
    >>> about = describe.describe(models.mlp(20, (30,), 4), rules.tess())
    >>> state(about, Setting())["hidden1"]
    {'membrane': 30, 'pre trace': 20, 'post trace': 30}
    """
    view = View(about, setting)
    return {
        block.name: _neurons(view, block) | _seen(block) | _learning(view, block)
        for block in about.blocks
    }


def inference(about: Description, setting: Setting) -> dict[str, Buffers]:
    """Numbers that running without learning carries: membranes and what belongs to neurons.

    >>> from localspike import describe, models, rules
    >>> about = describe.describe(models.recurrent(20, (30,), 4), rules.tess())
    >>> inference(about, Setting())["hidden1"]
    {'membrane': 30, 'spikes': 30}
    """
    view = View(about, setting)
    return {block.name: _neurons(view, block) for block in about.blocks}


def activations(about: Description, setting: Setting) -> dict[str, Buffers]:
    """Numbers BPTT keeps of a sequence: every block's inputs and membranes of all T steps.

    The inputs are what weight gradients need, u what Ψ needs. It is the least a batch of this
    length takes: autograd saves tensors in between as well, which `learn.meter.sequence_bytes`
    counts. A static input is kept once; so is nothing else, for its spikes change.

    >>> from localspike import describe, models, rules
    >>> about = describe.describe(models.mlp(20, (30,), 4), rules.bptt())
    >>> activations(about, Setting(steps=12, schedule="bptt"))["hidden1"]
    {'input': 240, 'membrane': 360}
    """
    view = View(about, setting)
    found = {}
    for block in about.blocks:
        kept = {
            a.name: setting.times(a.shown) * a.samples * a.numbers for a in view.afferents(block)
        }
        found[block.name] = kept | {"membrane": setting.steps * view.rows(block) * block.neurons}
    return found


def _neurons(view: View, block: BlockDescription) -> Buffers:
    n, neuron = view.rows(block) * block.neurons, block.neuron
    parts = {
        "membrane": True,
        "spikes": block.recurrent,
        "adaptation": bool(neuron.adaptation),
        "current": bool(neuron.synaptic_decay),
    }
    return {name: n for name, there in parts.items() if there}


def _seen(block: BlockDescription) -> Buffers:
    """Moments of a normalised block's current until the next update."""
    return {"moments": 3 * block.neuron_shape[0]} if block.synapse.normalised else {}


def _learning(view: View, block: BlockDescription) -> Buffers:
    trace = view.about.traces[block.name]
    found = signal_state(view, block)
    if not view.learns(block):
        return found
    afferents, n = view.afferents(block), view.rows(block) * block.neurons
    if trace.kind == "TwoTrace":
        return _two_trace(afferents, n, trace) | found
    if trace.kind == "RankOne":
        pre = sum(a.samples * a.numbers for a in afferents)
        return {"pre trace": pre, "post trace": n, "retention": n} | found
    if trace.kind == "SynapseTrace":
        return _per_synapse(view, block, afferents, trace) | found
    raise unknown(trace.kind)


def _two_trace(afferents: list[Afferent], n: int, trace: TraceDescription) -> Buffers:
    parts = {
        "pre trace": sum(a.samples * a.numbers for a in afferents if trace.pre[a.name]),
        "fast trace": sum(a.samples * a.numbers for a in afferents if trace.fast[a.name]),
        "post trace": n if trace.post_gain else 0,
    }
    return {name: numbers for name, numbers in parts.items() if numbers}


def _per_synapse(
    view: View, block: BlockDescription, afferents: list[Afferent], trace: TraceDescription
) -> Buffers:
    """One trace for every synapse and position, and one for a bias, there or not.

    Where nothing in ε_v depends on the neuron behind the synapse it is kept once a patch.
    """
    neuron, rows, n = block.neuron, view.rows(block), block.neurons
    each = rows * (n * n if trace.through_layer else n) * (sum(a.fan_in for a in afferents) + 1)
    reset_by_spike = neuron.reset == "hard" or (trace.through_reset and neuron.reset == "soft")
    shared = each if trace.through_layer else _patches(block, afferents, rows) + n
    parts = {
        "membrane trace": each if reset_by_spike else shared,
        "adaptation trace": each if neuron.adaptation else 0,
        "filtered trace": each if trace.filter else 0,
        "current trace": shared if neuron.synaptic_decay else 0,
        "last trace": each if trace.through_layer else 0,
    }
    return {name: numbers for name, numbers in parts.items() if numbers}


def _patches(block: BlockDescription, afferents: list[Afferent], rows: int) -> int:
    """Numbers of the afferents as patches, [1 or K, L, F] a sample."""
    geometry = block.synapse.geometry
    filters = block.neuron_shape[0]
    positions = prod(block.neuron_shape[1:])
    copies = filters if geometry is not None and geometry.groups > 1 else 1
    return rows * sum(copies * positions * a.fan_in for a in afferents)
