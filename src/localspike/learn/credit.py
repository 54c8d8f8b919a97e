"""What a rule means on one network: eligibility, bound signal and regulariser of every block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ConfigError, IllegalError
from ..nn.layer import Activity, Spiking, Weights
from ..nn.network import INPUT, Network
from ..rules.base import Rule
from ..rules.eligibility import ThroughTime, TwoTrace
from ..rules.factors import BoundEligibility, Cell, Local
from ..rules.signal import NEEDS, Backprop, BlockInfo, BoundSignal, Knowledge, Silent
from .companion import CompanionStream
from .gradients import learns, readout_learns
from .loss import Loss
from .regulariser import FiringRate
from .targets import Target


class Credit:
    """A rule bound to a network: built once per learner, holding no state of any sequence.

    Raises
    ------
    IllegalError
        If the rule is not defined for this network; the message has the reason.
    """

    def __init__(
        self, net: Network, rule: Rule, loss: Loss, regulariser: FiringRate | None = None
    ) -> None:
        self.net, self.rule, self.loss, self.regulariser = net, rule, loss, regulariser
        if regulariser is not None and isinstance(rule.signal, Silent):
            raise IllegalError(
                f"rule {rule.name!r} leaves hidden blocks alone: no firing rate to regularise",
                fix="Leave firing_rate out",
            )
        _check_rule(rule, loss)
        if rule.signal.companion is not None and net.normalised:
            raise IllegalError(
                f"rule {rule.name!r} runs targets beside the samples, whose currents are no data",
                got="a network with running statistics",
                fix="Build it without norm_momentum",
            )
        self.companion: CompanionStream | None = None
        self.bound: dict[str, BoundSignal] = {}
        self.bind()
        self.forget_choice()
        self._bind_traces()

    def forget_choice(self) -> None:
        """Votes as the rule has them, and nothing chosen."""
        # A user's signal may have an attribute of this name that means something else.
        votes = getattr(self.rule.signal, "votes", False)
        self.votes = votes if isinstance(votes, bool | str) else False
        self.heard = not self.chooses_votes

    @property
    def chooses_votes(self) -> bool:
        """Whether validation decides if layers that vote are ``heard`` when the net is judged."""
        return self.votes == "auto" and self.loss.of_classes

    # -- binding ---------------------------------------------------------------------------

    def bind(self) -> None:
        """Bind the signal to every block, in the dtype and on the device the network has now."""
        like, signal, before = self.net.like, self.rule.signal, self.bound
        self._bound_to = (like.dtype, like.device)
        bound = {n: signal.bind(self._info(n, i), like) for i, n in enumerate(self.net.blocks)}
        self.bound = {name: b for name, b in bound.items() if b is not None}
        for name, old in before.items():
            _keep_parameters(old, self.bound[name], like)
        if signal.companion is not None:
            self.companion = CompanionStream(self.net, signal.companion, self.classes, like)

    def follow(self) -> None:
        """Bind again if the network has been moved or converted since, or has other neurons."""
        neurons = [block.neuron for block in self.net.modules_by_name.values()]
        if any(a is not b for a, b in zip(neurons, self._neurons, strict=True)):
            self.bind()  # a readout's leak, which signals know
            self._bind_traces()
        like = self.net.like
        if (like.dtype, like.device) != self._bound_to:
            self.bind()

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """Trained tensors that belong to the rule's signals, not to the network."""
        return {f"{b}.{n}": p for b, s in self.bound.items() for n, p in s.parameters.items()}

    def _info(self, name: str, index: int) -> BlockInfo:
        block, readout, last = self.net.blocks[name], self.net.readout, self.net.readout_name
        return BlockInfo(
            index,
            self.net.output_shapes[name],
            block.latent,
            self.classes,
            name,
            tuple(self.net.wires[name]),
            last is not None and self.net.wires[last] == (name,),
            0.0 if readout is None else readout.neuron.decay,
        )

    @property
    def classes(self) -> int:
        """Outputs of the loss."""
        if self.net.classes is None:
            raise IllegalError(
                "this network has no readout",
                expected="a Readout as its last block",
                fix="Add one, so that a loss is defined",
            )
        return self.net.classes

    def _bind_traces(self) -> None:
        """Bind the eligibility to every block, with the decays its neurons have now."""
        self.eligibilities = self._bind_eligibilities()
        self.recentred = self._find_recentred()
        # Last, or what was refused once would be taken for bound at the next step.
        self._neurons = [block.neuron for block in self.net.modules_by_name.values()]

    def _bind_eligibilities(self) -> dict[str, BoundEligibility]:
        rule, readout = self.rule.eligibility, self.net.readout
        if isinstance(rule, ThroughTime):
            return {}
        bound: dict[str, BoundEligibility] = {
            name: rule.for_block(self._cell(name, block)) for name, block in self.net.blocks.items()
        }
        if self.rule.band is not None and not all(isinstance(b, TwoTrace) for b in bound.values()):
            raise IllegalError(
                f"rule {self.rule.name!r} regularises the membrane",
                got=type(rule).__name__,
                expected="an eligibility of two factors (TwoTrace), which has ∂u/∂w",
            )
        if readout is not None and self.net.readout_name is not None:
            bound[self.net.readout_name] = rule.for_readout(readout.neuron.decay)
        return bound

    def _cell(self, name: str, block: Spiking) -> Cell:
        n, readout = block.neuron, self.net.readout
        return Cell(
            n.decay,
            n.synaptic_decay,
            n.adaptation,
            n.adaptation_decay,
            n.reset,
            n.amount,
            0.0 if readout is None else readout.neuron.decay,
            INPUT in self.net.wires[name],
            block.recurrent is not None,
            block.normalised,
        )

    def _find_recentred(self) -> frozenset[str]:
        """Blocks whose post factors lose what their normalisation would undo."""
        if self.rule.band is not None:
            return frozenset()
        bound = self.eligibilities
        return frozenset(k for k in self.net.normalised if type(bound.get(k)) is TwoTrace)

    @property
    def acts_at_every_step(self) -> bool:
        """True where a regulariser learns also at steps without a loss."""
        return self.regulariser is not None or self.rule.band is not None

    # -- at run time -----------------------------------------------------------------------

    def eligibility(self, name: str) -> BoundEligibility:
        """The eligibility of one block; the readout's has its own decay."""
        if not self.eligibilities:
            raise IllegalError(f"rule {self.rule.name!r} has no eligibility traces", fix="Use bptt")
        return self.eligibilities[name]

    def psi(self, block: Spiking, activity: Activity) -> Tensor:
        """Ψ(u − threshold in force)."""
        return self.rule.surrogate(block.distance(activity))

    def local(self, block: Spiking, activity: Activity, weights: Weights) -> Local:
        """What the block's neurons offer to their eligibility."""
        return Local(self.psi(block, activity), activity.u, activity.o, weights.recurrent)

    def knowledge(
        self,
        name: str,
        output: Tensor,
        target: Target,
        readout: tuple[Tensor, Tensor] | None = None,
        below: object = None,
    ) -> Knowledge:
        """What the signal of one block may know; ``readout`` is its error and its weights."""
        error, weight = (None, None) if readout is None else readout
        return Knowledge(
            output,
            lambda z: self.loss.error(z, target.y, target.weight),
            target.y,
            target.weight,
            target.y.shape[-2],
            error,
            weight,
            below,
            target.valid,
        )

    def below(self, name: str, states: dict[str, object]) -> object:
        """What the signal of the one block below keeps, where there is just one."""
        sources = self.net.wires[name]
        return states.get(sources[0]) if len(sources) == 1 else None

    def at_spikes(self, activity: Activity, target: Target) -> Tensor | None:
        """The firing-rate regulariser's derivative at o [..., B, *event], or None."""
        if self.regulariser is None:
            return None
        o, event_axes = self._data(activity.o, target), _event_axes(activity, target)
        term = self.regulariser.error(o, target.valid, event_axes).expand_as(o)
        return self._with_companions(term, activity.o)

    def direct(self, block: Spiking, activity: Activity, target: Target) -> Tensor | None:
        """The membrane band's derivative at u [..., B, *event], or None."""
        if self.rule.band is None:
            return None
        axes = _event_axes(activity, target)
        d = self._data(block.distance(activity), target)
        term = self.rule.band.error(d, axes) / target.y.shape[-2]
        if target.valid is not None:
            term = term * target.valid.to(term).view(*target.valid.shape, *(1,) * axes)
        return self._with_companions(term, activity.u)

    def _data(self, x: Tensor, target: Target) -> Tensor:
        """The samples themselves, without companions."""
        return x.narrow(target.y.ndim - 2, 0, target.y.shape[-2])

    def _with_companions(self, term: Tensor, like: Tensor) -> Tensor:
        """Zeros for the companions, so that a term of the samples fits all streams."""
        if term.shape == like.shape:
            return term
        whole = torch.zeros_like(like)
        whole[tuple(slice(0, n) for n in term.shape)] = term
        return whole

    def hidden_that_learn(self) -> dict[str, Spiking]:
        """Blocks whose weights this rule changes: a silent signal changes none."""
        if self.rule.signal.needs == "nothing":
            return {}
        return {name: block for name, block in self.net.blocks.items() if learns(block)}

    def hidden_with_signal(self) -> dict[str, Spiking]:
        """Blocks whose signal is worked out.

        Those that learn; where the signal is sent down, also those it crosses on the way; where
        one block asks the one below, all.
        """
        learning, blocks = self.hidden_that_learn(), self.net.blocks
        if self.companion is not None:
            return blocks
        if self.rule.signal.needs != "backprop" or not learning:
            return learning
        names = list(blocks)
        crossed = names[names.index(next(iter(learning))) :]
        return {name: blocks[name] for name in crossed}

    def readout_learns(self) -> bool:
        """True where the readout takes gradients."""
        return readout_learns(self.net) is not None


def _check_rule(rule: Rule, loss: Loss) -> None:
    """Refuse combinations of credit that mean nothing, whatever the network."""
    signal = rule.signal
    if signal.needs not in NEEDS:
        raise ConfigError(
            f"the signal of rule {rule.name!r} needs something unknown",
            got=signal.needs,
            expected=f"one of {', '.join(NEEDS)}",
        )
    through_time = isinstance(rule.eligibility, ThroughTime)
    if through_time and not isinstance(signal, Backprop):
        raise IllegalError(
            f"rule {rule.name!r} backpropagates through time and has another signal beside it",
            got=type(signal).__name__,
            expected="Backprop, for autograd goes through the layers as well",
            fix="Use an eligibility of traces with this signal",
        )
    if rule.band is not None and (through_time or isinstance(signal, Silent)):
        raise IllegalError(
            f"rule {rule.name!r} has a membrane band and no traces it could act by",
            fix="Leave the band out",
        )
    if signal.companion is not None and not loss.of_classes:
        raise IllegalError(
            f"rule {rule.name!r} contrasts samples with their classes",
            got=f"targets of {type(loss).__name__}, which are values",
            expected="a loss of classes, such as CrossEntropy",
        )


def _event_axes(activity: Activity, target: Target) -> int:
    return activity.o.ndim - target.y.ndim + 1


def _keep_parameters(old: BoundSignal, new: BoundSignal, like: Tensor) -> None:
    """A moved network keeps its rule's trained tensors, the very objects an optimiser holds."""
    for name, parameter in old.parameters.items():
        parameter.data = parameter.data.to(like)
        if parameter.grad is not None:
            parameter.grad = parameter.grad.to(like)
        new.adopt(name, parameter)
