"""A configuration as JSON and back, its digest, and what differs between two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..errors import ConfigError
from .catalog import lookup, neuron_name, options_for
from .options import nearest
from .overrides import PARTS, SECTIONS, assign, keys, unknown_key
from .schema import FACTORS, DataConfig, OptimizerConfig, Part, RunConfig, SchedulerConfig

KINDS = {"data": DataConfig, "optimizer": OptimizerConfig, "scheduler": SchedulerConfig}
# Where a run computes and how often it saves is no part of what it is asked to compute.
BYSTANDERS = ("training.device", "training.checkpoint_every", "training.checkpoint_epochs")
# The neuron of configurations that name none.
UNNAMED = "lif"


def to_json(config: RunConfig) -> dict[str, Any]:
    """Plain nested dictionaries; a part's options stand beside its name.

    >>> to_json(RunConfig("mine", DataConfig("keywords"), Part("mlp"), Part("tess")))["rule"]
    {'name': 'tess'}
    """
    tree: dict[str, Any] = {"recipe": config.recipe}
    for section in SECTIONS:
        values = asdict(getattr(config, section))
        options = values.pop("options", {})
        tree[section] = {**values, **options}
    tree["neuron"] = {"name": neuron_name(config.neuron), **tree["neuron"]}
    return json.loads(json.dumps(tree))


def from_json(tree: Mapping[str, Any]) -> RunConfig:
    """The configuration a JSON tree describes; every key is checked as an override would be.

    Raises
    ------
    ConfigError
        For a missing or unknown key (with the nearest names) or a value of the wrong kind.
    """
    if not isinstance(tree, Mapping):
        raise ConfigError(
            "a stored configuration cannot be read",
            got=type(tree).__name__,
            expected="an object of sections",
        )
    for section in tree:
        if section not in (*SECTIONS, "recipe"):
            raise ConfigError(f"unknown section {section!r}", fix=nearest(section, SECTIONS))
        if section in SECTIONS and not isinstance(tree[section], Mapping):
            raise ConfigError(
                f"section {section!r} cannot be read", got=tree[section], expected="keys and values"
            )
    config = _skeleton(tree)
    for section in SECTIONS:
        known = keys(config)
        for name, value in tree.get(section, {}).items():
            key = f"{section}.{name}"
            if key not in known:
                raise unknown_key(key, known)
            config = assign(config, key, value)
    return config


def _skeleton(tree: Mapping[str, Any]) -> RunConfig:
    names: dict[str, Any] = {}
    for section in PARTS:
        values = tree.get(section)
        if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
            raise ConfigError(
                "a stored configuration is incomplete", expected=f"{section}.name, a text"
            )
        options_for(section, values["name"])
        names[section] = KINDS.get(section, Part)(values["name"])
    # Runs stored when there was one neuron do not name it.
    names["neuron"] = lookup("neuron", str(tree.get("neuron", {}).get("name", UNNAMED)))()
    return RunConfig(recipe=str(tree.get("recipe", "")), **names)


def flat(config: RunConfig) -> dict[str, Any]:
    """Dotted keys and values, the bystanders left out.

    >>> flat(RunConfig("a", DataConfig("keywords"), Part("mlp"), Part("tess")))["rule.name"]
    'tess'
    """
    return _flat(to_json(config))


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    pairs = {f"{s}.{name}": value for s in SECTIONS for name, value in tree.get(s, {}).items()}
    if pairs.get("neuron.name") == UNNAMED:  # a checkpoint's digest stays what it was without names
        del pairs["neuron.name"]
    if pairs.get("training.repeatable") is True:  # and without this setting, which is newer
        del pairs["training.repeatable"]
    for factor in FACTORS:
        if pairs.get(f"optimizer.{factor}") == 1.0:
            del pairs[f"optimizer.{factor}"]
    return {key: value for key, value in pairs.items() if key not in BYSTANDERS}


def digest(config: RunConfig) -> str:
    """SHA-256 over everything that decides what the run computes."""
    return _digest(flat(config))


def digests(tree: Mapping[str, Any]) -> set[str]:
    """What the checkpoints of a run stored as ``tree`` may name: its digest when it was written,
    and its digest now, which has the defaults of settings that are new since then.

    >>> config = RunConfig("mine", DataConfig("keywords"), Part("mlp"), Part("tess"))
    >>> digests(to_json(config)) == {digest(config)}
    True
    """
    return {_digest(_flat(tree)), digest(from_json(tree))}


def _digest(pairs: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(pairs, sort_keys=True).encode()).hexdigest()


def differences(ours: RunConfig, theirs: RunConfig) -> list[str]:
    """The keys in which two configurations differ, as ``key (ours, theirs)``.

    >>> a = RunConfig("a", DataConfig("keywords"), Part("mlp"), Part("tess"))
    >>> differences(a, RunConfig("a", DataConfig("keywords"), Part("mlp"), Part("sltt")))
    ['rule.name (tess, sltt)']
    """
    return [f"{key} ({mine}, {other})" for key, mine, other in changes(ours, theirs)]


def changes(ours: RunConfig, theirs: RunConfig) -> list[tuple[str, Any, Any]]:
    """The keys in which two configurations differ, each with our value and theirs."""
    mine, other = flat(ours), flat(theirs)
    return [
        (key, mine.get(key, "default"), other.get(key, "default"))
        for key in sorted(mine.keys() | other.keys())
        if mine.get(key, None) != other.get(key, None)
    ]
