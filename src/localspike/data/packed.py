"""Spikes at eight a byte: 8 times smaller than bytes, 32 times smaller than float32, and exact."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError, ShapeError
from .dataset import Dataset, Source
from .moves import Moves, check_groups
from .scatter import unpacked
from .scatter_moved import unpacked_moved

# Row b holds the eight spikes of byte b: one look-up gives eight floats.
_SPIKES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(
    np.float32
)


def pack(spikes: Tensor) -> Tensor:
    """Spikes [..., n] (0 or 1, of any dtype) as bytes [..., ceil(n / 8)] uint8.

    Bit i of byte j is place 8 j + i; the bits behind the last place are 0. Raises DataError for
    values other than 0 and 1, ShapeError for a tensor without axes.

    >>> pack(torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 1, 1])).tolist()
    [129, 1]
    """
    if spikes.dim() == 0:
        raise ShapeError("nothing to pack along", got="a scalar", expected="[..., n]")
    on = spikes == 1
    strange = ~(on | (spikes == 0))
    if strange.any():
        raise DataError(
            "only spikes can be packed",
            got=spikes[strange][0].item(),
            expected="0 or 1",
            fix="Bin with counts=False, or keep the frames unpacked",
        )
    return torch.from_numpy(np.packbits(on.cpu().numpy(), axis=-1, bitorder="little"))


def unpack(packed: Tensor, places: int) -> Tensor:
    """Spikes [..., places] float32 of bytes [..., ceil(places / 8)] uint8: the inverse of `pack`.

    Raises ShapeError when the bytes are not those of so many places.

    >>> unpack(torch.tensor([129, 1], dtype=torch.uint8), 9).tolist()
    [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
    """
    if packed.dtype != torch.uint8 or packed.dim() == 0 or packed.shape[-1] != -(-places // 8):
        raise ShapeError(
            "not the packed form of these places",
            got=f"{packed.dtype} {list(packed.shape)} for {places} places",
            expected=f"torch.uint8 [..., {-(-places // 8)}]",
        )
    # NumPy's take is the faster of the two on a CPU.
    if packed.device.type == "cpu":
        spikes = torch.from_numpy(np.take(_SPIKES, packed.numpy(), axis=0))
    else:
        table = torch.from_numpy(_SPIKES).to(packed.device)
        spikes = table.index_select(0, packed.flatten().int())
    return spikes.view(*packed.shape[:-1], -1)[..., :places]


@dataclass(frozen=True)
class PackedFrames:
    """A Source whose samples are all held packed: ``bits`` [N, T, ceil(cells / 8)] uint8.

    The cells of a step, prod(sample_shape) of them, lie along one axis, so that less than a byte a
    step is lost. Events of which a bin holds fewer than one in 32 are smaller still as
    `BinnedEvents` (4 bytes each). Raises ShapeError when ``bits`` do not belong to the shape.

    >>> frames = torch.tensor([[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]])  # [T=2, B=1, 3]
    >>> held = PackedFrames(pack(frames.transpose(0, 1)), (3,))
    >>> torch.equal(held.gather(torch.tensor([0])), frames), held.nbytes
    (True, 2)
    """

    bits: Tensor
    sample_shape: tuple[int, ...]

    static = False

    def __post_init__(self) -> None:
        expected = -(-self.cells // 8)
        if self.bits.dtype != torch.uint8 or self.bits.dim() != 3 or self.bits.shape[2] != expected:
            raise ShapeError(
                f"not packed frames of samples {list(self.sample_shape)}",
                got=f"{self.bits.dtype} {list(self.bits.shape)}",
                expected=f"torch.uint8 [N, T, {expected}]",
            )

    @classmethod
    def of(cls, source: Source, index: Tensor | None = None, chunk: int = 64) -> PackedFrames:
        """Pack the samples ``index`` (all) of another source, ``chunk`` of them dense at a time.

        Raises DataError where a frame holds anything but 0 and 1.
        """
        index = torch.arange(len(source)) if index is None else index
        cells = prod(source.sample_shape)
        bits = torch.empty((len(index), source.steps, -(-cells // 8)), dtype=torch.uint8)
        for first in range(0, len(index), chunk):
            frames = source.frames(source.gather(index[first : first + chunk]))
            bits[first : first + chunk] = pack(frames.flatten(2)).transpose(0, 1)
        return cls(bits, source.sample_shape)

    def __len__(self) -> int:
        return len(self.bits)

    @property
    def cells(self) -> int:
        """Places of one step of one sample."""
        return prod(self.sample_shape)

    @property
    def steps(self) -> int:
        """T."""
        return self.bits.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.bits.numel()

    @property
    def ratio(self) -> float:
        """How many times larger the same frames are at a byte a place (4 times that as float32)."""
        return self.cells / self.bits.shape[2]

    def gather(self, index: Tensor) -> Tensor:
        """Frames [T, B, *sample_shape] float32 of the samples ``index`` [B]."""
        frames = unpacked(self.bits, index, self.cells)
        return frames.view(self.steps, len(index), *self.sample_shape)

    def gather_moved(self, index: Tensor, moves: Moves) -> Tensor:
        """``moves.applied(gather(index))`` at a fraction of the price."""
        check_groups(self.sample_shape, moves.groups)
        frames = unpacked_moved(
            self.bits, index, moves, cells=self.cells, width=self.sample_shape[-1]
        )  # fmt: skip
        return frames.view(self.steps, len(index), *self.sample_shape)

    def frames(self, gathered: Tensor) -> Tensor:
        """Gathered samples are time first already."""
        return gathered


def packed(dataset: Dataset) -> Dataset:
    """The same data set with its samples held packed; labels and lengths are shared.

    Raises DataError where a frame holds anything but 0 and 1.

    >>> from .speech import keywords
    >>> few = keywords("val", counts=False, limit=3)
    >>> small = packed(few)
    >>> torch.equal(small.batch([2]).frames, few.batch([2]).frames)
    True
    """
    inputs = PackedFrames.of(dataset.inputs, dataset.index)
    return replace(dataset, inputs=inputs, index=None)
