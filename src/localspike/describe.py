"""Network and rule as plain data: the only view that cost models and exporters get."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass
from math import prod
from typing import Any

from .nn import Network, Readout, Spiking
from .rules import Rule


@dataclass(frozen=True)
class BlockDescription:
    """One block: shapes of one sample, parameters, and multiply-accumulates per step."""

    name: str
    kind: str
    sources: tuple[str, ...]
    input_shape: tuple[int, ...]
    neuron_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    recurrent: bool
    tail: tuple[str, ...]

    @property
    def neurons(self) -> int:
        """Neurons of one sample."""
        return prod(self.neuron_shape)


def describe_network(net: Network) -> list[BlockDescription]:
    """Every block in order of execution.

    >>> from localspike.nn import models
    >>> [(b.name, b.macs) for b in describe_network(models.mlp(80, (200,), 10))]
    [('hidden1', 16000), ('readout', 2000)]
    """
    return [_describe(net, name, block) for name, block in net.modules_by_name.items()]  # type: ignore[arg-type]


def _describe(net: Network, name: str, block: Spiking | Readout) -> BlockDescription:
    shape = net.input_shapes[name]
    spiking = isinstance(block, Spiking)
    neurons = block.neuron_shape(shape) if isinstance(block, Spiking) else block.output_shape(shape)
    loop = block.recurrent if isinstance(block, Spiking) else None
    return BlockDescription(
        name=name,
        kind="spiking" if spiking else "readout",
        sources=net.wires[name],
        input_shape=shape,
        neuron_shape=neurons,
        output_shape=net.output_shapes[name],
        parameters=sum(p.numel() for p in block.parameters()),
        macs=block.synapse.macs(shape) + (0 if loop is None else loop.macs(neurons)),
        recurrent=loop is not None,
        tail=tuple(type(op).__name__ for op in block.tail) if isinstance(block, Spiking) else (),
    )


def describe_rule(rule: Rule) -> dict[str, Any]:
    """The rule's choices as plain data.

    >>> from localspike.rules import tess
    >>> describe_rule(tess())["signal"]["kind"]
    'ClassBasis'
    """
    parts = {"eligibility": rule.eligibility, "signal": rule.signal, "surrogate": rule.surrogate}
    plain: dict[str, Any] = {"name": rule.name}
    for key, part in parts.items():
        values = asdict(part) if is_dataclass(part) and not isinstance(part, type) else {}
        values.pop("matrices", None)
        plain[key] = {"kind": type(part).__name__, **values}
    return plain
