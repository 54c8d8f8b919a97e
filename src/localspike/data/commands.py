"""Google Speech Commands v0.02: one-second words, 35 of them, as events of 40 bands.

Warden, "Speech Commands: a dataset for limited-vocabulary speech recognition", arXiv:1804.03209,
2018. Sound becomes events by the front end of ``cochlea``, the same as the embedded keywords. Two
forms, looked for under the data root, the official one first:

- the official archive unpacked: ``speech_commands/yes/*.wav``, …, ``validation_list.txt`` and
  ``testing_list.txt``: its own splits;
- ``speech_commands/yes.flac``, … and ``index.json``: the 2,055 clips of the embedded keywords, and
  their split by speaker.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import DataError
from . import cochlea
from .cochlea import FrontEnd, encode_clips
from .command_clips import Place, sounds
from .command_lists import CLASSES as VOCABULARY
from .command_lists import TEN, Listing, official, packed
from .dataset import Dataset
from .events import place_events
from .files import check_split, check_steps, choose, find, resolve_root

CLASSES = TEN
SPLITS = ("train", "val", "test")
NOMINAL_MS = 1000
LIST = "validation_list.txt"
FORMS = (
    f"speech_commands/{LIST}",
    LIST,
    f"speech_commands/speech_commands_v0.02/{LIST}",
    f"speech_commands_v0.02/{LIST}",
    f"SpeechCommands/speech_commands_v0.02/{LIST}",
    "speech_commands/index.json",
)
FRONT = FrontEnd()
VERSION = f"{cochlea.VERSION}.1"
"""Changes whenever ``encode_places`` would give other events for the same files."""
GROUP = 64  # clips in memory at once


def speech_commands(
    split: str,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    bin_ms: int = 20,
    steps: int | None = None,
    *,
    words: str | int = "10",
    counts: bool = True,
) -> Dataset:
    """Spoken words as frames [T, B, 80]: 40 mel bands, OFF channels then ON channels (T = 50).

    One step is ``bin_ms``; ``steps`` None covers the second. A frame holds how many level crossings
    fell in it, or with ``counts=False`` whether one did. ``words`` "10" are the keywords (30,769
    clips to train on, 3,703 in "val", 4,074 to test), "35" all words (84,843, 9,981, 11,005), and
    "12" the keywords with a tenth as many of "silence" (cuts of the archive's noise, each split
    from its own part of it) and of "unknown" (a fixed choice of the other words). Splits are the
    archive's; the FLAC form has the ten keywords only and the split of the embedded ones. ``limit``
    keeps the first clips of a fixed permutation; 1,000 clips take about 2 s. Raises DataError;
    MissingDependencyError without soundfile for the FLAC form.

    >>> try:
    ...     speech_commands("test", words="11")
    ... except DataError as error:
    ...     print(error)
    speech_commands: no such set of words: got '11'; expected 10 or 12 or 35.
    """
    check_split("speech_commands", split, SPLITS)
    bin_ms = check_steps("speech_commands", bin_ms, maximum=NOMINAL_MS, what="bin_ms")
    _check_words(words)
    steps = -(-NOMINAL_MS // bin_ms) if steps is None else steps
    steps = check_steps("speech_commands", steps)
    listing = _listing(data_root, split, str(words))
    chosen = choose(torch.arange(len(listing.labels)), limit, "speech_commands")
    in_file_order = chosen.sort().values
    events = encode_places([listing.places[at] for at in in_file_order.tolist()], FRONT)
    frames = place_events(
        events.tick.astype(np.int64) * FRONT.tick_us // (1000 * bin_ms), events.channel.astype(int),
        events.offsets, steps=steps, cells=FRONT.channels, sample_shape=(FRONT.channels,),
        counts=counts,
    )  # fmt: skip
    labels = torch.tensor(listing.labels)[in_file_order]
    data = Dataset("speech_commands", split, frames, labels, VOCABULARY[str(words)])
    return data.subset(torch.searchsorted(in_file_order, chosen))


def _check_words(words: str | int) -> None:
    if str(words) not in VOCABULARY:
        raise DataError(
            "speech_commands: no such set of words",
            got=repr(words),
            expected=" or ".join(VOCABULARY),
        )


def _listing(data_root: str | os.PathLike[str] | None, split: str, words: str) -> Listing:
    root = resolve_root(data_root, FORMS)
    path = root / find(root, FORMS)
    if path.name == LIST:
        return official(path.parent, split, words)
    if words != "10":
        raise DataError(
            f"{path.parent}: holds the ten keywords only",
            got=f"words={words!r}",
            expected="words='10'",
            fix=f"Unpack the official archive there, so that {path.with_name(LIST)} exists",
        )
    return packed(path.parent, split)


class Encoded(NamedTuple):
    """Events of clips end to end, three bytes each: what a cache of this data set holds.

    ``tick`` [E] uint16 counts frames of the front end (5 ms), ``channel`` [E] uint8 = p · bands +
    band, ``offsets`` [N + 1] int64; a silent clip has no events.
    """

    tick: NDArray[np.uint16]
    channel: NDArray[np.uint8]
    offsets: NDArray[np.int64]


def encode_places(places: Sequence[Place], front: FrontEnd = FRONT) -> Encoded:
    """Read and encode clips, ``GROUP`` of them in memory at a time.

    A pure function of the files and of ``front`` under one ``VERSION``: bins, steps, labels and
    order come after it. Raises DataError, naming the file.
    """
    clips = sounds(places)
    ticks, channels = [np.zeros(0, np.uint16)], [np.zeros(0, np.uint8)]
    lengths = [np.zeros(1, np.int64)]
    while group := list(islice(clips, GROUP)):
        events, offsets = encode_clips(np.stack(group), front)
        ticks.append((events["t"] // front.tick_us).astype(np.uint16))
        channels.append((events["p"] * front.bands + events["x"]).astype(np.uint8))
        lengths.append(np.diff(offsets))
    return Encoded(
        np.concatenate(ticks), np.concatenate(channels), np.cumsum(np.concatenate(lengths))
    )
