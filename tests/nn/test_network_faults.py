"""Networks that cannot be: wires, shapes and missing readouts, each refused with its reason."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from helpers import CLASSES, RULES
from localspike import Learner
from localspike.errors import ConfigError, IllegalError, LocalspikeError, ShapeError
from localspike.nn import Conv2d, Linear, MaxPool, Network, Readout, Spiking


def blocks(*sizes: int) -> dict:
    made = {f"b{i}": Spiking(Linear(*pair)) for i, pair in enumerate(pairwise(sizes))}
    return {**made, "readout": Readout(Linear(sizes[-1], CLASSES))}


NETWORKS = [
    (
        lambda: Network(blocks(4, 5, 6), (4,), {"b9": ("b0",)}),
        ConfigError,
        r"wires name unknown blocks: got \['b9'\]",
    ),
    (
        lambda: Network(blocks(4, 5, 5), (4,), {"b0": ("b1",)}),
        ConfigError,
        r"block 'b0' reads blocks that do not run before it: got \['b1'\]",
    ),
    (
        lambda: Network(blocks(4, 5, 5), (4,), {"b1": ()}),
        ConfigError,
        r"block 'b1' reads blocks that do not run before it: got \[\]",
    ),
    (
        lambda: Network(blocks(4, 5, 6), (4,), {"readout": ("b0", "b1")}),
        ShapeError,
        r"block 'readout' adds sources of different shapes.*1x1 convolution",
    ),
    (
        lambda: Network(blocks(4, 5, 6), (7,)),
        ShapeError,
        r"block 'b0': a linear synapse got samples of another shape: got \[7\]; expected \[4\]",
    ),
    (
        lambda: Network({"r": Readout(Linear(4, 2)), "b": Spiking(Linear(2, 2))}, (4,)),
        ConfigError,
        r"at most one readout, as its last block: got \['r'\]",
    ),
    (
        lambda: Network({"c": Spiking(Conv2d(2, 4, 3))}, (3, 8, 8)),
        ShapeError,
        (
            r"block 'c': a convolution got samples of another shape: got \[3, 8, 8\]; "
            r"expected \[2, H, W\]"
        ),
    ),
    (
        lambda: Network({"c": Spiking(Conv2d(2, 4, 5))}, (2, 3, 8)),
        ShapeError,
        (
            r"block 'c': the image is smaller than the convolution's kernel: got \[2, 3, 8\]; "
            r"expected sides of at least 5"
        ),
    ),
    (
        lambda: Network({"c": Spiking(Conv2d(2, 4, 3), tail=(MaxPool(4),))}, (2, 5, 5)),
        ShapeError,
        r"block 'c': max pooling window larger than the map",
    ),
    (
        lambda: Network({"c": Spiking(Linear(4, 4), tail=(MaxPool(2),))}, (4,)),
        ShapeError,
        r"block 'c': max pooling needs a feature map: got \[4\]",
    ),
]


@pytest.mark.parametrize(("build", "kind", "text"), NETWORKS)
def test_networks_that_cannot_be(build, kind: type[LocalspikeError], text: str) -> None:
    with pytest.raises(kind, match=text):
        build()


def test_a_block_may_not_take_the_inputs_name() -> None:
    with pytest.raises(ConfigError, match="input"):
        Network({"input": Spiking(Linear(4, 4)), "readout": Readout(Linear(4, 2))}, (4,))


@pytest.mark.parametrize("rule", ["tess", "ottt", "bptt"])
def test_a_network_without_a_readout_has_no_loss(rule: str) -> None:
    net = Network({"a": Spiking(Linear(4, 4))}, (4,))
    with pytest.raises(
        IllegalError, match=r"this network has no readout.*Readout as its last block"
    ):
        Learner(net, RULES[rule]()).fit(torch.rand(3, 2, 4), torch.tensor([0, 1]))
    with pytest.raises(ConfigError, match="no readout, so it has no logits"):
        net.predict(torch.rand(3, 2, 4))
