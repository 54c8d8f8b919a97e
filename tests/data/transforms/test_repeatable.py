"""The same result after a resume, in another process, and in parts."""

from __future__ import annotations

import multiprocessing
from functools import partial

import numpy as np
import pytest
import torch

from helpers_transforms import epoch_digest, generator, recording, rows
from localspike.data import Dataset, StaticImages, bin_events, keywords
from localspike.data.augment import (
    ColourAugment,
    EventAugment,
    ImageAugment,
    MaskAugment,
    SpatialAugment,
)
from localspike.data.transforms import events as on_events
from localspike.data.transforms import frames as on_frames
from localspike.data.transforms import images as on_images

FRAMES = on_frames.Compose([on_frames.TimeShift(3), on_frames.PlaceMask(5, 2), on_frames.Drop(0.2)])
IMAGES = on_images.Compose([on_images.Flip(), on_images.Crop(2), on_images.ColourJitter()])
EVENTS = on_events.Compose([on_events.Flip(), on_events.Jitter(30.0, 1.0), on_events.Drop(0.2)])


def toy_images() -> Dataset:
    pixels = torch.randint(0, 256, (11, 3, 9, 9), generator=generator(1), dtype=torch.uint8)
    return Dataset("toy", "train", StaticImages(pixels, 4), torch.arange(11) % 2, ("a", "b"))


def toy_planes() -> Dataset:
    events, sensor = recording(700, last=70)
    offsets = np.arange(0, 701, 100)
    inputs = bin_events(events, offsets, sensor, step_us=10, steps=7)
    return Dataset("toy", "train", inputs, torch.arange(7) % 2, ("a", "b"))


def test_an_epoch_of_planes_resumes_bit_for_bit() -> None:
    augment = SpatialAugment(roll=2, cutout=3, drop=0.1)
    whole = epoch_digest(toy_planes(), augment)
    assert len(set(whole)) == 3
    assert epoch_digest(toy_planes(), augment, 1) == whole[1:]


@pytest.mark.parametrize("augment", [FRAMES, EventAugment(), MaskAugment()], ids=repr)
def test_an_epoch_of_frames_resumes_bit_for_bit(augment) -> None:
    data = keywords("val", limit=11)
    whole = epoch_digest(data, augment)
    assert len(set(whole)) == 4
    for start in (1, 3):
        assert epoch_digest(data, augment, start) == whole[start:]


@pytest.mark.parametrize(
    "augment", [IMAGES, ImageAugment(2, True, 3), ColourAugment(2, degrees=9.0)], ids=repr
)
def test_an_epoch_of_images_resumes_bit_for_bit(augment) -> None:
    whole = epoch_digest(toy_images(), augment)
    assert epoch_digest(toy_images(), augment, 2) == whole[2:]
    assert whole != epoch_digest(toy_images(), lambda images, generator: images)


def test_a_spawned_worker_makes_the_same() -> None:
    """A fresh interpreter, as a loader's worker on any system is: batches and events."""
    events, sensor = recording(300)
    offsets = np.array([0, 100, 180, 300])
    whole = on_events.over_recordings(EVENTS, events, offsets, sensor, seed=4)
    half = partial(on_events.over_recordings, EVENTS, events[180:], offsets[2:] - 180, sensor, 4, 2)
    spatial = SpatialAugment(roll=2, cutout=3, drop=0.1)
    data = toy_images()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(half)
        frames = pool.apply(epoch_digest, (keywords("val", limit=5), FRAMES))
        images = pool.apply(epoch_digest, (data, IMAGES, 2))
        planes = pool.apply(epoch_digest, (toy_planes(), spatial))
    assert rows(there.events) == rows(whole.events[whole.offsets[2] :])
    assert frames == epoch_digest(keywords("val", limit=5), FRAMES)
    assert images == epoch_digest(data, IMAGES)[2:]
    assert planes == epoch_digest(toy_planes(), spatial)
