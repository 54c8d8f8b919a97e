"""FPTT: forward propagation through time, as a wrapper around any optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..errors import ConfigError, is_finite


class FPTT(Optimizer):
    """Every step descends the step's own loss, held near a running average of past weights.

        Φ[t+1] = descend  ℓ_t(Φ) + α/2 ‖Φ − Φ̄[t] − λ[t]/α‖²          (one step of ``optimizer``)
        λ[t+1] = λ[t] − α (Φ[t+1] − Φ̄[t])
        Φ̄[t+1] = (1 − β) Φ̄[t] + β Φ[t+1] − β λ[t+1] / α

    λ is the running estimate of the step's gradient at the new weights, so that at convergence the
    pull vanishes where the sum of all steps' gradients does. Meant for ``update="step"`` with a
    rule that looks at one step at a time (``sltt``). Φ̄ begins at Φ, λ at 0; `settle`, which the
    trainer calls after every epoch, takes the averaged weights and begins again.

    Parameters
    ----------
    optimizer:
        The optimiser that takes the step (Adam, SGD …); its step size is this wrapper's.
    alpha:
        α > 0, the strength of the pull.
    beta:
        β in (0, 1]; 0.5 as published.

    Source: Kag and Saligrama, ICML 2021, with λ and Φ̄ as their release computes them; for spiking
    nets arXiv 2112.11231.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> fptt = FPTT(torch.optim.SGD([weight], lr=0.1), alpha=0.5)
    >>> weight.grad = torch.ones(2)
    >>> fptt.step()
    >>> weight.data
    tensor([0.9000, 0.9000])
    """

    def __init__(self, optimizer: Optimizer, alpha: float = 0.1, beta: float = 0.5) -> None:
        if not (is_finite(alpha) and alpha > 0):
            raise ConfigError("FPTT alpha", got=alpha, expected="a strength > 0")
        if not (is_finite(beta) and 0 < beta <= 1):
            raise ConfigError("FPTT beta", got=beta, expected="a share in (0, 1]")
        self.base, self.alpha, self.beta = optimizer, alpha, beta
        # Not Optimizer.__init__: groups, defaults and hooks are the wrapped optimiser's own.
        super().__init__(optimizer.param_groups, optimizer.defaults)
        self.param_groups = optimizer.param_groups

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Add the pull to every gradient, let the optimiser step, and follow with Φ̄ and λ."""
        if closure is not None:
            raise ConfigError("FPTT takes no closure", fix="Compute the gradient before step()")
        held = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        for p in held:
            mean, dual = self._memory(p)
            p.grad.add_(p - mean, alpha=self.alpha).sub_(dual)
        self.base.step()
        for p in held:
            mean, dual = self._memory(p)
            dual.sub_(p - mean, alpha=self.alpha)
            mean.lerp_(p, self.beta).sub_(dual, alpha=self.beta / self.alpha)

    def _memory(self, p: Tensor) -> tuple[Tensor, Tensor]:
        """Φ̄ and λ of one parameter."""
        if "mean" not in self.state[p]:
            self.state[p].update(mean=p.detach().clone(), dual=torch.zeros_like(p))
        return self.state[p]["mean"], self.state[p]["dual"]

    @torch.no_grad()
    def settle(self) -> None:
        """Take the averaged weights, Φ = Φ̄, and begin again with λ = 0."""
        for p, memory in self.state.items():
            p.copy_(memory["mean"])
            memory["dual"].zero_()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """To the wrapped optimiser."""
        if not any(group is param_group for group in self.base.param_groups):
            self.base.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """The wrapped optimiser's state beside Φ̄ and λ."""
        return {"fptt": super().state_dict(), "base": self.base.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        super().load_state_dict(state_dict["fptt"])
        self.base.load_state_dict(state_dict["base"])
        self.param_groups = self.base.param_groups
