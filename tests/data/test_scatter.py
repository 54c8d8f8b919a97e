"""Filling frames a few samples at a time gives what doing it one by one gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localspike.data import BinnedEvents, scatter
from localspike.data.packed import pack

CELLS, STEPS = 7, 5


def recordings(sizes: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Places, offsets and weights of random events, many of them in one place."""
    rng = np.random.default_rng(seed)
    place = rng.integers(0, STEPS * CELLS, sum(sizes)).astype(np.int32)
    weight = rng.integers(0, 256, sum(sizes)).astype(np.uint8)
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    return torch.from_numpy(place), torch.from_numpy(offsets), torch.from_numpy(weight)


def plain(
    place: torch.Tensor, offsets: torch.Tensor, weight: torch.Tensor | None, index: torch.Tensor
) -> torch.Tensor:
    """The sums, event by event."""
    frames = torch.zeros(STEPS, len(index), CELLS)
    for sample, number in enumerate(index.tolist()):
        for event in range(int(offsets[number]), int(offsets[number + 1])):
            step, cell = divmod(int(place[event]), CELLS)
            frames[step, sample, cell] += 1 if weight is None else int(weight[event])
    return frames


@pytest.mark.parametrize("together", [1, 30, 100, scatter.EVENTS])
@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=9),
    seed=st.integers(0, 99),
    wide=st.booleans(),
    data=st.data(),
)
def test_frames_are_the_sums(together, counts, weighted, sizes, seed, wide, data) -> None:
    place, offsets, weight = recordings(sizes, seed)
    index = torch.tensor(
        data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=12)), dtype=torch.long
    )
    given_weight = weight if weighted else None
    source = BinnedEvents(
        place.long() if wide else place, offsets, STEPS, (CELLS,), counts, given_weight
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scatter, "EVENTS", together)
        if seed % 2:
            patch.setattr(scatter, "NARROW", 0)
        frames = source.gather(index)
    expected = plain(place, offsets, given_weight, index)
    assert torch.equal(frames, expected if counts else expected.clamp(max=1))
    assert frames.dtype == torch.float32
    assert frames.is_contiguous()


def test_more_than_a_byte_counts() -> None:
    place, offsets = torch.zeros(70_000, dtype=torch.int32), torch.tensor([0, 69_000, 70_000])
    frames = scatter.dense(
        place, offsets, torch.tensor([0, 1]), steps=1, cells=1, counts=True,
        weight=torch.full((70_000,), 200, dtype=torch.uint8),
    )  # fmt: skip
    assert frames.flatten().tolist() == [69_000 * 200, 1000 * 200]


def test_indices_count_from_the_end_and_end() -> None:
    place, offsets, _ = recordings([3, 4], 0)
    source = BinnedEvents(place, offsets, STEPS, (CELLS,))
    assert torch.equal(source.gather(torch.tensor([-1])), source.gather(torch.tensor([1])))
    with pytest.raises(IndexError):
        source.gather(torch.tensor([2]))


@pytest.mark.parametrize("block", [1, 40, scatter.BLOCK])
@pytest.mark.parametrize("cells", [1, 7, 8, 9, 24])
def test_bits_unpack_to_the_frames_they_were(block: int, cells: int, monkeypatch) -> None:
    monkeypatch.setattr(scatter, "BLOCK", block)
    frames = (torch.rand((STEPS, 6, cells), generator=torch.Generator().manual_seed(0)) < 0.3) * 1.0
    bits = pack(frames.transpose(0, 1))
    for index in (torch.arange(6), torch.tensor([4, 4, -1]), torch.tensor([], dtype=torch.long)):
        found = scatter.unpacked(bits, index, cells)
        assert torch.equal(found, frames[:, index])
        assert found.is_contiguous()
        assert found.dtype == torch.float32
    with pytest.raises(IndexError):
        scatter.unpacked(bits, torch.tensor([6]), cells)


def test_batches_do_not_share_memory() -> None:
    place, offsets, _ = recordings([3, 4], 0)
    source = BinnedEvents(place, offsets, STEPS, (CELLS,))
    first = source.gather(torch.tensor([0]))
    kept = first.clone()
    source.gather(torch.tensor([1])).fill_(7)
    assert torch.equal(first, kept)
