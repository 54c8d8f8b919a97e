"""Many clips at once are the same as one by one."""

from __future__ import annotations

import numpy as np
import pytest

from localspike.data import EVENT, FrontEnd
from localspike.data.cochlea import TOGETHER, levels
from localspike.data.encoders import cochlea, cochlea_clips
from localspike.errors import DataError


def clips(n: int, length: int = 8000) -> np.ndarray:
    """Noise that comes and goes, of clips that differ in loudness; the last one is silent."""
    rng = np.random.default_rng(n)
    sound = rng.normal(0, 1, (n, length)) * (np.sin(np.arange(length) / 700) > 0)
    sound *= np.geomspace(3, 3000, n)[:, None]
    sound[-1] = 0
    return sound.astype(np.int16)


@pytest.mark.parametrize("n", [1, 2, TOGETHER, 2 * TOGETHER + 3])
def test_together_and_apart(n: int) -> None:
    sound = clips(n)
    events, offsets = cochlea_clips(sound)
    assert (events.dtype, len(offsets), offsets[0], offsets[-1]) == (EVENT, n + 1, 0, len(events))
    for i, clip in enumerate(sound):
        assert np.array_equal(events[offsets[i] : offsets[i + 1]], cochlea(clip))
    assert offsets[-2] == offsets[-1]
    assert (np.diff(offsets[:-1]) > 100).all()


def test_levels_of_many_clips() -> None:
    sound, front = clips(3), FrontEnd(smooth=1, bands=20)
    together = levels(sound, front)
    assert together.shape == (3, 101, 20)
    assert all(
        np.array_equal(one, levels(clip, front)) for one, clip in zip(together, sound, strict=True)
    )


def test_fine_steps_of_another_front_end() -> None:
    """Hundreds of levels in one frame are as many events."""
    sound, front = clips(2)[:1], FrontEnd(step_db=0.05)
    events, _ = cochlea_clips(sound, front)
    value = levels(sound[0], front)
    assert len(events) >= np.abs(np.diff(value, axis=0)).sum() / 0.05 / 2
    assert np.unique(events, return_counts=True)[1].max() > 255


@pytest.mark.parametrize("shape", [(16,), (0, 16), (2, 0), (1, 2, 16)])
def test_what_are_not_clips(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"clips must be rows of samples: got shape"):
        cochlea_clips(np.zeros(shape, np.int16))
