"""Images on a device: gathered and augmented there, and nothing is read back from it.

The device "meta" has no numbers, so reading one from it is an error: what runs there never waits.
"""

from __future__ import annotations

import pytest
import torch

from localspike.config import build, override
from localspike.data import Dataset, ImageAugment, StaticImages, keywords
from localspike.learn.feed import Feed
from localspike.recipes import recipe

META = torch.device("meta")


def images(n: int = 20) -> Dataset:
    pixels = torch.randint(0, 256, (n, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    still = StaticImages(pixels.byte(), 4, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return Dataset("toy", "train", still, torch.arange(n) % 2, ("a", "b"))


def test_a_feed_of_images_reads_nothing_from_the_device() -> None:
    feed = Feed(
        images().on(META), 8, (3, 8, 8), shuffle=True, device=META, augment=ImageAugment(2, True, 4)
    )
    sizes = []
    for frames, labels, lengths in feed.batches():
        assert frames.device == labels.device == META and lengths is None
        assert frames.stride(0) == 0
        sizes.append(tuple(frames.shape))
    assert sizes == [(4, 8, 3, 8, 8), (4, 8, 3, 8, 8), (4, 4, 3, 8, 8)]


@pytest.mark.parametrize(("pad", "flip", "cutout"), [(2, True, 4), (0, True, 0), (3, False, 5)])
def test_what_a_device_does_is_what_the_cpu_does(pad: int, flip: bool, cutout: int) -> None:
    augment, batch = ImageAugment(pad, flip, cutout), images(64).gather(torch.arange(64))
    drawn = augment._drawn(batch, torch.Generator().manual_seed(3))
    on_cpu = augment(batch, torch.Generator().manual_seed(3))
    assert torch.equal(augment._gathered(batch, *drawn), on_cpu)
    assert not torch.equal(on_cpu, batch)


def test_mean_and_deviation_may_be_any_numbers_and_stay_float32() -> None:
    pixels, index = torch.full((4, 3, 8, 8), 51, dtype=torch.uint8), torch.arange(2)
    expected = StaticImages(pixels, 2, (0.1, 0.2, 0.3), (0.5, 0.5, 0.5)).gather(index)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        images = StaticImages(pixels, 2, [0.1, 0.2, 0.3], [0.5, 0.5, 0.25])  # type: ignore[arg-type]
        found = images.gather(index)
    finally:
        torch.set_default_dtype(before)
    assert found.dtype == torch.float32
    assert torch.equal(found[:, :2], expected[:, :2])
    assert torch.equal(found[:, 2], 2 * expected[:, 2])


def test_only_images_move_and_labels_stay() -> None:
    moved = images().on(META)
    assert moved.gather(torch.tensor([1])).device == META
    assert moved.labels.device.type == "cpu" and len(moved) == 20
    frames = keywords("val", limit=2)
    assert frames.on(META) is frames


def test_a_run_places_its_images_on_a_cuda_device_only(monkeypatch: pytest.MonkeyPatch) -> None:
    config = override(recipe("cifar10-tess"), ["width=0.0625"])
    net, placed = build.build_network(config), []
    monkeypatch.setattr(Dataset, "on", lambda self, device: placed.append(device) or self)
    for name in ("cpu", "cuda"):
        build.train_feed(config, images(), net, torch.device(name))
        build.test_feed(config, images(), net, torch.device(name))
    assert placed == [torch.device("cuda")] * 2
