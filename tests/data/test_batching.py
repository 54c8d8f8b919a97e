"""Order and augmentation depend on (seed, epoch, batch) only, so an epoch resumes bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from localspike.data import (
    Dataset,
    EventAugment,
    ImageAugment,
    StaticImages,
    batch_count,
    batches,
    keywords,
    order,
    stream,
)
from localspike.data.transforms.events import TimeCrop
from localspike.errors import ConfigError, DataError


def test_whole_numbers_of_any_library_draw_alike(images: Dataset) -> None:
    assert stream(3, "augment", 7).initial_seed() == 6156198506314985256
    for three, seven in ((np.int64(3), np.uint8(7)), (torch.tensor(3), np.array(7))):
        assert torch.equal(order(three * 5, three, seven), order(15, 3, 7))
        one, two = stream(three, np.str_("augment"), seven), stream(3, "augment", 7)
        assert one.initial_seed() == two.initial_seed()
        options = {"shuffle": True, "augment": ImageAugment(1)}
        drawn = next(batches(images, three, seed=three, epoch=seven, **options)).frames
        assert torch.equal(drawn, next(batches(images, 3, seed=3, epoch=7, **options)).frames)


@pytest.mark.parametrize("wrong", [True, 2.0, np.bool_(True), np.float32(2), torch.tensor(True)])
@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("seed", lambda data, wrong: stream(wrong)),
        ("stream", lambda data, wrong: stream(0, "augment", wrong)),
        ("epoch", lambda data, wrong: order(3, 0, wrong)),
        ("number of samples", lambda data, wrong: order(wrong, 0, 0)),
        ("seed", lambda data, wrong: batches(data, 3, seed=wrong)),
        ("epoch", lambda data, wrong: batches(data, 3, epoch=wrong)),
    ],
)
def test_what_is_no_whole_number_draws_nothing(what: str, call, wrong, images: Dataset) -> None:
    with pytest.raises(DataError, match=f"^{what} is not a whole number: got .*; expected an int"):
        call(images, wrong)


def test_order_is_a_permutation_that_changes_with_seed_and_epoch() -> None:
    a, b, c = order(50, 0, 0), order(50, 0, 1), order(50, 1, 0)
    assert sorted(a.tolist()) == list(range(50))
    assert not torch.equal(a, b)
    assert not torch.equal(a, c)


def test_drawing_elsewhere_changes_nothing() -> None:
    first = order(20, 3, 4)
    torch.manual_seed(9)
    torch.rand(5)
    assert torch.equal(first, order(20, 3, 4))


def test_batches_cover_every_sample_once(images: Dataset) -> None:
    seen = [b.frames[0, :, 0, 0, 0] * 255 for b in batches(images, 3, shuffle=True)]
    assert sorted(torch.cat(seen).round().int().tolist()) == list(range(10))
    assert [len(part) for part in seen] == [3, 3, 3, 1]


def test_labels_stay_with_their_samples(images: Dataset) -> None:
    for batch in batches(images, 4, shuffle=True, seed=5):
        assert torch.equal((batch.frames[0, :, 0, 0, 0] * 255).round().long() % 2, batch.labels)


def test_static_images_are_seen_at_each_step_without_a_copy(images: Dataset) -> None:
    batch = next(batches(images, 4))
    assert batch.frames.shape == (4, 4, 3, 8, 8)
    assert batch.frames.stride(0) == 0
    assert batch.frames.dtype == torch.float32
    assert batch.labels.dtype == torch.int64


@pytest.mark.parametrize("kind", ["images", "events"])
def test_resume_in_the_middle_is_bit_identical(kind: str, images: Dataset) -> None:
    data = images if kind == "images" else keywords("val", limit=10)
    augment = ImageAugment(pad=1, cutout=3) if kind == "images" else EventAugment()

    def run(start: int):
        return list(batches(data, 3, shuffle=True, seed=7, epoch=2, augment=augment, start=start))

    whole, rest = run(0), run(2)
    assert len(rest) == 2
    for a, b in zip(whole[2:], rest, strict=True):
        assert torch.equal(a.frames, b.frames)
        assert torch.equal(a.labels, b.labels)
    other = next(batches(data, 3, shuffle=True, seed=8, epoch=2, augment=augment))
    assert not torch.equal(whole[0].frames, other.frames)


def test_a_generator_gives_the_seed(images: Dataset) -> None:
    def labels(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return torch.cat(
            [b.frames[0, :, 0, 0, 0] for b in batches(images, 4, shuffle=True, generator=generator)]
        ).tolist()

    assert labels(1) == labels(1)
    assert labels(1) != labels(2)


def test_augmentation_differs_between_batches_and_epochs() -> None:
    values = {float(torch.rand((), generator=stream(0, "augment", e, k))) for e, k in
              [(0, 0), (0, 1), (1, 0), (1, 1), (11, 0), (1, 10)]}  # fmt: skip
    assert len(values) == 6


def test_drop_last_and_count(images: Dataset) -> None:
    assert len(list(batches(images, 4, drop_last=True))) == batch_count(10, 4, True) == 2
    assert list(batches(images, 4, start=3)) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"batch_size": 0}, "batch size is too small: got 0; expected 1 or more"),
        ({"batch_size": 4, "start": 4}, "first batch is outside the epoch: got 4; expected 0 … 3"),
        ({"batch_size": 4, "start": -1}, "first batch is outside the epoch: got -1"),
        ({"batch_size": 4, "least": 2.5}, "least steps is not a whole number: got 2.5"),
        ({"batch_size": 11, "drop_last": True}, "no batch is left in the epoch: got 10 samples"),
    ],
)
def test_bad_arguments_at_once(images: Dataset, options, text: str) -> None:
    with pytest.raises(DataError, match=text):
        batches(images, **options)


def test_subset_of_a_subset_with_lengths() -> None:
    source = StaticImages(torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1), 6)
    data = Dataset("toy", "val", source, torch.arange(6), tuple("abcdef"), torch.arange(6) + 1)
    twice = data.subset([5, 3, 1]).subset([2, 0])
    batch = twice.batch([0, 1])
    assert batch.labels.tolist() == [1, 5]
    assert batch.lengths.tolist() == [2, 6]
    assert (batch.frames[0].flatten() * 255).round().tolist() == [1, 5]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (torch.tensor([0, 1]), "toy train: number of labels and of samples differ: got 2 labels"),
        (torch.tensor([0, 1, 2]), "toy train: label out of range: got 2 at sample 2; expected 0"),
        (torch.tensor([0, -1, 1]), "label out of range: got -1 at sample 1"),
        (torch.tensor([0.0, 1.0, 1.0]), r"labels are not a list of classes: got torch.float32 \[3"),
        (torch.zeros(0, dtype=torch.long), r"labels are not a list of classes: .* with N > 0"),
    ],
)
def test_labels_that_do_not_fit(labels: torch.Tensor, text: str) -> None:
    source = StaticImages(torch.zeros(3, 3, 2, 2, dtype=torch.uint8), 2)
    with pytest.raises(DataError, match=text):
        Dataset("toy", "train", source, labels, ("a", "b"))


def test_lengths_that_do_not_fit() -> None:
    source = StaticImages(torch.zeros(3, 3, 2, 2, dtype=torch.uint8), 2)
    with pytest.raises(DataError, match="number of lengths and of samples differ: got 2 lengths"):
        Dataset("toy", "train", source, torch.tensor([0, 1, 1]), ("a", "b"), torch.tensor([1, 2]))


def test_arguments_of_other_kinds_are_refused_and_whole_numbers_of_numpy_are_not() -> None:
    data = keywords("val")
    for wrong in ({"batch_size": 4.0}, {"batch_size": 4, "start": 0.5}):
        with pytest.raises(DataError, match=r"is not a whole number: got (4\.0|0\.5)"):
            batches(data, **wrong)
    assert len(next(batches(data, np.int64(4))).labels) == 4
    for augment in (TimeCrop(1000), lambda samples: samples, 3):
        with pytest.raises(ConfigError, match=r"augment: got .*expected augment\(samples, gen"):
            batches(data, 4, augment=augment)
