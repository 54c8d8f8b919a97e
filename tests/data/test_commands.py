"""Speech Commands: official splits, the twelve classes, the FLAC form, the front end's events."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import command_clips, encode, keywords, read_keywords
from localspike.data.command_clips import Place
from localspike.data.command_lists import CLASSES, OTHERS, TEN, official
from localspike.data.commands import SPLITS, encode_places, speech_commands
from localspike.data.formats.clip import Clip
from localspike.data.formats.flac import write_flac
from localspike.data.formats.wave import write_wave
from localspike.errors import DataError, MissingDependencyError

NUMBER = count()


def sound(length: int = 16_000) -> np.ndarray:
    """A burst of noise, different every time."""
    rng = np.random.default_rng(next(NUMBER))
    start = int(rng.integers(2000, 6000))
    loud = (np.arange(length) > start) & (np.arange(length) < start + 5000)
    return (rng.normal(0, 3000, length) * loud).astype(np.int16)


def save(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    write_wave(path, Clip(samples, rate))
    return path


# Per word: five speakers, a and b to train on, c to validate, d and e to test.
HELD = {"c": "validation_list.txt", "d": "testing_list.txt", "e": "testing_list.txt"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official archive in small: every word, five clips of each."""
    root = tmp_path_factory.mktemp("archive")
    folder = root / "speech_commands"
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    first = sound()
    for word in (*TEN, *OTHERS):
        (folder / word).mkdir(parents=True)
        for speaker in "abcde":
            name = f"{word}/{speaker}_nohash_0.wav"
            if word in TEN[:3]:
                save(folder / name, sound(12_000 if speaker == "a" else 16_000))
            elif speaker == "a":
                whole = save(folder / name, first).read_bytes()
            else:
                (folder / name).write_bytes(whole)
            if speaker in HELD:
                lists[HELD[speaker]].append(name)
    for name, lines in lists.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "_background_noise_").mkdir()
    for name in ("running_tap.wav", "white_noise.wav"):
        hiss = np.random.default_rng(len(name)).normal(0, 900, 200_000).astype(np.int16)
        save(folder / "_background_noise_" / name, hiss)
    (folder / "_background_noise_" / "README.md").write_text("not a sound")
    return root


def test_official_splits(archive: Path) -> None:
    sizes = {split: len(speech_commands(split, archive)) for split in SPLITS}
    assert sizes == {"train": 20, "val": 10, "test": 20}
    data = speech_commands("test", archive)
    assert (data.classes, data.steps, data.sample_shape) == (TEN, 50, (80,))
    assert data.labels.tolist() == sorted(list(range(10)) * 2)


def test_frames_are_the_events_of_the_clip(archive: Path) -> None:
    """Of speaker c, word by word: every event in its 20 ms and its channel."""
    frames = speech_commands("val", archive).batch(range(3)).frames
    for label, word in enumerate(TEN[:3]):
        from_file = (archive / "speech_commands" / word / "c_nohash_0.wav").read_bytes()[44:]
        events = encode(np.frombuffer(from_file, "<i2"))
        expected = torch.zeros(50, 80)
        place = (events["t"] // 20_000, events["p"] * 40 + events["x"])
        np.add.at(expected.numpy(), tuple(p.astype(int) for p in place), 1.0)
        assert len(events) > 100
        assert torch.equal(frames[:, label], expected)


def test_short_clips_are_filled_with_silence(archive: Path) -> None:
    raw = (archive / "speech_commands" / "down" / "a_nohash_0.wav").read_bytes()[44:]
    events = encode(np.pad(np.frombuffer(raw, "<i2"), (0, 4000)))
    frames = speech_commands("train", archive, bin_ms=5).batch([0]).frames
    assert frames.shape == (200, 1, 80)
    assert frames.sum() == len(events)


def test_steps_bins_and_counts(archive: Path) -> None:
    fine = speech_commands("val", archive, bin_ms=10).batch([0, 1]).frames
    assert fine.shape[0] == 100
    coarse = speech_commands("val", archive).batch([0, 1]).frames
    assert torch.equal(fine.view(50, 2, 2, 80).sum(1), coarse)
    early = speech_commands("val", archive, steps=20).batch([0, 1]).frames
    assert torch.equal(early, coarse[:20])
    spikes = speech_commands("val", archive, counts=False).batch([0, 1]).frames
    assert torch.equal(spikes, coarse.clamp(max=1))
    assert coarse.max() > 1


def test_limit_is_the_beginning_of_one_order(archive: Path) -> None:
    four, nine = (speech_commands("test", archive, limit=n) for n in (4, 9))
    assert torch.equal(four.labels, nine.labels[:4])
    assert torch.equal(four.batch(range(4)).frames, nine.batch(range(4)).frames)
    everything = speech_commands("test", archive, limit=20)
    assert everything.labels.tolist() != sorted(everything.labels.tolist())
    assert sorted(everything.labels.tolist()) == sorted(list(range(10)) * 2)
    of_down = everything.batch(torch.nonzero(everything.labels == 0).flatten()).frames
    in_order = speech_commands("test", archive).batch([0, 1]).frames
    assert {float(one.sum()) for one in of_down.unbind(1)} == {
        float(one.sum()) for one in in_order.unbind(1)
    }


def test_all_words(archive: Path) -> None:
    data = speech_commands("val", archive, words="35")
    assert len(data) == len(data.classes) == 35
    assert data.classes == tuple(sorted(data.classes)) == CLASSES["35"]
    assert set(data.classes) == set(TEN) | set(OTHERS)
    assert speech_commands("val", archive, words=35).classes == data.classes


def test_twelve_classes(archive: Path) -> None:
    for split, size in (("train", 20), ("val", 10), ("test", 20)):
        data = speech_commands(split, archive, words="12")
        extra = -(-size // 10)
        expected = sorted(list(range(10)) * (size // 10)) + [10] * extra + [11] * extra
        assert data.labels.tolist() == expected
        assert data.classes == (*TEN, "silence", "unknown")
        assert torch.equal(speech_commands(split, archive, words="12").labels, data.labels)


def test_silence_is_cut_from_a_part_of_the_noise_of_its_own(archive: Path) -> None:
    spans: dict[str, list[tuple[str, int]]] = {}
    for split in SPLITS:
        listing = official(archive / "speech_commands", split, "12")
        silent = [p for p, label in zip(listing.places, listing.labels, strict=True) if label == 10]
        spans[split] = [(place.path.name, place.start) for place in silent]
    assert [start for _, start in spans["train"]] == [0, 0]
    assert spans["val"] == [("running_tap.wav", 160_000)]
    assert [start for _, start in spans["test"]] == [180_000, 180_000]
    assert {name for name, _ in spans["test"]} == {"running_tap.wav", "white_noise.wav"}


def test_unknown_is_drawn_from_the_clips_of_its_split(archive: Path) -> None:
    for split, speakers in (("train", "ab"), ("val", "c"), ("test", "de")):
        listing = official(archive / "speech_commands", split, "12")
        unknown = [
            p for p, label in zip(listing.places, listing.labels, strict=True) if label == 11
        ]
        assert len({place.path for place in unknown}) == len(unknown)
        for place in unknown:
            assert place.path.parent.name in OTHERS
            assert place.path.name[0] in speakers


def test_encoding_is_a_function_of_the_files(archive: Path) -> None:
    """The same in any grouping, silent clips included: what a cache needs."""
    folder = archive / "speech_commands"
    silent = save(folder.parent / "silent.wav", np.zeros(16_000, np.int16))
    paths = [folder / "down" / "b_nohash_0.wav", silent, folder / "go" / "a_nohash_0.wav"]
    together = encode_places([Place(path) for path in paths])
    apart = [encode_places([Place(path)]) for path in paths]
    assert np.array_equal(together.tick, np.concatenate([one.tick for one in apart]))
    assert np.array_equal(together.channel, np.concatenate([one.channel for one in apart]))
    sizes = [len(one.tick) for one in apart]
    assert sizes[1] == 0 < min(sizes[0], sizes[2])
    assert together.offsets.tolist() == np.cumsum([0, *sizes]).tolist()
    assert encode_places([]).offsets.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("testing_list.txt: yes/../../x.wav", r"testing_list.txt: line 1 is not a clip: got 'yes/"),
        ("testing_list.txt: yes/none.wav", "down: clips of split 'test' are missing"),
        ("validation_list.txt", "validation_list.txt: cannot be read"),
    ],
)
def test_damaged_lists(change: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "speech_commands"
    for word in TEN:
        (folder / word).mkdir(parents=True)
    for name in ("testing_list.txt", "validation_list.txt"):
        (folder / name).write_text("yes/c_nohash_0.wav\n")
    name, _, text = change.partition(": ")
    (folder / name).unlink()
    if text:
        (folder / name).write_text(text)
    else:
        (folder / name).mkdir()
    with pytest.raises(DataError, match=said):
        speech_commands("test", tmp_path)


def test_what_is_wrong_with_an_archive(tmp_path: Path) -> None:
    folder = tmp_path / "speech_commands"
    for word in TEN:
        (folder / word).mkdir(parents=True)
        (folder / word / "a_nohash_0.wav").write_bytes(b"no sound")
    (folder / "validation_list.txt").write_text("down/c_nohash_0.wav\n")
    (folder / "testing_list.txt").write_text("")
    with pytest.raises(DataError, match=r"'val' are missing: got 1 clips, not c_nohash_0.wav; ex"):
        speech_commands("val", tmp_path)
    with pytest.raises(DataError, match=r"down/a_nohash_0.wav: not a WAVE file at byte 0"):
        speech_commands("train", tmp_path)
    save(folder / "down" / "a_nohash_0.wav", sound(), 8000)
    with pytest.raises(DataError, match=r"not a clip of this data set: got 16000 .* at 8000 Hz"):
        speech_commands("train", tmp_path)
    save(folder / "down" / "a_nohash_0.wav", np.zeros((9, 2), np.int16))
    with pytest.raises(DataError, match="got 9 samples of 2 channels"):
        speech_commands("train", tmp_path)
    save(folder / "down" / "a_nohash_0.wav", np.zeros(0, np.int16))
    with pytest.raises(DataError, match="got 0 samples"):
        speech_commands("train", tmp_path)
    with pytest.raises(DataError, match="backward: clips of split 'train' are missing"):
        speech_commands("train", tmp_path, words="35")


def test_noise_too_short_or_absent(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "speech_commands"
    folder.mkdir()
    for path in (archive / "speech_commands").iterdir():
        if path.name != "_background_noise_":
            (folder / path.name).symlink_to(path)
    with pytest.raises(DataError, match="_background_noise_: no noise to cut silence from"):
        speech_commands("val", tmp_path, words="12")
    (folder / "_background_noise_").mkdir()
    save(folder / "_background_noise_" / "short.wav", sound(100_000))
    with pytest.raises(DataError, match=r"short.wav: too short to cut silence from: got 100000"):
        speech_commands("val", tmp_path, words="12")


@pytest.fixture(scope="module")
def flacs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One FLAC per keyword, a clip of one speaker of each split in each."""
    root = tmp_path_factory.mktemp("flacs")
    folder = root / "speech_commands"
    folder.mkdir()
    file = read_keywords()
    speakers = [min(file.speakers(split)) for split in SPLITS]
    names = [f"{speaker}_nohash_0.wav" for speaker in speakers]
    for word in TEN:
        try:
            clips = np.concatenate([sound() for _ in names])
            write_flac(folder / f"{word}.flac", Clip(clips, 16_000))
        except MissingDependencyError as error:
            pytest.skip(str(error))
    (folder / "index.json").write_text(json.dumps({word: names for word in TEN}))
    return root


def test_the_flac_form(flacs: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    data = speech_commands("val", flacs, limit=2)
    for at, label in enumerate(data.labels.tolist()):
        samples, _ = soundfile.read(
            flacs / "speech_commands" / f"{TEN[label]}.flac", dtype="int16", start=16_000,
            stop=32_000,
        )  # fmt: skip
        assert data.batch([at]).frames.sum() == len(encode(samples)) > 100
    with pytest.raises(DataError, match="holds the ten keywords only: got words='12'; expected"):
        speech_commands("val", flacs, words="12")


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{", "index.json: not JSON: got JSONDecodeError"),
        ("[" * 100_000, "index.json: not JSON: got RecursionError"),
        ("[]", "not an index of the ten keywords"),
        (json.dumps({word: [] for word in TEN}), "not an index of the ten keywords"),
        (json.dumps({word: [3] for word in TEN}), "not an index of the ten keywords"),
        (json.dumps({**{word: ["a"] for word in TEN[1:]}, "../x": ["a"]}), "got words .'../x'"),
        (
            json.dumps({word: ["a_nohash_0.wav"] for word in TEN}),
            "speaker without a split: got 'a_",
        ),
    ],
)
def test_damaged_index(index: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "speech_commands").mkdir()
    (tmp_path / "speech_commands" / "index.json").write_text(index)
    with pytest.raises(DataError, match=said):
        speech_commands("val", tmp_path)


def test_sound_that_does_not_match_the_index(flacs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "speech_commands"
    folder.mkdir()
    index = json.loads((flacs / "speech_commands" / "index.json").read_text())
    index["down"].append(index["down"][0])
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "down.flac").symlink_to(flacs / "speech_commands" / "down.flac")
    with pytest.raises(DataError, match=r"down.flac: does not match index.json: got 48000 samples"):
        speech_commands("train", tmp_path)


def test_the_official_form_comes_first(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "speech_commands"
    folder.mkdir()
    for path in (archive / "speech_commands").iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "index.json").write_text("{")
    assert len(speech_commands("val", tmp_path, limit=1)) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"words": "11"}, "no such set of words: got '11'; expected 10 or 12 or 35"),
        ({"words": ["10"]}, "no such set of words"),
        ({"bin_ms": 0}, "speech_commands: impossible bin_ms: got 0"),
        ({"bin_ms": 1001}, "got 1001; expected 1 … 1000"),
        ({"steps": 0}, "speech_commands: impossible number of steps: got 0"),
        ({"limit": 0}, "impossible limit"),
    ],
)
def test_bad_arguments(options: dict[str, object], said: str, archive: Path) -> None:
    with pytest.raises(DataError, match=said):
        speech_commands("val", archive, **options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="no such split: got 'dev'"):
        speech_commands("dev", archive)


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no data files .*expected speech_commands/validation_list"
    ):
        speech_commands("val", tmp_path)


@pytest.fixture(scope="module")
def decoded_once() -> Iterator[None]:
    """Each FLAC for all splits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command_clips, "read_flac", functools.cache(command_clips.read_flac))
        yield


@pytest.mark.usefixtures("decoded_once")
@pytest.mark.parametrize("split", SPLITS)
def test_real_clips_are_the_embedded_keywords(split: str, real_root: Path) -> None:
    """The same clips, splits and front end: all frames of all clips are equal, bit for bit."""
    if not (real_root / "speech_commands" / "index.json").exists():
        pytest.skip(f"real data: {real_root / 'speech_commands'} is not there")
    pytest.importorskip("soundfile")
    data, embedded = speech_commands(split, real_root), keywords(split)
    assert data.classes == embedded.classes
    assert torch.equal(data.labels, embedded.labels)
    for first in range(0, len(data), 200):
        index = range(first, min(first + 200, len(data)))
        assert torch.equal(data.batch(index).frames, embedded.batch(index).frames)
