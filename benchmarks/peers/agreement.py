"""Does the library compute the reference network's spikes and logits, before anything is timed?"""

from __future__ import annotations

from typing import Any

import torch
from case import DISAGREES, Refusal
from peer import LOSS, Peer, through_time
from plan import Batch
from torch import Tensor, nn

LIMITS = {"spikes": 0.01, "logits": 0.1}
"""One tie u = θ among VGG-9's first 10⁶ spikes, where half of the libraries fire and the reference
does not, came out as 3 % of the logits' norm. Gradients are compared in the tests."""


def check(peer: Peer, batch: Batch) -> dict[str, Any]:
    """Largest relative difference of a block's spike count, and that of the logits' norm.

    Refuses a library whose spikes or logits are off by more than `LIMITS`.
    """
    counts, per_step = observe(peer, batch.frames)
    logits = per_step.sum(0)
    off = {name: relative(counts[name], batch.spikes.get(name, 0.0)) for name in counts}
    found = {
        "spikes": max(off.values()),
        "logits": float((logits - batch.logits).norm() / batch.logits.norm().clamp(min=1e-12)),
        "limits": LIMITS,
        "spikes_by_block": off,
        "loss": LOSS,
        "first_loss": float(through_time(per_step, batch.labels)),
        **peer.about,
    }
    for what, limit in LIMITS.items():
        if not found[what] <= limit:
            raise Refusal(
                f"{what} differ from the reference by {found[what]:.3g}, more than {limit}",
                DISAGREES,
                check=found,
            )
    return found


def check_training(found: dict[str, Any], loss: float) -> None:
    """Refuse a training step, compiled or by the library's own procedure, of another loss."""
    before = found["first_loss"]
    if not relative(loss, before) <= LIMITS["logits"]:
        raise Refusal(
            f"the first training step has loss {loss:.6g}, the forward pass {before:.6g}",
            DISAGREES,
            check=found,
        )


def relative(found: float, reference: float) -> float:
    """|found − reference| / max(reference, 1)."""
    return abs(found - reference) / max(reference, 1.0)


def observe(peer: Peer, frames: Tensor) -> tuple[dict[str, float], Tensor]:
    """Spikes of every block, and logits [T, B, C], of a second forward pass."""
    counts = dict.fromkeys(peer.neurons, 0.0)
    frames = peer.prepare(frames)
    with torch.no_grad():
        peer.logits(frames)  # or a state that is never reset would go unseen

    def counter(name: str) -> Any:
        def count(_: nn.Module, __: Any, out: Any) -> None:
            spikes = out[0] if isinstance(out, tuple | list) else out
            counts[name] += float(spikes.sum(dtype=torch.float64))

        return count

    hooks = [m.register_forward_hook(counter(name)) for name, m in peer.neurons.items()]
    with torch.no_grad():
        logits = peer.logits(frames)
    for hook in hooks:
        hook.remove()
    return counts, logits
