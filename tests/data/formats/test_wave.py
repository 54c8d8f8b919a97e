"""WAVE: bytes worked out by hand, other readers and writers, damage, exact round trips."""

from __future__ import annotations

import io
import struct
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from localspike.data.formats.clip import Clip
from localspike.data.formats.wave import read_wave, write_wave
from localspike.errors import DataError


def put(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "by hand"
    path.write_bytes(content)
    return path


# Two channels of 16 bits at 8,000 Hz, two samples: 8000 = 0x1F40, 4 bytes a block, 32000 = 0x7D00 a
# second. Samples (1, -2), (-32768, 32767) are 0001, FFFE, 8000, 7FFF, low byte first.
STEREO = bytes.fromhex(
    "52494646 2c000000 57415645"  # RIFF, 44 bytes follow, WAVE
    "666d7420 10000000 0100 0200 401f0000 007d0000 0400 1000"  # fmt
    "64617461 08000000 0100 feff 0080 ff7f"  # data
)
# One channel of 24 bits at 44,100 Hz (0xAC44) as an extensible format, front left (1), 20 bits of
# them valid; an odd chunk of 3 bytes and its padding before the samples. 1 and -2 at the top of 24
# bits in steps of 2^4: 000010, FFFFE0; three times 44100 a second is 0x204CC.
EXTENSIBLE = bytes.fromhex(
    "52494646 54000000 57415645"
    "666d7420 28000000 feff 0100 44ac0000 cc040200 0300 1800"
    "1600 1400 01000000 0100 000000001000800000aa00389b71"
    "6e6f7465 03000000 61626300"  # 'note', 'abc' and a zero
    "64617461 06000000 100000 e0ffff"
)


def test_sixteen_bits_by_hand(tmp_path: Path) -> None:
    clip = read_wave(put(tmp_path, STEREO))
    assert clip.samples.tolist() == [[1, -2], [-32768, 32767]]
    assert (clip.samples.dtype, clip.rate, clip.channels) == (np.int16, 8000, 2)
    write_wave(tmp_path / "written", clip)
    assert (tmp_path / "written").read_bytes() == STEREO


def test_extensible_twenty_four_bits_by_hand(tmp_path: Path) -> None:
    clip = read_wave(put(tmp_path, EXTENSIBLE))
    assert clip.samples.tolist() == [16, -32]
    assert (clip.samples.dtype, clip.rate) == (np.int32, 44_100)
    assert clip.meta == {"format": "wave", "bits": 24, "valid_bits": 20, "channel_mask": 1}
    assert clip.unit().tolist() == [2.0**-19, -(2.0**-18)]
    write_wave(tmp_path / "written", clip)
    without_note = EXTENSIBLE.replace(bytes.fromhex("6e6f74650300000061626300"), b"")
    size = struct.pack("<I", len(without_note) - 8)
    assert (tmp_path / "written").read_bytes() == without_note[:4] + size + without_note[8:]


def test_eight_bits_are_unsigned_and_padded(tmp_path: Path) -> None:
    write_wave(tmp_path / "file", Clip(np.array([0, 128, 255], np.uint8), 8000))
    content = (tmp_path / "file").read_bytes()
    assert content.endswith(bytes.fromhex("64617461 03000000 0080ff00"))
    assert struct.unpack_from("<I", content, 4)[0] == len(content) - 8
    assert read_wave(tmp_path / "file").unit().tolist() == [-1.0, 0.0, 127 / 128]


def test_the_size_of_the_whole_is_not_needed_and_what_follows_is_not_looked_at(
    tmp_path: Path,
) -> None:
    for size in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        content = STEREO[:4] + size + STEREO[8:] + b"LIST\xff\xff\xff\xff and not that long"
        assert len(read_wave(put(tmp_path, content)).samples) == 2


def samples(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    """Any samples, and their bits."""
    kinds = ["u1", "i2", "i4", "f4", "f8", "24"]
    kind = draw(st.sampled_from(kinds))
    rows, channels = draw(st.integers(0, 9)), draw(st.integers(1, 5))
    shape = (rows, channels) if channels > 1 else (rows,)
    if kind == "24":
        inside = st.integers(-(1 << 23), (1 << 23) - 1)
        return draw(arrays.arrays(np.int32, shape, elements=inside)), 24
    values = draw(arrays.arrays(np.dtype(kind), shape))
    return values, 8 * values.dtype.itemsize


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    @given(st.composite(samples)(), st.integers(1, 192_000))
    def check(one: tuple[np.ndarray, int], rate: int) -> None:
        values, bits = one
        write_wave(tmp_path / "file", Clip(values, rate, {"bits": bits}))
        clip = read_wave(tmp_path / "file")
        assert clip.samples.dtype == values.dtype
        assert clip.samples.shape == values.shape
        assert clip.samples.tobytes() == values.tobytes()  # also NaN and -0
        assert (clip.rate, clip.bits) == (rate, bits)

    check()


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_standard_library_agrees(width: int, channels: int, tmp_path: Path) -> None:
    raw = np.random.default_rng(width).integers(0, 256, 24 * width * channels, np.uint8).tobytes()
    with wave.open(str(tmp_path / "theirs"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(22_050)
        file.writeframes(raw)
    clip = read_wave(tmp_path / "theirs")
    assert (clip.samples.shape[0], clip.channels, clip.bits) == (24, channels, 8 * width)
    write_wave(tmp_path / "ours", clip)
    with wave.open(str(tmp_path / "ours"), "rb") as file:
        assert file.getparams()[:4] == (channels, width, 22_050, 24)
        assert file.readframes(24) == raw


@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_libsndfile_agrees(kind: str, subtype: str, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    sound = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    soundfile.write(tmp_path / "theirs", sound, 16_000, subtype, format=kind)
    theirs, _ = soundfile.read(tmp_path / "theirs")
    clip = read_wave(tmp_path / "theirs")
    assert np.array_equal(clip.unit(), theirs)
    write_wave(tmp_path / "ours", clip)
    again, rate = soundfile.read(tmp_path / "ours")
    assert rate == 16_000
    assert np.array_equal(again, theirs)


def form(
    tag: int = 1, channels: int = 1, rate: int = 8000, block: int = 2, bits: int = 16
) -> bytes:
    return struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body


def riff(*chunks: bytes) -> bytes:
    return b"RIFF\0\0\0\0WAVE" + b"".join(chunks)


DATA = chunk(b"data", b"\1\0\2\0")
LONG = form(0xFFFE, 1, 8000, 3, 24) + struct.pack("<HHIH", 22, 24, 0, 1)
GUID = bytes.fromhex("000000001000800000aa00389b71")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a WAVE file at byte 0: got b''"),
        (b"RIFX\0\0\0\0WAVE", "not a WAVE file at byte 0: got b'RIFX"),
        (b"RIFF\0\0\0\0AVI ", "not a WAVE file"),
        (riff(), "no samples at byte 12: got the end of the file; expected chunks b'fmt ' and"),
        (riff(chunk(b"fmt ", form())), "no samples at byte 36: .* expected a chunk b'data'"),
        (riff(b"fmt"), "half a chunk header at byte 12: got 3 bytes"),
        (riff(DATA), r"chunk out of place at byte 12: got b'data'"),
        (riff(chunk(b"fmt ", form()), chunk(b"fmt ", form())), "out of place at byte 36: got b'fm"),
        (riff(chunk(b"fmt ", form()[:14]), DATA), "format cut short at byte 20: got 14 bytes"),
        (riff(chunk(b"fmt ", form(), 999), DATA), "b'fmt ' cut short at byte 12: .* expected 999"),
        (riff(chunk(b"fmt ", form()), chunk(b"data", b"12", 0xFFFFFFFF)), "b'data' cut short at b"),
        (riff(chunk(b"fmt ", form()), chunk(b"data", b"123")), "half a sample at byte 46: got 1 b"),
        (riff(chunk(b"fmt ", form(channels=0, block=0)), DATA), "no sound .*: got 0 channels at"),
        (riff(chunk(b"fmt ", form(rate=0)), DATA), "no sound in this format at byte 20: .* 0 Hz"),
        (riff(chunk(b"fmt ", form(block=3)), DATA), "block that does not fit its samples at byte"),
        (riff(chunk(b"fmt ", form(channels=65535, block=65534)), DATA), "got 65534 .*expected 1"),
        (riff(chunk(b"fmt ", form(tag=6, bits=8)), DATA), "not read here .*tag 0x0006 with 8 bits"),
        (riff(chunk(b"fmt ", form(bits=12)), DATA), "got format tag 0x0001 with 12 bits"),
        (riff(chunk(b"fmt ", form(tag=3)), DATA), "got format tag 0x0003 with 16 bits"),
        (riff(chunk(b"fmt ", LONG), DATA), "extensible format cut short at byte 20: got 26 bytes"),
        (riff(chunk(b"fmt ", LONG + bytes(14)), DATA), "unknown kind at byte 44: got GUID 0100000"),
        (riff(chunk(b"fmt ", LONG[:18] + b"\x19" + LONG[19:] + GUID), DATA), "valid bits .* 25"),
        (riff(*[b"JUNK\0\0\0\0"] * 5000), "too many chunks at byte 32780"),
    ],
)  # fmt: skip
def test_damage(content: bytes, said: str, tmp_path: Path) -> None:
    path = put(tmp_path, content)
    with pytest.raises(DataError, match=said) as caught:
        read_wave(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_cut_anywhere_it_is_refused(tmp_path: Path) -> None:
    for content in (STEREO, EXTENSIBLE):
        for length in range(len(content)):
            with pytest.raises(DataError):
                read_wave(put(tmp_path, content[:length]))


def test_changed_anywhere_it_is_read_or_refused(tmp_path: Path) -> None:
    rng, read = np.random.default_rng(0), 0
    for content in (STEREO, EXTENSIBLE):
        for _ in range(150):
            changed = bytearray(content)
            for at in rng.integers(0, len(content), rng.integers(1, 4)):
                changed[at] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
            try:
                read += len(read_wave(put(tmp_path, bytes(changed))).samples) > 0
            except DataError as error:
                assert "by hand: " in str(error)
    assert 40 < read < 260


def test_memory_follows_what_is_there(tmp_path: Path) -> None:
    body = bytes(3_000_000)
    path = put(tmp_path, riff(chunk(b"fmt ", form(block=3, bits=24)), chunk(b"data", body)))
    tracemalloc.start()
    clip = read_wave(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert clip.samples.nbytes == 4_000_000
    assert peak < 4 * (len(body) + clip.samples.nbytes)


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        (Clip(np.zeros(3, np.int8), 8000), "WAVE cannot hold this sound: got int8"),
        (Clip(np.zeros(3, np.int64), 8000), "not an array of samples: got int64"),
        (Clip(np.zeros((3, 1), np.int16), 8000), r"1 channels in two dim.*samples\[:, 0\]"),
        (Clip(np.zeros((3, 0), np.int16), 8000), "0 channels in two dimensions"),
        (Clip(np.zeros(3, np.int16), 0), "impossible rate: got 0"),
        (Clip(np.zeros(3, np.int16), 8000.0), "impossible rate: got 8000.0"),  # type: ignore
        (Clip(np.zeros(3, np.int16), 8000, {"bits": 24}), "do not have that many bits: got bits ="),
        (Clip(np.full(3, 1 << 23, np.int32), 8000, {"bits": 24}), "out of the range of 24 bits"),
        (Clip(np.zeros((1, 40_000), np.int16), 8000), "got 80000 bytes a sample"),
        (Clip(np.zeros(3, np.int16), 1 << 31), "4294967296 a second; expected less than"),
        (Clip(np.zeros(3, np.int16), 8000, {"valid_bits": 17}), "extension that cannot be"),
    ],
)  # fmt: skip
def test_what_wave_cannot_hold_is_not_written(clip: Clip, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        write_wave(tmp_path / "file", clip)
    assert list(tmp_path.iterdir()) == []


def test_big_endian_samples_are_written_as_they_are(tmp_path: Path) -> None:
    write_wave(tmp_path / "file", Clip(np.array([258, -1], ">i2"), 8000))
    with wave.open(io.BytesIO((tmp_path / "file").read_bytes())) as file:
        assert file.readframes(2) == b"\x02\x01\xff\xff"
