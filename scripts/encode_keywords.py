"""Make the embedded keyword data set from a folder of Google Speech Commands clips.

    python scripts/encode_keywords.py --source speech_commands --out .../keywords/events.npz

The folder holds one FLAC per keyword, clips of 16,000 samples at 16 kHz end to end, and
``index.json`` with the original file names in order. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from localspike.data.cochlea import FrontEnd, encode
from localspike.data.speech import ARRAYS, SPLITS, digest
from localspike.errors import DataError, LocalspikeError
from localspike.optional import require

CLIP = 16_000
SEED = "localspike-keywords-1"
TEST_CLIPS, VAL_CLIPS = 560, 230
Arrays = dict[str, NDArray[Any]]


def read_clips(source: Path) -> tuple[NDArray[np.int16], list[str], list[int], list[str]]:
    """All clips [N, 16000], the words, and label and file name of each clip."""
    soundfile = require("soundfile", "reading FLAC")
    index = json.loads((source / "index.json").read_text(encoding="utf-8"))
    words = sorted(index)
    sounds, labels, names = [], [], []
    for label, word in enumerate(words):
        sound, rate = soundfile.read(str(source / f"{word}.flac"), dtype="int16")
        if rate != CLIP or sound.shape != (CLIP * len(index[word]),):
            raise DataError(
                f"{word}.flac does not match index.json",
                got=f"shape {list(sound.shape)} at {rate} Hz",
                expected=f"{len(index[word])} clips of {CLIP} samples at {CLIP} Hz",
            )
        sounds.append(sound.reshape(-1, CLIP))
        labels += [label] * len(index[word])
        names += index[word]
    return np.concatenate(sounds), words, labels, names


def split_speakers(speakers: list[str]) -> dict[str, int]:
    """Speaker -> index into SPLITS: whole speakers, in hash order, to test, then val, then train.

    The hash depends on the speaker id and SEED only, never on what a clip sounds like.
    """
    clips = Counter(speakers)
    ranked = sorted(clips, key=lambda name: hashlib.sha256((SEED + name).encode()).hexdigest())
    filled, where = Counter[str](), {}
    for speaker in ranked:
        if filled["test"] < TEST_CLIPS:
            split = "test"
        elif filled["val"] < VAL_CLIPS:
            split = "val"
        else:
            split = "train"
        filled[split] += clips[speaker]
        where[speaker] = SPLITS.index(split)
    return where


def encode_all(source: Path, front: FrontEnd) -> tuple[Arrays, list[str]]:
    """The arrays of the embedded file and the words."""
    sounds, words, labels, names = read_clips(source)
    speakers = [name.split("_nohash_")[0] for name in names]
    where = split_speakers(speakers)
    recordings = [encode(sound, front) for sound in sounds]
    delta = [np.diff(events["t"] // front.tick_us, prepend=0) for events in recordings]
    channel = [events["p"] * front.bands + events["x"] for events in recordings]
    arrays: Arrays = {
        "delta": np.concatenate(delta).astype(np.uint8),
        "channel": np.concatenate(channel).astype(np.uint8),
        "offsets": np.cumsum([0, *map(len, recordings)]).astype("<i4"),
        "label": np.array(labels, dtype=np.uint8),
        "speaker": np.array(speakers, dtype="<U8"),
        "split": np.array([where[speaker] for speaker in speakers], dtype=np.uint8),
    }
    return arrays, words


def write_npz(path: Path, arrays: Arrays) -> None:
    """An npz whose bytes depend on the arrays only: fixed order, time stamps and compression."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ARRAYS:
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, arrays[name], allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def describe(arrays: Arrays, words: list[str], front: FrontEnd) -> dict[str, Any]:
    """What events.json records about events.npz."""
    counts = {
        split: {
            "clips": int((arrays["split"] == k).sum()),
            "speakers": len(set(arrays["speaker"][arrays["split"] == k].tolist())),
        }
        for k, split in enumerate(SPLITS)
    }
    return {
        "source": "Google Speech Commands v0.02, Pete Warden, CC BY 4.0; see ATTRIBUTION.md",
        "words": words,
        "splits": counts,
        "split_seed": SEED,
        "events": len(arrays["delta"]),
        "front_end": asdict(front),
        "sha256": digest(arrays),
    }


def main() -> None:
    """Encode, write events.npz and events.json side by side, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="folder of the FLAC files")
    parser.add_argument("--out", type=Path, required=True, help="events.npz to write")
    options = parser.parse_args()
    try:
        arrays, words = encode_all(options.source, FrontEnd())
    except (LocalspikeError, OSError) as error:
        raise SystemExit(f"encode_keywords: {error}") from error
    about = describe(arrays, words, FrontEnd())
    write_npz(options.out, arrays)
    text = json.dumps(about, indent=1) + "\n"
    options.out.with_suffix(".json").write_text(text, encoding="utf-8")
    print(f"{options.out}: {options.out.stat().st_size} bytes, {about['events']} events")
    print(json.dumps(about["splits"]))


if __name__ == "__main__":
    main()
