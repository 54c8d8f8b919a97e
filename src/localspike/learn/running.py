"""What normalised blocks have seen since the last update, and its way into their statistics."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..nn.network import Network, State


class Seen:
    """Moments of the currents of normalised blocks, summed over the batches of one update."""

    def __init__(self, net: Network) -> None:
        self.net, self.wanted = net, bool(net.normalised)
        self.moments: dict[str, Tensor] = {}
        self.credits: dict[str, Tensor] = {}

    def add(self, moments: Mapping[str, Tensor]) -> None:
        """Moments [3, O] by block (`kernels.norm.moments`)."""
        _add_to(self.moments, moments)

    def add_credits(self, credits: Mapping[str, Tensor]) -> None:
        """Sums of post factors [3, O] by block (`Gradients.take_credits`)."""
        _add_to(self.credits, credits)

    def settle(self) -> None:
        """Let the statistics take them in; to be called with the weights they were seen under."""
        for name, seen in self.moments.items():
            self.net.blocks[name].synapse.settle(seen)
        for name, told in self.credits.items():
            self.net.blocks[name].synapse.settle_credit(told)
        self.forget()

    def state_dict(self) -> dict[str, Tensor]:
        """What an unfinished group of batches has seen, flat."""
        seen = {f"seen.{name}": x for name, x in self.moments.items()}
        return seen | {f"told.{name}": x for name, x in self.credits.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` gave; other entries are left alone."""
        self.forget()
        for key, x in state.items():
            kind, _, name = key.partition(".")
            if kind in ("seen", "told"):
                sums = self.moments if kind == "seen" else self.credits
                sums[name] = x.to(self.net.like)

    def forget(self) -> None:
        """Drop them: the update was refused."""
        self.moments.clear()
        self.credits.clear()


def _add_to(sums: dict[str, Tensor], more: Mapping[str, Tensor]) -> None:
    for name, part in more.items():
        sums[name] = sums[name] + part if name in sums else part


def of_state(state: State) -> dict[str, Tensor]:
    """What a sequence's last state has seen.

    >>> of_state({})
    {}
    """
    return {name: block.seen for name, block in state.items() if block.seen is not None}
