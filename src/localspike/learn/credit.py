"""What a rule means on one network: eligibility, bound signal and regulariser of every block."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..errors import ConfigError, IllegalError
from ..nn.layer import Activity, Spiking
from ..nn.network import INPUT, Network
from ..rules.base import Rule
from ..rules.class_basis import ClassBasis
from ..rules.eligibility import ThroughTime, TwoTrace
from ..rules.projection import Projection
from ..rules.signal import BlockInfo, BoundSignal, Knowledge, Silent
from .gradients import learning_blocks, readout_learns
from .loss import Loss
from .targets import Target


@dataclass(frozen=True)
class FiringRate:
    """Regulariser R = strength/2B · Σ_t Σ_b (mean_i o_i[t] − target)² of every spiking block.

    Its derivative strength (mean_i o − target)/(B n) is added to the learning signal at o[t],
    so it works under every rule; padded steps do not count.
    """

    target: float
    strength: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.target <= 1.0 or self.strength < 0:
            raise ConfigError(
                "firing-rate regulariser",
                got=(self.target, self.strength),
                expected="a target in [0, 1] and a strength >= 0",
            )

    def error(self, o: Tensor, valid: Tensor | None, event_axes: int) -> Tensor:
        """∂R/∂o for o [..., B, *event], broadcast over the event axes."""
        axes = tuple(range(o.ndim - event_axes, o.ndim))
        excess = self._excess(o, valid, axes)
        batch, size = o.shape[-event_axes - 1], o[..., :].shape[-event_axes:].numel()
        return (self.strength / (batch * size)) * excess

    def value(self, o: Tensor, valid: Tensor | None, event_axes: int) -> Tensor:
        """R for o [..., B, *event]."""
        axes = tuple(range(o.ndim - event_axes, o.ndim))
        batch = o.shape[-event_axes - 1]
        return self._excess(o, valid, axes).square().sum() * (self.strength / (2 * batch))

    def _excess(self, o: Tensor, valid: Tensor | None, axes: tuple[int, ...]) -> Tensor:
        excess = o.mean(axes, keepdim=True) - self.target
        if valid is None:
            return excess
        return excess * valid.to(excess).view(*valid.shape, *(1,) * len(axes))


class Credit:
    """A rule bound to a network: built once per learner, holding no state of any sequence."""

    def __init__(
        self, net: Network, rule: Rule, loss: Loss, regulariser: FiringRate | None = None
    ) -> None:
        self.net, self.rule, self.loss, self.regulariser = net, rule, loss, regulariser
        if regulariser is not None and isinstance(rule.signal, Silent):
            raise IllegalError(
                f"rule {rule.name!r} leaves hidden blocks alone: no firing rate to regularise",
                fix="Leave firing_rate out",
            )
        self.bound: dict[str, BoundSignal] = {}
        self.bind()

    def bind(self) -> None:
        """Bind the signal to every block, in the dtype and on the device the network has now."""
        like, signal = next(self.net.parameters()), self.rule.signal
        self._bound_to = (like.dtype, like.device)
        if isinstance(signal, ClassBasis | Projection):
            names = list(self.net.blocks)
            self.bound = {n: signal.bind(self._info(n, i), like) for i, n in enumerate(names)}

    def follow(self) -> None:
        """Bind again if the network has been moved or converted since."""
        like = next(self.net.parameters())
        if (like.dtype, like.device) != self._bound_to:
            self.bind()

    def _info(self, name: str, index: int) -> BlockInfo:
        block = self.net.blocks[name]
        return BlockInfo(index, self.net.output_shapes[name], block.latent, self.classes)

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

    @property
    def traces(self) -> TwoTrace:
        """The rule's eligibility where it is one of traces."""
        if isinstance(self.rule.eligibility, ThroughTime):
            raise IllegalError(f"rule {self.rule.name!r} has no eligibility traces", fix="Use bptt")
        return self.rule.eligibility

    def eligibility(self, name: str) -> TwoTrace:
        """The eligibility of one block; the readout's has its own decay."""
        readout = self.net.readout
        if name == self.net.readout_name and readout is not None:
            return self.traces.for_readout(readout.neuron.decay)
        gamma = self.net.blocks[name].neuron.decay
        return self.traces.for_block(gamma, first=INPUT in self.net.wires[name])

    def psi(self, block: Spiking, u: Tensor) -> Tensor:
        """Ψ(u − θ)."""
        return self.rule.surrogate(u - block.neuron.threshold)

    def knowledge(
        self, output: Tensor, target: Target, batch: int, readout_error: Tensor | None = None
    ) -> Knowledge:
        """What the signal of one block may know of this step or sequence."""
        return Knowledge(
            output,
            lambda z: self.loss.error(z, target.y, target.weight),
            target.y,
            target.weight,
            batch,
            readout_error,
        )

    def regularise(
        self, m: Tensor | None, block: Spiking, activity: Activity, target: Target
    ) -> Tensor | None:
        """Add the firing-rate term to a signal at o [..., B, *event]."""
        if self.regulariser is None:
            return m
        event_axes = 1 if activity.o.ndim - target.y.ndim == 0 else 3
        term = self.regulariser.error(activity.o, target.valid, event_axes)
        return term.expand_as(activity.o) if m is None else m + term

    def hidden_that_learn(self) -> dict[str, Spiking]:
        """Blocks whose weights this rule changes: a silent signal changes none."""
        if self.rule.signal.needs == "nothing":
            return {}
        return learning_blocks(self.net)

    def readout_learns(self) -> bool:
        """True where the readout takes gradients."""
        return readout_learns(self.net) is not None
