"""The script that makes the embedded file: same input, same bytes; the loader reads the result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from localspike.data import read_keywords

SCRIPT = Path(__file__).parents[2] / "scripts" / "encode_keywords.py"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two words, three speakers, six clips of noise bursts."""
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(1)
    folder = tmp_path / "source"
    folder.mkdir()
    index = {}
    for word in ("yes", "no"):
        sound = rng.integers(-9000, 9000, (3, 16_000)) * (np.arange(16_000) % 8000 > 4000)
        soundfile.write(folder / f"{word}.flac", sound.reshape(-1).astype(np.int16), 16_000)
        index[word] = [f"{speaker:08x}_nohash_0.wav" for speaker in (1, 2, 3)]
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def run(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    out.parent.mkdir(exist_ok=True)
    command = [sys.executable, str(SCRIPT), "--source", str(source), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_same_bytes_again_and_readable(source: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run(source, tmp_path / name / "events.npz").returncode == 0
    for name in ("events.npz", "events.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    file = read_keywords(tmp_path / "a")
    assert file.words == ("no", "yes")
    assert file.arrays["label"].tolist() == [0, 0, 0, 1, 1, 1]
    assert len(file.events()) == file.arrays["offsets"][-1] > 0


def test_sound_that_does_not_match_the_index(source: Path, tmp_path: Path) -> None:
    index = json.loads((source / "index.json").read_text())
    index["no"].pop()
    (source / "index.json").write_text(json.dumps(index))
    result = run(source, tmp_path / "a" / "events.npz")
    assert result.returncode == 1
    assert "no.flac does not match index.json: got shape [48000] at 16000 Hz" in result.stderr
    assert not (tmp_path / "a" / "events.npz").exists()
