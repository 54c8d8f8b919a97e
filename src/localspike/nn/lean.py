"""A block's whole sequence with no more kept than a two-trace rule of one layer needs.

Spikes and Ψ in the dtype of the products, feature maps channels last, the neurons in one pass. The
numbers are those of `Spiking.sequence`, rounded to that dtype.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..kernels import fused, loop, pooled, tables, winograd
from ..kernels.neuron import Constants
from ..kernels.slopes import Dynamics, Slopes, kept
from ..kernels.surrogate import Surrogate
from ..kernels.tables import Table
from ..kernels.windows import Windows, spread
from .currents import is_static, merged_currents
from .layer import BlockState, Spiking, Weights
from .neuron import LIF
from .synapse import Conv2d, Linear, Synapse
from .tail import AvgPool, GlobalAvgPool, MaxPool


class Kept(NamedTuple):
    """What a block did, [T, B, ...]; ``contexts`` are the tail's, merged to [T·B].

    ``o`` is None where the spikes were pooled as they came; ``rates`` [T, B] are spikes per neuron.
    ``slopes`` have one step as it lies in memory. ``table`` is there where the convolution was done
    by matrix products. ``o_prev`` [B, ...] are a recurrent block's spikes before the first step;
    ``current`` those of a normalised synapse.
    """

    x: Tensor
    o: Tensor | None
    slopes: Slopes
    out: Tensor
    contexts: tuple[Any, ...]
    rates: Tensor
    table: Table | None = None
    o_prev: Tensor | None = None
    current: Tensor | None = None

    @property
    def like(self) -> Tensor:
        """A tensor [T, B, ...] of the shape, order in memory and dtype that the spikes have."""
        return self.slopes.source


def obstacle(block: Spiking) -> str | None:
    """Why a block cannot run lean, or None.

    >>> from .synapse import Linear
    >>> from .neuron import ALIF
    >>> obstacle(Spiking(Linear(3, 2))), obstacle(Spiking(Linear(3, 2), ALIF()))
    (None, 'its neurons are ALIF')
    """
    if type(block) is not Spiking:
        return f"it is a {type(block).__name__}, which may do something else"
    if type(block.neuron) is not LIF:
        return f"its neurons are {type(block.neuron).__name__}"
    feedback = block.recurrent
    # Its products are made within a kernel, which calls no method and no hook of the synapse.
    if feedback is not None and type(feedback) is not Linear:
        return f"its recurrent synapse is a {type(feedback).__name__}, which may do something else"
    if feedback is not None and (feedback._forward_hooks or feedback._forward_pre_hooks):
        return "its recurrent synapse has a hook"
    return None


def sequence(
    block: Spiking,
    x: Tensor,
    state: BlockState,
    weights: Weights,
    psi: Surrogate,
    dtype: torch.dtype | None,
    valid: Tensor | None = None,
) -> tuple[Kept, BlockState]:
    """The block on x [T, B, ...] from ``state``; see `Spiking.sequence`."""
    currents, table = _currents(block.synapse, x, weights.input, dtype)
    currents, seen = block.centred(currents, state, weights, valid)
    state = state._replace(seen=seen)
    if block.normalised:
        did, state = _fire(block, x, currents, table, state, weights, psi)
        return did._replace(current=currents), state
    return _fire(block, x, currents, table, state, weights, psi)


def _fire(
    block: Spiking,
    x: Tensor,
    currents: Tensor,
    table: Table | None,
    state: BlockState,
    weights: Weights,
    psi: Surrogate,
) -> tuple[Kept, BlockState]:
    """The neurons and the tail."""
    if weights.recurrent is None and _pools(block, currents):
        return _scan_and_pool(block, x, currents, table, state, psi)
    if weights.recurrent is None:
        o, slopes, v = _scan(block, currents, state, psi)
    else:
        o, slopes, v = _loop(block, currents, state, weights.recurrent, psi)
    out, contexts = block.tail_forward(o.flatten(0, 1), state.masks)
    out = out.view(*o.shape[:2], *out.shape[1:]) if block.tail else o
    # A copy: the last step of o would keep all of them.
    fired = None if state.o is None else o[-1].clone()
    did = Kept(x, o, slopes, out, contexts, spike_rates(o), table, state.o)
    return did, state._replace(v=v, o=fired)


def _scan(
    block: Spiking, currents: Tensor, state: BlockState, psi: Surrogate
) -> tuple[Tensor, Slopes, Tensor]:
    """Spikes [T, B, ...], Ψ and the last v [B, ...]."""
    constants, inclusive = _constants(block.neuron), block.neuron.fires_at_threshold
    start = _start(state.v, currents)
    o, slopes, v = fused.scan(fused.flat(currents), start, constants, psi, inclusive)
    last = fused.unflat(v[None], currents[:1])[0]
    source = fused.unflat(slopes.source, currents)
    return fused.unflat(o, currents), slopes._replace(source=source), last


def _start(v: Tensor, currents: Tensor) -> Tensor | None:
    """v [B, ...] as it lies beside the currents [T, B, ...] in memory, [N]; None at rest."""
    if not any(v.stride()):  # one zero for all: see `Network.init_state`
        return None
    return fused.flat(_laid_out(v, currents[0])[None])[0]


def _pools(block: Spiking, currents: Tensor) -> bool:
    """Whether the block's tail is a pooling that its neurons can do themselves."""
    tail = block.tail[0] if len(block.tail) == 1 else None
    return type(tail) is MaxPool and pooled.pays(currents[0], tail.size)


def _scan_and_pool(
    block: Spiking,
    x: Tensor,
    currents: Tensor,
    table: Table | None,
    state: BlockState,
    psi: Surrogate,
) -> tuple[Kept, BlockState]:
    """`sequence` of a block of which `_pools` is true."""
    steps, batch, channels, height, width = currents.shape
    q = block.tail[0].size  # type: ignore[union-attr]
    shape = (steps, batch * height // q, q, width // q, q, channels)
    rows, start = fused.flat(currents).view(shape), _start(state.v, currents)
    dynamics = Dynamics(_constants(block.neuron), psi, block.neuron.fires_at_threshold)
    found = pooled.scan(rows, None if start is None else start.view(rows.shape[1:]), dynamics)
    merged = (steps * batch, height // q, width // q, channels)
    out = found.out.view(merged).permute(0, 3, 1, 2).unflatten(0, (steps, batch))
    spikes = found.spikes.view(steps, batch, -1)
    starts = tuple(None if v is None else v.flatten() for v in found.slopes.starts)
    slopes = found.slopes._replace(source=currents, starts=starts)
    last = fused.unflat(found.v.view(1, -1), currents[:1])[0]
    rates = fused.rates(spikes) / q**2
    contexts = ((found.which.view(merged), None),)
    did = Kept(x, None, slopes, out, contexts, rates, table)
    return did, state._replace(v=last)


def spike_rates(o: Tensor) -> Tensor:
    """Spikes per neuron [T, B] of o [T, B, ...] in any memory order."""
    events = o.permute(0, 1, 3, 4, 2) if o.ndim == 5 and not o.is_contiguous() else o
    return fused.rates(events.flatten(2))


def _loop(
    block: Spiking, currents: Tensor, state: BlockState, weight: Tensor, psi: Surrogate
) -> tuple[Tensor, Slopes, Tensor]:
    """`_scan` of a recurrent block, of which the whole current is not kept, and Ψ is."""
    assert state.o is not None  # it has recurrent weights
    constants, inclusive = _constants(block.neuron), block.neuron.fires_at_threshold
    v = state.v.contiguous()
    o, slopes, v = loop.scan(currents, v, state.o, weight, constants, psi, inclusive)
    return o, kept(slopes), v


def _currents(
    synapse: Synapse, x: Tensor, weight: Tensor, dtype: torch.dtype | None
) -> tuple[Tensor, Table | None]:
    """Currents [T, B, ...], and the table where they were made from one."""
    table = _table(synapse, x, weight, dtype)
    if table is None or not isinstance(synapse, Conv2d):
        return merged_currents(synapse, x, weight, dtype, narrow=dtype is not None), None
    currents = table.forward(x.flatten(0, 1), weight, synapse.geometry)
    return currents.unflatten(0, x.shape[:2]), table


def _table(synapse: Synapse, x: Tensor, weight: Tensor, dtype: torch.dtype | None) -> Table | None:
    """The table of x [T, B, ...], where a convolution is faster by one."""
    if type(synapse) is not Conv2d or is_static(x):
        return None
    if synapse._forward_hooks or synapse._forward_pre_hooks:  # products here call none
        return None
    merged = x.flatten(0, 1)
    form = tables.form_of(merged, weight, synapse.geometry, dtype or weight.dtype)
    if form is None:
        return None
    wide = merged.to(weight.dtype)  # a block beside the lean ones hands on wide spikes
    return Table(form, form.make_table(wide, weight, synapse.geometry))


def with_table(block: Spiking, kept: Kept, weights: Weights, dtype: torch.dtype | None) -> Kept:
    """What was kept without its table, several times as large as the input, with it again."""
    return kept._replace(table=_table(block.synapse, kept.x, weights.input, dtype))


def contract(block: Spiking, kept: Kept, post: Tensor, dtype: torch.dtype | None) -> Tensor:
    """post [T, B, ...] ⊗ the block's input: [B, ...] where that is static, summed over time."""
    synapse, x = block.synapse, kept.x
    if is_static(x):
        return synapse.contract(post, x[0], dtype)
    if kept.table is not None:
        return kept.table.contract(post.flatten(0, 1), synapse.weight)
    return synapse.contract(post.flatten(0, 1), x.flatten(0, 1), dtype)


def pullback(
    block: Spiking, post: Tensor, weight: Tensor, shape: torch.Size, dtype: torch.dtype | None
) -> Tensor:
    """post [T·B, ...] carried to the block's input, of ``shape``, through its effective weight."""
    synapse, products = block.synapse, dtype or weight.dtype
    if type(synapse) is Conv2d and winograd.pays_back(post, weight, synapse.geometry, products):
        return winograd.pullback(post.to(products), weight, synapse.geometry).to(post.dtype)
    return synapse.pullback(post, weight, shape, dtype)


def contract_recurrent(
    block: Spiking, kept: Kept, post: Tensor, dtype: torch.dtype | None
) -> list[Tensor]:
    """post [T, B, ...] ⊗ o[t−1] in summands of the shape of the recurrent weight."""
    synapse = block.recurrent
    assert synapse is not None and kept.o is not None and kept.o_prev is not None  # it recurs
    found = [synapse.contract(post[0], kept.o_prev.to(post.dtype), dtype)]
    if len(post) > 1:
        found.append(synapse.contract(post[1:].flatten(0, 1), kept.o[:-1].flatten(0, 1), dtype))
    return found


def windows(block: Spiking, kept: Kept, m: Tensor) -> Windows | None:
    """Where a signal m [T, B, C, g, g] at a block's latents arrives, None if that takes all of it.

    The latents are means over equal windows of the block's output, or that output itself; m is
    ∂L/∂latent. Tails of these very classes: a subclass may carry it back otherwise.
    """
    if kept.like.ndim != 5 or len(block.tail) > 1 or kept.like[0].is_contiguous():
        return None
    size, g = kept.like.shape[3], m.shape[3]
    outer = kept.out.shape[3]
    if kept.like.shape[4] != size or m.shape[4] != g or size % outer or outer % g:
        return None
    tail = block.tail[0] if block.tail else None
    if type(tail) is MaxPool:
        which, shape = kept.contexts[0]
        if shape is not None or size != outer * tail.size:
            return None
        inner = outer // g
        return Windows(spread((m / inner**2).to(kept.like.dtype), inner), which)
    evenly = type(tail) is AvgPool and size == outer * tail.size
    if tail is None or type(tail) is GlobalAvgPool or evenly:
        return Windows(m / (size // g) ** 2)
    return None


def _constants(neuron: LIF) -> Constants:
    return neuron.constants


def _laid_out(v: Tensor, like: Tensor) -> Tensor:
    """v in the memory order of ``like``, both [B, ...]."""
    if like.ndim == 4 and not like.is_contiguous():
        return v.contiguous(memory_format=torch.channels_last)
    return v.contiguous()
