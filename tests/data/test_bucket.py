"""Buckets change which samples share a batch and how much is padded, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers import assert_same, gradient
from localspike import Learner, models, rules
from localspike.data import Batch, BinnedEvents, Dataset, EventAugment, batches, braille
from localspike.data.bucket import bucketed, mask, padding
from localspike.errors import ConfigError, DataError
from localspike.nn.init import calibrate

STEPS, CHANNELS = 16, 6


def ragged(lengths: list[int]) -> Dataset:
    """Sample i has events in its own ``lengths[i]`` steps only, and its number as first value."""
    generator = torch.Generator().manual_seed(len(lengths))
    places, weights, offsets = [], [], [0]
    for number, length in enumerate(lengths):
        on = torch.rand(length, CHANNELS, generator=generator) < 0.4
        on[0, 0] = on[length - 1, 1] = True
        own = on.flatten().nonzero().flatten()
        places.append(own)
        weights.append(torch.where(own == 0, number + 1, 1))
        offsets.append(offsets[-1] + len(own))
    source = BinnedEvents(
        torch.cat(places).int(), torch.tensor(offsets), STEPS, (CHANNELS,), True,
        torch.cat(weights).to(torch.uint8),
    )  # fmt: skip
    labels = torch.arange(len(lengths)) % 3
    return Dataset("toy", "train", source, labels, ("a", "b", "c"), torch.tensor(lengths))


def numbers(batch: Batch) -> list[int]:
    return (batch.frames[0, :, 0] - 1).int().tolist()


lengths = st.lists(st.integers(1, STEPS), min_size=1, max_size=40)
sizes, seeds = st.integers(1, 9), st.integers(0, 99)


@given(lengths, sizes, st.integers(1, 6), seeds, st.booleans())
def test_every_sample_is_there_once_and_cut_to_the_longest(own, size, bucket, seed, shuffle):
    data, seen = ragged(own), []
    options = {"shuffle": shuffle, "seed": seed, "epoch": 3, "bucket": bucket}
    for batch in batches(data, size, **options):
        inside = numbers(batch)
        seen += inside
        assert batch.lengths is not None and batch.lengths.tolist() == [own[i] for i in inside]
        assert len(batch.frames) == max(own[i] for i in inside)
        assert batch.labels.tolist() == [i % 3 for i in inside]
        whole = data.batch(inside).frames
        assert torch.equal(batch.frames, whole[: len(batch.frames)])
        assert not whole[len(batch.frames) :].any()
    assert sorted(seen) == list(range(len(own)))


@given(lengths, sizes, st.integers(1, 6), seeds, st.data())
def test_any_batch_can_be_taken_up_again(own, size, bucket, seed, data) -> None:
    dataset, augment = ragged(own), EventAugment(shift=1, groups=1)
    options = {"shuffle": True, "seed": seed, "epoch": 1, "augment": augment, "bucket": bucket}
    whole = list(batches(dataset, size, **options))
    start = data.draw(st.integers(0, len(whole)))
    rest = list(batches(dataset, size, start=start, **options))
    assert len(rest) == len(whole) - start
    for a, b in zip(whole[start:], rest, strict=True):
        assert torch.equal(a.frames, b.frames) and torch.equal(a.labels, b.labels)


@given(lengths, sizes, seeds)
def test_a_larger_bucket_never_pads_more(own, size, seed) -> None:
    of = torch.tensor(own)
    sequence = torch.randperm(len(own), generator=torch.Generator().manual_seed(seed))

    def steps(order: torch.Tensor) -> int:
        return sum(int(of[part].max()) * len(part) for part in order.split(size))

    plain = steps(sequence)
    assert steps(bucketed(sequence, of, size, 1)) == plain
    for bucket in (2, 4):
        assert (
            steps(bucketed(sequence, of, size, 2 * bucket))
            <= steps(bucketed(sequence, of, size, bucket))
            <= plain
        )


@given(lengths, sizes, seeds)
def test_a_bucket_of_one_batch_changes_only_the_order(own, size, seed) -> None:
    data = ragged(own)
    options = {"shuffle": True, "seed": seed}
    plain = [sorted(numbers(batch)) for batch in batches(data, size, **options)]
    moved = [sorted(numbers(batch)) for batch in batches(data, size, bucket=1, **options)]
    assert sorted(plain) == sorted(moved)
    assert plain[-1] == moved[-1] or len(own) % size == 0


def test_batches_are_of_similar_length_and_in_random_order() -> None:
    data = ragged([1 + i % STEPS for i in range(160)])
    found = list(batches(data, 10, shuffle=True, bucket=16))
    assert all(int(b.lengths.max() - b.lengths.min()) == 0 for b in found)
    longest = [int(b.lengths.max()) for b in found]
    assert longest != sorted(longest)
    later = [int(b.lengths.max()) for b in batches(data, 10, shuffle=True, bucket=16, epoch=1)]
    assert longest != later
    still = [int(b.lengths.max()) for b in batches(data, 10, bucket=16)]
    assert still == list(range(1, STEPS + 1))
    small = [sorted(numbers(b)) for b in batches(data, 10, shuffle=True, bucket=4)]
    assert small != [sorted(numbers(b)) for b in batches(data, 10, shuffle=True, bucket=4, epoch=1)]


def test_drop_last_drops_the_same_samples_as_without_buckets() -> None:
    data = ragged([3, 9, 1, 16, 2, 5, 8])
    options = {"shuffle": True, "seed": 4, "drop_last": True}
    plain = {i for b in batches(data, 3, **options) for i in numbers(b)}
    assert plain == {i for b in batches(data, 3, bucket=8, **options) for i in numbers(b)}
    assert len(plain) == 6


def test_what_has_no_buckets() -> None:
    data = ragged([3, 4])
    with pytest.raises(ConfigError, match="bucket: got 0; expected a whole number of 1 or more"):
        batches(data, 2, bucket=0)
    even = Dataset("toy", "val", data.inputs, data.labels, data.classes)
    with pytest.raises(DataError, match="toy val has no lengths to make buckets of"):
        batches(even, 2, bucket=4)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 4))
def test_the_mask_is_what_is_not_padding(own: list[int], more: int) -> None:
    steps = max(own) + more
    found = mask(torch.tensor(own), steps)
    assert found.dtype == torch.bool
    assert found.tolist() == [[t < length for length in own] for t in range(steps)]
    assert padding([torch.tensor(own)], steps) == pytest.approx(1 - float(found.float().mean()))


@pytest.mark.parametrize("rule", [rules.tess, rules.ottt, rules.e_prop, rules.bptt])
def test_a_cut_batch_teaches_what_a_padded_one_does(rule) -> None:
    """Gradients, loss and logits, with steps of padding and without."""
    data = ragged([3, 5, 4, 5])
    torch.manual_seed(0)
    net = models.mlp(CHANNELS, (8,), 3).double()
    padded = data.batch([0, 1, 2, 3])
    calibrate(net, padded.frames.double(), rate=0.25)
    (cut,) = batches(data, 4, bucket=2)
    back = [numbers(cut).index(i) for i in range(4)]
    assert len(cut.frames) == 5 and len(padded.frames) == STEPS
    a, whole = gradient(net, rule(), padded.frames.double(), padded.labels, padded.lengths)
    b, short = gradient(net, rule(), cut.frames.double(), cut.labels, cut.lengths)
    assert max(float(g.abs().max()) for g in a.values()) > 1e-3
    assert_same(a, b, 1e-12)
    assert torch.allclose(whole.loss, short.loss)
    assert torch.allclose(whole.logits, short.logits[back])


def test_an_epoch_of_steps_ends_with_the_same_weights() -> None:
    """The same batches, cut and padded, through a learner that changes its weights."""
    data = ragged([3, 9, 1, 12, 2, 5, 8, 7])
    found = []
    for cut in (True, False):
        torch.manual_seed(1)
        net = models.mlp(CHANNELS, (8,), 3).double()
        learner = Learner(net, rules.tess())
        for batch in batches(data, 3, shuffle=True, bucket=2):
            given = batch if cut else data.batch(numbers(batch))
            learner.fit(given.frames.double(), given.labels, given.lengths)
            with torch.no_grad():
                for p in net.parameters():
                    p -= 0.1 * p.grad
        found.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert torch.allclose(*found, atol=1e-12)


def test_padding_saved_on_real_letters(real_root: Path) -> None:
    if not (real_root / "braille").exists():
        pytest.skip("real data: braille is not there")
    data = braille("train", real_root)
    assert data.lengths is not None
    whole = padding(data.lengths.split(64), data.steps)

    def of(bucket: int) -> float:
        order = bucketed(torch.arange(len(data)), data.lengths, 64, bucket)
        return padding(data.lengths[order].split(64))

    assert of(59) < 0.01 < of(1) <= whole
