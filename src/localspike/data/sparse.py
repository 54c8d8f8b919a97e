"""Frames as sparse tensors: places and values of what is not zero, by coordinate or by row."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from ..errors import ShapeError
from .dataset import Dataset, Source
from .events import BinnedEvents
from .indices import Index, chosen
from .ragged import spans


def sparse_frames(source: Source | Dataset, index: Index) -> Tensor:
    """Frames [T, B, *sample_shape] of the samples ``index`` [B], float32, sparse (COO, coalesced).

    ``index`` counts the samples of a Dataset in its own order, from the end where negative, or is a
    mask of them. Binned events never become dense on the way; other sources do, for this batch.
    Raises DataError for an ``index`` that is not there or is none.

    >>> one = BinnedEvents(torch.tensor([0, 3, 3]), torch.tensor([0, 3]), 2, (2,), counts=True)
    >>> frames = sparse_frames(one, torch.tensor([0]))
    >>> frames.indices().tolist(), frames.values().tolist()
    ([[0, 1], [0, 0], [0, 1]], [1.0, 2.0])
    """
    some = chosen(index, len(source))
    if isinstance(source, Dataset):
        some, source = source.places(some), source.inputs
    if not isinstance(source, BinnedEvents):
        return source.frames(source.gather(some)).to_sparse()
    shape = (source.steps, len(some), *source.sample_shape)
    place, weight = _placed(source, some)
    if source.counts:
        place, owner = torch.unique(place, return_inverse=True)
        values = torch.zeros(len(place)).scatter_add_(0, owner, weight)
    else:
        place = torch.unique(place)
        values = torch.ones(len(place))
    where = torch.stack(torch.unravel_index(place, shape))
    return torch.sparse_coo_tensor(where, values, shape, is_coalesced=True, check_invariants=False)


def _placed(source: BinnedEvents, index: Tensor) -> tuple[Tensor, Tensor]:
    """Each event's place in the flattened frames [T · B · cells], and how often it counts."""
    cells, batch = prod(source.sample_shape), len(index)
    first = source.offsets[:-1][index]
    length = source.offsets[1:][index] - first
    sample = torch.repeat_interleave(torch.arange(batch), length)
    event = torch.from_numpy(spans(first.numpy(), length.numpy())[0])
    place = source.place[event].long()
    target = (place // cells * batch + sample) * cells + place % cells
    if source.weight is None:
        return target, torch.ones(len(event))
    return target, source.weight[event].float()


def csr_rows(frames: Tensor) -> Tensor:
    """Sparse frames [T, B, ...] as one matrix [T · B, cells] in rows (CSR), to multiply with.

    Row t · B + b is sample b at step t, so ``csr_rows(f) @ W.T`` is the product of all steps.
    Raises ShapeError for anything but a sparse COO tensor of three axes or more.

    >>> rows = csr_rows(torch.eye(4).view(2, 2, 4).to_sparse())
    >>> (rows @ torch.arange(4.0)[:, None]).flatten().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    frames = _coalesced(frames)
    steps, batch, *sample = frames.shape
    row, column = _rows_columns(frames)
    return _csr(row, column, frames.values(), steps * batch, prod(sample))


def csr_steps(frames: Tensor) -> list[Tensor]:
    """Sparse frames [T, B, ...] as T matrices [B, cells] in rows (CSR), one per step.

    Raises ShapeError for anything but a sparse COO tensor of three axes or more.

    >>> first, last = csr_steps(torch.eye(4).view(2, 2, 4).to_sparse())
    >>> last.to_dense().tolist()
    [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    """
    frames = _coalesced(frames)
    steps, batch, *sample = frames.shape
    row, column = _rows_columns(frames)
    cuts = torch.searchsorted(row, torch.arange(1, steps) * batch).tolist()
    parts = zip(
        row.tensor_split(cuts), column.tensor_split(cuts), frames.values().tensor_split(cuts),
        strict=True,
    )  # fmt: skip
    return [
        _csr(own - t * batch, place, value, batch, prod(sample))
        for t, (own, place, value) in enumerate(parts)
    ]


def _coalesced(frames: Tensor) -> Tensor:
    if frames.layout != torch.sparse_coo or frames.dim() < 3 or frames.dense_dim():
        raise ShapeError(
            "not sparse frames",
            got=f"{frames.layout} {list(frames.shape)}",
            expected="torch.sparse_coo [T, B, ...]",
            fix="Make them with sparse_frames, or with frames.to_sparse()",
        )
    return frames.coalesce()


def _rows_columns(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Of every value its row t · B + b and its place within the sample."""
    step, sample, *inside = frames.indices().unbind(0)
    column = torch.zeros_like(step)
    for axis, size in zip(inside, frames.shape[2:], strict=True):
        column = column * size + axis
    return step * frames.shape[1] + sample, column


def _csr(row: Tensor, column: Tensor, values: Tensor, rows: int, columns: int) -> Tensor:
    start = torch.zeros(rows + 1, dtype=torch.int64)
    start[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return torch.sparse_csr_tensor(start, column, values, (rows, columns), check_invariants=False)
