"""Events moved on their way into frames give what moving the frames gives, bin for bin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from localspike.data import (
    BinnedEvents,
    Dataset,
    EventAugment,
    Frames,
    MaskAugment,
    batches,
    pack,
    packed,
)
from localspike.data.moves import Mover, Moves
from localspike.data.packed import PackedFrames
from localspike.data.thinning import Thinning
from localspike.data.transforms import frames as on_frames
from localspike.errors import ShapeError

STEPS, SHAPE = 5, (2, 3, 6)
CELLS = 36


def events(
    sizes: list[int], seed: int, counts: bool, weighted: bool, shape: tuple[int, ...] = SHAPE
) -> BinnedEvents:
    """Random events, many of them in one bin."""
    rng = np.random.default_rng(seed)
    place = torch.from_numpy(rng.integers(0, STEPS * CELLS, sum(sizes)).astype(np.int32))
    weight = torch.from_numpy(rng.integers(0, 256, sum(sizes)).astype(np.uint8))
    offsets = torch.tensor([0, *np.cumsum(sizes, dtype=int).tolist()])
    return BinnedEvents(place, offsets, STEPS, shape, counts, weight if weighted else None)


def dataset(inputs: BinnedEvents) -> Dataset:
    return Dataset("toy", "train", inputs, torch.zeros(len(inputs), dtype=torch.long), ("a",))


def plain(frames: torch.Tensor, moves: Moves) -> torch.Tensor:
    """Every bin by itself."""
    out, width = torch.zeros_like(frames), frames.shape[-1] // moves.groups
    for t, b, *place, x in frames.nonzero().tolist():
        step, column = t + moves.later[b], x % width + moves.right[b]
        if not (0 <= step < len(frames) and 0 <= column < width):
            continue
        new = (step, b, *place, x + moves.right[b])
        at = np.ravel_multi_index((b, step, *new[2:]), (frames.shape[1], STEPS, *frames.shape[2:]))
        if moves.thinning is None or moves.thinning.stays(np.array([at]))[0]:
            out[new] = frames[t, b, *place, x]
    return out


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=6),
    seed=st.integers(0, 999),
    most=st.sampled_from([(0, 0), (1, 0), (0, 1), (2, 1), (5, 3), (9, 9)]),
    groups=st.sampled_from([1, 2, 6]),
    probability=st.sampled_from([None, 0.0, 0.3, 1.0]),
)
def test_events_and_frames_move_alike(counts, weighted, sizes, seed, most, groups, probability):
    source = events(sizes, seed, counts, weighted, SHAPE if groups == 1 else (CELLS,))
    index = torch.randint(len(sizes), (7,), generator=torch.Generator().manual_seed(seed))
    rng = np.random.default_rng(seed)
    later, right = (rng.integers(-by, by + 1, 7).tolist() for by in most)
    thinning = None if probability is None else Thinning((seed, 2**32 - 1), probability)
    moves = Moves(later, right, groups, thinning)
    frames = source.gather(index)
    before = frames.clone()
    expected = plain(frames, moves)
    assert torch.equal(moves.applied(frames), expected)
    assert torch.equal(frames, before)
    sources = [source] if counts else [source, PackedFrames.of(source)]
    for one in sources:
        found = one.gather_moved(index, moves)
        assert torch.equal(found, expected)
        assert found.dtype == torch.float32
        assert found.is_contiguous()


@pytest.mark.parametrize("bucket", [None, 2])
def test_batches_of_events_and_of_packed_frames_are_the_same(bucket: int | None) -> None:
    held = dataset(events([30, 0, 50, 9, 70, 20], 3, False, False, (CELLS,)))
    if bucket is not None:
        lengths = torch.tensor([3, 5, 2, 4, 1, 5])
        held = Dataset("toy", "train", held.inputs, held.labels, ("a",), lengths)
    augment = EventAugment(shift=2, bands=1, drop=0.4, groups=2)
    options = {"shuffle": True, "seed": 5, "epoch": 2, "augment": augment, "bucket": bucket}
    for subset in (held, held.subset([4, 0, 2, 3])):
        one, other = (list(batches(kind, 3, **options)) for kind in (subset, packed(subset)))
        assert all(torch.equal(a.frames, b.frames) for a, b in zip(one, other, strict=True))
        late = list(batches(subset, 3, start=1, **options))
        assert torch.equal(late[0].frames, one[1].frames)
        assert not torch.equal(one[0].frames, next(batches(subset, 3, **options | {"epoch": 3}))[0])


def test_no_event_is_lost_that_neither_left_nor_was_drawn() -> None:
    source = events([400, 300], 1, counts=True, weighted=False)
    index, thinning = torch.tensor([0, 1]), Thinning((7, 9), 0.5)
    kept = source.gather_moved(index, Moves([0, 0], [0, 0], 1, thinning))
    stays = thinning.stays(np.arange(2 * STEPS * CELLS)).reshape(2, STEPS, *SHAPE)
    lost = source.gather(index) * torch.from_numpy(~stays).transpose(0, 1)
    assert 0 < lost.sum() < 700
    assert kept.sum() + lost.sum() == 700
    assert torch.equal(source.gather_moved(index, Moves([0, 0], [0, 0])), source.gather(index))


def test_what_a_subclass_does_when_called_is_done() -> None:
    class Loud(EventAugment):
        def __call__(self, frames, generator):
            return super().__call__(frames, generator) * 3

    held = dataset(events([30, 20], 0, counts=False, weighted=False))
    quiet, loud = (
        next(batches(held, 2, augment=kind(shift=1, bands=1, groups=1))).frames
        for kind in (EventAugment, Loud)
    )
    assert torch.equal(loud, 3 * quiet)
    assert quiet.sum() > 0


def test_a_mover_of_nothing_changes_nothing() -> None:
    frames = torch.rand(4, 3, 5)
    assert torch.equal(Mover()(frames, torch.Generator()), frames)


def test_groups_must_divide_the_axis_for_events_too() -> None:
    for shape, text in (((CELLS,), "36 places, 5 groups"), (SHAPE, r"5 groups of samples \[2, 3")):
        source = events([5], 0, counts=False, weighted=False, shape=shape)
        for kind in (source, PackedFrames.of(source)):
            with pytest.raises(ShapeError, match=f"got {text}"):
                kind.gather_moved(torch.tensor([0]), Moves([0], [1], 5))


class Twice(EventAugment):
    """Does something else when called, so that nobody knows where the ends lie."""

    def __call__(self, frames, generator):
        return super().__call__(super().__call__(frames, generator), generator)


LENGTHS = torch.tensor([1, 2, 3, 4, 5, 5])
MOVERS = {
    "events": (EventAugment(shift=2, drop=0.0, bands=0), True),
    "shift": (on_frames.TimeShift(2), True),
    "parts": (on_frames.Compose([on_frames.TimeShift(1), on_frames.TimeShift(1)]), True),
    "masks": (MaskAugment(2, 0, 0, 0), True),
    "other": (Twice(shift=2, drop=0.0, bands=0), False),
    "plain": (lambda frames, generator: frames, False),
    "none": (None, False),
}


@pytest.mark.parametrize("form", ["events", "packed", "frames"])
@pytest.mark.parametrize("name", MOVERS)
def test_lengths_move_with_the_events(name: str, form: str) -> None:
    """Each sample has one event, at its last step; where the event is seen, its length ends."""
    augment, tells = MOVERS[name]
    placed = BinnedEvents((LENGTHS.int() - 1) * 4 + 1, torch.arange(7), 5, (4,))
    frames = placed.gather(torch.arange(6)).transpose(0, 1)
    source = {
        "events": placed,
        "packed": PackedFrames(pack(frames), (4,)),
        "frames": Frames(frames),
    }[form]
    data = Dataset("toy", "train", source, torch.zeros(6, dtype=torch.long), ("a",), LENGTHS)
    seen = set()
    for epoch in range(12):
        (batch,) = batches(data, 6, augment=augment, epoch=epoch)
        last = (batch.frames.sum(2) * torch.arange(1, 6)[:, None]).amax(0)
        kept = last > 0
        if tells:
            assert torch.equal(batch.lengths[kept], last[kept].long())
            seen.update((batch.lengths - LENGTHS).tolist())
        else:
            assert torch.equal(batch.lengths, LENGTHS)
    assert not tells or seen == {-2, -1, 0, 1, 2}


def test_lengths_stay_within_the_frames_and_buckets_are_cut_where_events_end() -> None:
    source = BinnedEvents(torch.tensor([0, 16], dtype=torch.int32), torch.arange(3), 5, (4,))
    data = Dataset(
        "toy", "train", source, torch.tensor([0, 0]), ("a",), torch.tensor([1, 5])
    )  # fmt: skip
    late, early = on_frames.TimeShift((3, 3)), on_frames.TimeShift((-3, -3))
    assert next(batches(data, 2, augment=late)).lengths.tolist() == [4, 5]
    assert next(batches(data, 2, augment=early)).lengths.tolist() == [1, 2]
    batch = next(batches(data.subset([0]), 1, augment=late, bucket=1))
    assert (len(batch.frames), float(batch.frames[3, 0, 0])) == (4, 1.0)


def test_neighbours_and_keys_are_lost_independently() -> None:
    place = np.arange(200_000)
    one, two, three = (
        Thinning(key, 0.25).stays(place) for key in ((5, 6), (5, 7), (6, 6))
    )  # fmt: skip
    for stays in (one, two, three):
        assert abs(stays.mean() - 0.75) < 0.005
        for apart in (1, 2, 34, 2312):
            assert abs((stays[apart:] & stays[:-apart]).mean() - 0.5625) < 0.006
    for other in (two, three):
        assert abs((one & other).mean() - 0.5625) < 0.006


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64, torch.bfloat16])
def test_thinning_by_mask_is_thinning_by_place(kind: torch.dtype) -> None:
    frames = (torch.arange(5 * 3 * 8) % 4).view(5, 3, 2, 4).to(kind)
    thinning = Thinning.draw(0.5, torch.Generator().manual_seed(1))
    found = thinning.apply(frames)
    assert found.dtype == kind
    assert torch.equal(found, thinning._masked(frames))
    assert 0 < found.sum() < frames.sum()


def mixed(place: int, key: tuple[int, int]) -> int:
    """The number of a place in whole numbers, as MurmurHash3 ends."""
    number = (place + key[0]) % 2**32 ^ key[1]
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        number = (number ^ number >> shift) * factor % 2**32
    return number ^ number >> 16


def test_numbers_of_a_key_are_these_for_ever() -> None:
    """A run that is taken up must go on with the batches it would have had."""
    key = (0x12345678, 0x9ABCDEF0)
    stays = Thinning(key, 0.5).stays(np.arange(32), shift=2**32 - 3)
    assert [mixed(place - 3, key) >= 2**31 for place in range(32)] == stays.tolist()
    assert "".join("01"[int(bit)] for bit in stays) == "10101110010010010100110101001000"
    drawn = Thinning.draw(0.1, torch.Generator().manual_seed(1)).key
    assert drawn == (4282876139, 4005303368)
