"""Class bases of the local learning signal: fixed matrices B [C, n], generated, never stored.

The canonical square wave is integer arithmetic only, so it is bit-identical on every platform
and a microcontroller reads its sign from the top bit of a 32-bit phase. Against the exact
sign(sin(f·i)) it differs at latent 0, whose sine is 0 (one entry in n), and hardly elsewhere. The
sine form is the released code's, in float32, where rounding f·i changes up to 0.9 % of the entries.
"""

from __future__ import annotations

from functools import lru_cache
from operator import index

import torch
from torch import Tensor

from ..errors import ConfigError

LOWEST, HIGHEST = 50, 512  # rad per latent index, TESS's linspace(50, 512, C)
_TURNS_PER_RADIAN_Q64 = 2935890503282001226  # floor(2^64 / 2π)
_MASK32 = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # 2³² / φ: multiples of it come close to no small fraction of a turn
_TRIES = 64
CONSTANT = 0.5
"""A row of ±1 with a larger |mean| is called constant."""


def phase_increments(classes: int) -> list[int]:
    """32-bit phase increment of every class: floor(f_c / 2π · 2³²) mod 2³².

    f_c = 50 + 462 c / (C − 1) in radians per latent index, in integers throughout.

    >>> phase_increments(2)
    [4113492706, 2093070119]
    """
    steps = max(classes - 1, 1)
    span = HIGHEST - LOWEST
    return [
        ((LOWEST * steps + span * c) * _TURNS_PER_RADIAN_Q64 // (steps << 32)) & _MASK32
        for c in range(classes)
    ]


def integer_square(classes: int, latents: int) -> Tensor:
    """B[c, i] = +1 where the top bit of (increment_c · i mod 2³²) is 0, else −1; float32 [C, n].

    >>> integer_square(2, 4)
    tensor([[ 1., -1., -1., -1.],
            [ 1.,  1., -1.,  1.]])
    """
    return _wave(phase_increments(classes), latents)


def _wave(increments: list[int], latents: int) -> Tensor:
    # On the CPU whatever the default device is: numbers are looked at.
    steps = torch.tensor(increments, dtype=torch.int64, device="cpu")[:, None]
    phase = (steps * torch.arange(latents, dtype=torch.int64, device="cpu")) & _MASK32
    return (1 - 2 * (phase >> 31)).to(torch.float32)


@lru_cache(256)
def balanced_increments(classes: int, latents: int) -> tuple[int, ...]:
    """`phase_increments`, but for classes whose row would be nearly constant or like another's.

    A frequency close to a multiple of 2π has one sign over all latents: one of 27 classes at 128
    latents, one of 20 at 64, of 35 at 512 (but for one), of 100 at 256. Spikes are never negative,
    so the logit of such a class counts them and little else: it always wins, or never. Its
    increment is moved on by 2³²/φ until its row's |mean| and |cosine| with every row before are at
    most 1/2; of 64 tries the best where too few latents leave none.

    >>> list(balanced_increments(10, 64)) == phase_increments(10)
    True
    >>> float(integer_square(27, 128).mean(1).max()), float(balanced_square(27, 128).mean(1).max())
    (1.0, 0.140625)
    """
    plain = phase_increments(classes)
    rows = _wave(plain, latents)
    if not latents or float(_likeness(rows).max()) <= CONSTANT:
        return tuple(plain)
    found: list[int] = []
    rows = rows[:0]
    for increment in plain:
        tried = [(increment + k * _GOLDEN) & _MASK32 for k in range(_TRIES)]
        candidates = _wave(tried, latents)
        means = candidates.mean(1).abs()
        worst = means
        if len(rows):
            worst = torch.maximum(means, (candidates @ rows.T).abs().amax(1) / latents)
        fine = (worst <= CONSTANT).nonzero().flatten()
        # A constant row is worse than two alike.
        best = int(fine[0]) if len(fine) else int((worst + (means > CONSTANT)).argmin())
        found.append(tried[best])
        rows = torch.cat((rows, candidates[best : best + 1]))
    return tuple(found)


def _likeness(rows: Tensor) -> Tensor:
    """Of every row [C, n] the larger of |mean| and its largest |cosine| with another one."""
    cosines = (rows @ rows.T).abs().fill_diagonal_(0.0) / rows.shape[1]
    return torch.maximum(rows.mean(1).abs(), cosines.amax(1))


def balanced_square(classes: int, latents: int) -> Tensor:
    """`integer_square` with `balanced_increments`: the same where no row of that is degenerate.

    Not in the papers, whose convolutional nets have too many latents for a constant row.

    >>> bool((balanced_square(10, 64) == integer_square(10, 64)).all())
    True
    """
    return _wave(list(balanced_increments(classes, latents)), latents)


@lru_cache(256)
def constant_row(classes: int, latents: int) -> tuple[int, float] | None:
    """The class and mean of `integer_square`'s worst row, where balancing leaves fewer such rows.

    Fewer than 16 latents say nothing of a wave.

    >>> constant_row(27, 128), constant_row(10, 128)
    ((23, 1.0), None)
    """
    if latents < 16:
        return None
    means = integer_square(classes, latents).mean(1)
    bad = int((means.abs() > CONSTANT).sum())
    if not bad or int((balanced_square(classes, latents).mean(1).abs() > CONSTANT).sum()) >= bad:
        return None
    worst = int(means.abs().argmax())
    return worst, float(means[worst])


def sine_square(classes: int, latents: int) -> Tensor:
    """B[c, i] = sign(sin(f_c · i)), f = linspace(50, 512, C) in float32; ternary, B[c, 0] = 0.

    Source: the TESS paper and release. For conformance; depends on the platform's sine.

    >>> sine_square(2, 3)[:, 0]
    tensor([0., 0.])
    """
    frequencies = torch.linspace(LOWEST, HIGHEST, classes)
    return torch.sign(torch.sin(frequencies[:, None] * torch.arange(latents)))


def cosine(classes: int, latents: int) -> Tensor:
    """B[c, i] = √2 cos(f_c · i), the frequencies of the square wave, unit variance over i.

    Source: LLS (arXiv 2405.15868), which compares cosine and square waves.

    >>> cosine(2, 3)[:, 0]
    tensor([1.4142, 1.4142])
    """
    frequencies = torch.linspace(LOWEST, HIGHEST, classes, dtype=torch.float64)
    phase = frequencies[:, None] * torch.arange(latents, dtype=torch.float64)
    return (2**0.5 * torch.cos(phase)).float()


def hadamard(classes: int, latents: int) -> Tensor:
    """Rows 1 … C of a Sylvester–Hadamard matrix cut to n columns (orthogonal if n = 2^k).

    B[c, i] = (−1)^popcount((c + 1) & i): integer arithmetic, no memory.

    >>> hadamard(2, 4)
    tensor([[ 1., -1.,  1., -1.],
            [ 1.,  1., -1., -1.]])
    """
    order = 1 << max(latents - 1, 0).bit_length()
    if classes >= order:
        raise ConfigError(
            "a Hadamard basis needs more latents than classes",
            got=f"{classes} classes, {latents} latents",
            fix="Choose another basis, or a larger signal pool",
        )
    common = torch.arange(1, classes + 1)[:, None] & torch.arange(latents)
    parity = torch.zeros_like(common)
    while bool(common.any()):
        parity ^= common & 1
        common = common >> 1
    return (1 - 2 * parity).float()


def seeded(seed: int) -> torch.Generator:
    """A generator of any whole number, of which torch takes 64 bits."""
    try:
        seed = index(seed)
    except TypeError:
        raise ConfigError("seed", got=repr(seed), expected="a whole number") from None
    return torch.Generator().manual_seed(seed if abs(seed) < 2**63 else seed % 2**63)


def random(classes: int, latents: int, seed: int = 0) -> Tensor:
    """B uniform in ±√3 (unit variance) from a seed.

    >>> random(2, 300).var().round().item()
    1.0
    """
    generator = seeded(seed)
    return (torch.rand((classes, latents), generator=generator) * 2 - 1) * 3**0.5


BASES = {
    "integer_square": integer_square,
    "balanced_square": balanced_square,
    "sine_square": sine_square,
    "cosine": cosine,
    "hadamard": hadamard,
}
"""Bases that are generated from nothing but their size."""
