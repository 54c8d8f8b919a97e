"""Jobs for worker processes, which must be able to import them."""

from __future__ import annotations

import warnings

import torch

from localspike import Learner, models, rules


def learner_of(classes: int) -> int:
    """Makes a learner of TESS for so many classes, as every training does, and warns of more."""
    net = models.mlp(5, (30,), classes)
    Learner(net, rules.tess(), torch.optim.Adam(net.parameters()))
    warnings.warn("of another kind", UserWarning, stacklevel=1)
    return classes
