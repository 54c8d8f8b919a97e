"""Tensors of a user's own as a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from localspike import Learner, models, rules
from localspike.data import Dataset, Frames, batches, transforms
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
