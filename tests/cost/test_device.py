"""The cost model's state of a stream and the plan of a device: equal where they hold the same."""

from __future__ import annotations

import pytest

from helpers_export import CASES, planned
from localspike.cost import Setting, View, state
from localspike.cost.report import report_on
from localspike.describe import describe
from localspike.nn import fold

CODED = {"spikes", "past spikes", "output"}
"""Of the device alone: spikes as bits. A stream hands them on and keeps those of a loop only."""


@pytest.mark.parametrize("case", CASES)
def test_a_device_holds_the_state_of_a_stream(case: str) -> None:
    plan, _, (net, rule) = planned(case)
    about = describe(fold(net), rule)
    streamed, view = state(about, Setting()), View(about, Setting())
    parameters = report_on(about, Setting()).weights
    for block, layer in zip(about.blocks, plan.layers, strict=True):
        numbers = dict(streamed[block.name])
        held = dict(plan.buffers("learn")[block.name])
        learns = view.learns(block)
        assert held.pop("membrane") == 4 * numbers.pop("membrane")
        assert held.pop("weights", 0) == (4 * parameters[block.name] if learns else 0)
        pre = held.pop("pre trace", 0) + held.pop("recurrent pre trace", 0)
        if learns and layer.pre_decay == 0.0:
            # A trace that forgets at once is the input itself, which a device has a copy of.
            assert "pre trace" not in numbers and pre == 4 * layer.shape.inputs
        else:
            assert pre == 4 * numbers.pop("pre trace", 0)
        assert held.pop("post trace", 0) == 4 * numbers.pop("post trace", 0)
        assert held.pop("latents", 0) == 4 * numbers.pop("latents", 0)
        assert held.keys() <= CODED, held
        assert numbers == ({"spikes": block.neurons} if block.recurrent else {})
        assert held.get("spikes", 0) == (-(-block.neurons // 32) * 4 if layer.spikes else 0)


def test_every_buffer_is_compared_in_some_case() -> None:
    """Among the cases are traces, filtered latents, loops, both poolings and leaky readouts."""
    seen = {
        b for case in CASES for held in planned(case)[0].buffers("learn").values() for b in held
    }
    assert seen >= {
        "membrane", "weights", "pre trace", "recurrent pre trace", "post trace", "latents", *CODED,
    }  # fmt: skip
    decays = {layer.pre_decay for case in CASES for layer in planned(case)[0].layers[-1:]}
    assert 0.0 in decays and 0.9 in {round(decay, 6) for decay in decays}
