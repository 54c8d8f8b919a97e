"""Sequences of different lengths: masks, and batches of similar length that pad little."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from .arguments import check_positive


def mask(lengths: Tensor, steps: int) -> Tensor:
    """Which steps of which samples are real, [T, B] bool: t < lengths[b].

    >>> mask(torch.tensor([1, 3]), 3).int().tolist()
    [[1, 1], [0, 1], [0, 1]]
    """
    return torch.arange(steps, device=lengths.device)[:, None] < lengths


def bucketed(
    sequence: Tensor,
    lengths: Tensor,
    batch_size: int,
    bucket: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The order ``sequence`` [N] rearranged so that the samples of a batch are of similar length.

    Batch k is ``[k * batch_size : (k + 1) * batch_size]`` of the result. Whole batches of
    ``sequence`` are pooled, ``bucket`` at a time; a pool is sorted by length (``lengths[i]`` is
    that of sample i; equal lengths keep their order) and cut into batches, and ``generator``
    shuffles all whole batches. So a bucket of 1 changes no batch but its place, larger ones pad
    less, and the samples of a last, smaller batch stay what they are, at the end. Raises
    ConfigError unless both sizes are whole numbers of 1 or more.

    >>> lengths = torch.tensor([5, 1, 4, 2, 9])
    >>> bucketed(torch.arange(5), lengths, batch_size=2, bucket=2).tolist()
    [1, 3, 2, 0, 4]
    """
    check_positive(batch_size=batch_size, bucket=bucket)
    whole = len(sequence) - len(sequence) % batch_size
    head, tail = sequence[:whole], sequence[whole:]
    by_length = torch.sort(lengths[head], stable=True).indices
    pool = by_length // (bucket * batch_size)
    head = head[by_length[torch.sort(pool, stable=True).indices]].view(-1, batch_size)
    if generator is not None:
        head = head[torch.randperm(len(head), generator=generator)]
    return torch.cat([head.flatten(), tail])


def padding(lengths: Iterable[Tensor], steps: int | None = None) -> float:
    """The share of steps that are padding, of batches of these lengths; 0 where nothing is.

    Each batch has ``steps`` steps, or as many as its longest sample (None).

    >>> batches = [torch.tensor([1, 3]), torch.tensor([4, 4])]
    >>> padding(batches), padding(batches, steps=4)
    (0.14285714285714285, 0.25)
    """
    real = whole = 0
    for batch in lengths:
        real += int(batch.sum())
        whole += len(batch) * (int(batch.max()) if steps is None else steps)
    return (whole - real) / whole if whole else 0.0
