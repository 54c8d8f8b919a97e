"""Which clips of Speech Commands a split has, and their labels, in both forms of the data.

The official archive is a folder of WAVE files per word, with two lists of the clips that are not to
train on. The other form is one FLAC per keyword, clips of 16,000 samples end to end, with
``index.json``: their names in order, whose beginning is the speaker.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from .command_clips import CLIP, Place, read_sound
from .files import fixed_permutation, read_bytes
from .speech import SPLITS, read_keywords

TEN = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
OTHERS = (
    *("backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four"),
    *("happy", "house", "learn", "marvin", "nine", "one", "seven", "sheila", "six", "three"),
    *("tree", "two", "visual", "wow", "zero"),
)
CLASSES = {
    "10": TEN,
    "12": (*TEN, "silence", "unknown"),
    "35": tuple(sorted(TEN + OTHERS)),
}
LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
NOISE = "_background_noise_"
TENTHS = {"train": (0, 8), "val": (8, 9), "test": (9, 10)}
"""Which part of every file of noise the silence of a split is cut from."""
ENTRY = re.compile(r"([a-z]+)/([^/\\]+\.wav)")
AGAIN = "Unpack the official archive again; it is incomplete"
RESTORE = "Get the folder again; it is damaged or of another kind"


class Listing(NamedTuple):
    """Clips and the label of each."""

    places: list[Place]
    labels: list[int]


def official(folder: Path, split: str, words: str) -> Listing:
    """Clips of a split by the archive's own lists; ``words`` is a key of ``CLASSES``.

    For "12", "unknown" is a tenth as many clips of the other 25 words of that split, by a fixed
    permutation, and "silence" as many cuts of the noise; the sizes are those of the paper's own
    code. Raises DataError for an incomplete archive.
    """
    lists = {name: _entries(folder / file) for name, file in LISTS.items()}
    places: list[Place] = []
    labels: list[int] = []
    for label, word in enumerate(TEN if words == "12" else CLASSES[words]):
        own = _clips(folder, word, split, lists)
        places += own
        labels += [label] * len(own)
    if words == "12":
        count = -(-len(places) // 10)
        others = [place for word in OTHERS for place in _clips(folder, word, split, lists)]
        chosen = fixed_permutation(len(others), f"unknown speech_commands {split}")[:count]
        silence = _silence(folder / NOISE, split, count)
        places += silence + [others[at] for at in chosen.sort().values.tolist()]
        labels += [10] * len(silence) + [11] * len(chosen)
    return Listing(places, labels)


def _entries(path: Path) -> dict[str, set[str]]:
    """word -> names of its clips, from a list with a line ``word/name.wav`` for each."""
    found: dict[str, set[str]] = {}
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        entry = ENTRY.fullmatch(line.strip())
        if entry is None:
            raise DataError(
                f"{path}: line {number} is not a clip",
                got=repr(line[:60]),
                expected="word/name.wav",
                fix=AGAIN,
            )
        found.setdefault(entry[1], set()).add(entry[2])
    return found


def _clips(
    folder: Path, word: str, split: str, lists: dict[str, dict[str, set[str]]]
) -> list[Place]:
    """Clips of one word, in order of name; every listed one must be there."""
    there = {path.name for path in (folder / word).glob("*.wav") if path.name[0] != "."}
    held = {name: entries.get(word, set()) for name, entries in lists.items()}
    wanted = there - held["val"] - held["test"] if split == "train" else held[split]
    missing = sorted(wanted - there)
    if missing or not wanted:
        raise DataError(
            f"{folder / word}: clips of split {split!r} are missing",
            got=f"{len(there)} clips" + (f", not {missing[0]}" if missing else ""),
            expected=f"{len(wanted)} of {LISTS[split]}" if wanted else "some *.wav files",
            fix=AGAIN,
        )
    return [Place(folder / word / name) for name in sorted(wanted)]


def _silence(folder: Path, split: str, count: int) -> list[Place]:
    """``count`` cuts of one second, spread evenly over the split's part of every file of noise."""
    paths = sorted(path for path in folder.glob("*.wav") if path.name[0] != ".")
    if not paths:
        raise DataError(f"{folder}: no noise to cut silence from", got="no *.wav", fix=AGAIN)
    places = []
    for number, path in enumerate(paths):
        cuts = count // len(paths) + (number < count % len(paths))
        length = len(read_sound(path))
        first, end = (tenth * length // 10 for tenth in TENTHS[split])
        if end - first < CLIP:
            raise DataError(
                f"{path}: too short to cut silence from",
                got=f"{length} samples",
                expected=f"{10 * CLIP} or more",
                fix=AGAIN,
            )
        starts = np.linspace(first, end - CLIP, cuts).astype(int).tolist()
        places += [Place(path, start) for start in starts]
    return places


def packed(folder: Path, split: str) -> Listing:
    """Clips of the FLAC form, each speaker in the split of the embedded keywords.

    Raises DataError for an index that does not hold the ten keywords, or a speaker not heard in the
    embedded ones, who has no split.
    """
    index = _index(folder / "index.json")
    known = read_keywords().arrays
    where = dict(zip(known["speaker"].tolist(), known["split"].tolist(), strict=True))
    places, labels = [], []
    for label, word in enumerate(TEN):
        for number, name in enumerate(index[word]):
            speaker = name.partition("_nohash_")[0]
            if speaker not in where:
                raise DataError(
                    f"{folder / 'index.json'}: speaker without a split",
                    got=f"{name!r} of {word!r}",
                    expected="the speakers of the embedded keywords",
                    fix="Use the official archive, which has lists of its splits",
                )
            if where[speaker] == SPLITS.index(split):
                length = CLIP * len(index[word])
                places.append(Place(folder / f"{word}.flac", number * CLIP, length))
                labels.append(label)
    return Listing(places, labels)


def _index(path: Path) -> dict[str, list[str]]:
    """Names of the clips of each of the ten keywords."""
    try:
        index: Any = json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: not JSON", got=f"{type(error).__name__}", expected="an object", fix=RESTORE
        ) from error
    words = sorted(index) if isinstance(index, dict) else []
    names = [name for word in words for name in _names(index[word])]
    if tuple(words) != TEN or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{path}: not an index of the ten keywords",
            got=f"words {words}"[:100],
            expected=f"{', '.join(TEN)}, each with a list of names",
            fix=RESTORE,
        )
    return {word: index[word] for word in TEN}


def _names(value: Any) -> list[Any]:
    return value if isinstance(value, list) and value else [None]
