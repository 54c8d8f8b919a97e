"""Finding where a non-finite value came from, so that the error can name block and step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import NumericalError
from ..kernels.surrogate import spike_function
from ..nn.network import INPUT, Network, State
from .credit import Credit
from .gradients import Gradients
from .stream_state import StreamState
from .streaming import Streaming
from .targets import Target

_FIX = "Lower the learning rate, clip gradients (clip_norm), or check the data's range"


def gradient_norms(net: Network) -> dict[str, float]:
    """Norm of ``.grad`` by block, over all its parameters; one transfer for the whole network.

    >>> from localspike.nn import models
    >>> gradient_norms(models.mlp(20, (30,), 4))
    {'hidden1': 0.0, 'readout': 0.0}
    """
    return dict(zip(net.modules_by_name, _norms(net).tolist(), strict=True))


def _norms(net: Network) -> Tensor:
    """Norm of every block's ``.grad`` [blocks]."""
    zero, norms = net.like.new_zeros(()), []
    for block in net.modules_by_name.values():
        grads = [p.grad for p in block.parameters() if p.grad is not None]
        parts = torch._foreach_norm(grads) if grads else []
        norms.append(torch.stack(list(parts)).norm() if parts else zero)
    return torch.stack(norms)


def all_finite(tensors: Iterable[Tensor]) -> Tensor | None:
    """Whether all numbers of all tensors are finite, 0-d; None without a tensor.

    >>> all_finite([torch.ones(2), torch.tensor([float("nan")])])
    tensor(False)
    """
    flags = [x.isfinite().all() for x in tensors]
    return torch.stack(flags).all() if flags else None


def state_is_finite(state: State) -> bool:
    """True where no membrane is NaN or infinite; either stays in v once it is there.

    Loss and gradient can miss it: at u = ∞ the neuron just spikes and Ψ is 0. A synaptic current
    that is not finite makes v so at the same step, and adaptation, a sum of spikes, stays finite.

    >>> from localspike.nn import models
    >>> state_is_finite(models.mlp(20, (30,), 4).init_state(2))
    True
    """
    # A finite sum has finite terms only; looking at each is left to the rare sum that overflows.
    return bool(_finite_sums(state)) or all(
        bool(torch.isfinite(block.v).all()) for block in state.values()
    )


def _finite_sums(state: State) -> Tensor:
    return torch.isfinite(torch.stack([block.v.sum() for block in state.values()])).all()


class Report(NamedTuple):
    """What a host must know of a step: whether frame, membranes and the rule's own gradients are
    finite, mean firing rates by block and, where gradients were written, their norms by block."""

    frame: bool
    membranes: bool
    own: bool
    rates: dict[str, float]
    norms: dict[str, float]

    @property
    def gradients(self) -> bool:
        """Whether all gradients are finite."""
        return self.own and all(math.isfinite(norm) for norm in self.norms.values())


def report(
    credit: Credit, x: Tensor, state: State, rates: Mapping[str, Tensor], written: bool
) -> Tensor:
    """The numbers of a `Report` as one tensor, so that a step costs its host one transfer.

    ``rates`` are [B] by block.
    """
    own = [p.grad for p in credit.own_parameters().values() if p.grad is not None]
    flags = [x.isfinite().all(), _finite_sums(state), all_finite(own if written else [])]
    like = credit.net.like
    told = [like.new_ones(()) if flag is None else flag.to(like.dtype) for flag in flags]
    numbers = torch.stack([*told, *(rate.mean() for rate in rates.values())])
    return torch.cat((numbers, _norms(credit.net))) if written else numbers


def read(numbers: list[float], net: Network) -> Report:
    """The report of these numbers.

    >>> from localspike.nn import models
    >>> read([1.0, 1.0, 1.0, 0.25], models.mlp(20, (30,), 4)).rates
    {'hidden1': 0.25}
    """
    (frame, membranes, own), rest = map(bool, numbers[:3]), numbers[3:]
    rates = dict(zip(net.blocks, rest, strict=False))
    norms = dict(zip(net.modules_by_name, rest[len(rates) :], strict=False))
    return Report(frame, membranes, own, rates, norms)


def explain(
    credit: Credit, frames: Tensor | None, target: Target | None, dtype: torch.dtype | None
) -> NumericalError:
    """Run the batch again step by step and say where the first non-finite value appears.

    Where there is no batch to run again, or it shows nothing (a gradient through time has no
    single step), the block whose ``.grad`` is not finite is named.
    """
    found = _in_weights(credit.net)
    if found is None and frames is not None and target is not None:
        found = _in_forward(credit.net, frames, dtype) or _in_gradient(
            credit, frames, target, dtype
        )
    return found or _in_grad(credit.net)


def _in_grad(net: Network) -> NumericalError:
    wild = [name for name, norm in gradient_norms(net).items() if not math.isfinite(norm)]
    where = f"the gradient of block {wild[0]!r}" if wild else "the sequence"
    return NumericalError(f"a non-finite value appeared in {where}", fix=_FIX)


def _in_weights(net: Network) -> NumericalError | None:
    for name, parameter in net.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            where = name.removeprefix("modules_by_name.")
            return NumericalError(f"parameter {where!r} holds a non-finite value", fix=_FIX)
    return None


@torch.no_grad()
def _in_forward(net: Network, frames: Tensor, dtype: torch.dtype | None) -> NumericalError | None:
    state, weights = net.init_state(frames.shape[1]), net.weights()
    for t, x in enumerate(frames.unbind(0)):
        outputs = {INPUT: x}
        for name, block in net.blocks.items():
            spike = spike_function(None, block.neuron.fires_at_threshold)
            activity, state[name] = block.step(
                net.gather(name, outputs), state[name], weights[name], spike=spike, dtype=dtype
            )
            outputs[name] = activity.out
            if not bool(torch.isfinite(activity.u).all()):
                return _at("membrane", name, t)
        readout, last = net.readout, net.readout_name
        if readout is not None and last is not None:
            x_last = net.gather(last, outputs)
            logits, state[last] = readout.step(x_last, state[last], weights[last], dtype)
            if not bool(torch.isfinite(logits).all()):
                return _at("logit", last, t)
    return None


def _in_gradient(
    credit: Credit, frames: Tensor, target: Target, dtype: torch.dtype | None
) -> NumericalError | None:
    if not credit.rule.local_in_time:
        return None
    engine = Streaming(credit, dtype)
    state = engine.init(frames.shape[1], training=False)
    for t, x in enumerate(frames.unbind(0)):
        engine.step(x, target.at(t), state)
        name = first_wild_gradient(state.gradients)
        if name is not None:
            return _at("gradient", name, t)
    return None


def first_wild_gradient(gradients: Gradients) -> str | None:
    """The first block with a non-finite gathered gradient, or None."""
    for (name, _), grad in gradients.weight.items():
        if not bool(torch.isfinite(grad).all()):
            return name
    return None


def explain_stream(net: Network, state: StreamState) -> NumericalError:
    """What is not finite in a stream, from its live state: there is no batch to run again."""
    t = state.steps - 1
    for name, block in state.net.items():
        if not bool(torch.isfinite(block.v).all()):
            return _at("membrane", name, t)
    for name, norm in gradient_norms(net).items():
        if not math.isfinite(norm):
            return _at("gradient", name, t)
    return NumericalError(f"a non-finite value appeared at step {t}", fix=_FIX)


def _at(what: str, block: str, step: int) -> NumericalError:
    return NumericalError(
        f"a non-finite {what} appeared in block {block!r} at step {step}", fix=_FIX
    )
