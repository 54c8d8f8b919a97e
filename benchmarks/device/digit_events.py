"""scikit-learn's 8 x 8 digits as events: a Bernoulli rate code of the pixels, from a seed.

The first 1,400 images train and the last 397 test, in the data set's own order. The last 300 of the
former are for choosing settings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRAINED, VALIDATED = 1400, 300
Floats = NDArray[np.float64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Digits:
    """Pixels [N, inputs] in 0 … 1 and labels, to learn from and to judge by."""

    learnt: Floats
    learnt_labels: NDArray[np.int64]
    judged: Floats
    judged_labels: NDArray[np.int64]


def digits(side: int = 8, test: bool = False) -> Digits:
    """Train and test images, or train and validation images without a look at the test ones."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.kron(data.images / 16.0, np.ones((side // 8, side // 8)))
    pixels, labels = pixels.reshape(len(pixels), -1), data.target.astype(np.int64)
    end = len(pixels) if test else TRAINED
    begin = TRAINED if test else TRAINED - VALIDATED
    return Digits(pixels[:begin], labels[:begin], pixels[begin:end], labels[begin:end])


def encode(pixels: Floats, steps: int, density: float, draw: np.random.Generator) -> Bytes:
    """Events [N, steps, inputs]: at each step with a probability of ``density`` times the pixel."""
    n, inputs = pixels.shape
    chosen = draw.random((n, steps, inputs), np.float32) < density * pixels[:, None]
    found: Bytes = chosen.astype(np.uint8)
    return found
