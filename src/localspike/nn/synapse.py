"""Synapses: the modules that hold weights. Forward, contraction, pullback, and writing `.grad`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..errors import ConfigError, ShapeError
from ..kernels import norm
from ..kernels import synapse as kernel
from ..kernels.geometry import ConvGeometry
from .running import Pull, RunningNorm


class Synapse(nn.Module, ABC):
    """What `Linear` and `Conv2d` share: weight, optional gain (weight standardisation), bias.

    With a ``norm_momentum`` it keeps running statistics of its current besides (`RunningNorm`).

    The weight used in a step is `effective_weight()`; gradients are gathered with respect to it
    and carried back to the parameters once per update by `write_grad`.
    """

    weight: nn.Parameter
    gain: nn.Parameter | None
    bias: nn.Parameter | None
    norm: RunningNorm | None

    def _make(
        self,
        shape: tuple[int, ...],
        bias: bool,
        standardised: bool,
        momentum: float | None = None,
    ) -> None:
        fan_in = math.prod(shape[1:])
        if momentum is not None and not standardised:
            raise ConfigError(
                "running statistics need standardised weights",
                got=f"norm_momentum={momentum}, standardised=False",
                fix="Build this layer with standardised=True",
            )
        if momentum is not None and bias:
            raise ConfigError(
                "running statistics and a bias: the one takes out what the other adds",
                got=f"norm_momentum={momentum}, bias=True",
                fix="Leave the bias out",
            )
        if standardised and fan_in < 2:
            raise ConfigError(
                "weight standardisation needs a fan-in of at least 2",
                got=f"weights of shape {list(shape)}",
                fix="Build this layer with standardised=False",
            )
        bound = fan_in**-0.5
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        ones = (shape[0], *(1,) * (len(shape) - 1))
        self.gain = nn.Parameter(torch.ones(ones)) if standardised else None
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        self.norm = None if momentum is None else RunningNorm(shape[0], momentum)
        if self.norm is not None and self.gain is not None:
            self.gain.requires_grad_(False)

    def effective_weight(self, dtype: torch.dtype | None = None) -> Tensor:
        """Ŵ: the standardised weight, or the weight itself, rounded to ``dtype`` where given."""
        if self.gain is None:
            return self.weight if dtype is None else self.weight.to(dtype)
        return norm.standardise(self.weight, self._factor(self.gain), dtype=dtype)

    def offset(self) -> Tensor | None:
        """The constant current [O] that centres a normalised synapse: −g E[c] / sd(c)."""
        if self.norm is None or self.gain is None:
            return None
        return -self._factor(self.gain).flatten() * self.norm.mean.detach()

    def _factor(self, gain: nn.Parameter) -> Tensor:
        """What standardised weights are multiplied by, [O, 1, ...]."""
        norm = getattr(self, "norm", None)  # a user's own, or one of before there was any
        return gain if norm is None else gain.detach() * norm.inverse().view_as(gain)

    @torch.no_grad()
    def settle(self, seen: Tensor, momentum: float | None = None) -> None:
        """Let the running statistics take in moments of the current without its offset."""
        if self.norm is not None and self.gain is not None:
            self.norm.settle(seen, self._factor(self.gain).flatten(), momentum)

    def pull(self, batch: int) -> Pull | None:
        """What is taken out of the post factors of a batch of a normalised synapse."""
        if self.norm is None or self.gain is None:
            return None
        return self.norm.pull(self.gain.detach().flatten(), batch)

    @torch.no_grad()
    def settle_credit(self, told: Tensor) -> None:
        """Let the running statistics take in sums of post factors (`kernels.norm.recentre`)."""
        if self.norm is not None and self.gain is not None:
            self.norm.settle_credit(told, self.gain.flatten())

    @abstractmethod
    def forward(
        self, x: Tensor, weight: Tensor, dtype: torch.dtype | None = None, narrow: bool = False
    ) -> Tensor:
        """Current of a batch x [N, ...] under the effective ``weight``, bias included.

        ``narrow`` leaves it in ``dtype``, the one the product was computed in.
        """

    @abstractmethod
    def contract(self, post: Tensor, pre: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """post ⊗ pre summed over the batch, in the shape of the weight."""

    @abstractmethod
    def pullback(
        self,
        post: Tensor,
        weight: Tensor,
        input_shape: torch.Size,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """Carry a post factor [N, ...] to the input [N, ...] through the effective ``weight``."""

    @abstractmethod
    def patches(self, x: Tensor) -> Tensor:
        """What each synapse sees of x [B, ...]: [B, 1 or K, L, F], L output positions, F fan-in."""

    @abstractmethod
    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample's current for one sample's input shape; refuses what cannot be."""

    @abstractmethod
    def macs(self, shape: tuple[int, ...]) -> int:
        """Multiply-accumulates of one sample and step for one sample's input shape."""

    def bias_contract(self, post: Tensor) -> Tensor:
        """Sum of a post factor [N, O, ...] over batch and positions."""
        return post.sum(tuple(i for i in range(post.ndim) if i != 1))

    def write_grad(self, grad_weight: Tensor, grad_bias: Tensor | None) -> None:
        """Add a gradient with respect to Ŵ (and the bias) to the parameters' ``.grad``."""
        if self.gain is not None:
            factor = self._factor(self.gain)
            grad_weight, grad_gain = norm.standardise_pullback(grad_weight, self.weight, factor)
            if factor is self.gain:  # a normalised synapse keeps the gain it was calibrated to
                add_grad(self.gain, grad_gain, fresh=True)
        grad_weight = grad_weight.to(self.weight.dtype)
        add_grad(self.weight, grad_weight, fresh=self.gain is not None)
        if self.bias is not None and grad_bias is not None:
            add_grad(self.bias, grad_bias)


def add_grad(parameter: nn.Parameter, grad: Tensor, fresh: bool = False) -> None:
    """Add to a parameter's ``.grad``, unless it takes none; a ``fresh`` tensor is no one else's.

    The gradient lies in memory as its parameter does: torch's fused optimisers walk both by
    address and would pair other numbers.
    """
    if not parameter.requires_grad:
        return
    if parameter.grad is not None:
        parameter.grad += grad
    elif fresh and grad.stride() == parameter.stride():
        parameter.grad = grad.detach()
    else:
        parameter.grad = torch.empty_like(parameter).copy_(grad.detach())


class Linear(Synapse):
    """Fully connected synapse, W [O, I].

    >>> layer = Linear(3, 2)
    >>> layer(torch.ones(4, 3), layer.effective_weight()).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = False,
        standardised: bool = False,
        norm_momentum: float | None = None,
    ) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self._make((outputs, inputs), bias, standardised, norm_momentum)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample's current; refuses any input that is not [I]."""
        if shape != (self.inputs,):
            raise ShapeError(
                "a linear synapse got samples of another shape",
                got=list(shape),
                expected=[self.inputs],
                fix="Flatten before it, or build it for this many inputs",
            )
        return (self.outputs,)

    def forward(
        self, x: Tensor, weight: Tensor, dtype: torch.dtype | None = None, narrow: bool = False
    ) -> Tensor:
        return kernel.linear_forward(x, weight, self.bias, dtype, narrow)

    def contract(self, post: Tensor, pre: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return kernel.linear_contract(post, pre, dtype)

    def pullback(
        self,
        post: Tensor,
        weight: Tensor,
        input_shape: torch.Size,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        return kernel.linear_pullback(post, weight, dtype)

    def patches(self, x: Tensor) -> Tensor:
        """[B, 1, 1, I]: one position, all inputs."""
        return x[:, None, None, :]

    def macs(self, shape: tuple[int, ...]) -> int:
        """Multiply-accumulates of one sample and step."""
        return kernel.linear_macs(self.weight.shape)


class Conv2d(Synapse):
    """Convolutional synapse, W [K, C/groups, k, k].

    >>> layer = Conv2d(2, 4, 3, padding=1)
    >>> layer(torch.ones(1, 2, 8, 8), layer.effective_weight()).shape
    torch.Size([1, 4, 8, 8])
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = False,
        standardised: bool = False,
        norm_momentum: float | None = None,
    ) -> None:
        super().__init__()
        if channels % groups or filters % groups:
            raise ConfigError(
                "groups must divide channels and filters",
                got=f"groups={groups}, channels={channels}, filters={filters}",
            )
        self.channels, self.filters, self.kernel_size = channels, filters, kernel_size
        self.geometry = ConvGeometry(stride, padding, groups)
        self._make(
            (filters, channels // groups, kernel_size, kernel_size),
            bias,
            standardised,
            norm_momentum,
        )

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one sample's current; refuses input that is not [C, H, W] and large enough."""
        if len(shape) != 3 or shape[0] != self.channels:
            raise ShapeError(
                "a convolution got samples of another shape",
                got=list(shape),
                expected=f"[{self.channels}, H, W]",
            )
        sides = [
            (side + 2 * self.geometry.padding - self.kernel_size) // self.geometry.stride + 1
            for side in shape[1:]
        ]
        if min(sides) < 1:
            raise ShapeError(
                "the image is smaller than the convolution's kernel",
                got=list(shape),
                expected=f"sides of at least {self.kernel_size - 2 * self.geometry.padding}",
            )
        return (self.filters, *sides)

    def forward(
        self, x: Tensor, weight: Tensor, dtype: torch.dtype | None = None, narrow: bool = False
    ) -> Tensor:
        return kernel.conv_forward(x, weight, self.bias, self.geometry, dtype, narrow)

    def contract(self, post: Tensor, pre: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        return kernel.conv_contract(post, pre, self.weight.shape, self.geometry, dtype)

    def pullback(
        self,
        post: Tensor,
        weight: Tensor,
        input_shape: torch.Size,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        return kernel.conv_pullback(post, weight, input_shape, self.geometry, dtype)

    def patches(self, x: Tensor) -> Tensor:
        """[B, 1, L, F], or with groups [B, K, L, F]: every filter sees its own channels."""
        return kernel.conv_patches(x, self.weight.shape, self.geometry)

    def macs(self, shape: tuple[int, ...]) -> int:
        """Multiply-accumulates of one sample and step."""
        return kernel.conv_macs(self.weight.shape, torch.Size(self.output_shape(shape)))
