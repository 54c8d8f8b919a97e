"""Blocks of a network: a spiking layer with its tail. State is explicit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigError
from ..kernels import neuron as dynamics
from ..kernels.norm import moments
from .currents import beside, driven, is_static, merged_currents
from .neuron import LIF
from .synapse import Linear, Synapse
from .tail import Dropout, Tail

Shape = tuple[int, ...]
_MOST = 2.0**23
Spike = Callable[[Tensor], Tensor]


class BlockState(NamedTuple):
    """What a block carries from step to step: v [B, ...], o (recurrent only), dropout masks.

    ``a`` is the adaptation in force at the next step (`ALIF`), ``i`` the synaptic current
    (`CubaLIF`), both [B, ...]; None where the neuron has none. ``seen`` [3, O] are the moments of
    a normalised block's current so far, where they are wanted.
    """

    v: Tensor
    o: Tensor | None = None
    masks: tuple[Tensor | None, ...] = ()
    a: Tensor | None = None
    i: Tensor | None = None
    seen: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """Every tensor held, for measuring the state's size."""
        held = (self.v, self.o, *self.masks, self.a, self.i, self.seen)
        return [x for x in held if x is not None]


class Weights(NamedTuple):
    """The effective weights in force for a step or a sequence.

    ``offset`` [O] is a constant current, that of a normalised synapse.
    """

    input: Tensor
    recurrent: Tensor | None = None
    offset: Tensor | None = None


class Activity(NamedTuple):
    """What a block did: u and o (before the tail), its output, and what pullbacks need.

    In a step the leading axis is [B]; in a sequence [T, B], with the tail's contexts merged to
    [T·B]. ``o_prev`` is o[t−1], the recurrent afferent; ``a`` the adaptation a[t] in force at
    the step, None for a neuron without; ``current`` a normalised synapse's, with its offset.
    """

    x: Tensor
    u: Tensor
    o: Tensor
    out: Tensor
    v: Tensor
    contexts: tuple[Any, ...] = ()
    o_prev: Tensor | None = None
    a: Tensor | None = None
    current: Tensor | None = None

    def afferents(self) -> dict[str, Tensor]:
        """The pre-synaptic activities by name."""
        if self.o_prev is None:
            return {"input": self.x}
        return {"input": self.x, "recurrent": self.o_prev}


class Spiking(nn.Module):
    """A block of spiking neurons: synapse × neuron (× recurrent synapse), then a tail.

    Parameters
    ----------
    synapse:
        `Linear` or `Conv2d`.
    neuron:
        `LIF`, `ALIF` or `CubaLIF`.
    recurrent:
        A `Linear` from the block's own previous spikes, or None.
    tail:
        Parameter-free maps after the spikes: pooling, dropout, flatten.
    latent:
        Side k to which a local learning signal pools this block's output (feature maps only).

    >>> block = Spiking(Linear(3, 2), LIF())
    >>> state = block.init_state((3,), batch=4)
    >>> fire = lambda d: (d > 0).float()
    >>> activity, state = block.step(torch.ones(4, 3), state, block.weights(), spike=fire)
    >>> activity.o.shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        synapse: Synapse,
        neuron: LIF | None = None,
        recurrent: Linear | None = None,
        tail: Sequence[Tail] = (),
        latent: int | None = None,
    ) -> None:
        super().__init__()
        self.synapse, self.neuron, self.recurrent = synapse, neuron or LIF(), recurrent
        self.tail, self.latent = tuple(tail), latent
        if recurrent is not None:
            _check_recurrent(synapse, recurrent)

    def neuron_shape(self, shape: Shape) -> Shape:
        """Shape of one sample's membrane for an input sample of ``shape``."""
        return self.synapse.output_shape(shape)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of one sample's output, after the tail."""
        shape = self.neuron_shape(shape)
        for op in self.tail:
            shape = op.output_shape(shape)
        return shape

    def weights(self, dtype: torch.dtype | None = None) -> Weights:
        """The effective weights now, rounded to ``dtype`` where given."""
        narrow = () if dtype is None else (dtype,)  # a synapse of a user's own need not know it
        rec = None if self.recurrent is None else self.recurrent.effective_weight(*narrow)
        # A synapse of a user's own need not know this either.
        offset = self.synapse.offset() if self.normalised else None
        return Weights(self.synapse.effective_weight(*narrow), rec, offset)

    @property
    def normalised(self) -> bool:
        """Whether the input synapse keeps running statistics of its current."""
        return getattr(self.synapse, "norm", None) is not None

    def init_state(
        self,
        shape: Shape,
        batch: int,
        *,
        training: bool = False,
        generator: torch.Generator | None = None,
        thin: bool = False,
        watched: bool = False,
    ) -> BlockState:
        """Zero state for samples of ``shape``; dropout masks are drawn when ``training``.

        ``thin``: the membrane is one zero for all neurons, to be read only. ``watched``: a
        normalised block gathers the moments of its current.
        """
        at = self.neuron_shape(shape)
        v = self.synapse.weight.new_zeros(() if thin else (batch, *at)).detach()
        v = v.expand(batch, *at)
        masks: list[Tensor | None] = []
        for op in self.tail:
            at = op.output_shape(at)
            draw = training and isinstance(op, Dropout)
            masks.append(op.draw((batch, *at), v, generator) if draw else None)  # type: ignore[union-attr]
        # A neuron without a part of the dynamics, or with its factor at 0, carries no state for it.
        return BlockState(
            v,
            torch.zeros_like(v) if self.recurrent is not None else None,
            tuple(masks),
            torch.zeros_like(v) if self.neuron.adaptation else None,
            torch.zeros_like(v) if self.neuron.synaptic_decay else None,
            self._nothing_seen() if watched and self.normalised else None,
        )

    def _nothing_seen(self) -> Tensor:
        like = self.synapse.weight
        return torch.zeros((3, len(like)), dtype=like.dtype, device=like.device)

    def centred(
        self,
        currents: Tensor,
        state: BlockState,
        weights: Weights,
        valid: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """A normalised block's currents with their offset, and the moments seen so far.

        ``valid`` [..., B] leaves padded steps out of the moments.
        """
        seen = state.seen
        if seen is not None:
            seen = seen + self._moments(currents.detach(), valid)
            # Of an endless stream without labels: only ratios matter, and a sum must not saturate.
            seen = torch.where(seen[0] > _MOST, 0.5 * seen, seen)
        if weights.offset is None:
            return currents, seen
        offset = weights.offset.to(currents.dtype)
        return driven(currents, offset.view(-1, *(1,) * self.positions)), seen

    @property
    def positions(self) -> int:
        """Axes of a current behind its units: 0 of a vector, 2 of maps."""
        return 0 if isinstance(self.synapse, Linear) else 2

    def _moments(self, currents: Tensor, valid: Tensor | None) -> Tensor:
        # A static input is the same at every step: looking at one is enough.
        if valid is None and is_static(currents):
            return len(currents) * moments(currents[:1])
        return moments(currents, valid)

    def distance(self, activity: Activity) -> Tensor:
        """d = u − θ − β a[t], in the shape of u: how far above the threshold in force u is.

        >>> block = Spiking(Linear(3, 2), LIF(threshold=0.5))
        >>> fire = lambda d: (d > 0).float()
        >>> state = block.init_state((3,), batch=1)
        >>> activity, _ = block.step(torch.zeros(1, 3), state, block.weights(), spike=fire)
        >>> block.distance(activity).tolist()
        [[-0.5, -0.5]]
        """
        n = self.neuron
        return dynamics.distance(activity.u, n.threshold, activity.a, n.adaptation)

    def step(
        self,
        x: Tensor,
        state: BlockState,
        weights: Weights,
        *,
        spike: Spike,
        detach_reset: bool = False,
        dtype: torch.dtype | None = None,
        drive: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> tuple[Activity, BlockState]:
        """One time step on x [B, ...]; ``drive`` [B, ...] is added to the synaptic current.

        A drive of more samples than x brings samples without synaptic input. ``valid`` [B] is
        False where the step is padding.
        """
        current, seen = self.centred(self.synapse(x, weights.input, dtype), state, weights, valid)
        kept = current if self.normalised else None
        if drive is not None:
            current = beside(current, drive, self.synapse) + drive
        if self.recurrent is not None and weights.recurrent is not None and state.o is not None:
            current = current + self.recurrent(state.o, weights.recurrent, dtype)
        u, o, last = dynamics.neuron_step(
            current,
            dynamics.NeuronState(state.v, state.a, state.i),
            self.neuron.constants,
            spike=spike,
            detach_reset=detach_reset,
        )
        out, contexts = self.tail_forward(o, state.masks)
        carried = None if self.recurrent is None else o
        activity = Activity(x, u, o, out, last.v, contexts, state.o, state.a, kept)
        return activity, BlockState(last.v, carried, state.masks, last.a, last.i, seen)

    def sequence(
        self,
        x: Tensor,
        state: BlockState,
        weights: Weights,
        *,
        spike: Spike,
        detach_reset: bool = False,
        dtype: torch.dtype | None = None,
        drive: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> tuple[Activity, BlockState]:
        """A whole sequence x [T, B, ...] at once: one batched synapse call, then the scan.

        ``drive`` is added to the synaptic currents: [T, B, ...], or [B, ...] for every step. One of
        more samples than x brings samples without synaptic input. ``valid`` [T, B] is False at
        padded steps.
        """
        merged = merged_currents(self.synapse, x, weights.input, dtype)
        currents, seen = self.centred(merged, state, weights, valid)
        kept = currents if self.normalised else None
        if drive is not None:
            currents = driven(beside(currents, drive, self.synapse), drive)
        u, o, a, last = self.scan(
            currents, state, weights, spike=spike, detach_reset=detach_reset, dtype=dtype
        )
        out, contexts = self.tail_forward(o.flatten(0, 1), state.masks)
        out = out.view(*o.shape[:2], *out.shape[1:])
        o_prev = None if state.o is None else torch.cat((state.o[None], o[:-1]))
        carried = None if self.recurrent is None else o[-1]
        activity = Activity(x, u, o, out, last.v, contexts, o_prev, a, kept)
        return activity, BlockState(last.v, carried, state.masks, last.a, last.i, seen)

    def scan(
        self,
        currents: Tensor,
        state: BlockState,
        weights: Weights,
        *,
        spike: Spike,
        detach_reset: bool = False,
        dtype: torch.dtype | None = None,
    ) -> dynamics.Scan:
        """The neurons (and recurrence) over input currents [T, B, ...]."""
        feedback = None
        if self.recurrent is not None and weights.recurrent is not None:
            feedback = partial(self.recurrent, weight=weights.recurrent, dtype=dtype)
        return dynamics.neuron_scan(
            currents,
            dynamics.NeuronState(state.v, state.a, state.i),
            self.neuron.constants,
            spike=spike,
            detach_reset=detach_reset,
            feedback=feedback,
            o_prev=state.o,
        )

    def tail_forward(
        self, o: Tensor, masks: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, tuple[Any, ...]]:
        """Spikes o [N, ...] through the tail, and what `tail_pullback` needs."""
        contexts = []
        for op, mask in zip(self.tail, masks, strict=True):
            o, context = op.forward(o, mask)
            contexts.append(context)
        return o, tuple(contexts)

    def tail_pullback(self, grad: Tensor, contexts: tuple[Any, ...]) -> Tensor:
        """Carry a signal at the block's output [N, ...] to its spikes o [N, ...]."""
        for op, context in zip(reversed(self.tail), reversed(contexts), strict=True):
            grad = op.pullback(grad, context)
        return grad


def _check_recurrent(synapse: Synapse, recurrent: Linear) -> None:
    if not isinstance(synapse, Linear):
        raise ConfigError("recurrent weights need a linear synapse", got=type(synapse).__name__)
    got = (recurrent.inputs, recurrent.outputs)
    if got != (synapse.outputs, synapse.outputs):
        raise ConfigError(
            "recurrent weights do not fit the layer",
            got=f"Linear{got}",
            expected=f"Linear{(synapse.outputs, synapse.outputs)}",
        )
    if getattr(recurrent, "norm", None) is not None:
        raise ConfigError(
            "recurrent weights with running statistics",
            fix="Give norm_momentum to the input synapse; the recurrent one is standardised",
        )
    if recurrent.bias is not None:
        raise ConfigError(
            "recurrent weights with a bias of their own", fix="Give the bias to the input synapse"
        )
