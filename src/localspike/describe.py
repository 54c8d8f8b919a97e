"""Network and rule as plain data: the only view that cost models and exporters get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from math import prod
from typing import Any

from .kernels.geometry import ConvGeometry
from .nn import INPUT, LIF, Conv2d, Integrator, Network, Readout, Spiking, Synapse
from .rules import Rule, ThroughTime, TwoTrace
from .rules.factors import Cell
from .rules.rank_one import BoundRankOne
from .rules.synapse_trace import BoundSynapseTrace


@dataclass(frozen=True)
class NeuronDescription:
    """The dynamics of a block's neurons; a factor of 0 means the neuron has no such part.

    ``decay`` is γ (γ_out of an integrator), ``reset_by`` what a soft reset subtracts. An
    integrator does not spike: its ``threshold`` and ``reset_by`` are None, its ``reset`` "none".
    """

    kind: str
    decay: float
    threshold: float | None = None
    reset: str = "none"
    reset_by: float | None = None
    fires_at_threshold: bool = False
    adaptation: float = 0.0
    adaptation_decay: float = 0.0
    synaptic_decay: float = 0.0


@dataclass(frozen=True)
class SynapseDescription:
    """A block's input synapse; ``kernel`` and ``geometry`` (stride, padding, groups) of a conv.

    ``fan_in`` counts the weights of one neuron. ``standardised`` says that the weights in force
    are gain·(W − mean)/√(var·fan_in + ε), not W itself; ``normalised`` that it keeps running
    statistics of its current.
    """

    kind: str
    weight_shape: tuple[int, ...]
    fan_in: int
    bias: bool
    standardised: bool
    kernel: int | None = None
    geometry: ConvGeometry | None = None
    normalised: bool = False


@dataclass(frozen=True)
class TraceDescription:
    """The eligibility of one block under a rule, every decay that is the block's own filled in.

    ``kind`` is "TwoTrace", "SynapseTrace" (one trace per synapse), "RankOne", "ThroughTime" or the
    class of a user's own. ``pre`` and ``fast`` are λ_pre and the synaptic decay by afferent
    ("input", "recurrent"), 0 where there is no such trace; ``filter`` is κ behind Ψ.
    """

    kind: str
    pre: Mapping[str, float] = field(default_factory=dict)
    fast: Mapping[str, float] = field(default_factory=dict)
    pre_gain: float = 1.0
    post_decay: float = 0.0
    post_gain: float = 0.0
    trace_bias: bool = False
    filter: float = 0.0
    through_reset: bool = False
    through_layer: bool = False


@dataclass(frozen=True)
class BlockDescription:
    """One block: shapes of one sample, parameters, and multiply-accumulates per step.

    ``latent`` is the side a local signal pools the block's output to, where one is set. ``learns``
    says that some parameter of the block takes a gradient.
    """

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
    neuron: NeuronDescription
    synapse: SynapseDescription
    latent: int | None = None
    learns: bool = True

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
        neuron=describe_neuron(block.neuron),
        synapse=describe_synapse(block.synapse),
        latent=block.latent if isinstance(block, Spiking) else None,
        learns=any(p.requires_grad for p in block.parameters()),
    )


def describe_neuron(neuron: LIF | Integrator) -> NeuronDescription:
    """A neuron's dynamics as plain data.

    >>> from localspike.nn import ALIF
    >>> describe_neuron(ALIF(threshold=1.0)).reset_by
    1.0
    """
    kind = type(neuron).__name__
    if isinstance(neuron, Integrator):
        return NeuronDescription(kind, neuron.decay)
    known = {f.name: getattr(neuron, f.name) for f in fields(NeuronDescription) if f.name != "kind"}
    soft = neuron.amount if neuron.reset == "soft" else None
    return NeuronDescription(kind, **{**known, "reset_by": soft})


def describe_synapse(synapse: Synapse) -> SynapseDescription:
    """A synapse's kind and geometry as plain data.

    >>> from localspike.nn import Linear
    >>> describe_synapse(Linear(80, 200)).fan_in
    80
    """
    conv = synapse if isinstance(synapse, Conv2d) else None
    return SynapseDescription(
        kind=type(synapse).__name__,
        weight_shape=tuple(synapse.weight.shape),
        fan_in=prod(synapse.weight.shape[1:]),
        bias=synapse.bias is not None,
        standardised=synapse.gain is not None,
        kernel=None if conv is None else conv.kernel_size,
        geometry=None if conv is None else conv.geometry,
        normalised=getattr(synapse, "norm", None) is not None,  # a user's need not have it
    )


def describe_rule(rule: Rule) -> dict[str, Any]:
    """The rule's choices as plain data.

    >>> from localspike.rules import tess
    >>> describe_rule(tess())["signal"]["kind"]
    'ClassBasis'
    """
    parts = {"eligibility": rule.eligibility, "signal": rule.signal, "surrogate": rule.surrogate}
    plain: dict[str, Any] = {"name": rule.name, "band": rule.band and asdict(rule.band)}
    for key, part in parts.items():
        values = asdict(part) if is_dataclass(part) and not isinstance(part, type) else {}
        values.pop("matrices", None)
        plain[key] = {"kind": type(part).__name__, **values}
    return plain


@dataclass(frozen=True)
class Description:
    """A network, a rule, and what the rule's traces are on each block of that network."""

    blocks: tuple[BlockDescription, ...]
    rule: Mapping[str, Any]
    traces: Mapping[str, TraceDescription]

    @property
    def classes(self) -> int:
        """Outputs of the last block."""
        return self.blocks[-1].output_shape[0]


def describe(net: Network, rule: Rule) -> Description:
    """All that cost models and exporters know of a network under a rule.

    >>> from localspike.nn import models
    >>> from localspike.rules import ottt
    >>> dict(describe(models.mlp(80, (200,), 10), ottt()).traces["hidden1"].pre)  # the LIF's own γ
    {'input': 0.5}
    """
    blocks = describe_network(net)
    leak = blocks[-1].neuron.decay if blocks[-1].kind == "readout" else 0.0
    traces = {block.name: describe_traces(block, rule, leak) for block in blocks}
    return Description(tuple(blocks), describe_rule(rule), traces)


def describe_traces(block: BlockDescription, rule: Rule, readout_decay: float) -> TraceDescription:
    """The traces of one block of a network whose readout leaks with ``readout_decay``.

    >>> from localspike.nn import models
    >>> from localspike.rules import e_prop
    >>> block = describe_network(models.mlp(80, (200,), 10))[0]
    >>> [describe_traces(block, e_prop(), leak).kind for leak in (0.0, 0.9)]
    ['TwoTrace', 'SynapseTrace']
    """
    if isinstance(rule.eligibility, ThroughTime):
        return TraceDescription("ThroughTime")
    if block.kind == "readout":
        bound: Any = rule.eligibility.for_readout(block.neuron.decay)
    else:
        bound = rule.eligibility.for_block(_cell(block, readout_decay))
    afferents = ("input", "recurrent") if block.recurrent else ("input",)
    if isinstance(bound, BoundSynapseTrace):
        spec, through = bound.spec, bound.spec.recurrent and block.recurrent
        return TraceDescription(
            "SynapseTrace",
            filter=bound.kappa,
            through_reset=spec.through_reset,
            through_layer=through,
        )
    if isinstance(bound, BoundRankOne):
        return TraceDescription("RankOne", dict.fromkeys(afferents, bound.decay), trace_bias=True)
    if not isinstance(bound, TwoTrace):
        return TraceDescription(type(bound).__name__)
    return TraceDescription(
        "TwoTrace",
        {k: bound.decay_of(k) for k in afferents},
        {k: bound.fast_decay_of(k) for k in afferents},
        bound.pre_gain,
        bound.post_decay,
        bound.post_gain,
        bound.trace_bias,
    )


def _cell(block: BlockDescription, readout_decay: float) -> Cell:
    n = block.neuron
    return Cell(
        n.decay,
        n.synaptic_decay,
        n.adaptation,
        n.adaptation_decay,
        n.reset,
        n.reset_by or 0.0,
        readout_decay,
        INPUT in block.sources,
        block.recurrent,
        block.synapse.normalised,
    )
