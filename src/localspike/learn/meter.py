"""What a rule costs on a network, counted while it runs: products and bytes, no estimates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..errors import IllegalError
from ..nn.layer import Activity, Spiking, Weights
from ..nn.network import State
from .bptt import ThroughTimeSchedule
from .layerwise import forward
from .learner import Learner
from .streaming import Streaming
from .targets import Target, make_targets


def macs_of(learner: Learner, frames: Tensor, labels: Tensor, lengths: Tensor | None = None) -> int:
    """Multiply-accumulates of learning one sequence batch: forward, signal and contractions.

    Every matrix product and convolution is counted, under the learner's schedule, as the library
    does it (not by `kernels.winograd`); the elementwise work of neurons and traces is not. Weights
    stay as they are.

    >>> from localspike import models, rules
    >>> net = models.mlp(20, (30,), 4)
    >>> learner = Learner(net, rules.frozen(), schedule="streaming")
    >>> macs_of(learner, torch.ones(12, 1, 20), torch.tensor([1])) // 12  # 20·30 + 2 · 30·4
    840
    """
    own = learner.credit.own_parameters().values()
    held = [(p, p.grad) for p in (*learner.net.parameters(), *own)]
    with _set_aside(held), FlopCounterMode(display=False) as counter:
        learner.gradient(frames, labels, lengths)
    return counter.get_total_flops() // 2


def state_bytes(learner: Learner, frames: Tensor, labels: Tensor) -> int:
    """Bytes of everything a stream carries from step to step: membranes, traces, filtered latents.

    frames [T, B, ...], T >= 2. Weights, their gradients and a step's passing tensors are not in it.

    >>> from localspike import models, rules
    >>> learner = Learner(models.mlp(20, (30,), 4), rules.tess(), schedule="streaming")
    >>> state_bytes(learner, torch.ones(3, 1, 20), torch.tensor([1])) // 4  # v, q, h; readout's y
    84
    """
    engine = Streaming(learner.credit)
    state = engine.init(frames.shape[1], training=False, watched=True)
    target = _target(learner, frames, labels)
    for t, x in enumerate(frames):
        engine.step(x, target.at(t), state)
    return sum(x.numel() * x.element_size() for x in state.tensors())


def sequence_bytes(learner: Learner, frames: Tensor, labels: Tensor) -> int:
    """Bytes of whole sequences [T, B, ...] that the learner's schedule holds at once.

    Layerwise: the largest layer's input, u, o and output. Two-sweep: those of all layers. BPTT:
    what autograd saves for its way back. Single operations' passing tensors and weights are not in
    it.

    Raises
    ------
    IllegalError
        For the streaming schedule, which holds no sequence.

    >>> from localspike import models, rules
    >>> learner = Learner(models.mlp(20, (30,), 4), rules.tess())
    >>> sequence_bytes(learner, torch.ones(3, 1, 20), torch.tensor([1])) // 4  # 3 · (20 + 30 + 30)
    240
    """
    if learner.schedule == "streaming":
        raise IllegalError("the streaming schedule holds no sequence", fix="Use state_bytes")
    target, batch = _target(learner, frames, labels), frames.shape[1]
    companion = learner.credit.companion
    extra = 0 if companion is None else companion.count(batch)
    state = learner.net.init_state(batch, extra=extra)
    if learner.schedule == "bptt":
        return _saved_by_autograd(learner, frames, target, state)
    layers: list[list[Tensor]] = []  # held, so that no two layers share memory one after the other

    def visit(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
        parts = (activity.x, activity.u, activity.o, activity.out, activity.a)
        layers.append([x for x in parts if x is not None])

    with torch.no_grad():
        forward(learner.credit, frames, target, state, None, visit)
    if learner.schedule == "layerwise":
        return max(_bytes_of(layer) for layer in layers)
    return _bytes_of([x for layer in layers for x in layer])


def _target(learner: Learner, frames: Tensor, labels: Tensor) -> Target:
    steps, batch = frames.shape[:2]
    classes = learner.credit.classes
    return make_targets(learner.loss, labels, classes, steps, batch, None, "all", frames)[0]


def _saved_by_autograd(learner: Learner, frames: Tensor, target: Target, state: State) -> int:
    held = [(p, p.grad) for p in learner.net.parameters()]
    weights = {p.untyped_storage().data_ptr() for p, _ in held}
    saved: list[Tensor] = []

    def pack(x: Tensor) -> Tensor:
        saved.append(x)
        return x

    with _set_aside(held), torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        ThroughTimeSchedule(learner.credit).run(frames, target, state)
    return _bytes_of([x for x in saved if x.untyped_storage().data_ptr() not in weights])


@contextmanager
def _set_aside(held: list[tuple[nn.Parameter, Tensor | None]]) -> Iterator[None]:
    """What is gathered already is not added to, and is there again whatever happens."""
    for p, _ in held:
        p.grad = None
    try:
        yield
    finally:
        for p, grad in held:
            p.grad = grad


def _bytes_of(tensors: list[Tensor]) -> int:
    """Bytes of the distinct storages behind tensors."""
    storages = [x.untyped_storage() for x in tensors]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values())
