"""Models as functions returning a `Network`, calibrated so that every block fires.

Every model takes ``standardised`` (weight standardisation with a learnable gain),
``norm_momentum`` (running statistics of every hidden current, see `RunningNorm`; then gains stay as
calibrated), ``neuron``,
``readout_decay`` (leak γ_out of the readout) and ``rate``, the firing rate per neuron and step
that `calibrate` sets on random input spikes. With ``rate=None`` weights stay as drawn: for weights
that will be loaded, or to calibrate on real frames yourself.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigError
from .init import calibrate, probe
from .layer import Spiking
from .network import Network
from .neuron import LIF, Integrator
from .readout import Readout
from .synapse import Conv2d, Linear
from .tail import AvgPool, Dropout, GlobalAvgPool, MaxPool, Tail

RATE = 0.15


def _finish(net: Network, rate: float | None) -> Network:
    if rate is not None:
        calibrate(net, probe(net), rate)
    return net


def mlp(
    inputs: int,
    hidden: Sequence[int],
    classes: int,
    *,
    standardised: bool = True,
    norm_momentum: float | None = None,
    bias: bool = False,
    neuron: LIF | None = None,
    readout_decay: float = 0.0,
    dropout: float = 0.0,
    rate: float | None = RATE,
) -> Network:
    """Fully connected: inputs-hidden…-classes, blocks ``hidden1``, ``hidden2``, …, ``readout``.

    >>> list(mlp(80, (200, 200), 10).output_shapes.items())[1:]
    [('hidden1', (200,)), ('hidden2', (200,)), ('readout', (10,))]
    """
    blocks: dict[str, Spiking | Readout] = {}
    before, tail = inputs, _dropout(dropout)
    for i, size in enumerate(_sizes(hidden), start=1):
        synapse = _linear(before, size, bias, standardised, norm_momentum)
        blocks[f"hidden{i}"] = Spiking(synapse, neuron, tail=tail)
        before = size
    blocks["readout"] = _readout(before, classes, readout_decay)
    return _finish(Network(blocks, (inputs,)), rate)


def recurrent(
    inputs: int,
    hidden: Sequence[int],
    classes: int,
    *,
    standardised: bool = True,
    norm_momentum: float | None = None,
    bias: bool = False,
    neuron: LIF | None = None,
    readout_decay: float = 0.9,
    dropout: float = 0.0,
    rate: float | None = RATE,
) -> Network:
    """Recurrently connected layers: inputs-hiddenR…-classes with a leaky readout.

    >>> recurrent(20, (30,), 4).blocks["hidden1"].recurrent is not None
    True
    """
    blocks: dict[str, Spiking | Readout] = {}
    before, tail = inputs, _dropout(dropout)
    for i, size in enumerate(_sizes(hidden), start=1):
        synapse = _linear(before, size, bias, standardised, norm_momentum)
        loop = Linear(size, size, standardised=standardised)
        blocks[f"hidden{i}"] = Spiking(synapse, neuron, loop, tail=tail)
        before = size
    blocks["readout"] = _readout(before, classes, readout_decay)
    return _finish(Network(blocks, (inputs,)), rate)


VGG9_WIDTHS = (64, 128, 256, 256, 512, 512, 512, 512)
VGG9_LATENTS = (4, 2, 2, 2, 2, 2, 2, 1)
_VGG9_POOLED = (2, 4, 6)


def vgg9(
    in_channels: int = 3,
    classes: int = 10,
    *,
    image: int = 32,
    width: float = 1.0,
    standardised: bool = True,
    norm_momentum: float | None = None,
    neuron: LIF | None = None,
    pooling: str = "max",
    readout_decay: float = 0.0,
    dropout: float = 0.0,
    rate: float | None = RATE,
) -> Network:
    """VGG-9 of TESS and S-TLLR: 64-128-P-256-256-P-512-512-P-512-512-GAP-FC, 3×3, no bias.

    ``width`` multiplies every layer; the local signal pools block outputs to
    4, 2, 2, 2, 2, 2, 2 and 1 pixels a side. Source: arXiv 2502.01837.

    >>> sum(p.numel() for p in vgg9(3, 10, width=0.125).parameters())
    145210
    """
    blocks: dict[str, Spiking | Readout] = {}
    before, side = in_channels, image
    for i, (filters, latent) in enumerate(zip(VGG9_WIDTHS, VGG9_LATENTS, strict=True), start=1):
        filters = _scaled(filters, width)
        tail: list[Tail] = list(_dropout(dropout))
        if i in _VGG9_POOLED:
            tail.append(_pool(pooling))
            side //= 2
        if i == len(VGG9_WIDTHS):
            tail.append(GlobalAvgPool())
        synapse = Conv2d(
            before, filters, 3, padding=1, standardised=standardised, norm_momentum=norm_momentum
        )
        blocks[f"conv{i}"] = Spiking(synapse, neuron, tail=tail, latent=min(latent, side))
        before = filters
    blocks["readout"] = _readout(before, classes, readout_decay)
    return _finish(Network(blocks, (in_channels, image, image)), rate)


def convnet(
    in_channels: int = 2,
    classes: int = 10,
    *,
    image: int = 34,
    channels: Sequence[int] = (16, 32, 64),
    standardised: bool = True,
    norm_momentum: float | None = None,
    neuron: LIF | None = None,
    pooling: str = "max",
    kernel: int = 3,
    stride: int = 1,
    readout_decay: float = 0.0,
    dropout: float = 0.0,
    rate: float | None = RATE,
) -> Network:
    """A small conv net: convolutions, each pooled by 2, then a linear readout.

    ``kernel`` is the side of every convolution, padded by ``kernel // 2``; ``stride`` is the first
    one's, which makes all later maps smaller.

    >>> convnet(2, 10, image=16, channels=(4, 8)).output_shapes["conv2"]
    (8, 4, 4)
    >>> convnet(2, 10, image=34, channels=(4, 8), kernel=5, stride=2).output_shapes["conv2"]
    (8, 4, 4)
    """
    for what, value in (("kernel", kernel), ("stride", stride)):
        if value < 1:
            raise ConfigError(f"{what} of the convolutions", got=value, expected="at least 1")
    blocks: dict[str, Spiking | Readout] = {}
    before, side, sizes = in_channels, image, _sizes(channels)
    for i, filters in enumerate(sizes, start=1):
        step = stride if i == 1 else 1
        synapse = Conv2d(
            before,
            filters,
            kernel,
            stride=step,
            padding=kernel // 2,
            standardised=standardised,
            norm_momentum=norm_momentum,
        )
        side = synapse.output_shape((before, side, side))[1] // 2
        tail = [_pool(pooling), *_dropout(dropout)]
        blocks[f"conv{i}"] = Spiking(synapse, neuron, tail=tail, latent=min(2, max(side, 1)))
        before = filters
    blocks["readout"] = _readout(before * side * side, classes, readout_decay)
    return _finish(Network(blocks, (in_channels, image, image)), rate)


def resnet(
    in_channels: int = 3,
    classes: int = 10,
    *,
    image: int = 32,
    channels: Sequence[int] = (16, 32, 64),
    standardised: bool = True,
    norm_momentum: float | None = None,
    neuron: LIF | None = None,
    readout_decay: float = 0.0,
    rate: float | None = RATE,
) -> Network:
    """A spiking ResNet with spike-element-wise addition: one residual pair per stage.

    The next block reads the **sum** of a pair's spikes and its shortcut's spikes; a stage that
    changes shape has a 1×1 spiking convolution as shortcut, so every path learns by every rule.

    >>> net = resnet(2, 4, image=16, channels=(4, 8))
    >>> net.wires["readout"]
    ('pool',)
    """
    blocks: dict[str, Spiking | Readout] = {}
    wires: dict[str, tuple[str, ...]] = {}
    sizes = _sizes(channels)

    def add(name: str, before: int, filters: int, kernel: int, stride: int = 1) -> None:
        synapse = Conv2d(
            before,
            filters,
            kernel,
            stride=stride,
            padding=kernel // 2,
            standardised=standardised,
            norm_momentum=norm_momentum,
        )
        blocks[name] = Spiking(synapse, neuron, latent=2)

    add("stem", in_channels, sizes[0], 3)
    source: tuple[str, ...] = ("stem",)
    before = sizes[0]
    for i, filters in enumerate(sizes, start=1):
        stride = 1 if i == 1 else 2
        shortcut = source
        if stride != 1 or filters != before:
            add(f"skip{i}", before, filters, 1, stride)
            wires[f"skip{i}"], shortcut = source, (f"skip{i}",)
        add(f"res{i}a", before, filters, 3, stride)
        add(f"res{i}b", filters, filters, 3)
        wires[f"res{i}a"], wires[f"res{i}b"] = source, (f"res{i}a",)
        source, before = (f"res{i}b", *shortcut), filters
    blocks["pool"] = Spiking(
        Conv2d(
            before, before, 3, padding=1, standardised=standardised, norm_momentum=norm_momentum
        ),
        neuron,
        tail=(GlobalAvgPool(),),
        latent=1,
    )
    wires["pool"] = source
    blocks["readout"] = _readout(before, classes, readout_decay)
    return _finish(Network(blocks, (in_channels, image, image), wires), rate)


MODELS = {f.__name__: f for f in (mlp, recurrent, vgg9, convnet, resnet)}


def _linear(
    inputs: int, outputs: int, bias: bool, standardised: bool, norm_momentum: float | None
) -> Linear:
    return Linear(
        inputs, outputs, bias=bias, standardised=standardised, norm_momentum=norm_momentum
    )


def _sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    if not sizes or min(sizes) < 1:
        raise ConfigError(
            "layer sizes",
            got=tuple(sizes),
            expected="at least one size >= 1",
            fix="Give the neurons or filters of every layer, e.g. 200,200",
        )
    return tuple(sizes)


def _scaled(filters: int, width: float) -> int:
    if width <= 0:
        raise ConfigError(
            "width", got=width, expected="a factor > 0", fix="Use 1.0 for the net as published"
        )
    return max(1, round(filters * width))


def _dropout(p: float) -> tuple[Tail, ...]:
    return (Dropout(p),) if p else ()


def _pool(kind: str) -> Tail:
    if kind not in ("max", "avg"):
        raise ConfigError("unknown pooling", got=kind, expected="'max' or 'avg'")
    return MaxPool(2) if kind == "max" else AvgPool(2)


def _readout(inputs: int, classes: int, decay: float) -> Readout:
    return Readout(Linear(inputs, classes, bias=True), Integrator(decay))
