"""What exports of plain inference share: refusals by name, means over whole windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import torch

from ..describe import BlockDescription
from ..errors import IllegalError
from ..nn import ALIF, LIF, AvgPool, CubaLIF, GlobalAvgPool, Network, Readout, Spiking


def refuse(
    what: str, target: str, got: object, expected: object, fix: str | None = None
) -> NoReturn:
    """Say that something cannot be exported to ``target``, e.g. "ONNX"."""
    raise IllegalError(
        f"{what} cannot be exported to {target}", got=got, expected=expected, fix=fix
    )


def check_blocks(net: Network, blocks: Sequence[BlockDescription], target: str) -> None:
    """Refuse blocks and neurons of a user's own, whose equations nobody here knows, and NaN."""
    for about in blocks:
        name, block = f"block {about.name!r}", net.modules_by_name[about.name]
        if type(block) not in (Spiking, Readout):
            refuse(name, target, type(block).__name__, "Spiking or Readout")
        if isinstance(block, Spiking) and type(block.neuron) not in (LIF, ALIF, CubaLIF):
            refuse(name, target, f"neuron {about.neuron.kind}", "LIF, ALIF or CubaLIF")
        if not all(bool(torch.isfinite(p).all()) for p in block.parameters()):
            refuse(
                name,
                target,
                "weights that are not finite",
                "finite ones",
                "Go back to a checkpoint from before the run diverged",
            )


def windows(op: AvgPool | GlobalAvgPool, shape: tuple[int, ...], name: str, target: str) -> int:
    """Side of the windows that a mean is taken over.

    >>> windows(GlobalAvgPool(2), (8, 6, 6), "conv1", "ONNX")
    3
    """
    if isinstance(op, AvgPool):
        return op.size
    sides = shape[1:]
    if len(shape) != 3 or len(set(sides)) > 1 or sides[0] % op.size:
        refuse(
            f"block {name!r}",
            target,
            f"a mean over windows of different sizes of {list(shape)}",
            "a square map that the windows divide",
        )
    return sides[0] // op.size
