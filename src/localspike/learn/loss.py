"""Losses as values that give both the loss and its derivative at the logits.

The same loss serves the readout (its derivative is the network's error) and every local signal
that makes its own logits from a class basis.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from ..errors import ConfigError, DataError, ShapeError, is_finite

_FEW = 64  # labels that Python compares faster than PyTorch


def check_scale(scale: float) -> None:
    """Refuse a factor on the loss that turns it round, or that is none; 0 switches it off.

    >>> check_scale(0.1)
    """
    if not is_finite(scale) or scale < 0.0:
        raise ConfigError("scale of a loss", got=scale, expected="a finite number >= 0")


class Loss(Protocol):
    """A per-step loss Σ_b w_b ℓ(z_b, y_b); w carries batch mean, class weights and mask."""

    @property
    def of_classes(self) -> bool:
        """True where labels are classes, False where they are values."""
        ...

    def prepare(
        self, labels: Tensor, classes: int, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor]:
        """Targets y [..., C] and per-sample weights [...] of labels; refuses impossible ones."""
        ...

    def value(self, z: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """The summed loss, 0-d."""
        ...

    def error(self, z: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """∂loss/∂z, in the shape of z."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """ℓ = −Σ_c y_c log softmax(z)_c, with ∂ℓ/∂z = w (softmax(z) − y).

    Parameters
    ----------
    class_weights:
        One factor per class, applied by the sample's label (not renormalised over the batch,
        so that a batch's gradient is the sum of its samples').
    label_smoothing:
        ε: y = (1 − ε) onehot + ε / C.
    mse:
        Mixes in a squared error: (1 − mse)·CE + mse·mean_c (z − onehot)² (OTTT uses 0.05).
    scale:
        Factor on every step's loss, 1/T for a mean over time.

    >>> loss = CrossEntropy()
    >>> y, w = loss.prepare(torch.tensor([1]), 2)
    >>> loss.error(torch.zeros(1, 2), y, w)
    tensor([[ 0.5000, -0.5000]])
    """

    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    mse: float = 0.0
    scale: float = 1.0

    of_classes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.class_weights is not None:
            given: Any = self.class_weights
            listed = given.tolist() if isinstance(given, Tensor) else given
            kept = tuple(listed) if isinstance(listed, Iterable) else (None,)
            object.__setattr__(self, "class_weights", kept)
        check_scale(self.scale)
        if not all(is_finite(w) and w >= 0.0 for w in self.class_weights or ()):
            raise ConfigError(
                "class_weights",
                got=self.class_weights,
                expected="finite numbers >= 0",
                fix="Give one number per class, or None to weigh all alike",
            )
        for name in ("label_smoothing", "mse"):
            share = getattr(self, name)
            if not (is_finite(share) and 0.0 <= share <= 1.0):
                raise ConfigError(f"{name} out of range", got=share, expected="[0, 1]")

    def prepare(
        self, labels: Tensor, classes: int, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor]:
        """Smoothed one-hot targets and weights of integer labels, or of shares [..., C] in classes.

        Shares add up to one, as CutMix and mixup make them; their class weight is the mean.
        """
        y = _one_hot(labels, classes, dtype or torch.get_default_dtype())
        weights = torch.full(y.shape[:-1], self.scale, dtype=y.dtype, device=y.device)
        if self.class_weights is not None:
            weights = weights * (y @ self._table(classes, y.dtype).to(y.device))
        if self.label_smoothing:
            y = y * (1.0 - self.label_smoothing) + self.label_smoothing / classes
        return y, weights

    def _table(self, classes: int, dtype: torch.dtype) -> Tensor:
        if self.class_weights is None or len(self.class_weights) != classes:
            raise ConfigError(
                "class_weights",
                got=self.class_weights,
                expected=f"{classes} numbers",
                fix="Give one number per class, or None to weigh all alike",
            )
        return torch.tensor(self.class_weights, dtype=dtype)

    def value(self, z: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """Σ w ((1 − mse) CE + mse · mean (z − y)²)."""
        each = -(y * z.log_softmax(-1)).sum(-1)
        if self.mse:
            each = (1.0 - self.mse) * each + self.mse * (z - y).square().mean(-1)
        return (w * each).sum()

    def error(self, z: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """w ((1 − mse)(softmax(z) − y) + mse · 2 (z − y) / C)."""
        error = z.softmax(-1) - y
        if self.mse:
            error = (1.0 - self.mse) * error + (2.0 * self.mse / z.shape[-1]) * (z - y)
        return w[..., None] * error


@dataclass(frozen=True)
class SquaredError:
    """ℓ = ½ ‖z − y‖² for values per sequence or per step (f = identity in TESS's notation).

    >>> loss = SquaredError()
    >>> y, w = loss.prepare(torch.ones(1, 2), 2)
    >>> loss.error(torch.zeros(1, 2), y, w)
    tensor([[-1., -1.]])
    """

    scale: float = 1.0

    of_classes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_scale(self.scale)

    def prepare(
        self, labels: Tensor, classes: int, dtype: torch.dtype | None = None
    ) -> tuple[Tensor, Tensor]:
        """The values themselves, [..., C]."""
        if not labels.is_floating_point() or labels.shape[-1] != classes:
            raise ShapeError(
                "targets of a squared error",
                got=f"{list(labels.shape)} {labels.dtype}",
                expected=f"floats [..., {classes}]",
            )
        if not bool(torch.isfinite(labels).all()):
            raise DataError("targets hold a non-finite value", expected="finite numbers")
        return labels, torch.full(
            labels.shape[:-1], self.scale, dtype=labels.dtype, device=labels.device
        )

    def value(self, z: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """Σ w ½ ‖z − y‖²."""
        return (w * (z - y).square().sum(-1)).sum() / 2

    def error(self, z: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """w (z − y)."""
        return w[..., None] * (z - y)


def _one_hot(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    if labels.is_floating_point() and labels.ndim > 1 and labels.shape[-1] == classes:
        _check_shares(labels)
        return labels.to(dtype)
    _check_classes(labels, classes)
    y = torch.zeros((*labels.shape, classes), dtype=dtype, device=labels.device)
    return y.scatter_(-1, labels.long()[..., None], 1.0)


def _check_shares(labels: Tensor) -> None:
    wrong = ~((labels >= 0).all(-1) & ((labels.sum(-1) - 1.0).abs() <= 1e-4)).flatten()
    if bool(wrong.any()):
        raise DataError(
            "shares of a sample in the classes do not add up to one",
            got=labels.flatten(0, -2)[int(wrong.int().argmax())].tolist(),
            expected="numbers >= 0 with sum 1",
            fix="Use SquaredError for values that are not shares",
        )


def _check_classes(labels: Tensor, classes: int) -> None:
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ShapeError(
            "labels have the wrong dtype",
            got=labels.dtype,
            expected="integers",
            fix="Convert with labels.long(), or use SquaredError for values (shares: [..., C])",
        )
    if not labels.numel():
        return
    # A device is asked once; of few labels Python finds the ends faster.
    few = labels.numel() <= _FEW
    ends = (labels.flatten() if few else torch.stack(labels.aminmax())).tolist()
    lowest, highest = min(ends), max(ends)
    if lowest < 0 or highest >= classes:
        raise DataError(
            "labels out of range",
            got=f"{lowest}..{highest}",
            expected=f"0..{classes - 1}",
            fix="Check the number of classes of the network's readout",
        )
