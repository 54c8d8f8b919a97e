"""What a recipe's or a run's network costs to train, under its own rule and every other."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import torch

from .. import rules
from ..config import RunConfig, build_network, build_rule
from ..config.build import known_of
from ..config.options import nearest
from ..cost import Setting, inference, operations
from ..cost.paper import signal_macs
from ..cost.report import Report, bytes_of, report_on
from ..cost.setting import SCHEDULES
from ..cost.spikes import check_rate
from ..describe import describe
from ..errors import ConfigError, LocalspikeError
from ..learn.lean import LeanLayerwise
from ..learn.learner import Learner
from ..learn.schedule import obstacles
from ..learn.targets import chosen_steps
from ..nn import Network
from ..nn.network import INPUT
from ..rules import Rule

STILL = ("cifar10", "cifar100", "mnist", "fashion_mnist")
"""Data sets whose loader shows one frame at every step."""
LARGEST = 1_000_000
"""Steps, and samples at once, that anything is worked out for."""


@dataclass(frozen=True)
class Asked:
    """What is to be worked out: sizes (None: the recipe's), rules by name (none: all), rates."""

    steps: int | None = None
    batch: int | None = None
    rules: tuple[str, ...] = ()
    rate: float | None = None
    input_rate: float | None = None


def costs(config: RunConfig, asked: Asked | None = None) -> dict[str, Any]:
    """Products, bytes and auxiliary matrices of a configuration, as a tree for JSON.

    The configured rule has its own options, the others their presets'. A rule or schedule that is
    not defined is there with the reason.

    Raises
    ------
    ConfigError
        For an unknown rule or impossible sizes.

    >>> from localspike.recipes import recipe
    >>> found = costs(recipe("keywords-tess"), Asked(rules=("frozen",)))
    >>> found["rules"]["frozen"]["schedules"]["streaming"]["products"]["total"] // 50 // 64
    60000
    """
    asked = asked or Asked()
    with torch.random.fork_rng(devices=[]):
        net = build_network(config)
        setting = setting_of(config, asked)
        found = {
            name: _of_rule(net, rule, config, setting) for name, rule in rules_asked(config, asked)
        }
    tree = {
        "recipe": config.recipe,
        "rule": config.rule.name,
        "steps": setting.steps,
        "batch": setting.batch,
        "signal_steps": setting.signal_steps,
        "static": setting.static,
        "weights_bytes": bytes_of(sum(p.numel() for p in net.parameters())),
        "inference_bytes": _inference(net, config, setting),
        "rules": found,
    }
    return tree | _operations(net, config, asked)


def _inference(net: Network, config: RunConfig, setting: Setting) -> int:
    """Bytes of what a batch carries without learning."""
    found = inference(describe(net, build_rule(config)), setting)
    return bytes_of(sum(n for buffers in found.values() for n in buffers.values()))


def rules_asked(config: RunConfig, asked: Asked) -> list[tuple[str, Rule]]:
    """The rules that are asked for by name: the configured one as it is, others as presets."""
    names = asked.rules or tuple(dict.fromkeys((config.rule.name, *rules.PRESETS)))
    for name in names:
        if name not in rules.PRESETS:
            raise ConfigError(
                f"unknown rule {name!r}", fix=nearest(name, rules.PRESETS, "localspike list")
            )
    own = config.rule.name
    return [(n, build_rule(config) if n == own else rules.PRESETS[n]()) for n in names]


def setting_of(config: RunConfig, asked: Asked) -> Setting:
    """The sizes that are asked for, or the configuration's own."""
    for name, size in (("steps", asked.steps), ("batch", asked.batch)):
        if size is not None and size > LARGEST:
            raise ConfigError(name, got=size, expected=f"at most {LARGEST:,}")
    for name, share in (("every block", asked.rate), (INPUT, asked.input_rate)):
        if share is not None:
            check_rate(name, share)
    steps = _usual_steps(config) if asked.steps is None else asked.steps
    batch = config.training.batch_size if asked.batch is None else asked.batch
    drawn = chosen_steps(config.learner.active_steps, steps, torch.Generator())
    active = drawn if isinstance(drawn, int) else steps if drawn == "all" else len(drawn)
    return Setting(steps, batch, active=active, static=config.data.name in STILL)


def _usual_steps(config: RunConfig) -> int:
    """T as it is given, or as the data have it in bins of the given width."""
    options, about = config.data.options, known_of(config)
    if options.get("steps") is not None:
        return int(options["steps"])
    usual = inspect.signature(about.loader).parameters.get("bin_ms")
    width = options.get("bin_ms")
    if usual is None or not usual.default or not width:
        return about.steps
    return ceil(about.steps * usual.default / width)


def _of_rule(net: Network, rule: Rule, config: RunConfig, setting: Setting) -> dict[str, Any]:
    """What one rule costs under every schedule that is legal, and why the others are not."""
    made: dict[str, Any] = {}
    illegal: dict[str, str] = {}
    refused: list[str] = []
    for schedule, why in obstacles(rule, config.learner.update).items():
        if why is not None:
            illegal[schedule] = why
            continue
        report = report_for(net, rule, config, setting, schedule)
        if isinstance(report, Report):
            made[schedule] = _tree(report, signal_macs(describe(net, rule), report.setting))
        else:
            illegal[schedule] = str(report).rstrip(".")
            refused.append(illegal[schedule])
    return {
        "defined": bool(made),
        "reason": None if made else "; ".join(dict.fromkeys(refused or illegal.values())),
        "schedules": {name: made[name] for name in SCHEDULES if name in made},
        "illegal": illegal,
    }


def report_for(
    net: Network, rule: Rule, config: RunConfig, setting: Setting, schedule: Any
) -> Report | LocalspikeError:
    """The report, or what the learner or the model has against it."""
    asked = config.learner
    try:
        learner = Learner(
            net, rule, loss=config.loss, schedule=schedule, update=asked.update, compile="off"
        )
        companion = learner.credit.companion
        if companion is not None:
            companion.count(setting.batch)
        sizes = asdict(setting) | {"schedule": schedule, "crossings": _crossings(learner, setting)}
        return report_on(describe(net, rule), Setting(**sizes))
    except LocalspikeError as error:
        return error


def _crossings(learner: Learner, setting: Setting) -> int:
    """How often this learner hands a sequence on from part to part."""
    if learner.schedule != "layerwise" or not learner.lean or setting.static:
        return 0
    shape = (setting.steps, setting.batch, *learner.net.sample_shape)
    return len(LeanLayerwise(learner.credit).parts(torch.empty(shape, device="meta"))) - 1


def _tree(report: Report, paper_signal: int) -> dict[str, Any]:
    blocks = {
        name: {
            "products": asdict(p) | {"total": p.total},
            "bytes": None
            if report.held is None
            else {k: bytes_of(n) for k, n in report.held[name].items()},
            "weights_bytes": bytes_of(report.weights[name]),
            "auxiliary_bytes": bytes_of(report.matrices[name].stored),
            "generated_numbers": report.matrices[name].generated,
        }
        for name, p in report.products.items()
    }
    total = report.total
    return {
        "products": asdict(total) | {"total": total.total},
        "paper_signal": paper_signal,
        "macs_per_sample_step": report.a_step(total.total),
        "bytes": None if report.numbers is None else bytes_of(report.numbers),
        "auxiliary_bytes": bytes_of(report.auxiliary.stored),
        "generated_numbers": report.auxiliary.generated,
        "blocks": blocks,
    }


def _operations(net: Network, config: RunConfig, asked: Asked) -> dict[str, Any]:
    if asked.rate is None:
        if asked.input_rate is not None:
            raise ConfigError("an input rate alone", fix="Give the neurons' rate too: --rate 0.1")
        return {}
    found = operations(describe(net, build_rule(config)), asked.rate, asked.input_rate)
    return {"operations": {name: o._asdict() for name, o in found.items()}}
