"""`check` finds what is wrong with a data set, and nothing where nothing is."""

from __future__ import annotations

import gzip
import hashlib
import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from localspike.data import (
    BinnedEvents,
    Dataset,
    File,
    Report,
    StaticImages,
    check,
    info,
    registry,
)
from localspike.data.content import digests, finest
from localspike.data.files import carve
from localspike.errors import DataError

Write = Callable[..., Path]
VAL = carve(40, "val", "fashion_mnist").tolist()
TRAIN = carve(40, "train", "fashion_mnist").tolist()


def idx(array: np.ndarray) -> bytes:
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def images(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28))


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Fashion-MNIST of 40 + 10 different images, with a card that says so."""

    def written(
        train: np.ndarray | None = None,
        test: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        **card: object,
    ) -> Path:
        folder = tmp_path / "fashion_mnist"
        folder.mkdir(exist_ok=True)
        made = {
            "train-images-idx3-ubyte": images(1, 40) if train is None else train,
            "train-labels-idx1-ubyte": np.arange(40) % 10 if labels is None else labels,
            "t10k-images-idx3-ubyte": images(2, 10) if test is None else test,
            "t10k-labels-idx1-ubyte": np.arange(10),
        }
        files = []
        for name, array in made.items():
            content = gzip.compress(idx(array), mtime=0)
            (folder / f"{name}.gz").write_bytes(content)
            sha256 = hashlib.sha256(content).hexdigest()
            files.append(File(f"fashion_mnist/{name}.gz", sha256=sha256))
        entry = info("fashion_mnist")
        changes = {"files": tuple(files), "official": {"train": 40, "test": 10}, **card}
        changed = replace(entry, card=replace(entry.card, **changes))
        monkeypatch.setitem(registry._TABLE, "fashion_mnist", changed)
        return tmp_path

    return written


def lines(report: Report) -> dict[str, tuple[str, str, bool | None]]:
    return {line.what: (line.found, line.expected, line.ok) for line in report.findings}


def test_a_data_set_as_it_should_be(write: Write) -> None:
    heard: list[str] = []
    report = check("fashion_mnist", write(), heard.append)
    found = lines(report)
    assert report.ok and report.form == "fashion_mnist/train-images-idx3-ubyte.gz"
    assert found["train + val"] == ("40", "40", True)
    assert found["test"] == ("10", "10", True)
    assert found["samples in val"] == ("4", "", None)
    assert found["classes in test"] == ("10, 1 samples each", "10", None)
    assert found["contents in two splits"] == ("0", "0", True)
    assert found["contents twice in a split"] == ("0", "", None)
    checked = [key for key in found if key.startswith("checksum of")]
    assert len(checked) == 4 and all(found[key] == ("sha256 matches", "", True) for key in checked)
    assert "reading fashion_mnist test" in heard


@pytest.mark.parametrize(
    ("members", "split", "at"), [(TRAIN, "train", 3), (VAL, "val", 1), (TRAIN, "train", 0)]
)
def test_a_leak_of_test_into_what_is_learnt_from(
    write: Write, members: list[int], split: str, at: int
) -> None:
    train, test = images(5, 40), images(6, 10)
    train[members[at]] = test[7]
    report = check("fashion_mnist", write(train, test))
    assert lines(report)["contents in two splits"] == (f"1 ({split} {at} = test 7)", "0", False)
    assert not report.ok


def test_a_leak_of_train_into_val(write: Write) -> None:
    train = images(5, 40)
    train[VAL[2]] = train[TRAIN[9]]
    report = check("fashion_mnist", write(train))
    assert lines(report)["contents in two splits"][0] == "1 (train 9 = val 2)"
    assert not report.ok


def test_one_pixel_is_a_difference(write: Write) -> None:
    train, test = images(5, 40), images(6, 10)
    train[TRAIN[0]] = test[0]
    train[TRAIN[0], 27, 27] ^= 1
    assert check("fashion_mnist", write(train, test)).ok


def test_twice_in_one_split_is_a_note_and_so_is_another_label(write: Write) -> None:
    train = images(5, 40)
    train[TRAIN[4]] = train[TRAIN[5]]
    report = check("fashion_mnist", write(train))
    found = lines(report)
    assert report.ok
    assert found["contents twice in a split"] == ("1 (train 4 = train 5)", "", None)
    unlike = TRAIN[4] % 10 != TRAIN[5] % 10
    assert ("equal contents, other label" in found) == unlike


def test_many_are_counted_and_a_few_are_named(write: Write) -> None:
    train = images(5, 40)
    for number in range(0, 12, 2):
        train[TRAIN[number]] = train[TRAIN[number + 1]]
    found = lines(check("fashion_mnist", write(train)))["contents twice in a split"][0]
    named = "; ".join(f"train {n} = train {n + 1}" for n in (0, 2, 4))
    assert found == f"6 ({named}; …)"


@pytest.mark.parametrize(
    ("card", "what", "line"),
    [
        ({"official": {"train": 41, "test": 10}}, "train + val", ("40", "41", False)),
        ({"official": {"train": 40, "test": 9}}, "test", ("10", "9", False)),
        ({"official": {"all": 51}}, "train + val + test", ("50", "51", False)),
        ({"official": {"train": 36, "val": 4, "test": 10}}, "val", ("4", "4", True)),
    ],
)
def test_counts_are_those_of_the_card(
    write: Write, card: dict[str, object], what: str, line: tuple[str, str, bool]
) -> None:
    report = check("fashion_mnist", write(**card))
    assert lines(report)[what] == line and report.ok == line[2]


def test_files_that_hold_a_part_are_counted_as_such(write: Write) -> None:
    form = "fashion_mnist/train-images-idx3-ubyte.gz"
    parts = {form: {"train": 40, "test": 10}}
    report = check("fashion_mnist", write(official={"train": 60_000, "test": 1}, parts=parts))
    found = lines(report)
    assert report.ok and found["train + val"] == ("40", "40", True)
    assert found["these files hold a part of it"] == ("train 60,000, test 1", "", None)


def test_a_class_that_nobody_can_learn_is_a_fault(write: Write) -> None:
    labels = np.where(np.arange(40) % 10 == 3, 4, np.arange(40) % 10)
    report = check("fashion_mnist", write(labels=labels))
    found, _, ok = lines(report)["classes in train"]
    assert found.endswith("none of dress") and ok is False and not report.ok


def test_a_file_changed_behind_its_checksum_is_a_fault(write: Write) -> None:
    root = write()
    path = root / "fashion_mnist" / "t10k-images-idx3-ubyte.gz"
    content = gzip.compress(idx(images(9, 10)))
    path.write_bytes(content)
    report = check("fashion_mnist", root)
    got, expected, ok = lines(report)["checksum of t10k-images-idx3-ubyte.gz"]
    assert got == f"sha256 {hashlib.sha256(content).hexdigest()}"
    assert got != f"sha256 {expected}" and ok is False and not report.ok


def test_a_member_of_an_archive_has_a_checksum_too(write: Write) -> None:
    root = write(files=(), listed={"t10k-labels-idx1-ubyte.gz": "0" * 32})
    report = check("fashion_mnist", root)
    found, expected, ok = lines(report)["checksum of t10k-labels-idx1-ubyte.gz"]
    assert found.startswith("md5 ") and expected == "0" * 32 and ok is False
    md5 = found.removeprefix("md5 ")
    report = check("fashion_mnist", write(files=(), listed={"t10k-labels-idx1-ubyte.gz": md5}))
    assert lines(report)["checksum of t10k-labels-idx1-ubyte.gz"] == ("md5 matches", "", True)


def test_where_nothing_is_published_that_is_said(write: Write) -> None:
    report = check("fashion_mnist", write(files=()))
    assert lines(report)["checksum"] == ("no published checksum", "", None)
    elsewhere = (File("fashion_mnist/other.zip", md5="0" * 32),)
    report = check("fashion_mnist", write(files=elsewhere))
    assert lines(report)["checksum"][0] == "none published for this form of the files"


def test_files_that_cannot_be_read_are_refused(write: Write, tmp_path: Path) -> None:
    (write() / "fashion_mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz: not an IDX file of 1 dim"):
        check("fashion_mnist", tmp_path)
    with pytest.raises(DataError, match=r"unknown data set: got 'minst'; expected 'mnist'"):
        check("minst")
    with pytest.raises(DataError, match="no data root is set"):
        check("shd")


def binned(place: list[int], offsets: list[int], weight: list[int] | None = None) -> Dataset:
    inputs = BinnedEvents(
        torch.tensor(place, dtype=torch.int32),
        torch.tensor(offsets),
        10,
        (4,),
        counts=True,
        weight=None if weight is None else torch.tensor(weight, dtype=torch.uint8),
    )
    labels = torch.zeros(len(offsets) - 1, dtype=torch.long)
    return Dataset("toy", "train", inputs, labels, ("a",))


def test_events_are_told_by_place_and_count_however_they_are_stored() -> None:
    once, again, twice, other, none = digests(binned([1, 5, 5, 1, 1, 5, 1, 6], [0, 2, 4, 6, 8, 8]))[
        :5
    ]
    assert once == again
    assert len({once, other, none}) == 3 and none == b""
    assert twice == once  # 1 and 5 again
    counted = digests(binned([1, 5, 1, 5], [0, 2, 4], [1, 1, 1, 2]))
    assert counted[0] == once and counted[1] != once
    repeated = digests(binned([5, 1, 5], [0, 3]))
    assert repeated[0] == counted[1]


def test_a_subset_is_told_by_its_own_members() -> None:
    pixels = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    data = Dataset("toy", "train", StaticImages(pixels, 2), torch.tensor([0] * 4), ("a",))
    assert digests(data.subset([2, 0])) == [digests(data)[2], digests(data)[0]]


def test_sources_of_any_kind_are_told_by_their_frames() -> None:
    class Other:
        steps, sample_shape, static = 1, (2,), False

        def __len__(self) -> int:
            return 3

        def gather(self, index: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[[1.0, 2.0]], [[1.0, 2.0]], [[1.0, 3.0]]])[index].transpose(0, 1)

        def frames(self, gathered: torch.Tensor) -> torch.Tensor:
            return gathered

    one, two, three = digests(Dataset("toy", "train", Other(), torch.tensor([0, 0, 0]), ("a",)))
    assert one == two != three


def test_samples_without_events_are_no_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {
        "train": binned([1, 5], [0, 2, 2]),
        "val": binned([2], [0, 1]),
        "test": binned([3], [0, 1, 1]),
    }
    module = importlib.import_module("localspike.data.check")  # the package has the function
    monkeypatch.setattr(module, "finest", lambda name, split, *_, **__: splits[split])
    report = check("keywords")
    found = lines(report)
    assert found["contents in two splits"] == ("0", "0", True)
    assert found["samples without events"] == ("2", "", None)
    assert found["train + val + test"] == ("5", "2,055", False)


def test_the_embedded_keywords_are_sound_but_have_clips_twice() -> None:
    """The source itself has 30 clips of one speaker more than once; none crosses the splits."""
    report = check("keywords")
    assert report.ok
    assert lines(report)["contents twice in a split"][0].startswith("30 (")


@pytest.mark.parametrize("name", ["braille", "pokerdvs"])
def test_real_data_are_sound(name: str, real_root: Path) -> None:
    report = check(name, real_root)
    assert report.ok, report
    assert lines(report)["contents in two splits"][0] == "0"


def test_the_finest_form_has_every_event(real_root: Path) -> None:
    data = finest("pokerdvs", "test", real_root)
    with np.load(real_root / "pokerdvs" / "pokerdvs.npz") as raw:
        assert int(data.batch(range(20)).frames.sum()) == len(raw["test_t_us"])
