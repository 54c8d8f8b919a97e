"""Convolutions by products of matrices over a table of their input, which both of a step share.

Two forms: `winograd`, windows of four by four, and `unfold`, patches. Which one pays, if any,
depends on the machine, on the shapes and on the dtype of the products.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from . import unfold, winograd
from .geometry import ConvGeometry


class Form(Protocol):
    """How a table is made of maps x [N, C, H, W], and both products over it: a module here."""

    def pays(
        self, x: Tensor, weight: Tensor, geometry: ConvGeometry, dtype: torch.dtype
    ) -> bool: ...

    def possible(self, x: Tensor, weight: Tensor, geometry: ConvGeometry) -> bool: ...

    def make_table(self, x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor: ...

    def forward(
        self, table: Tensor, x: Tensor, weight: Tensor, geometry: ConvGeometry
    ) -> Tensor: ...

    def contract(self, post: Tensor, table: Tensor, weight: Tensor) -> Tensor: ...

    def macs(self, x: Tensor, weight: Tensor, geometry: ConvGeometry) -> int: ...


FORMS: dict[str, Form] = {"windows": winograd, "patches": unfold}
"""By name; the first that pays is taken."""


class Table(NamedTuple):
    """Numbers made of maps, and the form they have."""

    form: Form
    numbers: Tensor

    def forward(self, x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor:
        """The convolution [N, K, H', W'], channels last, of the maps x the table was made of."""
        return self.form.forward(self.numbers, x, weight, geometry)

    def contract(self, post: Tensor, weight: Tensor) -> Tensor:
        """Σ post ⊗ patches in the shape of ``weight``, for post [N, K, H', W']."""
        return self.form.contract(post, self.numbers, weight)


def form_of(x: Tensor, weight: Tensor, geometry: ConvGeometry, dtype: torch.dtype) -> Form | None:
    """The form in which maps x [N, C, H, W] under ``weight`` are fastest; None by the library.

    >>> x, weight = torch.empty(8, 4, 6, 6), torch.empty(4, 4, 3, 3)
    >>> form_of(x, weight, ConvGeometry(1, 1), torch.float32) is None
    True
    """
    return next((form for form in FORMS.values() if form.pays(x, weight, geometry, dtype)), None)
