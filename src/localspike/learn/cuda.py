"""What a run's numbers on a CUDA device depend on beside its settings."""

from __future__ import annotations

import torch


def settle(device: torch.device, precision: str, repeatable: bool = True) -> None:
    """Let cuDNN use algorithms that give the same sum twice, and float32 mean float32.

    Its fastest weight gradients add in any order, and its search for the fastest may find another
    one in the next process: with either a resumed run would not repeat bit by bit. That is what
    ``repeatable=False`` allows. TF32 products, cuDNN's own choice for float32, round as bfloat16
    nearly does and flip spikes near the threshold. Other devices have no such choices.

    >>> settle(torch.device("cpu"), "float32")
    """
    if device.type != "cuda":
        return
    cudnn = torch.backends.cudnn
    cudnn.deterministic, cudnn.benchmark = repeatable, not repeatable
    if precision == "float32":
        cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
