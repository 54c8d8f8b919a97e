"""A small data set of every kind that can be cached."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from localspike.data import BinnedEvents, Dataset, StaticImages
from localspike.data.packed import packed

CLASSES = ("a", "b", "c")


def images(**_: object) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (9, 3, 4, 4), generator=generator, dtype=torch.uint8)
    source = StaticImages(pixels, 5, (0.49, 0.48, 0.44), (0.24, 0.25, 0.26))
    return Dataset("toy", "train", source, torch.arange(9) % 3, CLASSES)


def events(
    density: float = 0.02, *, counts: bool = False, weighted: bool = False, wide: bool = False
) -> Dataset:
    """Nine recordings, one of them without an event, of 6 steps of 3 × 5 places."""
    rng = np.random.default_rng(1)
    sizes = rng.poisson(density * 90 * np.arange(1, 10))
    sizes[4] = 0
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    place = rng.integers(0, 90, offsets[-1]).astype(np.int64 if wide else np.int32)
    weight = rng.integers(0, 256, len(place)).astype(np.uint8) if weighted else None
    source = BinnedEvents(
        torch.from_numpy(place), torch.from_numpy(offsets), 6, (3, 5), counts,
        None if weight is None else torch.from_numpy(weight),
    )  # fmt: skip
    lengths = torch.arange(9) % 6 + 1 if counts else None
    return Dataset("toy", "val", source, torch.arange(9) % 3, CLASSES, lengths)


KINDS: dict[str, tuple[Callable[[], Dataset], str]] = {
    "images": (images, "images"),
    "some images, in another order": (lambda: images().subset([7, 0, 3, 3]), "images"),
    "sparse spikes": (lambda: events(0.005), "places"),
    "dense spikes": (lambda: events(0.4), "bits"),
    "dense spikes, int64": (lambda: events(0.1, wide=True), "bits"),
    "weighted spikes": (lambda: events(0.005, weighted=True), "places"),
    "counts": (lambda: events(0.4, counts=True), "places"),
    "weighted counts": (lambda: events(0.4, counts=True, weighted=True), "places"),
    "some counts": (lambda: events(counts=True).subset([8, 4, 1, 1]), "places"),
    "only an empty one": (lambda: events().subset([4]), "places"),
    "packed": (lambda: packed(events(0.3)), "bits"),
    "some packed": (lambda: packed(events(0.3)).subset([5, 2]), "bits"),
}
"""By name: how to make it, and the form in which it is kept."""


def same(one: Dataset, other: Dataset) -> bool:
    """Whether two data sets show the same, bit for bit."""
    about = [(d.name, d.split, d.classes, d.steps, d.sample_shape, len(d)) for d in (one, other)]
    a, b = (data.batch(range(len(data))) for data in (one, other))
    lengths = a.lengths is b.lengths or torch.equal(a.lengths, b.lengths)
    return (
        about[0] == about[1]
        and a.frames.dtype == b.frames.dtype
        and (a.frames.stride(0) == 0) == (b.frames.stride(0) == 0)
        and torch.equal(a.frames, b.frames)
        and torch.equal(a.labels, b.labels)
        and lengths
    )


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Another process that runs ``script``, with these helpers at hand."""
    path = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
    )
