"""What a network takes on a device: the plan that C is made from, and every rule beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from ..config import RunConfig, build_learner, build_network
from ..config.build import known_of
from ..cost import Setting
from ..cost.report import FLOAT32, Report
from ..errors import CheckpointError, LocalspikeError
from ..export import Plan
from ..export.fixed import Dtype, in_fixed_point
from ..export.plan import numbers
from ..learn.metrics import read_journal
from ..learn.schedule import obstacles
from ..nn import Network, fold
from ..rules import PRESETS
from .costs import Asked, report_for, rules_asked, setting_of
from .device_work import Buffers, Rates, through_time, work
from .exporting import blocks_asked, plan_of_run
from .use import Run

Tree = dict[str, Any]
OWN_TO_RUNS = ("version", "model_hash")
"""What a manifest says of the weights, which an untrained network has not."""


def last_rates(folder: Path) -> dict[str, float] | None:
    """Spikes per neuron and step by block in the last epoch of a run.

    None where none has ended, or where the journal, which sizes do without, cannot be read.
    """
    try:
        lines = read_journal(folder)
    except CheckpointError:
        return None
    epochs = [line for line in lines if isinstance(line, dict) and line.get("kind") == "epoch"]
    rates = epochs[-1].get("rates") if epochs else None
    whole = isinstance(rates, dict) and all(
        isinstance(rate, float | int) and 0.0 <= rate <= 1.0 for rate in rates.values()
    )
    return dict(rates) if rates and whole else None


def device_costs(
    config: RunConfig,
    asked: Asked | None = None,
    learn: str = "all",
    rates: Mapping[str, float] | None = None,
    dtype: Dtype = "f32",
) -> Tree:
    """Bytes by layer and buffer, flash and products on a device, as a tree for JSON.

    The plan is the one `localspike export c` writes, of an untrained network: all sizes are the
    same. A network that cannot be exported has a reason in place of numbers; one whose rule has no
    code is planned to infer only. Beside it stands what backpropagation would take in the same
    buffers (`device_work.through_time`) and what every rule's state adds (`cost.state`), a sample
    at a time.

    Parameters
    ----------
    learn:
        What learns, as for an export: "all", "none", or "last-k".
    rates:
        Spikes per neuron and step by block, where ``asked`` has no rate; such as a run had.
    dtype:
        Of weights and states on the device, as for an export: "f32", "int16" or "int8".

    Raises
    ------
    ConfigError
        For impossible sizes, unknown rules, or a ``learn`` that means nothing.

    >>> from localspike.recipes import recipe
    >>> found = device_costs(recipe("keywords-tess"), Asked(rules=("tess",)))
    >>> found["arena_bytes"]["infer"], found["bptt"]["bytes"] > found["arena_bytes"]["learn"]
    (1816, True)
    """
    asked = asked or Asked()
    setting = replace(setting_of(config, asked), batch=1, static=False)
    with torch.random.fork_rng(devices=[]):
        net = build_network(config)
        learns = blocks_asked(learn, list(net.modules_by_name))
        plan, reason = _planned(config, net, learn, dtype)
        if plan is None:
            return {"exported": False, "reason": reason}
        _freeze_others(net, learns)
        return {
            "exported": True,
            "reason": reason,
            "asked": learns,
            **{key: value for key, value in numbers(plan).items() if key not in OWN_TO_RUNS},
            "bptt": _bptt(fold(net), plan, config, setting, learns),
            **_work(plan, _rates(plan, asked, rates)),
            "rules": dict(_by_rule(fold(net), plan, config, asked, setting)),
        }


def _planned(
    config: RunConfig, net: Network, learn: str, dtype: Dtype
) -> tuple[Plan | None, str | None]:
    """The plan, and why it does not learn or why there is none."""
    reason = None
    for what in dict.fromkeys((learn, "none")):
        try:
            plan = plan_of_run(untrained(config, net), what)
            return in_fixed_point(plan, dtype), reason
        except LocalspikeError as error:
            reason = reason or str(error)
    return None, reason


def untrained(config: RunConfig, net: Network) -> Run:
    """A run that has not been: its network as it is made, its rule's own tensors likewise."""
    own = build_learner(config, net, None).credit.own_parameters()
    classes = known_of(config).classes
    held = {f"own.{name}": x.detach() for name, x in own.items()}
    return Run(config, net, torch.device("cpu"), "", 0, classes, held)


def _freeze_others(net: Network, learns: Sequence[str]) -> None:
    for name, block in net.modules_by_name.items():
        if name not in learns:
            block.requires_grad_(False)


def _bptt(
    net: Network, plan: Plan, config: RunConfig, setting: Setting, learns: Sequence[str]
) -> Tree:
    """Bytes in a device's buffers, and products of a step, a sequence being T of them."""
    buffers = through_time(plan, setting.steps, learns)
    whole = replace(config, learner=replace(config.learner, update="sequence"))
    report = report_for(net, PRESETS["bptt"](), whole, setting, "bptt")
    found: Tree = {"steps": setting.steps, "bytes": _total(buffers), "buffers": buffers}
    if isinstance(report, Report):
        found["macs"] = report.a_step(report.total.total)
    return found


def _total(buffers: Buffers) -> int:
    return sum(n for held in buffers.values() for n in held.values())


def _rates(plan: Plan, asked: Asked, known: Mapping[str, float] | None) -> Rates | None:
    spiking = [layer.name for layer in plan.layers if layer.spikes]
    if asked.rate is not None:
        known = dict.fromkeys(spiking, asked.rate)
    if known is None or not set(spiking) <= known.keys():
        return None
    shown = 1.0 if asked.input_rate is None else asked.input_rate
    return Rates({name: known[name] for name in spiking}, shown)


def _work(plan: Plan, rates: Rates | None) -> Tree:
    """Products of a step: all there can be, and those at these rates, where some are known."""
    found: Tree = {"macs": {name: each._asdict() for name, each in work(plan).items()}}
    if rates is None:
        return found
    caused = {name: each._asdict() for name, each in work(plan, rates).items()}
    return found | {"rates": {**rates.blocks, "input": rates.inputs}, "operations": caused}


def _by_rule(
    net: Network, plan: Plan, config: RunConfig, asked: Asked, setting: Setting
) -> Iterator[tuple[str, Tree]]:
    """Bytes and products of a stream of one sample under every rule but BPTT, which has none."""
    for name, rule in rules_asked(config, asked):
        if obstacles(rule, "step")["streaming"] is not None:
            continue
        report = report_for(net, rule, config, setting, "streaming")
        if isinstance(report, LocalspikeError):
            yield name, {"defined": False, "reason": str(report).rstrip(".")}
            continue
        buffers = _held(plan, report)
        yield (
            name,
            {
                "defined": True,
                "bytes": _total(buffers),
                "macs": report.a_step(report.total.total),
                "buffers": buffers,
            },
        )


def _held(plan: Plan, report: Report) -> Buffers:
    """A device's buffers to infer, weights of what learns, and the rule's state, in its numbers.

    Latents are float32 there whatever the other states are.
    """
    found = {name: dict(buffers) for name, buffers in plan.buffers("infer").items()}
    for layer in plan.layers:
        held = cast("dict[str, dict[str, int]]", report.held)[layer.name]
        more = {name: n for name, n in held.items() if name not in ("membrane", "spikes")}
        # Targets that run beside a sample have neurons of their own.
        more["companions"] = sum(
            max(held.get(name, 0) - layer.shape.neurons, 0) for name in ("membrane", "spikes")
        )
        sizes = {"latents": FLOAT32}
        state = {name: n * sizes.get(name, layer.state_bytes) for name, n in more.items() if n}
        if report.products[layer.name].contraction:
            state["weights"] = plan.tables()[layer.name]["weight"]
        found[layer.name] |= {name: -(-n // 4) * 4 for name, n in state.items()}
    return found
