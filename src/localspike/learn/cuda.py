"""What a run's numbers on a CUDA device depend on beside its settings."""

from __future__ import annotations

import torch


def repeatable(device: torch.device, precision: str) -> None:
    """Let cuDNN use algorithms that give the same sum twice, and float32 mean float32.

    Its fastest weight gradients add in any order, and a search for the fastest may find another
    one in the next process: a resumed run would not repeat. TF32 products, which are cuDNN's own
    choice for float32, round as bfloat16 nearly does and flip spikes near the threshold.

    >>> repeatable(torch.device("cpu"), "float32")
    """
    if device.type != "cuda":
        return
    cudnn = torch.backends.cudnn
    cudnn.deterministic, cudnn.benchmark = True, False
    if precision == "float32":
        cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def fastest(device: torch.device, precision: str) -> None:
    """Let cuDNN search for its fastest algorithms, whatever they add in which order: for the floor.

    >>> fastest(torch.device("cpu"), "bf16")
    """
    if device.type != "cuda":
        return
    repeatable(device, precision)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
