"""`verify` agrees with an independent reference, and finds every kind of damage."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from helpers_synthetic import FILES, outputs
from localspike import verify

RECORDED = "golden vectors: neither LOCALSPIKE_VECTORS nor LOCALSPIKE_DATA leads to any"


def recorded() -> list[Path]:
    given, root = os.environ.get("LOCALSPIKE_VECTORS"), os.environ.get("LOCALSPIKE_DATA")
    folder = Path(given) if given else Path(root).parent / "reference" / "vectors" if root else None
    return sorted(folder.glob("*.npz")) if folder else []


def save(path: Path, arrays: dict) -> Path:
    np.savez(path, **arrays)
    return path


def verdict(capsys: pytest.CaptureFixture[str], *paths: Path) -> tuple[int, dict]:
    """Exit code and the one JSON object printed, strictly parsed."""
    code = verify.run(paths, json=True)
    text = capsys.readouterr().out

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert text.count("\n") == 1
    return code, json.loads(text, parse_constant=refuse)


def named(result: dict) -> set[str]:
    """Arrays reported to differ, of every schedule."""
    return {a["array"] for s in result["files"][0]["schedules"] for a in s["arrays"] if not a["ok"]}


SENT = ["streaming", "two_sweep"]
LEGAL = {"tess_conv": ["layerwise", "streaming"], "tess_linear": ["layerwise", "streaming"]}


@pytest.mark.parametrize("name", FILES)
def test_files_of_the_reference_agree(
    name: str, synthetic_files: dict, tmp_path: Path, capsys
) -> None:
    arrays = synthetic_files[name]
    path = save(tmp_path / f"{name}.npz", arrays)
    code, result = verdict(capsys, path)
    assert code == 0, result
    assert result["ok"] is True
    (file,) = result["files"]
    assert file["kind"] == FILES[name][0]
    assert [s["schedule"] for s in file["schedules"]] == LEGAL.get(file["kind"], SENT)
    sharp = file["kind"] in ("tess_linear", "stllr_recurrent")
    for schedule in file["schedules"]:
        assert schedule["spike_mismatches"] == 0
        assert {a["array"] for a in schedule["arrays"]} == set(outputs(arrays))
        for a in schedule["arrays"]:
            if "mismatches" in a:
                continue
            assert a["tolerance"] == (2e-4 if sharp else 1e-5)
            assert a["relative_error"] <= a["tolerance"]


@pytest.mark.parametrize("name", FILES)
def test_synthetic_files_spike_and_learn(name: str, synthetic_files: dict) -> None:
    """A silent file or a zero gradient would check nothing."""
    for array in outputs(synthetic_files[name]):
        value = synthetic_files[name][array]
        assert value.shape
        assert np.abs(value).max() > 1e-4, array
        if "spikes" in array:
            assert 0.03 < np.mean(value) < 0.8, array


CHANGES = [
    (name, array)
    for name, (kind, _) in FILES.items()
    for array in {
        "tess_conv": (
            "out_spikes",
            "membrane_after_reset",
            "trace_pre_final",
            "trace_post_final",
            "grad_weight",
            "grad_gain",
        ),
        "tess_linear": (
            "out_spikes",
            "membrane_after_reset_final",
            "trace_pre_final",
            "trace_post_final",
            "grad_weight",
            "grad_bias",
        ),
        "stllr_recurrent": (
            "hidden_spikes",
            "logits",
            "grad_weight",
            "grad_weight_rec",
            "grad_bias",
            "grad_gain",
            "grad_gain_rec",
            "grad_out_weight",
            "grad_out_bias",
        ),
        "stllr_conv": (
            "spikes1",
            "spikes2",
            "logits",
            "grad_weight1",
            "grad_gain1",
            "grad_weight2",
            "grad_gain2",
            "grad_readout_weight",
            "grad_readout_bias",
        ),
        "ottt_conv": (
            "spikes1",
            "spikes2",
            "logits",
            "grad_weight1",
            "grad_gain1",
            "grad_bias1",
            "grad_weight2",
            "grad_gain2",
            "grad_bias2",
            "grad_readout_weight",
            "grad_readout_bias",
        ),
    }[kind]
]
SOME = [c for c in CHANGES if c[0] not in ("tess_conv-max", "tess_conv-none", "tess_conv-adaptive")]


@pytest.mark.parametrize(("name", "array"), SOME)
def test_one_changed_number_is_found_and_named(
    name: str, array: str, synthetic_files: dict, tmp_path: Path, capsys
) -> None:
    """1e-2 of the array's maximum in its smallest number, its largest, and the last one."""
    arrays = synthetic_files[name]
    flat = np.abs(arrays[array]).ravel()
    for position in {int(flat.argmin()), int(flat.argmax()), flat.size - 1}:
        damaged = arrays[array].copy()
        damaged.ravel()[position] += 1e-2 * flat.max()
        path = save(tmp_path / "changed.npz", {**arrays, array: damaged})
        code, result = verdict(capsys, path)
        assert code == 1
        assert named(result) == {array}
        assert all(not s["ok"] for s in result["files"][0]["schedules"])
    verify.run([path])
    assert re.search(rf"{array}.*array '{array}' differs", capsys.readouterr().out)


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_spike_is_found(
    name: str, synthetic_files: dict, tmp_path: Path, capsys
) -> None:
    arrays = synthetic_files[name]
    for array in [a for a in outputs(arrays) if "spikes" in a]:
        damaged = arrays[array].copy()
        cell = damaged.ravel()
        binary = set(np.unique(cell)) <= {0.0, 1.0}
        middle = cell[cell.size // 2]  # one spike of a window of up to 9 in pooled maps
        cell[cell.size // 2] = 1.0 - middle if binary else middle + 1 / 9
        code, result = verdict(capsys, save(tmp_path / "flipped.npz", {**arrays, array: damaged}))
        assert code == 1
        assert named(result) == {array}
        assert all(s["spike_mismatches"] == 1 for s in result["files"][0]["schedules"])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "name",
    ["tess_conv-avg-late", "tess_linear-plain", "stllr_recurrent-bp", "stllr_conv", "ottt_conv"],
)
def test_nan_in_any_output_differs_and_json_stays_json(
    name: str, bad: float, synthetic_files: dict, tmp_path: Path, capsys
) -> None:
    arrays = synthetic_files[name]
    for array in outputs(arrays):
        damaged = arrays[array].copy()
        damaged.ravel()[-1] = bad
        code, result = verdict(capsys, save(tmp_path / "nan.npz", {**arrays, array: damaged}))
        assert code == 1
        assert named(result) == {array}


def unreadable(capsys: pytest.CaptureFixture[str], path: Path, text: str) -> None:
    assert verify.run([path]) == 2
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert re.search(text, lines[0]), lines[0]
    assert "1 unreadable" in captured.out
    code, result = verdict(capsys, path)
    assert code == 2
    assert result["ok"] is False
    assert str(path) in result["files"][0]["error"]


def test_missing_text_and_foreign_files(tmp_path: Path, capsys) -> None:
    unreadable(capsys, tmp_path / "absent.npz", r"cannot be read: got No such file.*Check the path")
    unreadable(capsys, tmp_path, r"is a folder\. Name the files in it, e\.g\. .*/\*\.npz")
    text = tmp_path / "text.npz"
    text.write_text("not numbers at all\n")
    unreadable(capsys, text, r"text\.npz: not a \.npy or \.npz file: got a file that begins with")
    empty = tmp_path / "empty.npz"
    empty.write_bytes(b"")
    unreadable(capsys, empty, r"not a \.npy or \.npz file: got an empty file")
    np.save(tmp_path / "one.npy", np.ones(3))
    unreadable(capsys, tmp_path / "one.npy", "one bare array: expected an npz")
    pickled = save(tmp_path / "pickled.npz", {"kind": np.array([{"a": 1}], dtype=object)})
    unreadable(capsys, pickled, "holds Python objects: expected plain numbers")
    unreadable(capsys, save(tmp_path / "other.npz", {"a": np.ones(3)}), r"array 'kind' is missing")
    odd = save(tmp_path / "odd.npz", {"kind": np.array("resnet"), "x": np.ones(3)})
    unreadable(capsys, odd, r"unknown kind: got resnet; expected one of \[.*'tess_conv'")
    unreadable(
        capsys, save(tmp_path / "k.npz", {"kind": np.array(3)}), r"array 'kind' is malformed"
    )


@pytest.mark.parametrize("name", ["tess_conv-avg-late", "stllr_recurrent-bp"])
def test_truncated_files(name: str, synthetic_files: dict, tmp_path: Path, capsys) -> None:
    whole = save(tmp_path / "whole.npz", synthetic_files[name]).read_bytes()
    for share in (0.01, 0.3, 0.7, 0.99, 0.9999):
        path = tmp_path / "cut.npz"
        path.write_bytes(whole[: int(len(whole) * share)])
        unreadable(capsys, path, "not a whole npz file: got .*truncated")


def test_no_damaged_byte_ends_in_a_traceback(synthetic_files: dict, tmp_path: Path, capsys) -> None:
    """Any byte of a small file's headers flipped: an exit code, never an exception."""
    arrays = synthetic_files["tess_linear-plain"]
    whole = save(tmp_path / "whole.npz", arrays).read_bytes()
    path, codes = tmp_path / "damaged.npz", set()
    places = [*range(0, 180, 3), *range(len(whole) - 900, len(whole), 11)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(bytes(damaged))
        codes.add(verify.run([path]))
        capsys.readouterr()
    assert codes <= {0, 1, 2}
    assert 2 in codes


@pytest.mark.parametrize("name", FILES)
def test_every_missing_input_is_named(
    name: str, synthetic_files: dict, tmp_path: Path, capsys
) -> None:
    arrays = synthetic_files[name]
    needed = [k for k in arrays if k not in set(outputs(arrays))]
    for key in needed:
        if key == "feedback" and name.endswith("bp"):
            continue
        rest = {k: v for k, v in arrays.items() if k != key}
        unreadable(capsys, save(tmp_path / "short.npz", rest), f"array '{key}' is missing")


MALFORMED = [
    (
        "tess_conv-avg-late",
        "weight",
        np.ones((5, 3, 5, 5), np.float32),
        "array 'weight' has the wrong shape",
    ),
    (
        "tess_conv-avg-late",
        "x",
        np.full((7, 3, 3, 7, 6), np.nan, np.float32),
        "array 'x' is malformed.*finite",
    ),
    ("tess_conv-avg-late", "x", np.zeros((0, 3, 3, 7, 6), np.float32), "array 'x' is malformed"),
    (
        "tess_conv-avg-late",
        "x",
        np.zeros((7, 3, 4, 7, 6), np.float32),
        "convolution got samples of another shape",
    ),
    ("tess_conv-avg-late", "labels", np.array([0, 1, 99]), "labels out of range"),
    ("tess_conv-avg-late", "labels", np.array([0, 1]), "labels have the wrong shape"),
    ("tess_conv-avg-late", "labels", np.array([0.0, 1, 2]), "array 'labels' is malformed"),
    ("tess_conv-avg-late", "threshold", np.float64(-1), "LIF threshold"),
    ("tess_conv-avg-late", "decay", np.float64(np.nan), "array 'decay' is malformed"),
    ("tess_conv-avg-late", "pool_kind", np.array("MEDIAN"), "unknown pool_kind: got MEDIAN"),
    ("tess_conv-avg-late", "pool_size", np.int64(0), "pool_size"),
    ("tess_conv-avg-late", "pool_size", np.int64(-2), "pool_size"),
    ("tess_conv-avg-late", "pool_size", np.int64(50), "window larger than the map"),
    ("tess_conv-avg-late", "signal_pool", np.int64(-1), "signal_pool"),
    ("tess_conv-avg-late", "num_classes", np.int64(0), "num_classes|labels out of range"),
    ("tess_conv-avg-late", "signal_active_from", np.int64(-1), "active_steps|signal_active_from"),
    (
        "tess_conv-avg-late",
        "factors_lpost_lpre_apost_apre",
        np.array([0.1, 2.0, 1, 1]),
        "pre_decay out of range",
    ),
    (
        "tess_conv-avg-late",
        "factors_lpost_lpre_apost_apre",
        np.array([0.1, 0.2, 1]),
        "is malformed",
    ),
    (
        "tess_conv-avg-late",
        "grad_weight",
        np.zeros((5, 3), np.float32),
        "array 'grad_weight' has the wrong shape",
    ),
    (
        "tess_conv-avg-late",
        "trace_post_final",
        np.zeros((2, 2), np.float32),
        "'trace_post_final' has the wrong shape",
    ),
    (
        "tess_conv-avg-late",
        "extra",
        np.zeros(3, np.float32),
        r"arrays this kind does not have: got \['extra'\]",
    ),
    ("stllr_recurrent-bp", "spatial_credit", np.array("FA"), "unknown spatial_credit: got FA"),
    ("stllr_recurrent-bp", "signal_last_steps", np.int64(0), "active_steps|signal_last_steps"),
    ("stllr_recurrent-dfa", "feedback", np.zeros((2, 2), np.float32), "feedback"),
    (
        "stllr_conv",
        "readout_weight",
        np.zeros((8, 5), np.float32),
        "block 'readout'|readout_weight",
    ),
]


@pytest.mark.parametrize("case", range(len(MALFORMED)))
def test_malformed_arrays_are_named(
    case: int, synthetic_files: dict, tmp_path: Path, capsys
) -> None:
    name, key, value, text = MALFORMED[case]
    path = save(tmp_path / "bad.npz", {**synthetic_files[name], key: value})
    unreadable(capsys, path, text)


def test_an_unused_gain_may_be_recorded_with_its_gradient(
    synthetic_files: dict, tmp_path: Path, capsys
) -> None:
    """Without standardisation the gain does nothing: its gradient is zero, not a traceback."""
    arrays = synthetic_files["tess_linear-plain"]
    zero = {**arrays, "grad_gain": np.zeros((20, 1), np.float32)}
    assert verify.run([save(tmp_path / "zero.npz", zero)]) == 0
    one = {**arrays, "grad_gain": np.ones((20, 1), np.float32)}
    assert verify.run([save(tmp_path / "one.npz", one)]) == 1
    assert "grad_gain" in capsys.readouterr().out


def test_the_worst_file_decides(synthetic_files: dict, tmp_path: Path, capsys) -> None:
    arrays = synthetic_files["tess_linear-plain"]
    good = save(tmp_path / "good.npz", arrays)
    wrong = save(tmp_path / "wrong.npz", {**arrays, "grad_bias": arrays["grad_bias"] * 1.1})
    assert verdict(capsys, good, wrong)[0] == 1
    assert verdict(capsys, good, wrong, tmp_path / "absent.npz")[0] == 2
    _, result = verdict(capsys, good, wrong, tmp_path / "absent.npz")
    assert [f["ok"] for f in result["files"]] == [True, False, False]
    verify.run([good, wrong, tmp_path / "absent.npz"])
    assert capsys.readouterr().out.strip().endswith("1 agree, 1 differ, 1 unreadable")


@pytest.mark.skipif(not recorded(), reason=RECORDED)
def test_recorded_vectors_agree(capsys) -> None:
    code, result = verdict(capsys, *recorded())
    assert code == 0, [(f["file"], f["schedules"]) for f in result["files"] if not f["ok"]]
    kinds = {f["kind"] for f in result["files"]}
    assert kinds == {"tess_conv", "tess_linear", "stllr_recurrent", "stllr_conv", "ottt_conv"}
    assert sum(s["spike_mismatches"] for f in result["files"] for s in f["schedules"]) == 0


@pytest.mark.skipif(not recorded(), reason=RECORDED)
def test_damage_in_recorded_vectors_is_found(tmp_path: Path, capsys) -> None:
    for path in recorded():
        with np.load(path) as archive:
            arrays = {k: archive[k] for k in archive.files}
        for array in outputs(arrays):
            damaged = arrays[array].copy()
            damaged.ravel()[0] += 1e-2 * np.abs(damaged).max()
            code, result = verdict(capsys, save(tmp_path / path.name, {**arrays, array: damaged}))
            assert code == 1
            assert named(result) == {array}
