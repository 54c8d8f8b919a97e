"""State trees (optimiser, scheduler, learner, …) as named tensors plus plain JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import CheckpointError

SCALARS = (str, int, float, bool, type(None))


def pack(tree: Any, path: str = "") -> tuple[Any, dict[str, Tensor]]:
    """Split a nested state into a JSON skeleton and flat tensors named by their path.

    >>> import torch
    >>> skeleton, tensors = pack({"m": torch.zeros(2), "betas": (0.9, 0.99), "state": {0: 1}})
    >>> sorted(tensors), skeleton["betas"]
    (['m'], {'$tuple': [0.9, 0.99]})
    """
    tensors: dict[str, Tensor] = {}
    return _pack(tree, path, tensors), tensors


def _pack(tree: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        tensors[path] = tree.detach().to("cpu", copy=True).contiguous()
        return {"$tensor": path}
    if isinstance(tree, Mapping):
        packed = [(key, _pack(value, _join(path, key), tensors)) for key, value in tree.items()]
        if all(isinstance(key, str) for key in tree):
            return dict(packed)
        return {"$items": [list(pair) for pair in packed]}
    if isinstance(tree, list | tuple):
        parts = [_pack(value, _join(path, i), tensors) for i, value in enumerate(tree)]
        return {"$tuple": parts} if isinstance(tree, tuple) else parts
    if isinstance(tree, SCALARS):
        return tree
    raise CheckpointError(
        f"the state {path!r} cannot be saved",
        got=type(tree).__name__,
        expected="tensors, numbers, texts and containers of them",
    )


def _join(path: str, key: Any) -> str:
    return f"{path}/{key}" if path else str(key)


def unpack(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Put a packed state together again; the inverse of :func:`pack`.

    >>> import torch
    >>> unpack(*pack({"betas": (0.9, 0.99), "state": {0: torch.ones(1)}}))
    {'betas': (0.9, 0.99), 'state': {0: tensor([1.])}}
    """
    if isinstance(skeleton, list):
        return [unpack(part, tensors) for part in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    if "$tensor" in skeleton:
        return tensors[skeleton["$tensor"]]
    if "$tuple" in skeleton:
        return tuple(unpack(part, tensors) for part in skeleton["$tuple"])
    if "$items" in skeleton:
        return {key: unpack(value, tensors) for key, value in skeleton["$items"]}
    return {key: unpack(value, tensors) for key, value in skeleton.items()}


def layout(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Name, dtype and shape of every tensor: what makes two models the same model.

    >>> import torch
    >>> layout({"weight": torch.zeros(2, 3)})
    {'weight': 'float32[2, 3]'}
    """
    return {
        name: f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
        for name, tensor in tensors.items()
    }
