"""The floor of a training step: every layer's forward product and one weight contraction.

T and B merged, a static first layer once, input of zeros and ones, in the fastest of four forms,
which is measured layer by layer: the library's convolution in either memory layout, or two matrix
products over a table of patches or of windows (`kernels.tables`), which is the floor under what
takes fewer products, too (with the transforms these need). No neurons, no signal, no optimiser:
what no learning rule that changes weights can go below with the same products.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..kernels import tables
from ..kernels.compiling import compiled, obstacle
from ..kernels.geometry import ConvGeometry
from ..nn import Conv2d, Linear, Network
from ..nn.synapse import Synapse
from .workload import Workload

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
_TRIALS = 5
_SPIKES = 0.15


@dataclass
class Layer:
    """One layer's operands and its two products; ``loop`` is a recurrent weight, over T steps."""

    name: str
    x: Tensor
    weight: Tensor
    post: Tensor
    run: Callable[[Layer], None]
    layout: str = "contiguous"
    loop: Tensor | None = None
    macs: int = 0
    geometry: ConvGeometry | None = None
    steps: int = 1


class Floor:
    """The products of one training step on a workload in one precision.

    >>> from localspike.bench.workload import Workload
    >>> work = Workload("mlp", 2, 3)
    >>> floor = Floor(work.blank(), work, torch.float32)
    >>> floor.macs == 2 * (2 * 3) * (700 * 256 + 256 * 20)
    True
    """

    def __init__(
        self, net: Network, workload: Workload, dtype: torch.dtype, device: str = "cpu"
    ) -> None:
        self.device, self.layers = device, list[Layer]()
        self.compiles = obstacle(torch.device(device)) is None
        generator = torch.Generator().manual_seed(3)
        for name, block in net.modules_by_name.items():
            first = net.wires[name] == ("input",)
            times = 1 if first and workload.static else workload.steps
            rows, synapse, shape = times * workload.batch, block.synapse, net.input_shapes[name]
            assert isinstance(synapse, Synapse)
            if isinstance(synapse, Linear):
                shape = (synapse.inputs,)
            x = (torch.rand((rows, *shape), generator=generator) < _SPIKES).to(device, dtype)
            out = (rows, *synapse.output_shape(shape))
            post = torch.randn(out, generator=generator).to(device, dtype)
            weight = synapse.effective_weight().detach().to(device, dtype)
            layer = Layer(name, x, weight, post, _linear, steps=times)
            if isinstance(synapse, Conv2d):
                layer.run, layer.geometry = _convolution, synapse.geometry
            loop = getattr(block, "recurrent", None)
            if loop is not None:
                layer.loop = loop.effective_weight().detach().to(device, dtype)
                layer.macs += 2 * rows * loop.macs((loop.inputs,))
            self.layers.append(layer)
            layer.macs += 2 * rows * synapse.macs(shape)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all layers in the forms they have."""
        return sum(layer.macs for layer in self.layers)

    def __call__(self) -> None:
        """All products once."""
        with torch.no_grad(), compiled(self.compiles):
            for layer in self.layers:
                layer.run(layer)

    def choose_layouts(self) -> dict[str, str]:
        """Keep every layer in the form in which its own products are fastest; by layer."""
        for layer in self.layers:
            if layer.x.ndim == 4:
                forms = [*LAYOUTS, *self._tables(layer)]
                seconds = {name: self._seconds(layer, name) for name in forms}
                _lay_out(layer, min(seconds, key=seconds.__getitem__))
                form = tables.FORMS.get(layer.layout)
                if form is not None and layer.geometry is not None:
                    layer.macs = form.macs(layer.x, layer.weight, layer.geometry)
        return {layer.name: layer.layout for layer in self.layers}

    def _tables(self, layer: Layer) -> list[str]:
        """The forms over a table that a layer's convolution has."""
        assert layer.geometry is not None  # `choose_layouts`
        return [
            name
            for name, form in tables.FORMS.items()
            if name != "windows" or (self.compiles and self.device == "cpu")
            if form.possible(layer.x, layer.weight, layer.geometry)
        ]

    def _seconds(self, layer: Layer, layout: str) -> float:
        _lay_out(layer, layout)
        found = []
        with torch.no_grad(), compiled(self.compiles):
            for _ in range(_TRIALS + 1):
                self._wait()
                started = time.perf_counter()
                layer.run(layer)
                self._wait()
                found.append(time.perf_counter() - started)
        return min(found[1:])

    def _wait(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def _lay_out(layer: Layer, layout: str) -> None:
    order, layer.layout = LAYOUTS.get(layout, torch.channels_last), layout
    layer.x, layer.weight, layer.post = (
        part.contiguous(memory_format=order) for part in (layer.x, layer.weight, layer.post)
    )


def _linear(layer: Layer) -> None:
    F.linear(layer.x, layer.weight)
    if layer.loop is not None:  # a loop's products cannot be merged over T, its contraction can
        for part in layer.post.chunk(layer.steps):
            F.linear(part, layer.loop)
        layer.post.T @ layer.post
    layer.post.T @ layer.x


def _convolution(layer: Layer) -> None:
    assert layer.geometry is not None  # given beside it
    stride, padding, groups = layer.geometry
    form = tables.FORMS.get(layer.layout)
    if form is not None:
        table = tables.Table(form, form.make_table(layer.x, layer.weight, layer.geometry))
        table.forward(layer.x, layer.weight, layer.geometry)
        table.contract(layer.post, layer.weight)
        return
    F.conv2d(layer.x, layer.weight, None, stride, padding, 1, groups)
    torch.ops.aten.convolution_backward(
        layer.post, layer.x, layer.weight, None, [stride] * 2, [padding] * 2, [1, 1],
        False, [0, 0], groups, [False, True, False],
    )  # fmt: skip
