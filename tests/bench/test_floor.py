"""The floor's products are the cost model's; the files for peers hold what our net computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from localspike import Learner, rules
from localspike.bench import checks
from localspike.bench.exchange import effective_weights, load, prepare
from localspike.bench.floor import Floor
from localspike.bench.workload import Workload
from localspike.describe import describe_network
from localspike.errors import NumericalError
from localspike.kernels import winograd

SMALL = {
    "vgg9": Workload("vgg9", 2, 3, (("width", 0.125),)),
    "mlp": Workload("mlp", 2, 3, (("inputs", 20), ("hidden", (9,)))),
    "recurrent": Workload("recurrent", 2, 3, (("inputs", 20), ("hidden", (9,)))),
    "nmnist-conv": Workload("nmnist-conv", 2, 3),
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_floors_products_are_those_of_the_cost_model(name: str, dtype: torch.dtype) -> None:
    """Forward and one contraction: twice a block's MACs at T·B, a static first block at B."""
    work = SMALL[name]
    net = work.blank()
    floor = Floor(net, work, dtype)
    expected = 0
    for number, block in enumerate(describe_network(net)):
        steps = 1 if work.static and number == 0 else work.steps
        expected += 2 * block.macs * steps * work.batch
    assert floor.macs == expected
    with FlopCounterMode(display=False) as counter:
        floor()
    assert counter.get_total_flops() == 2 * expected
    assert checks.of_floor(floor) == {"macs": expected}
    floor.layers[0].macs += 1
    with pytest.raises(NumericalError, match="the floor's products"):
        checks.of_floor(floor)


@pytest.mark.parametrize("form", ["windows", "patches"])
def test_products_over_a_table_are_counted_as_they_run(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = Floor(SMALL["vgg9"].blank(), SMALL["vgg9"], torch.bfloat16)
    plain = floor.macs
    monkeypatch.setattr(Floor, "_seconds", lambda self, layer, name: float(name != form))
    chosen = floor.choose_layouts()
    assert {chosen[layer.name] for layer in floor.layers if layer.x.ndim == 4} == {form}
    assert checks.of_floor(floor) == {"macs": floor.macs}
    assert floor.macs == plain if form == "patches" else 0.44 * plain < floor.macs < 0.9 * plain


def test_the_floor_chooses_a_layout_for_feature_maps_and_feeds_zeros_and_ones() -> None:
    work = SMALL["nmnist-conv"]
    floor = Floor(work.blank(), work, torch.float32)
    chosen = floor.choose_layouts()
    assert set(chosen) == {"conv1", "conv2", "readout"}
    assert chosen["readout"] == "contiguous"
    for layer in floor.layers:
        assert set(layer.x.unique().tolist()) == {0.0, 1.0}
        if layer.x.ndim == 4 and layer.layout == "channels_last":
            assert layer.x.is_contiguous(memory_format=torch.channels_last)


def test_a_static_input_is_one_image_without_a_copy_per_step() -> None:
    frames = SMALL["vgg9"].frames()
    assert frames.shape[:2] == (3, 2) and frames.stride(0) == 0


def test_workloads_are_the_same_in_every_process() -> None:
    work = SMALL["mlp"]
    one, two = work.network(), work.network()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(work.frames(), work.frames())
    assert torch.equal(work.pool(one), work.frames()), "a stream's pool is the sequence's beginning"


@pytest.mark.parametrize("name", ["mlp", "recurrent"])
def test_the_files_for_peers_hold_a_net_that_anyone_can_run(name: str, tmp_path: Path) -> None:
    """A loop written here from the weights in the file gives the file's spikes and logits."""
    work = SMALL[name]
    files = prepare(work, tmp_path)
    weights, expected = load(files.weights), load(files.reference)
    v = o = torch.zeros(work.batch, 9)
    spikes, logits = torch.zeros(()), torch.zeros(())
    loop = weights.get("hidden1.loop", torch.zeros(9, 9))
    for x in expected["frames"]:
        u = float(expected["decay"]) * v + F.linear(x, weights["hidden1"]) + F.linear(o, loop)
        o = (u > expected["threshold"]).float()
        v = u - float(expected["threshold"]) * o
        spikes = spikes + o.sum()
        logits = logits + F.linear(o, weights["readout"], weights["readout.bias"])
    assert float(weights["readout.decay"]) == 0
    assert float(spikes) == float(expected["spikes.hidden1"]) > 0
    torch.testing.assert_close(logits, expected["logits"])
    assert expected["labels"].shape == (work.batch,)
    own = work.blank()
    own.load_state_dict(load(files.parameters))
    assert torch.equal(effective_weights(own)["hidden1"], weights["hidden1"])


def test_a_wrong_gradient_or_answer_is_not_timed() -> None:
    work = SMALL["mlp"]
    net = work.network()
    learner = Learner(net, rules.tess())
    frames, labels = work.frames(net), work.labels(net)
    result, found = checks.against_streaming(learner, frames, labels)
    assert found["gradient"] < 1e-5
    assert all(p.grad is None for p in net.parameters())
    expected = {"logits": result.logits, "rate.hidden1": torch.tensor(result.rates["hidden1"])}
    assert checks.against_reference(result, expected, "float32")["logits"] == 0
    with pytest.raises(NumericalError, match="logits differ"):
        checks.against_reference(result, {**expected, "logits": -result.logits}, "float32")
    learner.__dict__["rule"] = rules.tess(post_gain=-1.0)  # a bug, as it were
    with pytest.raises(NumericalError, match="gradients differ"):
        checks.against_streaming(learner, frames, labels)
    assert checks.require("x", 0.5, 0.5) == 0.5
    with pytest.raises(NumericalError):
        checks.require("x", float("nan"), 0.5)


def test_what_rounding_takes_apart_is_told_from_what_is_wrong() -> None:
    """Two gradients as far from a third as from each other pass; a part left out, or short, no."""
    draw = torch.Generator().manual_seed(0)
    exact = {name: torch.randn(4000, generator=draw) for name in "ab"}

    def rounded() -> dict[str, torch.Tensor]:
        return {k: 0.75 * x + 0.62 * torch.randn(4000, generator=draw) for k, x in exact.items()}

    slow, fast = rounded(), rounded()
    found = checks.as_rounding_has_it(fast, slow, exact)
    assert 0.6 < found["rounding"] < 0.8 and found["from_float32"] <= 1.1 * found["rounding"]
    for wrong in ({k: 0.5 * x for k, x in fast.items()}, {**fast, "b": torch.zeros(4000)}):
        with pytest.raises(NumericalError, match="gradients"):
            checks.as_rounding_has_it(wrong, slow, exact)
    with pytest.raises(NumericalError, match="gradients"):
        checks.as_rounding_has_it({k: -x for k, x in fast.items()}, slow, exact)


def test_in_bfloat16_the_bounds_are_the_same() -> None:
    work = SMALL["mlp"]
    net = work.network()
    learner = Learner(net, rules.tess(), precision="bf16")
    _, found = checks.against_streaming(learner, work.frames(net), work.labels(net))
    assert found["gradient"] <= 0.3 and "windows" not in found
    learner.__dict__["rule"] = rules.tess(post_gain=-1.0)
    with pytest.raises(NumericalError, match="gradients"):
        checks.against_streaming(learner, work.frames(net), work.labels(net))


@pytest.mark.parametrize("wrong", ["", "forward", "contract"])
def test_products_by_windows_are_held_to_the_librarys(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found wrong by a part in fifty, in whichever product."""
    possible, switch = winograd.possible, winograd._off
    monkeypatch.setattr(
        winograd, "pays", lambda x, w, g, dtype: not switch.get() and possible(x, w, g)
    )
    if wrong:
        real = getattr(winograd, wrong)
        monkeypatch.setattr(winograd, wrong, lambda *told: 1.02 * real(*told))
    work = Workload("vgg9", 2, 3, (("width", 0.0625), ("image", 16)))
    net = work.network()
    frames, labels = work.frames(net), work.labels(net)
    learner = Learner(net, rules.tess(), precision="bf16", compile="off")
    apart = checks.windows_apart(learner, frames)
    assert apart is not None
    if not wrong:
        assert 0.001 < apart < checks.PRODUCTS_CLOSE
        with winograd.off():
            assert checks.windows_apart(learner, frames) is None
        return
    assert apart > checks.PRODUCTS_CLOSE
    with pytest.raises(NumericalError, match="products by windows"):
        checks.against_streaming(learner, frames, labels)
