"""What is measured: a net, its input and its size, made from one seed in every process alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..config.options import nearest
from ..errors import ConfigError
from ..nn import Network, models
from ..nn.init import calibrate

SEED = 0
INPUT_RATE, RATE = 0.05, 0.15
"""Spikes per input and step of random input, and the rate every block is calibrated to."""

_CALIBRATED = 32  # steps on which gains are set; rates hardly change after them
_POOL = 8  # steps of input that a stream takes again and again

Sizes = dict[str, Any]


class Kind(NamedTuple):
    """A net by name: how it is built, whether its input is one image, its usual size."""

    title: str
    build: Callable[[Sizes], Network]
    static: bool
    batch: int
    steps: int


def _vgg9(sizes: Sizes) -> Network:
    return models.vgg9(3, sizes.get("classes", 10), width=sizes.get("width", 1.0), rate=None)


def _mlp(sizes: Sizes) -> Network:
    return models.mlp(
        sizes.get("inputs", 700), sizes.get("hidden", (256,)), sizes.get("classes", 20), rate=None
    )


def _recurrent(sizes: Sizes) -> Network:
    hidden = sizes.get("hidden", (450,))
    return models.recurrent(
        sizes.get("inputs", 700), hidden, sizes.get("classes", 20), readout_decay=0.0, rate=None
    )


def _convnet(sizes: Sizes) -> Network:
    return models.convnet(
        2, sizes.get("classes", 10), channels=(16, 32), kernel=5, stride=3, pooling="avg", rate=None
    )


KINDS = {
    "vgg9": Kind("VGG-9, 32x32x3, static image", _vgg9, True, 16, 6),
    "mlp": Kind("MLP 700-256-20", _mlp, False, 32, 100),
    "recurrent": Kind("recurrent 700-450R-20", _recurrent, False, 32, 100),
    "nmnist-conv": Kind("conv net 16-32, 34x34x2", _convnet, False, 64, 30),
}


def kind_of(net: str) -> Kind:
    """The kind of that name.

    Raises
    ------
    ConfigError
        If there is none.

    >>> kind_of("vgg9").steps
    6
    """
    if net not in KINDS:
        raise ConfigError(f"unknown net {net!r}", fix=nearest(net, KINDS))
    return KINDS[net]


def require_positive(**counts: int) -> None:
    """Refuse counts below 1; ConfigError names the first.

    >>> require_positive(rounds=7, threads=2)
    """
    for name, value in counts.items():
        if value < 1:
            raise ConfigError(name, got=value, expected="a whole number >= 1")


def refuse_unknown(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that nothing has, or no name at all; ConfigError says which was meant.

    >>> refuse_unknown("axis", ["T"], ["T", "width"])
    """
    asked, there = list(names), list(known)
    if not asked:
        raise ConfigError(f"no {what} is named", expected=", ".join(there))
    for name in asked:
        if name not in there:
            raise ConfigError(f"unknown {what} {name!r}", fix=nearest(name, there))


@dataclass(frozen=True)
class Workload:
    """A net with the batch and number of steps it is trained on; ``sizes`` change the net's own.

    Raises
    ------
    ConfigError
        If the net is unknown or a size is below 1.

    >>> Workload("mlp", batch=2, steps=3).frames().shape
    torch.Size([3, 2, 700])
    """

    net: str
    batch: int
    steps: int
    sizes: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        kind_of(self.net)
        require_positive(batch=self.batch, steps=self.steps)

    @classmethod
    def of(cls, net: str, batch: int | None = None, steps: int | None = None) -> Workload:
        """A net at its usual size, or at the one given."""
        kind = kind_of(net)
        return cls(
            net, kind.batch if batch is None else batch, kind.steps if steps is None else steps
        )

    @property
    def kind(self) -> Kind:
        """What the net's name stands for."""
        return kind_of(self.net)

    @property
    def static(self) -> bool:
        """Whether the input is one image shown at every step."""
        return self.kind.static

    @property
    def name(self) -> str:
        """Net, batch and steps as part of a file's name.

        >>> Workload("mlp", 32, 100).name
        'mlp-b32-t100'
        """
        return f"{self.net}-b{self.batch}-t{self.steps}"

    def blank(self) -> Network:
        """The net with weights as drawn from the seed."""
        torch.manual_seed(SEED)
        return self.kind.build({k: _tupled(v) for k, v in self.sizes})

    def network(self) -> Network:
        """The net with every block firing at `RATE` on its own input."""
        net = self.blank()
        short = Workload(self.net, min(self.batch, 8), min(self.steps, _CALIBRATED), self.sizes)
        calibrate(net, short.frames(net), RATE)
        return net

    def frames(self, net: Network | None = None) -> Tensor:
        """Input [T, B, ...]: random spikes, or a standard normal image with stride 0 over time."""
        shape = (net or self.blank()).sample_shape
        generator = torch.Generator().manual_seed(SEED + 1)
        if self.static:
            image = torch.randn((1, self.batch, *shape), generator=generator)
            return image.expand(self.steps, *image.shape[1:])
        return (
            torch.rand((self.steps, self.batch, *shape), generator=generator) < INPUT_RATE
        ).float()

    def pool(self, net: Network) -> Tensor:
        """A few steps of input for streams, which never hold a sequence."""
        return Workload(self.net, self.batch, min(self.steps, _POOL), self.sizes).frames(net)

    def labels(self, net: Network) -> Tensor:
        """Classes [B]."""
        generator = torch.Generator().manual_seed(SEED + 2)
        return torch.randint(net.classes or 1, (self.batch,), generator=generator)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
