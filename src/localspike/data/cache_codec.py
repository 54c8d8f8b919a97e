"""Data sets as plain arrays and back: the smallest of the forms that give the same frames."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from .cache_file import KINDS, Arrays
from .dataset import Dataset, Source, StaticImages
from .events import BinnedEvents
from .packed import PackedFrames
from .ragged import spans

_HELD = tuple(torch.from_numpy(np.zeros(0, kind)).dtype for kind in KINDS)
Parts = tuple[dict[str, Any], dict[str, NDArray[Any]]]


class Encoded(NamedTuple):
    """``about`` is plain JSON; ``dense`` is the size of the frames at a byte a place.

    For static images a frame is counted once, not T times.
    """

    about: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    dense: int


def encode(dataset: Dataset) -> Encoded:
    """The samples of a data set, in its own order, as arrays; what it does not show is left out.

    Spikes (frames of 0 and 1) become bits where these are fewer bytes than places. Raises
    DataError for a kind of source there is no form for, and for numbers an entry cannot hold.
    """
    about, arrays = _source(dataset.inputs, dataset.index)
    arrays["labels"] = _array("labels", dataset.labels)
    if dataset.lengths is not None:
        arrays["lengths"] = _array("lengths", dataset.lengths)
    about |= {"name": dataset.name, "split": dataset.split, "classes": dataset.classes}
    shown = 1 if dataset.inputs.static else dataset.steps
    return Encoded(about, arrays, len(dataset) * shown * prod(dataset.sample_shape))


def decode(about: dict[str, Any], arrays: Arrays) -> Dataset:
    """The data set of `encode`, sharing the arrays.

    >>> images = StaticImages(torch.zeros(2, 3, 2, 2, dtype=torch.uint8), steps=6)
    >>> data = Dataset("toy", "val", images, torch.tensor([0, 1]), ("cat", "dog"))
    >>> decode(*encode(data)[:2]).inputs.steps
    6
    """
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    inputs = _FORMS[about["form"]](about, tensors)
    return Dataset(
        about["name"], about["split"], inputs, tensors["labels"], tuple(about["classes"]),
        tensors.get("lengths"),
    )  # fmt: skip


def _array(name: str, values: Tensor) -> NDArray[Any]:
    """The tensor as an array; what an entry cannot hold must not be found out by who reads it."""
    if values.dtype not in _HELD:
        raise DataError(
            f"the cache cannot hold this data set's {name}",
            got=values.dtype,
            expected=" or ".join(map(str, _HELD)),
            fix="Pass cache=False, or convert them",
        )
    array: NDArray[Any] = values.numpy()
    return array


def _source(source: Source, index: Tensor | None) -> Parts:
    if index is not None and torch.equal(index, torch.arange(len(source))):
        index = None
    if type(source) is StaticImages:
        return _from_images(source, index)
    if type(source) is PackedFrames:
        return _from_bits(source, index)
    if type(source) is BinnedEvents:
        return _from_events(source, index)
    raise DataError(
        "this kind of source cannot be cached",
        got=type(source).__name__,
        expected="StaticImages, BinnedEvents or PackedFrames",
        fix="Pass cache=False",
    )


def _from_images(source: StaticImages, index: Tensor | None) -> Parts:
    pixels = source.pixels if index is None else source.pixels[index]
    about = {"form": "images", "steps": source.steps, "mean": source.mean, "std": source.std}
    return about, {"pixels": _array("pixels", pixels)}


def _to_images(about: dict[str, Any], tensors: dict[str, Tensor]) -> Source:
    mean, std = (None if about[of] is None else tuple(about[of]) for of in ("mean", "std"))
    return StaticImages(tensors["pixels"], about["steps"], mean, std)


def _from_bits(source: PackedFrames, index: Tensor | None) -> Parts:
    bits = source.bits if index is None else source.bits[index]
    return {"form": "bits", "sample_shape": source.sample_shape}, {"bits": _array("bits", bits)}


def _to_bits(about: dict[str, Any], tensors: dict[str, Tensor]) -> Source:
    return PackedFrames(tensors["bits"], tuple(about["sample_shape"]))


def _from_events(source: BinnedEvents, index: Tensor | None) -> Parts:
    members = torch.arange(len(source)) if index is None else index
    length = (source.offsets[1:] - source.offsets[:-1])[members]
    bits = len(members) * source.steps * -(-prod(source.sample_shape) // 8)
    if not source.counts and bits < int(length.sum()) * source.place.element_size():
        return _from_bits(PackedFrames.of(source, members), None)
    about = {
        "form": "places",
        "steps": source.steps,
        "sample_shape": source.sample_shape,
        "counts": source.counts,
    }
    return about, _chosen(source, members, length)


def _chosen(source: BinnedEvents, members: Tensor, length: Tensor) -> dict[str, NDArray[Any]]:
    """Places, offsets and weights of the recordings ``members``."""
    position, offsets = spans(source.offsets[:-1][members].numpy(), length.numpy())
    event = torch.from_numpy(position)
    arrays = {"place": _array("place", source.place[event]), "offsets": offsets}
    if source.weight is not None:
        arrays["weight"] = _array("weight", source.weight[event])
    return arrays


def _to_events(about: dict[str, Any], tensors: dict[str, Tensor]) -> Source:
    return BinnedEvents(
        tensors["place"], tensors["offsets"], about["steps"], tuple(about["sample_shape"]),
        about["counts"], tensors.get("weight"),
    )  # fmt: skip


_FORMS: dict[str, Callable[[dict[str, Any], dict[str, Tensor]], Source]] = {
    "images": _to_images,
    "bits": _to_bits,
    "places": _to_events,
}
