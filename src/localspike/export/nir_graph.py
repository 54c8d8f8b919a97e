"""A network as a NIR graph, for inference in other simulators.

NIR's neurons are differential equations; a peer that takes Euler steps of dt computes

    v += dt/τ (v_leak − v + R I)   =   γ v + (R dt/τ) I,      γ = 1 − dt/τ

so τ = dt / (1 − γ) and R = τ / dt give our decay and an input gain of 1. A membrane that does not
leak (γ = 1) is NIR's IF with R = 1 / dt. What NIR has no field for (dt, the kind of reset and what
a soft one subtracts) is in the metadata of every neuron.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..describe import BlockDescription, NeuronDescription, describe_network
from ..errors import ConfigError
from ..nn import INPUT, AvgPool, Flatten, GlobalAvgPool, Network, Readout, Spiking, fold
from ..nn.synapse import Conv2d, Synapse
from ..nn.tail import Tail
from ..optional import require
from .inference import check_blocks, refuse, windows

DT = 1e-4
"""Seconds a step, as snnTorch assumes and SpikingJelly does where it is told nothing else."""
Gain = Literal["r", "weights"]
TARGET = "NIR"
_OTHER_RESETS = {
    "soft": "Spikes subtract from the membrane (soft reset)",
    "none": "Spikes do not reset the membrane",
}


def nir_graph(net: Network, *, dt: float = DT, gain: Gain = "r") -> Any:
    """The folded network as a `nir.NIRGraph`.

    Parameters
    ----------
    dt:
        Seconds a time step takes; every time constant is a multiple of it.
    gain:
        Where a leaky membrane's input gain of 1 comes from: "r", resistances τ/dt and weights as
        they are; or "weights", resistances 1 and weights times τ/dt, for what ignores resistances
        (Norse).

    Raises
    ------
    IllegalError
        Naming the block and what NIR has no node for: max pooling, adaptive neurons, ….
    ConfigError
        A ``dt`` that is no time, a ``gain`` that is neither.
    MissingDependencyError
        Without the package ``nir``.

    >>> from localspike.nn import models
    >>> list(nir_graph(models.mlp(12, (8,), 4)).nodes)
    ['input', 'hidden1_synapse', 'hidden1', 'readout', 'output']
    """
    if not 0.0 < dt < inf:
        raise ConfigError("dt", got=dt, expected="seconds > 0, e.g. 1e-4")
    if gain not in ("r", "weights"):
        raise ConfigError("gain", got=repr(gain), expected="'r' or 'weights'")
    nir = require("nir", "NIR")
    folded = fold(net)
    blocks = describe_network(folded)
    check_blocks(folded, blocks, TARGET)
    for block in blocks:
        _check(block)
    writer = _Writer(nir, dt, gain, [block.name for block in blocks])
    for block in blocks:
        writer.add(cast("Spiking | Readout", folded.modules_by_name[block.name]), block)
    return writer.graph(folded.sample_shape, blocks[-1])


def notes(net: Network) -> tuple[str, ...]:
    """What whoever loads the graph must set, since NIR has no field for it.

    >>> from localspike.nn import LIF, models
    >>> notes(models.mlp(12, (8,), 4, neuron=LIF(reset="hard")))
    ()
    """
    resets = {block.neuron.reset for block in net.blocks.values()}
    return tuple(
        f"{words}, NIR's set it to v_reset: set this where you load it."
        for reset, words in _OTHER_RESETS.items()
        if reset in resets
    )


def _check(block: BlockDescription) -> None:
    name, neuron = f"block {block.name!r}", block.neuron
    if neuron.adaptation:
        refuse(name, TARGET, f"{neuron.kind}, whose threshold adapts", "LIF or CubaLIF")
    if neuron.fires_at_threshold:
        refuse(name, TARGET, "a neuron that fires at its threshold", "one that fires above it")
    if neuron.synaptic_decay and 1.0 in (neuron.decay, neuron.synaptic_decay):
        refuse(
            name, TARGET, "a CubaLIF with a decay of 1", "decays below 1, a finite time constant"
        )
    if block.synapse.geometry is not None and block.synapse.geometry.groups != 1:
        refuse(
            name, TARGET, f"a convolution in {block.synapse.geometry.groups} groups", "one group"
        )
    if "MaxPool" in block.tail:
        refuse(name, TARGET, "max pooling", "average pooling", "Export to ONNX, which has it")
    if len(set(block.sources)) < len(block.sources):
        refuse(name, TARGET, f"sources {block.sources}", "every source once")


class _Writer:
    """Nodes and edges so far; ``ends`` are the nodes that a block's readers read."""

    def __init__(self, nir: Any, dt: float, gain: Gain, names: Iterable[str]) -> None:
        self.nir, self.dt, self.gain = nir, dt, gain
        self.taken = {*names}
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.ends: dict[str, str] = {}

    def graph(self, sample_shape: tuple[int, ...], last: BlockDescription) -> Any:
        """The whole graph between its input and its output."""
        start = self.nir.Input({"input": np.array(sample_shape)})
        end = self._fresh("output", self.nir.Output({"output": np.array(last.output_shape)}))
        self.edges.append((self.ends[last.name], end))
        about = {"writer": "localspike", "dt": self.dt}
        return self.nir.NIRGraph({INPUT: start, **self.nodes}, self.edges, metadata=about)

    def add(self, block: Spiking | Readout, about: BlockDescription) -> None:
        """One block: its synapse, its neurons, their loop, its tail."""
        before = [self.ends.get(source, source) for source in about.sources]
        if isinstance(block, Readout):
            self._add_readout(block, about, before)
            return
        node, factor = self._neuron(about)
        synapse = self._fresh(f"{about.name}_synapse", self._synapse(block.synapse, about, factor))
        self.edges += [(source, synapse) for source in before]
        self._put(about.name, node, synapse)
        if block.recurrent is not None:
            loop = self._fresh(
                f"{about.name}_recurrent", self._synapse(block.recurrent, about, factor)
            )
            self.edges += [(about.name, loop), (loop, about.name)]
        self.ends[about.name] = self._tail(block.tail, about)

    def _add_readout(self, block: Readout, about: BlockDescription, before: list[str]) -> None:
        if len(about.input_shape) > 1:
            flat = self.nir.Flatten({"input": np.array(about.input_shape)}, 0, -1)
            name = self._fresh(f"{about.name}_flatten", flat)
            self.edges += [(source, name) for source in before]
            before = [name]
        leak, factor = self._leak(about)
        synapse = self._synapse(block.synapse, about, factor)
        if leak is None:  # logits of a step are its currents
            self.nodes[about.name] = synapse
            self.edges += [(source, about.name) for source in before]
        else:
            name = self._fresh(f"{about.name}_synapse", synapse)
            self.edges += [(source, name) for source in before]
            self._put(about.name, leak, name)
        self.ends[about.name] = about.name

    def _put(self, name: str, node: Any, before: str) -> None:
        self.nodes[name] = node
        self.edges.append((before, name))

    def _fresh(self, wanted: str, node: Any) -> str:
        """Put a node under a name that no block has."""
        while wanted in self.taken:
            wanted += "_"
        self.taken.add(wanted)
        self.nodes[wanted] = node
        return wanted

    def _synapse(self, synapse: Synapse, about: BlockDescription, factor: float) -> Any:
        weight = _array(synapse.weight, factor)
        bias = None if synapse.bias is None else _array(synapse.bias, factor)
        if isinstance(synapse, Conv2d):
            stride, padding = synapse.geometry.stride, synapse.geometry.padding
            held = np.zeros(len(weight), weight.dtype) if bias is None else bias
            sides = (about.input_shape[1], about.input_shape[2])
            return self.nir.Conv2d(sides, weight, stride, padding, 1, 1, held)
        return self.nir.Linear(weight) if bias is None else self.nir.Affine(weight, bias)

    def _neuron(self, about: BlockDescription) -> tuple[Any, float]:
        """The node of a block's neurons, and what their weights are multiplied by."""
        n, fill = about.neuron, _filler(about.neuron_shape)
        rest = {"v_threshold": fill(n.threshold), "v_reset": fill(0.0), "metadata": self._said(n)}
        if n.decay == 1.0:
            return self.nir.IF(r=fill(1.0 / self.dt), **rest), 1.0
        tau, r, factor = self._constants(n.decay)
        if not n.synaptic_decay:
            return self.nir.LIF(tau=fill(tau), r=fill(r), v_leak=fill(0.0), **rest), factor
        syn = self.dt / (1.0 - n.synaptic_decay)
        return self.nir.CubaLIF(
            tau_syn=fill(syn),
            tau_mem=fill(tau),
            r=fill(tau / self.dt),
            v_leak=fill(0.0),
            w_in=fill(syn / self.dt),
            **rest,
        ), 1.0

    def _leak(self, about: BlockDescription) -> tuple[Any, float]:
        """The node of a readout that integrates, None of one that does not."""
        decay, fill = about.neuron.decay, _filler(about.neuron_shape)
        if not decay:
            return None, 1.0
        said = {"dt": self.dt, "decay": decay}
        if decay == 1.0:
            return self.nir.I(r=fill(1.0 / self.dt), metadata=said), 1.0
        tau, r, factor = self._constants(decay)
        return self.nir.LI(tau=fill(tau), r=fill(r), v_leak=fill(0.0), metadata=said), factor

    def _constants(self, decay: float) -> tuple[float, float, float]:
        """τ, R and the factor on the weights."""
        tau = self.dt / (1.0 - decay)
        return (tau, tau / self.dt, 1.0) if self.gain == "r" else (tau, 1.0, tau / self.dt)

    def _said(self, n: NeuronDescription) -> dict[str, Any]:
        said = {"dt": self.dt, "decay": n.decay, "reset": n.reset}
        said |= {} if n.reset_by is None else {"reset_by": n.reset_by}
        return said | ({"synaptic_decay": n.synaptic_decay} if n.synaptic_decay else {})

    def _tail(self, tail: tuple[Tail, ...], about: BlockDescription) -> str:
        """Pooling and flattening after a block's spikes; the node that is read."""
        before, shape = about.name, about.neuron_shape
        for op in tail:
            node = self._tail_node(op, shape, about)
            shape = op.output_shape(shape)
            if node is not None:
                kind = "flatten" if isinstance(op, Flatten) else "pool"
                name = self._fresh(f"{about.name}_{kind}", node)
                self.edges.append((before, name))
                before = name
        return before

    def _tail_node(self, op: Tail, shape: tuple[int, ...], about: BlockDescription) -> Any:
        """The node of one part of the tail, None of one that changes nothing."""
        if isinstance(op, Flatten):
            same = len(shape) == 1
            return None if same else self.nir.Flatten({"input": np.array(shape)}, 0, -1)
        if isinstance(op, AvgPool | GlobalAvgPool):
            side = windows(op, shape, about.name, TARGET)
            return None if side == 1 else self._mean(side)
        return refuse(
            f"block {about.name!r}", TARGET, f"tail {type(op).__name__}", "means and Flatten"
        )

    def _mean(self, side: int) -> Any:
        sides = np.array([side, side])
        return self.nir.AvgPool2d(kernel_size=sides, stride=sides, padding=np.array([0, 0]))


def _filler(shape: tuple[int, ...]) -> Any:
    """NIR has every constant once a neuron; in float64, or small leaks would move."""
    return lambda value: np.full(shape, value, dtype=np.float64)


def _array(x: Tensor, factor: float) -> NDArray[np.float32]:
    found: NDArray[np.float32] = x.detach().cpu().double().mul(factor).float().numpy()
    return found
