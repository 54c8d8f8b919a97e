"""One time step of a network as an ONNX graph: state in, state out.

    u = γ v + W x (+ R o) (+ b)        o = [u − θ > 0]        v' = u − r o

and what ALIF and CubaLIF add (`localspike.kernels.neuron`), operation by operation in the same
order, so that a runtime with IEEE arithmetic finds the same spikes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from torch import Tensor

from ..describe import BlockDescription, NeuronDescription, describe_network
from ..nn import INPUT, AvgPool, Flatten, GlobalAvgPool, MaxPool, Network, Readout, Spiking, fold
from ..nn.synapse import Conv2d, Synapse
from ..nn.tail import Tail
from ..optional import require
from .inference import check_blocks, refuse, windows

OPSET, IR_VERSION = 17, 8
"""Of 2022: what runtimes of today and those of some years ago read."""
BATCH = "batch"
TARGET = "ONNX"
Shape = tuple[int, ...]


def states_of(net: Network) -> dict[str, Shape]:
    """Every state of a step and its shape without the batch, in order; zeros begin a sequence.

    >>> from localspike.nn import models
    >>> states_of(models.recurrent(12, (8,), 4))
    {'hidden1.v': (8,), 'hidden1.o': (8,), 'readout.y': (4,)}
    """
    return {
        f"{block.name}.{key}": block.neuron_shape
        for block in describe_network(net)
        for key in _states(block)
    }


def _states(block: BlockDescription) -> Iterator[str]:
    n = block.neuron
    if block.kind == "readout":
        yield from ("y",) if n.decay else ()
        return
    yield "v"
    held = {"o": block.recurrent, "a": n.adaptation, "i": n.synaptic_decay}
    yield from (key for key, there in held.items() if there)


def onnx_step(net: Network) -> Any:
    """An `onnx.ModelProto` of one step of the folded network, in float32, for any batch.

    Inputs are ``x`` [batch, ...] and the states (`states_of`); outputs ``logits`` [batch, C] (the
    last block's ``output`` of a net without a readout), ``<block>.spikes`` of every block, and
    ``<state>.next``. The same is in the model's metadata, as JSON.

    Raises
    ------
    IllegalError
        Naming the block and what ONNX has no operator for.
    MissingDependencyError
        Without the package ``onnx``.

    >>> from localspike.nn import models
    >>> [x.name for x in onnx_step(models.mlp(12, (8,), 4)).graph.output]
    ['logits', 'hidden1.spikes', 'hidden1.v.next']
    """
    onnx = require("onnx", "ONNX export")
    folded = fold(net)
    blocks = describe_network(folded)
    check_blocks(folded, blocks, TARGET)
    graph = _Graph(onnx.helper)
    for block in blocks:
        _add(graph, cast("Spiking | Readout", folded.modules_by_name[block.name]), block)
    last = blocks[-1]
    answer = "logits" if last.kind == "readout" else "output"
    graph.op("Identity", [graph.ends[last.name]], answer)
    return _model(onnx, graph, folded, blocks, answer)


def _model(
    onnx: Any, graph: _Graph, net: Network, blocks: list[BlockDescription], answer: str
) -> Any:
    helper, states = onnx.helper, states_of(net)
    spikes = {f"{b.name}.spikes": b.neuron_shape for b in blocks if b.kind == "spiking"}
    outputs = {answer: blocks[-1].output_shape, **spikes}
    outputs |= {f"{name}.next": shape for name, shape in states.items()}

    def typed(held: dict[str, Shape]) -> list[Any]:
        kind = onnx.TensorProto.FLOAT
        return [helper.make_tensor_value_info(k, kind, [BATCH, *s]) for k, s in held.items()]

    made = helper.make_graph(
        graph.nodes, "step", typed({"x": net.sample_shape, **states}), typed(outputs), graph.held
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="localspike"
    )
    said = {
        "states": {name: list(shape) for name, shape in states.items()},
        "neurons": {b.name: _plain(b.neuron) for b in blocks},
        "use": "One call is one time step. States begin with zeros; give <state>.next of a step as "
        "<state> to the next one. Logits of a sequence are the sum over its steps.",
    }
    helper.set_model_props(model, {f"localspike.{k}": _text(v) for k, v in said.items()})
    onnx.checker.check_model(model)
    return model


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plain(n: NeuronDescription) -> dict[str, Any]:
    held = {"kind": n.kind, "decay": n.decay, "threshold": n.threshold, "reset": n.reset}
    more = {"reset_by": n.reset_by, "adaptation": n.adaptation, "synaptic_decay": n.synaptic_decay}
    return held | {k: v for k, v in more.items() if v}


@dataclass
class _Graph:
    """Operators and constants so far; ``ends`` are the values that a block's readers read."""

    helper: Any
    nodes: list[Any] = field(default_factory=list)
    held: list[Any] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=lambda: {INPUT: "x"})
    count: int = 0

    def op(self, kind: str, inputs: list[str], name: str | None = None, **options: Any) -> str:
        """Append an operator; returns the name of its one output."""
        self.count += 1
        name = name or f"_{self.count}"
        self.nodes.append(self.helper.make_node(kind, inputs, [name], **options))
        return name

    def constant(self, x: Tensor | float) -> str:
        """Append a constant in float32."""
        self.count += 1
        name = f"_{self.count}"
        values = x.detach().cpu().float().numpy() if isinstance(x, Tensor) else np.float32(x)
        made = self.helper.make_tensor(
            name, 1, values.shape, np.ascontiguousarray(values).tobytes(), raw=True
        )  # 1: float32
        self.held.append(made)
        return name

    def scaled_sum(self, x: str, y: str, factor: float) -> str:
        """x + factor · y."""
        if factor == 0.0:
            return x
        scaled = y if factor == 1.0 else self.op("Mul", [y, self.constant(factor)])
        return self.op("Add", [x, scaled])


def _add(graph: _Graph, block: Spiking | Readout, about: BlockDescription) -> None:
    first, *rest = (graph.ends[source] for source in about.sources)
    x = first
    for source in rest:
        x = graph.op("Add", [x, source])
    if isinstance(block, Readout):
        flat = x if len(about.input_shape) == 1 else graph.op("Flatten", [x], axis=1)
        y = _current(graph, block.synapse, flat)
        if about.neuron.decay:
            state = f"{about.name}.y"
            y = graph.scaled_sum(y, state, about.neuron.decay)
            graph.op("Identity", [y], f"{state}.next")
        graph.ends[about.name] = y
        return
    current = _current(graph, block.synapse, x)
    if block.recurrent is not None:
        back = _current(graph, block.recurrent, f"{about.name}.o")
        current = graph.op("Add", [current, back])
    spikes = _fire(graph, current, about)
    if block.recurrent is not None:
        graph.op("Identity", [spikes], f"{about.name}.o.next")
    graph.ends[about.name] = _tail(graph, spikes, block.tail, about)


def _current(graph: _Graph, synapse: Synapse, x: str) -> str:
    bias = [] if synapse.bias is None else [graph.constant(synapse.bias)]
    inputs = [x, graph.constant(synapse.weight), *bias]
    if not isinstance(synapse, Conv2d):
        return graph.op("Gemm", inputs, transB=1)
    at = synapse.geometry
    return graph.op(
        "Conv",
        inputs,
        kernel_shape=[synapse.kernel_size] * 2,
        strides=[at.stride] * 2,
        pads=[at.padding] * 4,
        group=at.groups,
    )


def _fire(graph: _Graph, current: str, about: BlockDescription) -> str:
    """The neurons of a block: their spikes; the states for the next step on the way."""
    n, name = about.neuron, about.name
    if n.synaptic_decay:
        current = graph.scaled_sum(current, f"{name}.i", n.synaptic_decay)
        graph.op("Identity", [current], f"{name}.i.next")
    u = graph.scaled_sum(current, f"{name}.v", n.decay)
    above = graph.op("Sub", [u, graph.constant(n.threshold or 0.0)])
    if n.adaptation:
        above = graph.scaled_sum(above, f"{name}.a", -n.adaptation)
    compare = "GreaterOrEqual" if n.fires_at_threshold else "Greater"
    fires = graph.op(compare, [above, graph.constant(0.0)])
    spikes = graph.op("Cast", [fires], f"{name}.spikes", to=1)
    if n.adaptation:
        raised = graph.scaled_sum(spikes, f"{name}.a", n.adaptation_decay)
        graph.op("Identity", [raised], f"{name}.a.next")
    graph.op("Identity", [_reset(graph, u, spikes, fires, n)], f"{name}.v.next")
    return spikes


def _reset(graph: _Graph, u: str, spikes: str, fires: str, n: NeuronDescription) -> str:
    if n.reset == "hard":
        return graph.op("Where", [fires, graph.constant(0.0), u])
    return graph.scaled_sum(u, spikes, -(n.reset_by or 0.0)) if n.reset == "soft" else u


def _tail(graph: _Graph, x: str, tail: tuple[Tail, ...], about: BlockDescription) -> str:
    shape = about.neuron_shape
    for op in tail:
        if isinstance(op, Flatten):
            x = graph.op("Flatten", [x], axis=1)
        elif isinstance(op, MaxPool | AvgPool | GlobalAvgPool):
            kind = "MaxPool" if isinstance(op, MaxPool) else "AveragePool"
            side = op.size if isinstance(op, MaxPool) else windows(op, shape, about.name, TARGET)
            x = graph.op(kind, [x], kernel_shape=[side] * 2, strides=[side] * 2)
        else:
            refuse(f"block {about.name!r}", TARGET, f"tail {type(op).__name__}", "pooling, Flatten")
        shape = op.output_shape(shape)
    return x
