"""One type for every data set: samples kept compact, made dense one batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import DataError


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

    frames[t] = (pixels / 255 - mean) / std for every t. The result is an expanded view: its stride
    over time is 0, so nothing is copied and a learner can see that the input is static.

    >>> images = StaticImages(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), steps=6)
    >>> frames = images.frames(images.gather(torch.tensor([1, 3])))
    >>> tuple(frames.shape), frames.stride(0)
    ((6, 2, 3, 2, 2), 0)
    """

    pixels: Tensor
    steps: int
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    static = True

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """[C, H, W]."""
        return tuple(self.pixels.shape[1:])

    def gather(self, index: Tensor) -> Tensor:
        """Normalised images [B, C, H, W] float32."""
        device = self.pixels.device
        mean, std = _per_channel(self.mean, device), _per_channel(self.std, device)
        return (self.pixels[sent(index, device)].float() / 255.0 - mean) / std

    def frames(self, gathered: Tensor) -> Tensor:
        """The images, seen at every step."""
        return gathered.expand(self.steps, *gathered.shape)

    def to(self, device: torch.device) -> StaticImages:
        """The same with the pixels on ``device``."""
        return replace(self, pixels=self.pixels.to(device))


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


@dataclass(frozen=True)
class Dataset:
    """Labelled sequences in memory.

    ``labels`` [N] int64 index ``classes``; ``lengths`` [N] int64 counts the steps of each sequence
    that are real, None where all are. Raises DataError when the parts do not fit together.

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
        check_labels(self.labels, len(self.classes), f"{self.name} {self.split}")
        self._check_count("labels", self.labels)
        if self.lengths is not None:
            self._check_count("lengths", self.lengths)

    def _check_count(self, what: str, values: Tensor) -> None:
        if len(values) != len(self):
            raise DataError(
                f"{self.name} {self.split}: number of {what} and of samples differ",
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

    def subset(self, index: Tensor | Sequence[int]) -> Dataset:
        """The samples ``index`` in that order, sharing the storage of this data set."""
        chosen = torch.as_tensor(index, dtype=torch.long)
        lengths = None if self.lengths is None else self.lengths[chosen]
        return replace(self, index=self._index[chosen], labels=self.labels[chosen], lengths=lengths)

    def gather(self, index: Tensor) -> Tensor:
        """Samples ``index`` in the form augmentation works on (see Source)."""
        return self.inputs.gather(self.places(index))

    def places(self, index: Tensor) -> Tensor:
        """Where samples ``index`` of this data set lie in ``inputs``."""
        return self._index[index]

    def batch(self, index: Tensor | Sequence[int]) -> Batch:
        """Samples ``index`` as one Batch, not augmented."""
        chosen = torch.as_tensor(index, dtype=torch.long)
        return self.finish(self.gather(chosen), chosen)

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
