"""Ten spoken keywords as spike events, inside the package: Google Speech Commands v0.02, CC BY 4.0.

``keywords/events.npz`` is made by ``scripts/encode_keywords.py`` with the front end of
``cochlea``; attribution is in ``keywords/ATTRIBUTION.md``. Test speakers are never heard in
training or validation.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ConfigError, DataError
from .cochlea import FrontEnd
from .dataset import Dataset
from .events import check_events, make_events, place_by_time
from .files import check_split, check_steps, choose, load_npz

SPLITS = ("train", "val", "test")
DURATION_US = 1_000_000
ARRAYS = ("delta", "channel", "offsets", "label", "speaker", "split")
"""Of each event: ticks since the event before it in the clip (the first: since 0), and p · bands
+ band; of each clip: where its events start, word, speaker and split (index into SPLITS)."""


@dataclass(frozen=True)
class KeywordFile:
    """The embedded file, read and checked: its arrays by name and its description."""

    arrays: dict[str, NDArray[Any]]
    words: tuple[str, ...]
    front: FrontEnd

    def speakers(self, split: str) -> set[str]:
        """Speaker ids heard in ``split``."""
        chosen = self.arrays["split"] == SPLITS.index(split)
        return set(self.arrays["speaker"][chosen].tolist())

    def events(self) -> NDArray[np.void]:
        """All events as dtype ``EVENT`` (x = band, p = 1 for ON)."""
        offsets, delta = self.arrays["offsets"], self.arrays["delta"]
        total = np.concatenate([[0], np.cumsum(delta, dtype=np.int64)])
        tick = total[1:] - np.repeat(total[offsets[:-1]], np.diff(offsets))
        channel = self.arrays["channel"]
        return make_events(
            tick * self.front.tick_us, channel % self.front.bands, channel // self.front.bands
        )


def digest(arrays: dict[str, NDArray[Any]]) -> str:
    """sha256 over name, dtype, shape and bytes of ``ARRAYS``, in that order."""
    total = hashlib.sha256()
    for name in ARRAYS:
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {list(array.shape)};".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def read_keywords(folder: Path | None = None) -> KeywordFile:
    """Read and verify the embedded file (or the same two files in ``folder``).

    Raises DataError when a file is missing or truncated or its sha256 is not the recorded one.

    >>> read_keywords().words[:3]
    ('down', 'go', 'left')
    """
    if folder is not None:
        return _read(folder)
    with resources.as_file(resources.files(__package__) / "keywords") as packaged:
        return _read(packaged)


def _read(folder: Path) -> KeywordFile:
    arrays = load_npz(folder / "events.npz", ARRAYS)
    try:
        about = json.loads((folder / "events.json").read_text(encoding="utf-8"))
        front, words, recorded = FrontEnd(**about["front_end"]), about["words"], about["sha256"]
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise DataError(
            f"{folder / 'events.json'}: cannot be read",
            got=f"{type(error).__name__}: {error}",
            expected="a JSON object with words, front_end and sha256",
            fix="Install localspike again",
        ) from error
    if digest(arrays) != recorded:
        raise DataError(
            f"{folder / 'events.npz'}: content does not match its checksum",
            got=f"sha256 {digest(arrays)[:16]}…",
            expected=f"{recorded[:16]}…",
            fix="Install localspike again",
        )
    return KeywordFile(arrays, tuple(words), front)


def keywords(
    split: str, steps: int = 50, *, limit: int | None = None, counts: bool = True
) -> Dataset:
    """Spoken keywords as frames [T, B, 80]: 40 mel bands, OFF channels then ON channels, 1 s.

    One step is 1 s / ``steps``; a frame holds how many level crossings fell in it, or with
    ``counts=False`` whether one did. ``split`` is "train", "val" or "test", of disjoint speakers;
    ``limit`` keeps the first clips of a fixed permutation. Raises DataError.

    >>> data = keywords("test")
    >>> data.sample_shape, data.steps, data.classes[-1], len(data) >= 500
    ((80,), 50, 'yes', True)
    """
    check_split("keywords", split, SPLITS)
    steps = check_steps("keywords", steps, maximum=1000)
    file = read_keywords()
    sensor = file.front.sensor
    events, offsets = file.events(), file.arrays["offsets"].astype(np.int64)
    check_events(events, offsets, sensor, "embedded keywords")
    frames = place_by_time(
        events, offsets, sensor, step_us=-(-DURATION_US // steps), steps=steps,
        sample_shape=(sensor.cells,), counts=counts,
    )  # fmt: skip
    labels = torch.from_numpy(file.arrays["label"].astype(np.int64))
    everything = Dataset("keywords", split, frames, labels, file.words)
    members = np.flatnonzero(file.arrays["split"] == SPLITS.index(split))
    return everything.subset(choose(torch.from_numpy(members), limit, "keywords"))
