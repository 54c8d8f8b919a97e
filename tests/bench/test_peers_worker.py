"""The worker with a library behind it, as the driver sees it; needs .venv-peers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers_peers import case_of, needs_peers, work

pytestmark = needs_peers


def test_a_library_trains_on_request(tmp_path: Path) -> None:
    status, replies, messages = work(
        case_of(tmp_path, "snntorch", "bptt", "mlp"), "steps 2\npeak\nquit\n"
    )
    assert status == 0, messages
    ready, timed, peak = replies
    assert ready["ready"] and ready["first_step_s"] > 0
    assert ready["versions"].keys() == {"python", "torch", "snntorch"}
    assert ready["check"]["spikes"] < 1e-3 and "Adam" in ready["check"]["optimiser"]
    assert len(timed["seconds"]) == 2 and min(timed["seconds"]) > 0
    assert 0 < peak["rise_mib"] == peak["peak_mib"] - peak["baseline_mib"]


def test_a_library_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    case = case_of(tmp_path, "snntorch", "bptt", "mlp")
    with np.load(case["weights"]) as file:
        arrays = {key: file[key] for key in file.files}
    np.savez(case["weights"], **{**arrays, "readout": 1.5 * arrays["readout"]})
    status, (reply,), _ = work(case, "")
    assert status == 3
    assert not reply["ready"] and "logits differ from the reference by" in reply["error"]
    assert reply["check"]["spikes"] < 1e-3 < reply["check"]["logits"]
