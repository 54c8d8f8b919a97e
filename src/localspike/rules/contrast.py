"""Traces Propagation's signal: a layer's traces of data against its traces of targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from ..errors import ConfigError, IllegalError
from ..kernels import trace
from .eligibility import check_decay
from .signal import BlockInfo, Companion, Knowledge, Signal, Told

Against = Literal["batch", "merged", "classes"]
_ABSENT = 4.0
"""What is no target gets the dtype's lowest number by this: differences of two must be finite."""


class ContrastState(NamedTuple):
    """ε of all samples, data first; distances [..., K, K] of targets; the label's own trace."""

    traces: Tensor | None
    distances: Tensor
    label: Tensor | None


@dataclass(frozen=True)
class Contrast(Signal):
    """Traces Propagation: every sample's trace should be nearest to its own target's.

    The targets run through the same weights as a second stream, entered as a label current into
    the first layer. Per layer l and step, ε for data and ε̃ for targets (K of them):

        ε[t] = β ε[t−1] + o[t]                    ε̃ likewise,  ε̃_0 = trace of the one-hot label
        z = ε ε̃ᵀ [B, K],   y = softmax_k(−‖ε̃_{l−1}[own target of b] − ε̃_{l−1}[k]‖₂)
        E = Σ_b w_b Σ_k −y_bk log softmax(z)_bk

    and m = ∂E/∂o through the current step only, for both streams above the first layer. In the
    first, only the data teaches: the label enters as a current, not by weights that are learned,
    and recurrent weights and biases it shares are the data's to teach. On feature maps z and the
    distances are averaged over positions. w is the sample's weight in the loss.

    Parameters
    ----------
    decay:
        β per step.
    against:
        "batch": the targets are the labels of the batch (as published; a batch of one teaches
        nothing and is refused). "merged": one target per class, which counts as often as the
        batch has samples of that class: samples of one class have one target stream, so that this
        is the gradient of "batch" wherever every sample has one class, the same at all steps (no
        shares in several, no label smoothing, and no dropout, which would tell equal targets
        apart), with C streams instead of B and B × C pairs instead of B × B. Elsewhere it is a
        rule of its own. "classes": one target per class, which all count the same, for any batch.
    drive:
        The label current's amplitude in thresholds: uniform in ± drive · θ, drawn from ``seed``.

    Source: Traces Propagation (arXiv 2509.13053).

    >>> Contrast().companion.per_class
    False
    """

    decay: float = 0.98
    against: Against = "batch"
    drive: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_decay("decay", self.decay)
        if self.against not in get_args(Against):
            known = "'batch', 'merged' or 'classes'"
            raise ConfigError("unknown contrast", got=self.against, expected=known)

        if not 0 < self.drive < inf:  # a silent target stream would teach noise
            raise ConfigError("drive", got=self.drive, expected="a finite amplitude > 0")

    @property
    def companion(self) -> Companion:
        """The stream of targets."""
        return Companion(self.per_class, self.drive, self.seed, self.against != "classes")

    @property
    def per_class(self) -> bool:
        """Whether there is one target per class, not one per sample."""
        return self.against != "batch"

    def bind(self, block: BlockInfo, like: Tensor) -> BoundContrast:
        """The working form for one block."""
        if len(block.sources) != 1:
            raise IllegalError(
                f"Traces Propagation is not defined for block {block.name!r}",
                got=f"a block that adds {', '.join(block.sources)}",
                expected="one layer below, whose target traces it can be compared with",
                fix="Use a network that is a chain",
            )
        return BoundContrast(self, first=block.sources == ("input",))


class BoundContrast:
    """`Contrast` on one block."""

    def __init__(self, spec: Contrast, first: bool) -> None:
        self.spec, self.first = spec, first
        self.parameters: Mapping[str, nn.Parameter] = {}

    def adopt(self, name: str, parameter: nn.Parameter) -> None:
        """It has no parameters of its own to replace."""

    def filter(self, known: Knowledge, state: ContrastState | None) -> ContrastState:
        before = None if state is None else state.traces
        traces = known.output if before is None else self._next(before, known.output)
        label = None
        if self.first:
            labels = self._labels(known)
            known_label = None if state is None else state.label
            label = labels if known_label is None else self._next(known_label, labels)
        return ContrastState(traces, _distances(_maps(traces[known.batch :])), label)

    def _next(self, before: Tensor, now: Tensor) -> Tensor:
        return trace.trace_step(before, now, self.spec.decay)

    def step(self, known: Knowledge, state: ContrastState | None) -> Told:
        after = self.filter(known, state)
        return Told(self._signal(after, known), after)

    def sequence(self, known: Knowledge) -> Told:
        traces = trace.trace_forward(known.output, self.spec.decay)
        label = None
        if self.first:
            label = trace.trace_forward(self._labels(known), self.spec.decay)
        whole = ContrastState(traces, _distances(_maps(traces[:, known.batch :], lead=2)), label)
        # The block above needs the distances only; traces of a whole sequence must not stay.
        return Told(self._signal(whole, known), whole._replace(traces=None, label=None))

    def _labels(self, known: Knowledge) -> Tensor:
        """One-hot labels of the targets [..., K, C]."""
        if not self.spec.per_class:
            return known.target
        classes = known.target.shape[-1]
        eye = torch.eye(classes, dtype=known.target.dtype, device=known.target.device)
        return eye.expand(*known.target.shape[:-2], classes, classes)

    def _signal(self, state: ContrastState, known: Knowledge) -> Tensor:
        assert state.traces is not None  # only what is told to the block above lacks them
        lead = known.target.ndim - 1
        data, targets = _split(_maps(state.traces, lead), known.batch, lead)
        positions = data.shape[-1]
        z = torch.einsum("...bcp,...kcp->...bk", data, targets) / positions
        prior = self._prior(known)
        error = (_shares(z, prior) - _shares(-self._own_distances(state, known), prior)) * (
            known.weight[..., None] / positions
        )
        to_data = torch.einsum("...bk,...kcp->...bcp", error, targets)
        to_targets = torch.einsum("...bk,...bcp->...kcp", error, data)
        if self.first:  # the label's stream meets no weights here
            to_targets = torch.zeros_like(to_targets)
        return torch.cat((to_data, to_targets), lead - 1).view(known.output.shape)

    def _own_distances(self, state: ContrastState, known: Knowledge) -> Tensor:
        """Of every sample's own target from all, by the layer below's traces [..., B, K]."""
        if state.label is not None:
            distances = _distances(state.label[..., None])
        else:
            distances = known.below.distances
        # With classes: the row of each sample's own.
        return known.target @ distances if self.spec.per_class else distances

    def _prior(self, known: Knowledge) -> Tensor | None:
        """What both softmaxes have added over targets [..., 1, K]: log n of the n that still run.

        n equal terms of a softmax are one with log n added, and of none that runs nothing is left.
        """
        target, valid = known.target, known.valid
        if self.spec.against == "merged":
            running = target if valid is None else target * valid[..., None]
            counts = running.sum(-2, keepdim=True)
        elif self.spec.against == "batch" and valid is not None:
            counts = valid.to(target)[..., None, :]
        else:
            return None
        return counts.log().clamp_(min=torch.finfo(counts.dtype).min / _ABSENT)


def _shares(z: Tensor, prior: Tensor | None) -> Tensor:
    """Softmax of z [..., B, K]."""
    return (z if prior is None else z + prior).softmax(-1)


def _maps(x: Tensor, lead: int = 1) -> Tensor:
    """[lead…, n] or [lead…, C, H, W] as [lead…, C, positions]."""
    return x[..., None] if x.ndim == lead + 1 else x.flatten(lead + 1)


def _split(x: Tensor, batch: int, lead: int) -> tuple[Tensor, Tensor]:
    axis = lead - 1
    return x.narrow(axis, 0, batch), x.narrow(axis, batch, x.shape[axis] - batch)


def _distances(x: Tensor) -> Tensor:
    """Mean over positions of ‖x_i − x_j‖₂, [..., K, K], of x [..., K, C, P]: ‖a‖² + ‖b‖² − 2ab."""
    products = torch.einsum("...icp,...jcp->...pij", x, x)
    norms = products.diagonal(dim1=-2, dim2=-1)
    squares = norms[..., :, None] + norms[..., None, :] - 2.0 * products
    return squares.clamp_(min=0.0).sqrt_().mean(-3)
