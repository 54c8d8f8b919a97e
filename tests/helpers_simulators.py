"""Other simulators running a NIR file, by their own importers, a step at a time.

What NIR has no field for is told them as a user would: SpikingJelly's neurons take ``v_reset=None``
for a soft reset; Norse's importer takes a ``reset_method``, which it hands on to current-based
neurons only, so that the others are given it as a parameter afterwards. snnTorch's importer has a
hard reset and 1e-4 seconds a step, whatever it is told.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from localspike.nn import Activity, Network, Spiking, Weights

Trains = dict[str, Tensor]
Made = tuple[Trains, Tensor]
DT = 1e-4
MARGIN = 2e-6


def ours(net: Network, frames: Tensor) -> Made:
    """Spikes [T, B, ...] of every block, and what the last block gives, [T, B, C]."""
    trains: Trains = {}
    with torch.no_grad():
        run = net.run(frames, visit=lambda name, block, a, w: trains.update({name: a.o.clone()}))
    assert run.logits is not None
    return trains, run.logits


def clear_events(net: Network, steps: int, batch: int, density: float = 0.25) -> Tensor:
    """Random events that bring no membrane so near its threshold that a sum's order decides."""
    nearest: list[float] = []

    def look(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
        nearest.append(float(block.distance(activity).abs().min()))

    for _ in range(40):
        nearest.clear()
        frames = (torch.rand(steps, batch, *net.sample_shape) < density).float()
        with torch.no_grad():
            net.run(frames, visit=look)
        if min(nearest) > MARGIN:
            return frames
    raise AssertionError("no draw keeps its distance: take a smaller net")


def snntorch(path: Path, reset: str) -> nn.Module:
    """snnTorch's module; its importer resets to zero."""
    assert reset == "hard"
    library = pytest.importorskip("snntorch.import_nir", reason="no snntorch")
    module: nn.Module = library.import_from_nir(read(path))
    return module


def spikingjelly(path: Path, reset: str) -> nn.Module:
    """SpikingJelly's module."""
    pytest.importorskip("spikingjelly", reason="no spikingjelly: make setup")
    from spikingjelly.activation_based import neuron, nir_exchange

    module: nn.Module = nir_exchange.import_from_nir(read(path), dt=DT)
    for part in module.modules():
        if isinstance(part, neuron.BaseNode) and reset == "soft":
            part.v_reset = None
    return module


def norse(path: Path, reset: str) -> nn.Module:
    """Norse's module."""
    pytest.importorskip("norse", reason="no norse: make setup")
    import norse.torch as library
    from norse.torch.functional.reset import reset_subtract, reset_value

    method = reset_subtract if reset == "soft" else reset_value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what it calls in nirtorch
        module: nn.Module = library.from_nir(read(path), dt=DT, reset_method=method)
    for part in module.modules():
        if isinstance(part, library.LIFBoxCell):
            part.p = part.p._replace(reset_method=method)
    return module


def read(path: Path) -> object:
    """The graph of a file, its types checked by the package itself."""
    return pytest.importorskip("nir").read(path)


def theirs(module: nn.Module, frames: Tensor, blocks: list[str]) -> Made:
    """The same of another simulator's module, its neurons' outputs caught by hooks."""
    seen: dict[str, list[Tensor]] = {name: [] for name in blocks}

    def catch(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_: nn.Module, given: object, made: object) -> None:
            seen[name].append(made[0] if isinstance(made, tuple) else made)

        return hook

    for name in blocks:
        module.get_submodule(name).register_forward_hook(catch(name))
    answers, state = [], None
    with torch.no_grad():
        for frame in frames:
            answer, state = module(frame, state)
            answers.append(answer)
    assert all(len(train) == len(frames) for train in seen.values())
    return {name: torch.stack(train) for name, train in seen.items()}, torch.stack(answers)
