"""What a sample is made of, as a short digest: equal digests mean equal samples."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from .dataset import Dataset, StaticImages
from .events import BinnedEvents
from .registry import info, load

# The finest a loader gives: all pixels, all events, each in its millisecond or tick.
FINEST: dict[str, Any] = {"bin_ms": 1, "counts": True, "variable": True, "size": None}
FINER: dict[str, dict[str, Any]] = {
    "keywords": {"steps": 1000},
    "speech_commands": {"words": "35"},
}


def finest(
    name: str, split: str, data_root: str | os.PathLike[str] | None = None, *, part: bool = False
) -> Dataset:
    """A split with as little left out as its loader can; ``part``: of files that hold a part.

    >>> finest("keywords", "val").steps
    1000
    """
    entry = info(name)
    options = {key: value for key, value in FINEST.items() if key in entry.options}
    if not part:
        options |= FINER.get(name, {})
    if "bin_ms" not in entry.options:
        options.pop("variable", None)
    return load(name, split, data_root=data_root, **options)


def digests(data: Dataset) -> list[bytes]:
    """blake2b of every sample's pixels, or of its events: cells, time steps and counts.

    A sample without any event has no content to be told by: its digest is empty.

    >>> pixels = torch.tensor([1, 2, 1], dtype=torch.uint8).view(3, 1, 1, 1)
    >>> toy = Dataset("toy", "train", StaticImages(pixels, 1), torch.tensor([0, 0, 1]), ("a", "b"))
    >>> one, two, three = digests(toy)
    >>> one == three, one == two
    (True, False)
    """
    return [
        hashlib.blake2b(content, digest_size=16).digest() if content else b""
        for content in _contents(data)
    ]


def _contents(data: Dataset) -> Iterator[bytes]:
    inputs = data.inputs
    index = torch.arange(len(inputs)) if data.index is None else data.index
    for number in index.tolist():
        if isinstance(inputs, StaticImages):
            yield inputs.pixels[number].contiguous().numpy().tobytes()
        elif isinstance(inputs, BinnedEvents):
            yield _events(inputs, number)
        else:
            yield inputs.gather(torch.tensor([number])).contiguous().numpy().tobytes()


def _events(inputs: BinnedEvents, number: int) -> bytes:
    """Places in order and how often each occurs, in whatever way they are stored."""
    first, end = inputs.offsets[number : number + 2].tolist()
    place = inputs.place[first:end].numpy().astype(np.int64)
    weight = np.ones(len(place)) if inputs.weight is None else inputs.weight[first:end].numpy()
    cells, inverse = np.unique(place, return_inverse=True)
    counts = np.bincount(inverse, weights=weight, minlength=len(cells)).astype(np.int64)
    return cells.tobytes() + counts.tobytes()
