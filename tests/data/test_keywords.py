"""The embedded keywords: what is in the package, its splits, its licence, its checksum."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import keywords, read_keywords
from localspike.data.speech import SPLITS
from localspike.errors import DataError

FOLDER = Path(str(resources.files("localspike.data"))) / "keywords"


def test_package_holds_at_most_two_and_a_half_megabytes_and_the_attribution() -> None:
    assert (FOLDER / "events.npz").stat().st_size <= 2_500_000
    text = (FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for needed in ("Pete Warden", "CC BY 4.0", "creativecommons.org/licenses/by/4.0", "changed"):
        assert needed in text


def test_speakers_of_the_splits_are_disjoint() -> None:
    file = read_keywords()
    train, val, test = (file.speakers(split) for split in SPLITS)
    assert not (train & val or train & test or val & test)
    assert len(train | val | test) == len(set(file.arrays["speaker"].tolist()))


def test_sizes_and_balance() -> None:
    sizes = {split: keywords(split).labels.bincount(minlength=10) for split in SPLITS}
    assert int(sizes["test"].sum()) >= 500
    assert 200 <= int(sizes["val"].sum()) <= 260
    assert sum(int(count.sum()) for count in sizes.values()) == 2055
    for count in sizes.values():
        assert int(count.max()) <= 2 * int(count.min())


def test_splits_match_the_recorded_counts() -> None:
    about = json.loads((FOLDER / "events.json").read_text(encoding="utf-8"))
    for split in SPLITS:
        assert about["splits"][split]["clips"] == len(keywords(split))


def test_frames_hold_every_event_and_binary_frames_only_ones() -> None:
    file, everything = read_keywords(), [keywords(split) for split in SPLITS]
    total = sum(int(d.batch(range(len(d))).frames.sum()) for d in everything)
    assert total == len(file.arrays["delta"])
    spikes = keywords("val", counts=False).batch(range(20)).frames
    counts = keywords("val").batch(range(20)).frames
    assert torch.equal(spikes, counts.clamp(max=1))
    assert counts.max() > 1


@pytest.mark.parametrize("steps", [1, 7, 50, 200])
def test_any_number_of_steps_keeps_all_events(steps: int) -> None:
    fine = keywords("val", 50).batch(range(30)).frames.sum(0)
    frames = keywords("val", steps).batch(range(30)).frames
    assert frames.shape == (steps, 30, 80)
    assert torch.equal(frames.sum(0), fine)


def test_off_channels_come_before_on_channels() -> None:
    """A word begins: in the first events of a clip levels rise."""
    frames = keywords("train").batch(range(200)).frames
    rising = frames[:, :, 40:].sum((1, 2)) - frames[:, :, :40].sum((1, 2))
    assert rising[10:20].sum() > 0 > rising[30:45].sum()


def test_limit_is_a_fixed_subset() -> None:
    ten, twenty = keywords("train", limit=10), keywords("train", limit=20)
    assert torch.equal(ten.batch(range(10)).frames, twenty.batch(range(10)).frames)


def copy_of(tmp_path: Path) -> Path:
    for name in ("events.npz", "events.json"):
        shutil.copy(FOLDER / name, tmp_path / name)
    return tmp_path


def test_changed_content_is_refused(tmp_path: Path) -> None:
    folder = copy_of(tmp_path)
    with np.load(folder / "events.npz") as archive:
        arrays = {name: archive[name].copy() for name in archive.files}
    arrays["label"][0] += 1
    np.savez(folder / "events.npz", **arrays)
    with pytest.raises(DataError, match=r"events\.npz: content does not match its checksum: got"):
        read_keywords(folder)


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = copy_of(tmp_path) / "events.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"events\.npz: not a whole npz file.*Get the file again"):
        read_keywords(tmp_path)


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"front_end": {"colour": 1}}', '{"front_end": {"hop": 0}}']
)
def test_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    (copy_of(tmp_path) / "events.json").write_text(text)
    with pytest.raises(DataError, match=r"events\.json: cannot be read"):
        read_keywords(tmp_path)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: keywords("dev"), "keywords has no such split: got 'dev'; expected 'train' or"),
        (lambda: keywords("val", 0), "keywords: impossible number of steps: got 0; expected 1"),
        (lambda: keywords("val", True), "impossible number of steps: got True"),
        (lambda: keywords("val", limit=0), "keywords: impossible limit: got 0; expected 1 or more"),
    ],
)
def test_bad_arguments(call, text: str) -> None:
    with pytest.raises(DataError, match=text):
        call()
