"""One type for every data set: samples kept compact, made dense one batch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import DataError
from .arguments import is_whole
from .indices import Index, chosen


class Source(Protocol):
    """What a Dataset needs of its inputs, as `StaticImages`, `Frames` and `BinnedEvents` have it.

    ``gather`` gives the samples of a batch in the form augmentation works on; ``frames`` turns
    them into [T, B, *sample_shape] float32. ``static`` says that all steps are the same.
    """

    @property
    def steps(self) -> int: ...
    @property
    def sample_shape(self) -> tuple[int, ...]: ...
    @property
    def static(self) -> bool: ...
    def __len__(self) -> int: ...
    def gather(self, index: Tensor) -> Tensor: ...
    def frames(self, gathered: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class StaticImages:
    """Images [N, C, H, W] uint8 shown unchanged for ``steps`` steps, on any device.

    frames[t] = (pixels / 255 - mean) / std for every t, ``mean`` and ``std`` being a number per
    channel, None zeros and ones. The result is an expanded view: its stride over time is 0, so
    nothing is copied and a learner can see that the input is static. Raises DataError for pixels of
    another kind, fewer steps than one, and statistics that are not those of C channels.

    >>> images = StaticImages(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), steps=6)
    >>> frames = images.frames(images.gather(torch.tensor([1, 3])))
    >>> tuple(frames.shape), frames.stride(0)
    ((6, 2, 3, 2, 2), 0)
    """

    pixels: Tensor
    steps: int
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    static = True

    def __post_init__(self) -> None:
        _check_pixels(self.pixels)
        if not is_whole(self.steps) or self.steps < 1:
            raise DataError(
                "images cannot be shown for that many steps",
                got=repr(self.steps),
                expected="a whole number of 1 or more",
            )
        _check_channels("mean", self.mean, self.pixels.shape[1])
        _check_channels("std", self.std, self.pixels.shape[1], above_zero=True)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """[C, H, W]."""
        return tuple(self.pixels.shape[1:])

    def gather(self, index: Tensor) -> Tensor:
        """Normalised images [B, C, H, W] float32."""
        device, channels = self.pixels.device, self.pixels.shape[1]
        mean = _per_channel((0.0,) * channels if self.mean is None else self.mean, device)
        std = _per_channel((1.0,) * channels if self.std is None else self.std, device)
        return (self.pixels[sent(index, device)].float() / 255.0 - mean) / std

    def frames(self, gathered: Tensor) -> Tensor:
        """The images, seen at every step."""
        return gathered.expand(self.steps, *gathered.shape)

    def to(self, device: torch.device) -> StaticImages:
        """The same with the pixels on ``device``."""
        return replace(self, pixels=self.pixels.to(device))


def _check_pixels(pixels: object) -> None:
    if not isinstance(pixels, Tensor):
        raise DataError(
            "pixels are no tensor", got=type(pixels).__name__, fix="Use torch.from_numpy(array)"
        )
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or 0 in pixels.shape:
        raise DataError(
            "pixels are no images",
            got=f"{pixels.dtype} {list(pixels.shape)}",
            expected="torch.uint8 [N, C, H, W], none of them 0",
            fix="Scale them to 0 … 255 and make them bytes with .byte(), channels before rows",
        )


def _check_channels(
    what: str, values: Sequence[float] | None, channels: int, above_zero: bool = False
) -> None:
    """A finite number for each channel; where it is divided by, above 0."""
    if values is None:
        return
    if isinstance(values, Iterable) and len(list(values)) in (1, channels):
        least = 0.0 if above_zero else -math.inf
        if all(least < value < math.inf for value in values):
            return
    raise DataError(
        f"{what} does not fit the images",
        got=values,
        expected=f"a finite number{' above 0' * above_zero} for each of {channels} channels",
        fix="Give one for each channel of the pixels, one for all, or None",
    )


@dataclass(frozen=True)
class Frames:
    """Sequences [N, T, ...] of a tensor of your own, of any real dtype, made float32 by the batch.

    They stay where they are and as they are: bytes, halves, a file mapped into memory. Raises
    DataError for what is no sequence of samples.

    >>> tiny = Dataset("mine", "train", Frames(torch.zeros(3, 5, 8)), torch.tensor([0, 1, 0]), "ab")
    >>> frames, labels, lengths = tiny.batch([2, 0])
    >>> tuple(frames.shape), labels.tolist(), lengths
    ((5, 2, 8), [0, 0], None)
    """

    values: Tensor

    static = False

    def __post_init__(self) -> None:
        if not isinstance(self.values, Tensor) or self.values.layout != torch.strided:
            raise DataError(
                "frames are no dense tensor",
                got=getattr(self.values, "layout", type(self.values).__name__),
                fix="Use torch.from_numpy(array) or to_dense()",
            )
        if self.values.ndim < 3 or 0 in self.values.shape or self.values.is_complex():
            raise DataError(
                "frames are no sequences of samples",
                got=f"{self.values.dtype} {list(self.values.shape)}",
                expected="real numbers [N, T, ...] with N, T > 0 and an axis of a step's values",
                fix="Stack one sequence [T, ...] per sample, padded to the same T",
            )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def steps(self) -> int:
        """T."""
        return self.values.shape[1]

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """What a step of one sample has."""
        return tuple(self.values.shape[2:])

    def gather(self, index: Tensor) -> Tensor:
        """Frames [T, B, ...] float32."""
        return self.values.detach()[index].transpose(0, 1).to(torch.float32).contiguous()

    def frames(self, gathered: Tensor) -> Tensor:
        """The same."""
        return gathered


def _per_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """[C, 1, 1] float32, made once: a device would wait for every copy."""
    return _kept(tuple(float(value) for value in values), device)


@cache
def _kept(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """x on ``device``; CUDA's queue goes on meanwhile, for the driver has taken what it copies.

    >>> sent(torch.ones(2), torch.device("cpu"))
    tensor([1., 1.])
    """
    return x.to(device, non_blocking=device.type == "cuda")


class Batch(NamedTuple):
    """frames [T, B, *sample_shape] float32, labels [B] int64, lengths [B] int64 or None (all T)."""

    frames: Tensor
    labels: Tensor
    lengths: Tensor | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled sequences in memory.

    ``labels`` [N] int64 index ``classes``; ``lengths`` [N] int64 counts the steps of each sequence
    that are real, 1 … T, None where all are. ``index`` [N] int64 says which samples of ``inputs``
    they are, None all in order. Raises DataError when the parts do not fit together.

    >>> images = StaticImages(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), steps=6)
    >>> data = Dataset("tiny", "train", images, torch.tensor([0, 1, 1, 0]), ("cat", "dog"))
    >>> len(data), data.steps, data.sample_shape, data.subset([2]).labels.tolist()
    (4, 6, (3, 2, 2), [1])
    """

    name: str
    split: str
    inputs: Source
    labels: Tensor
    classes: tuple[str, ...]
    lengths: Tensor | None = None
    index: Tensor | None = None

    def __post_init__(self) -> None:
        if self.index is None:
            object.__setattr__(self, "index", torch.arange(len(self.inputs)))
        for name in ("index", "lengths"):  # of any integer type
            if _whole(getattr(self, name)):
                object.__setattr__(self, name, getattr(self, name).long())
        _check_range(f"{self._called}: index", self.index, 0, len(self.inputs) - 1)
        check_labels(self.labels, len(self.classes), self._called)
        self._check_count("labels", self.labels)
        if self.lengths is not None:
            _check_range(f"{self._called}: lengths", self.lengths, 1, self.steps)
            self._check_count("lengths", self.lengths)

    @property
    def _called(self) -> str:
        return f"{self.name} {self.split}"

    def _check_count(self, what: str, values: Tensor) -> None:
        if len(values) != len(self):
            raise DataError(
                f"{self._called}: number of {what} and of samples differ",
                got=f"{len(values)} {what}",
                expected=f"{len(self)}, one per sample",
                fix="Give one per sample; a file with another number is damaged or incomplete",
            )

    def __len__(self) -> int:
        return len(self._index)

    @property
    def _index(self) -> Tensor:
        return torch.arange(len(self.inputs)) if self.index is None else self.index

    @property
    def steps(self) -> int:
        """T, the number of time steps of a batch."""
        return self.inputs.steps

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one time step of one sample."""
        return self.inputs.sample_shape

    def on(self, device: torch.device) -> Dataset:
        """The same data with its samples on ``device``, where they are images; labels stay."""
        inputs = self.inputs
        return replace(self, inputs=inputs.to(device)) if type(inputs) is StaticImages else self

    def subset(self, index: Index) -> Dataset:
        """The samples ``index`` in that order, sharing the storage of this data set.

        Whole numbers, or a mask of N booleans; raises DataError for others (see `chosen`).
        """
        some = chosen(index, len(self), f"samples of {self._called}")
        lengths = None if self.lengths is None else self.lengths[some]
        return replace(self, index=self._index[some], labels=self.labels[some], lengths=lengths)

    def gather(self, index: Tensor) -> Tensor:
        """Samples ``index`` in the form augmentation works on (see Source)."""
        return self.inputs.gather(self.places(index))

    def places(self, index: Tensor) -> Tensor:
        """Where samples ``index`` of this data set lie in ``inputs``."""
        return self._index[index]

    def batch(self, index: Index) -> Batch:
        """Samples ``index`` (as for `subset`) as one Batch, not augmented."""
        some = chosen(index, len(self), f"samples of {self._called}")
        return self.finish(self.gather(some), some)

    def finish(self, gathered: Tensor, index: Tensor) -> Batch:
        """Gathered (and perhaps augmented) samples, with their labels and lengths, as a Batch."""
        lengths = None if self.lengths is None else self.lengths[index]
        return Batch(self.inputs.frames(gathered), self.labels[index], lengths)


def check_labels(labels: Tensor, classes: int, source: str) -> None:
    """Raise DataError unless labels are int64 [N] in 0 … classes - 1 and N > 0.

    >>> check_labels(torch.tensor([0, 7]), 2, "toy")
    Traceback (most recent call last):
    localspike.errors.DataError: toy: label out of range: got 7 at sample 1; expected 0 … 1.
    """
    if not isinstance(labels, Tensor):
        raise _no_tensor(f"{source}: labels", labels)
    if labels.dtype != torch.int64 or labels.dim() != 1 or len(labels) == 0:
        raise DataError(
            f"{source}: labels are not a list of classes",
            got=f"{labels.dtype} {list(labels.shape)}",
            expected="torch.int64 [N] with N > 0",
        )
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        at = int(wrong.int().argmax())
        raise DataError(
            f"{source}: label out of range",
            got=f"{int(labels[at])} at sample {at}",
            expected=f"0 … {classes - 1}",
        )


def _whole(values: object) -> bool:
    return isinstance(values, Tensor) and not (
        values.is_floating_point() or values.is_complex() or values.dtype == torch.bool
    )


def _check_range(what: str, values: object, low: int, high: int) -> None:
    """Raise DataError unless values are int64 [N] in low … high."""
    if not isinstance(values, Tensor):
        raise _no_tensor(what, values)
    if values.dtype != torch.int64 or values.dim() != 1:
        raise DataError(
            f"{what}: not a list of whole numbers",
            got=f"{values.dtype} {list(values.shape)}",
            expected="integers [N]",
            fix="Convert them with .long()",
        )
    wrong = (values < low) | (values > high)
    if wrong.any():
        at = int(wrong.int().argmax())
        raise DataError(
            f"{what}: out of range",
            got=f"{int(values[at])} at sample {at}",
            expected=f"{low} … {high}",
        )


def _no_tensor(what: str, values: object) -> DataError:
    return DataError(
        f"{what}: not a tensor",
        got=type(values).__name__,
        expected="torch.int64 [N]",
        fix="Use torch.tensor(list) or torch.from_numpy(array)",
    )
