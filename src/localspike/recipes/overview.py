"""What there is: recipes, the network behind one, this machine, and the data it can see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from .. import data, rules
from ..config import RunConfig, build_learner, build_network, keys, pick_device, to_json
from ..config.build import LENGTHS
from ..data.files import layouts
from ..nn import Network, models
from .folder import read_config, read_json, versions
from .registry import RECIPES, recipe, summary


def catalogue() -> dict[str, Any]:
    """Everything that can be named: recipes with their one-line summaries, data, rules, models.

    >>> catalogue()["recipes"][0]["name"]
    'keywords-tess'
    """
    return {
        "recipes": [{"name": name, "summary": summary(name)} for name in RECIPES],
        "data": list(data.names()),
        "rules": list(rules.PRESETS),
        "models": list(models.MODELS),
    }


def machine(data_root: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Versions, hardware, and which data sets are where they are looked for."""
    root = os.fspath(data_root) if data_root else os.environ.get("LOCALSPIKE_DATA")
    return {
        "versions": versions(),
        "device": str(pick_device("auto")),
        "data_root": root,
        "data": {name: _whereabouts(name, root) for name in data.names()},
    }


def _whereabouts(name: str, root: str | None) -> str:
    files = data.info(name).files
    if not files:
        return "in the package"
    if not root:
        return "not found: set LOCALSPIKE_DATA or give --data-root"
    if not Path(root).is_dir():
        return "not found: the data root is " + ("a file" if Path(root).exists() else "not there")
    found = [file for file in files if (Path(root) / file).exists()]
    return f"found: {found[0]}" if found else f"not found: no {layouts(files)} there"


def describe_recipe(name: str) -> dict[str, Any]:
    """A recipe's settings, every key it takes, and its network block by block.

    >>> [block["name"] for block in describe_recipe("keywords-tess")["network"]["blocks"]]
    ['hidden1', 'hidden2', 'readout']
    """
    config = recipe(name)
    return {
        "recipe": name,
        "summary": summary(name),
        "config": to_json(config),
        "keys": {key: _shown(key, option.default) for key, option in keys(config).items()},
        "network": describe_network(config),
    }


def _shown(key: str, default: Any) -> Any:
    if key.split(".")[1] in LENGTHS:
        return "the run's length"
    return default if isinstance(default, int | float | str | tuple | None) else "must be given"


def describe_run(folder: Path) -> dict[str, Any]:
    """A run's settings, versions, network, and result if it is finished."""
    config = read_config(folder)
    finished = (folder / "result.json").exists()
    return {
        "run": str(folder),
        "config": to_json(config),
        "versions": read_json(folder / "versions.json"),
        "network": describe_network(config),
        "result": read_json(folder / "result.json") if finished else None,
    }


def describe_network(config: RunConfig) -> dict[str, Any]:
    """Shapes, parameters and multiply-accumulates of every block; the schedule it would take."""
    with torch.random.fork_rng(devices=[]):
        net = build_network(config)
    learner = build_learner(config, net, None)
    return {
        "blocks": [_block(net, name) for name in net.modules_by_name],
        "parameters": sum(p.numel() for p in net.parameters()),
        "schedule": learner.schedule,
        "schedule_reason": learner.schedule_reason,
    }


def _block(net: Network, name: str) -> dict[str, Any]:
    module: Any = net.modules_by_name[name]
    shape = net.input_shapes[name]
    return {
        "name": name,
        "input": list(shape),
        "output": list(net.output_shapes[name]),
        "parameters": sum(p.numel() for p in module.parameters()),
        "macs_per_step": module.synapse.macs(shape),
    }
