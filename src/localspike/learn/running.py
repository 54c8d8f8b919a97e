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

    def add(self, moments: Mapping[str, Tensor]) -> None:
        """Moments [3, O] by block (`kernels.norm.moments`)."""
        for name, seen in moments.items():
            self.moments[name] = self.moments[name] + seen if name in self.moments else seen

    def settle(self) -> None:
        """Let the statistics take them in; to be called with the weights they were seen under."""
        for name, seen in self.moments.items():
            self.net.blocks[name].synapse.settle(seen)
        self.moments.clear()

    def forget(self) -> None:
        """Drop them: the update was refused."""
        self.moments.clear()


def of_state(state: State) -> dict[str, Tensor]:
    """What a sequence's last state has seen.

    >>> of_state({})
    {}
    """
    return {name: block.seen for name, block in state.items() if block.seen is not None}
