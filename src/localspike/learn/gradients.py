"""Gradients gathered with respect to effective weights, then written to ``.grad`` once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..nn.layer import Readout, Spiking, is_static
from ..nn.network import Network
from ..nn.synapse import Synapse
from ..rules.eligibility import Collapsed, Factors


def learns(block: nn.Module) -> bool:
    """True where any parameter of the block takes a gradient."""
    return any(p.requires_grad for p in block.parameters())


class Gradients:
    """Sums of contractions per block and afferent ("input", "recurrent"), and bias sums."""

    def __init__(self, net: Network, dtype: torch.dtype | None = None) -> None:
        self.net, self.dtype = net, dtype
        self.weight: dict[tuple[str, str], Tensor] = {}
        self.bias: dict[str, Tensor] = {}

    def synapse(self, name: str, afferent: str) -> Synapse:
        """The synapse that an afferent of a block enters by."""
        block = self.net.modules_by_name[name]
        if afferent == "recurrent" and isinstance(block, Spiking) and block.recurrent is not None:
            return block.recurrent
        synapse: Synapse = block.synapse  # type: ignore[assignment]
        return synapse

    def add_step(self, name: str, m: Tensor, factors: Factors) -> None:
        """Σ_terms (m ⊙ post) ⊗ pre of one step."""
        for term in factors.terms:
            post = m * term.post
            for afferent, pre in term.pre.items():
                self._add(
                    name, afferent, self.synapse(name, afferent).contract(post, pre, self.dtype)
                )
        if self.has_bias(name):
            self._add_bias(name, m * factors.bias_post * factors.bias_pre)

    def add_sequence(self, name: str, collapsed: Collapsed, afferents: dict[str, Tensor]) -> None:
        """One contraction of a collapsed post factor [T, B, ...] with the raw afferents."""
        for afferent, pre in afferents.items():
            synapse, post = self.synapse(name, afferent), collapsed.post[afferent]
            if is_static(pre):  # one frame for all steps: contract once
                grad = synapse.contract(post.sum(0), pre[0], self.dtype)
            else:
                grad = synapse.contract(post.flatten(0, 1), pre.flatten(0, 1), self.dtype)
            self._add(name, afferent, grad)
        if self.has_bias(name) and collapsed.bias_post is not None:
            self._add_bias(name, collapsed.bias_post.flatten(0, 1))

    def has_bias(self, name: str) -> bool:
        """True where the block's input synapse has a bias."""
        return self.synapse(name, "input").bias is not None

    def _add(self, name: str, afferent: str, grad: Tensor) -> None:
        key = (name, afferent)
        self.weight[key] = self.weight[key].add_(grad) if key in self.weight else grad

    def _add_bias(self, name: str, post: Tensor) -> None:
        grad = self.synapse(name, "input").bias_contract(post)
        self.bias[name] = self.bias[name].add_(grad) if name in self.bias else grad

    @torch.no_grad()
    def write(self) -> None:
        """Add everything to the parameters' ``.grad`` and start again from nothing."""
        for (name, afferent), grad in self.weight.items():
            bias = self.bias.get(name) if afferent == "input" else None
            self.synapse(name, afferent).write_grad(grad, bias)
        self.weight.clear()
        self.bias.clear()


def learning_blocks(net: Network) -> dict[str, Spiking]:
    """Spiking blocks with at least one trainable parameter."""
    return {name: block for name, block in net.blocks.items() if learns(block)}


def readout_learns(net: Network) -> Readout | None:
    """The readout if it has trainable parameters."""
    readout = net.readout
    return readout if readout is not None and learns(readout) else None
