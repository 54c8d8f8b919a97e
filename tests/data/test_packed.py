"""Dense, packed and sparse are three forms of the same frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers_events import recordings
from localspike.data import Dataset, StaticImages, keywords, nmnist
from localspike.data.binning import ByTime, bin_recording
from localspike.data.formats import Recording
from localspike.data.packed import PackedFrames, pack, packed, unpack
from localspike.data.sparse import csr_rows, csr_steps, sparse_frames
from localspike.errors import DataError, ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
shapes = st.lists(st.integers(1, 4), max_size=2)


@st.composite
def spikes(draw: st.DrawFn, fewest: int = 0) -> torch.Tensor:
    shape = [*draw(shapes), draw(st.integers(fewest, 35))]
    seed = draw(st.integers(0, 2**32))
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


@given(spikes())
def test_unpacking_gives_back_what_was_packed(frames: torch.Tensor) -> None:
    small = pack(frames)
    assert small.dtype == torch.uint8
    assert small.shape == (*frames.shape[:-1], -(-frames.shape[-1] // 8))
    assert torch.equal(unpack(small, frames.shape[-1]), frames)
    assert torch.equal(pack(frames.bool()), small) and torch.equal(pack(frames.byte()), small)


@given(spikes(1))
def test_bits_lie_where_the_docstring_says(frames: torch.Tensor) -> None:
    small = pack(frames).view(-1, -(-frames.shape[-1] // 8))
    for row, values in zip(small.tolist(), frames.view(len(small), -1).tolist(), strict=True):
        assert [row[i // 8] >> (i % 8) & 1 for i in range(len(values))] == values
        assert row[-1] >> (len(values) - 1) % 8 <= 1  # nothing behind the last


@given(recordings(), st.integers(200, 3_000), st.booleans(), st.data())
def test_dense_packed_and_sparse_are_equal(recording: Recording, step, counts, data) -> None:
    source = bin_recording(recording, ByTime(step, origin="first"), counts=counts).frames
    n = len(source)
    index = torch.tensor(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5)))
    dense = source.gather(index)
    sparse = sparse_frames(source, index)
    assert sparse.layout == torch.sparse_coo and sparse.dtype == torch.float32
    assert torch.equal(sparse.to_dense(), dense)
    again = sparse.coalesce()
    assert torch.equal(again.indices(), dense.to_sparse().indices())
    if not counts:
        held = PackedFrames.of(source, chunk=2)
        assert torch.equal(held.gather(index), dense)
        assert torch.equal(sparse_frames(held, index).to_dense(), dense)


@given(recordings(), st.booleans())
def test_rows_of_a_step_multiply_as_dense_frames_do(recording: Recording, counts: bool) -> None:
    source = bin_recording(recording, ByTime(700), counts=counts).frames
    index = torch.arange(len(source))
    dense, sparse = source.gather(index).flatten(2), sparse_frames(source, index)
    weight = torch.arange(24 * 3.0).view(24, 3)  # whole numbers: sums are exact in any order
    assert torch.equal(csr_rows(sparse) @ weight, dense.flatten(0, 1) @ weight)
    steps = csr_steps(sparse)
    assert len(steps) == source.steps
    for row, frame in zip(steps, dense, strict=True):
        assert row.layout == torch.sparse_csr
        assert torch.equal(row.to_dense(), frame) and torch.equal(row @ weight, frame @ weight)


def test_a_packed_data_set_gives_the_same_batches() -> None:
    data = keywords("val", counts=False, limit=30).subset([3, 1, 20, 7])
    small = packed(data)
    for index in ([0], [2, 1], [3, 3, 0]):
        a, b = data.batch(index), small.batch(index)
        assert torch.equal(a.frames, b.frames) and torch.equal(a.labels, b.labels)
        assert b.frames.is_contiguous()
    inputs = small.inputs
    assert isinstance(inputs, PackedFrames)
    assert (len(inputs), inputs.steps, inputs.sample_shape) == (4, 50, (80,))
    assert inputs.nbytes == 4 * 50 * 10 and inputs.ratio == 8


def test_lengths_and_odd_shapes_stay() -> None:
    pixels = (torch.rand(5, 1, 3, 3) < 0.5).to(torch.uint8) * 255
    data = Dataset(
        "toy", "val", StaticImages(pixels, 4, (0.0,), (1.0,)), torch.arange(5) % 2, ("a", "b"),
        torch.tensor([1, 2, 3, 4, 4]),
    )  # fmt: skip
    small = packed(data.subset([4, 0]))
    assert small.lengths is not None and small.lengths.tolist() == [4, 1]
    assert torch.equal(small.batch([0, 1]).frames, data.batch([4, 0]).frames)
    assert small.inputs.ratio == 9 / 2  # type: ignore[attr-defined]


def test_bytes_may_be_mapped_from_a_file(tmp_path: Path) -> None:
    frames = (torch.rand(6, 5, 12) < 0.3).float()
    np.save(tmp_path / "bits.npy", pack(frames).numpy())
    bits = torch.from_numpy(np.load(tmp_path / "bits.npy", mmap_mode="c"))
    gathered = PackedFrames(bits, (12,)).gather(torch.tensor([4, 2]))
    assert torch.equal(gathered, frames[[4, 2]].transpose(0, 1))


@pytest.mark.parametrize("value", [2.0, 0.5, -1.0, float("nan")])
def test_only_spikes_can_be_packed(value: float) -> None:
    with pytest.raises(DataError, match=rf"only spikes can be packed: got {value}; expected 0 or"):
        pack(torch.tensor([0.0, value]))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: pack(torch.tensor(1.0)), "nothing to pack along"),
        (lambda: unpack(torch.zeros(2, dtype=torch.uint8), 17), r"uint8 \[2\] for 17 places"),
        (lambda: unpack(torch.zeros(2, dtype=torch.uint8), 8), r"expected torch.uint8 \[..., 1\]"),
        (lambda: unpack(torch.zeros(2), 16), "float32"),
        (lambda: PackedFrames(torch.zeros(2, 3, 1), (8,)), "not packed frames of samples"),
        (lambda: PackedFrames(torch.zeros(2, 3, 2, dtype=torch.uint8), (2, 4)), "expected .* 1]"),
        (lambda: csr_rows(torch.zeros(2, 2, 2)), "not sparse frames: got torch.strided"),
        (lambda: csr_steps(torch.zeros(2, 2).to_sparse()), "not sparse frames"),
    ],
)
def test_what_does_not_fit(call, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        call()


def test_real_digits(real_root: Path) -> None:
    data = nmnist("val", real_root, limit=20)
    small, index = packed(data), torch.arange(20)
    assert torch.equal(small.batch(index).frames, data.batch(index).frames)
    assert small.inputs.ratio == 8  # type: ignore[attr-defined]
    sparse = sparse_frames(data.inputs, data.index)  # type: ignore[arg-type]
    assert torch.equal(sparse.to_dense(), data.batch(index).frames)


def test_sparse_frames_of_a_data_set_count_its_own_samples() -> None:
    data = keywords("val").subset([5, 3, 8, 1])
    for index in ([0, 2], [-1, -4], torch.tensor([3, -2])):
        expected = data.batch(index).frames
        assert torch.equal(sparse_frames(data, index).to_dense(), expected)
    whole = data.inputs.gather(torch.tensor([-1, 0]))
    assert torch.equal(sparse_frames(data.inputs, [-1, 0]).to_dense(), whole)
    with pytest.raises(DataError, match="no such place among 4 samples: got -5 at place 0"):
        sparse_frames(data, [-5])
