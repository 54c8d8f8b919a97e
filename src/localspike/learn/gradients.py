"""Gradients gathered with respect to effective weights, then written to ``.grad`` once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..kernels import norm
from ..kernels.synapse import contract_dense
from ..nn.currents import is_static
from ..nn.layer import Spiking
from ..nn.network import Network
from ..nn.readout import Readout
from ..nn.synapse import Synapse, add_grad
from ..rules.factors import Afferents, Collapsed, Factors
from ..rules.synapse_trace import BIAS

NARROW = (torch.bfloat16, torch.float16)


def _add_to(sums: dict[str, Tensor], name: str, more: Tensor) -> None:
    sums[name] = sums[name] + more if name in sums else more


def _per_sample(sums: Tensor, batch: int) -> Tensor:
    """Sums of a batch's post factors, each with 1/batch in it, as those of single samples."""
    return torch.cat((sums[:1], sums[1:] * batch))


def learns(block: nn.Module) -> bool:
    """True where any parameter of the block takes a gradient."""
    return any(p.requires_grad for p in block.parameters())


class Gradients:
    """Sums of contractions per block and afferent ("input", "recurrent"), and bias sums.

    ``credits`` are the sums of post factors that running statistics take in, once written.
    ``own`` maps "block.parameter" to the trained tensors of the rule's signals.
    """

    def __init__(
        self,
        net: Network,
        dtype: torch.dtype | None = None,
        own: Mapping[str, nn.Parameter] | None = None,
    ) -> None:
        self.net, self.dtype, self.own_parameters = net, dtype, own or {}
        self.weight: dict[tuple[str, str], Tensor] = {}
        self.bias: dict[str, Tensor] = {}
        self.own: dict[str, Tensor] = {}
        self.credits: dict[str, Tensor] = {}
        self._streamed: dict[str, Tensor] = {}
        self._batch = 1

    def synapse(self, name: str, afferent: str) -> Synapse:
        """The synapse that an afferent of a block enters by."""
        block = self.net.modules_by_name[name]
        if afferent == "recurrent" and isinstance(block, Spiking) and block.recurrent is not None:
            return block.recurrent
        synapse: Synapse = block.synapse  # type: ignore[assignment]
        return synapse

    def add_step(
        self,
        name: str,
        m: Tensor,
        factors: Factors,
        direct: Tensor | None = None,
        at_spikes: Tensor | None = None,
    ) -> None:
        """Σ_terms (m ⊙ post) ⊗ pre of one step.

        Regularisers add a signal ``direct`` at u, and one ``at_spikes`` that no readout delays.
        """
        if at_spikes is not None and factors.unfiltered is None:
            m, at_spikes = m + at_spikes, None
        for term in factors.terms:
            self.add_products(name, m * term.post, term.pre)
        if direct is not None and factors.direct is not None:
            self.add_products(name, direct, factors.direct)
        if factors.dense is not None:
            self._add_dense(name, m, factors.dense, factors.full)
            if at_spikes is not None and factors.unfiltered is not None:
                self._add_dense(name, at_spikes, factors.unfiltered, factors.full)
        elif self.has_bias(name) and factors.bias_post is not None:
            post = m * factors.bias_post
            self.add_bias(name, (post if direct is None else post + direct) * factors.bias_pre)

    def add_products(self, name: str, post: Tensor, pres: Afferents) -> None:
        """post [B, ...] ⊗ the pre factor of every afferent."""
        for afferent, pre in pres.items():  # samples beside the batch may have no such afferent
            grad = self.synapse(name, afferent).contract(post[: len(pre)], pre, self.dtype)
            self._add(name, afferent, grad)

    def _add_dense(self, name: str, m: Tensor, dense: Afferents, full: bool) -> None:
        for afferent, eligibility in dense.items():
            if afferent == BIAS:
                if self.has_bias(name):
                    self._add_to_bias(name, contract_dense(m, eligibility, full).flatten())
                continue
            grad = contract_dense(m, eligibility, full, self.dtype)
            self._add(name, afferent, grad.view_as(self.synapse(name, afferent).weight))

    def add_sequence(self, name: str, collapsed: Collapsed, afferents: dict[str, Tensor]) -> None:
        """One contraction of a collapsed post factor [T, B, ...] with the raw afferents."""
        for afferent, pre in afferents.items():
            synapse, post = self.synapse(name, afferent), collapsed.post[afferent]
            post = post[:, : pre.shape[1]]
            if is_static(pre):  # one frame for all steps: contract once
                grad = synapse.contract(post.sum(0), pre[0], self.dtype)
            else:
                grad = synapse.contract(post.flatten(0, 1), pre.flatten(0, 1), self.dtype)
            self._add(name, afferent, grad)
        if self.has_bias(name) and collapsed.bias_post is not None:
            self.add_bias(name, collapsed.bias_post.flatten(0, 1))

    def recentred(
        self, name: str, post: Tensor, current: Tensor, told: Tensor, batch: int
    ) -> Tensor:
        """Post factors [..., B, ...] of a normalised block without what it would undo."""
        pull = self.synapse(name, "input").pull(batch)
        assert pull is not None  # `Credit.recentred`
        after, sums = norm.recentre(post, current, *pull, told)
        _add_to(self.credits, name, _per_sample(sums, batch))
        return after

    def recentre_step(
        self, name: str, pushed: Tensor, current: Tensor, x: Tensor, told: Tensor, batch: int
    ) -> None:
        """The same of one step of a stream, whose post factors have gone into the gradient.

        ``pushed`` [B, ...] is the signal times the post factor of a constant input.
        """
        synapse = self.synapse(name, "input")
        pull = synapse.pull(batch)
        assert pull is not None  # `Credit.recentred`
        taken, sums = norm.recentre(torch.zeros_like(pushed), current, *pull, told)
        self._add(name, "input", synapse.contract(taken, x, self.dtype))
        axes = tuple(i for i in range(taken.ndim) if i != 1)
        lost, posts = (taken * current).sum(axes), pushed.sum(axes)
        _add_to(self._streamed, name, torch.stack((sums[0], posts, lost, taken.sum(axes))))
        self._batch = batch

    def _end_stream(self) -> None:
        """Find Σ c I of a stream, in which no c was ever seen whole, from its gradient.

        With Ŵ x = I − b and what was taken out, t: ⟨Ŵ, G⟩ = Σ c Ŵ x + Σ t Ŵ x.
        """
        for name, (count, posts, lost, taken) in self._streamed.items():
            synapse = self.synapse(name, "input")
            weight, offset = synapse.effective_weight(), synapse.offset()
            assert offset is not None  # `Credit.recentred`
            inner = (weight * self.weight[name, "input"].to(weight.dtype)).flatten(1).sum(1)
            along = inner - lost + offset * (taken + posts)
            sums = torch.stack((count, posts, along))
            _add_to(self.credits, name, _per_sample(sums, self._batch))
        self._streamed.clear()

    def add_weight(self, name: str, grad: Tensor, afferent: str = "input") -> None:
        """A gradient with respect to the effective weight of one of a block's synapses."""
        self._add(name, afferent, grad)

    def add_own(self, name: str, own: Mapping[str, Tensor]) -> None:
        """Gradients of the trained tensors of a block's signal."""
        for parameter, grad in own.items():
            key = f"{name}.{parameter}"
            self.own[key] = self.own[key] + grad if key in self.own else grad

    def has_bias(self, name: str) -> bool:
        """True where the block's input synapse has a bias."""
        return self.synapse(name, "input").bias is not None

    def _add(self, name: str, afferent: str, grad: Tensor) -> None:
        key = (name, afferent)
        before = self.weight.get(key)
        if before is None:
            self.weight[key] = grad
            return
        # Each may be narrow, as its product is; a narrow sum of many would lose what they add.
        wide = before.float() if before.dtype in NARROW else before
        self.weight[key] = wide.add_(grad)

    def add_bias(self, name: str, post: Tensor) -> None:
        """A post factor [N, ...] summed into the gradient of a block's bias."""
        self._add_to_bias(name, self.synapse(name, "input").bias_contract(post))

    def _add_to_bias(self, name: str, grad: Tensor) -> None:
        self.bias[name] = self.bias[name].add_(grad) if name in self.bias else grad

    def take_credits(self) -> dict[str, Tensor]:
        """The sums for running statistics, once."""
        taken, self.credits = self.credits, {}
        return taken

    @torch.no_grad()
    def write(self) -> None:
        """Add everything to the parameters' ``.grad`` and start again from nothing.

        ``credits`` stay until they are taken.
        """
        self._end_stream()
        for (name, afferent), grad in self.weight.items():
            bias = self.bias.get(name) if afferent == "input" else None
            self.synapse(name, afferent).write_grad(grad, bias)
        for key, grad in self.own.items():
            add_grad(self.own_parameters[key], grad)
        self.clear()

    def clear(self) -> None:
        """Forget what was gathered; ``credits`` stay."""
        self.weight.clear()
        self.bias.clear()
        self.own.clear()

    def __bool__(self) -> bool:
        """Whether anything has been gathered."""
        return bool(self.weight or self.bias or self.own)


def readout_learns(net: Network) -> Readout | None:
    """The readout if it has trainable parameters."""
    readout = net.readout
    return readout if readout is not None and learns(readout) else None
