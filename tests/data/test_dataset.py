"""Tensors of a user's own as a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from localspike import Learner, models, rules
from localspike.data import Dataset, Frames, StaticImages, batches, transforms
from localspike.errors import DataError
from localspike.learn import Feed
from localspike.learn.evaluation import evaluate


def mine(values: torch.Tensor, lengths: torch.Tensor | None = None) -> Dataset:
    labels = torch.arange(len(values)) % 3
    return Dataset("mine", "train", Frames(values), labels, ("a", "b", "c"), lengths)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.float16, torch.float64])
def test_batches_are_the_samples_time_first(dtype: torch.dtype) -> None:
    values = torch.randint(0, 2, (7, 5, 2, 3)).to(dtype)
    lengths = torch.tensor([5, 1, 2, 3, 4, 5, 2])
    seen = []
    for frames, labels, real in batches(mine(values, lengths), 3, shuffle=True, epoch=2):
        assert frames.dtype == torch.float32 and frames.is_contiguous()
        for b, label in enumerate(labels.tolist()):
            (n,) = [
                i
                for i in range(7)
                if i % 3 == label
                and lengths[i] == real[b]
                and torch.equal(frames[:, b], values[i].float())
            ][:1]
            seen.append(n)
    assert sorted(seen) == list(range(7))
    shuffled = next(batches(mine(values, lengths), 7, shuffle=True, epoch=2)).labels
    assert sorted(shuffled.tolist()) == sorted((torch.arange(7) % 3).tolist())


def test_a_mapped_file_is_read_by_the_batch_and_not_changed(tmp_path: Path) -> None:
    held = np.lib.format.open_memmap(
        tmp_path / "big.npy", mode="w+", dtype=np.float16, shape=(6, 4, 8)
    )
    held[:] = np.arange(6)[:, None, None]
    held.flush()
    mapped = torch.from_numpy(np.load(tmp_path / "big.npy", mmap_mode="c"))
    batch = mine(mapped).subset([4, 1]).batch([0, 1])
    assert batch.frames[:, :, 0].unique(dim=0).tolist() == [[4.0, 1.0]]
    batch.frames.fill_(9)
    assert float(mapped[4, 0, 0]) == 4.0


def test_it_trains_is_judged_and_takes_transforms() -> None:
    """Which of three thirds of the channels is busy is learnt from a few dozen sequences."""
    torch.manual_seed(1)
    labels = torch.arange(60) % 3
    busy = torch.nn.functional.one_hot(labels, 3).repeat_interleave(4, 1).double()
    values = torch.rand(60, 12, 12) < (0.1 + 0.5 * busy)[:, None]
    net = models.mlp(12, (30,), 3)
    learner = Learner(net, rules.tess(), torch.optim.Adam(net.parameters(), lr=1e-2))
    feed = Feed(
        mine(values), 20, net.sample_shape, shuffle=True, augment=transforms.frames.TimeShift(1)
    )
    for epoch in range(10):
        for frames, y, lengths in feed.batches(epoch):
            learner.fit(frames, y, lengths)
    assert evaluate(learner, Feed(mine(values), 20, net.sample_shape)).accuracy > 0.9


@pytest.mark.parametrize("shape", [(4, 5), (0, 5, 3), (4, 0, 3), (4, 5, 0)])
def test_what_is_no_sequence_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"^frames are no sequences of samples: got torch"):
        Frames(torch.zeros(shape))
    with pytest.raises(DataError, match="complex64"):
        Frames(torch.zeros(2, 3, 4, dtype=torch.complex64))


@pytest.mark.parametrize("given", [np.zeros((2, 3, 4)), torch.zeros(2, 3, 4).to_sparse(), "frames"])
def test_what_is_no_dense_tensor_is_refused(given: object) -> None:
    with pytest.raises(DataError, match=r"^frames are no dense tensor: got .*from_numpy"):
        Frames(given)  # type: ignore[arg-type]


def test_frames_of_a_graph_are_numbers_alone() -> None:
    values = torch.rand(2, 3, 4, requires_grad=True)
    assert not Frames(values * 2).gather(torch.tensor([1])).requires_grad


PIXELS = torch.zeros(4, 3, 2, 2, dtype=torch.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_images_of_any_channels_are_scaled_alone_by_default(channels: int) -> None:
    pixels = torch.full((2, channels, 2, 2), 51, dtype=torch.uint8)
    shown = StaticImages(pixels, np.int64(2)).gather(torch.tensor([1]))
    assert torch.equal(shown, torch.full((1, channels, 2, 2), 51 / 255))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((PIXELS.numpy(), 2), "pixels are no tensor: got ndarray. Use torch.from_numpy"),
        (
            (PIXELS.float(), 2),
            r"pixels are no images: got torch.float32 \[4, 3, 2, 2\]; expected t",
        ),
        ((PIXELS[0], 2), r"pixels are no images: got torch.uint8 \[3, 2, 2\]"),
        ((PIXELS[:0], 2), r"got torch.uint8 \[0, 3, 2, 2\]"),
        ((PIXELS, 0), "images cannot be shown for that many steps: got 0; expected a whole number"),
        ((PIXELS, 2.0), "that many steps: got 2.0"),
        ((PIXELS, 2, (0.5, 0)), r"mean does not fit the images: got \(0.5, 0\); .* each of 3 chan"),
        ((PIXELS, 2, 0.5), "mean does not fit the images: got 0.5"),
        ((PIXELS, 2, (0.5, 0.5, np.nan)), "mean does not fit"),
        (
            (PIXELS, 2, None, (1.0, 0.0, 1.0)),
            "std does not fit .* a finite number above 0 for each",
        ),
        ((PIXELS, 2, None, (1.0,) * 4), "std does not fit"),
    ],
)
def test_what_are_no_images(given: tuple, text: str) -> None:
    with pytest.raises(DataError, match=f"^.*{text}"):
        StaticImages(*given)


LABELS, LENGTHS = torch.tensor([0, 1, 2, 0]), torch.tensor([1, 5, 2, 3])


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"labels": [0, 1, 2, 0]}, r"toy val: labels: not a tensor: got list; .* torch.tensor\(li"),
        ({"labels": np.arange(4)}, "toy val: labels: not a tensor: got ndarray"),
        ({"lengths": [1, 5, 2, 3]}, "toy val: lengths: not a tensor: got list"),
        ({"lengths": LENGTHS.bool()}, r"lengths: not a list of whole numbers: got torch.bool"),
        ({"lengths": LENGTHS.float()}, "got torch.float32"),
        ({"lengths": LENGTHS - 1}, "lengths: out of range: got 0 at sample 0; expected 1 … 5"),
        ({"lengths": LENGTHS + 1}, "lengths: out of range: got 6 at sample 1"),
        ({"lengths": LENGTHS[:3]}, "number of lengths and of samples differ: got 3 lengths"),
        ({"index": [0, 1, 2, 3]}, "toy val: index: not a tensor: got list"),
        (
            {"index": torch.tensor([0, 1, 2, 4])},
            "index: out of range: got 4 at sample 3; exp.* 0 …",
        ),
        ({"index": torch.tensor([0, 1, -1, 3])}, "index: out of range: got -1 at sample 2"),
        ({"index": LENGTHS.float()}, "index: not a list of whole numbers"),
    ],
)
def test_parts_that_do_not_fit_together(parts: dict, text: str) -> None:
    given = {"labels": LABELS, "lengths": LENGTHS, **parts}
    with pytest.raises(DataError, match=text):
        Dataset("toy", "val", Frames(torch.zeros(4, 5, 3)), classes=("a", "b", "c"), **given)


def test_data_sets_are_told_apart_by_identity() -> None:
    one, other = mine(torch.zeros(2, 5, 3)), mine(torch.zeros(2, 5, 3))
    assert one == one and one != other and len({one, other}) == 2
