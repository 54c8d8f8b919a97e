"""Networks: named blocks wired into a directed acyclic graph, with explicit state."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ConfigError, DataError, ShapeError
from ..kernels.surrogate import Surrogate, spike_function
from .currents import is_static
from .layer import Activity, BlockState, Shape, Spiking, Weights
from .readout import Readout

INPUT = "input"
State = dict[str, BlockState]
Visit = Callable[[str, Spiking, Activity, Weights], None]


class Run(NamedTuple):
    """A forward pass: logits [T, B, C] (None without a readout), spikes per neuron and step.

    ``readout_input`` is the readout's flattened input [T, B, I].
    """

    logits: Tensor | None
    rates: dict[str, Tensor]
    state: State
    readout_input: Tensor | None = None


class Network(nn.Module):
    """Blocks in order of execution; each reads the sum of the outputs of the blocks it names.

    Parameters
    ----------
    blocks:
        Name → `Spiking` block, in order; the last one may be a `Readout`.
    sample_shape:
        Shape of one input frame of one sample.
    wires:
        Block name → names of its sources ("input" is the network's input). A block without an
        entry reads the block before it. Several sources are added: a residual connection.

    >>> from localspike.nn import LIF, Linear
    >>> net = Network({"a": Spiking(Linear(3, 4)), "out": Readout(Linear(4, 2))}, (3,))
    >>> net.predict(torch.ones(12, 5, 3)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        blocks: Mapping[str, Spiking | Readout],
        sample_shape: Sequence[int],
        wires: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        super().__init__()
        self.modules_by_name = nn.ModuleDict(blocks)
        self.sample_shape: Shape = tuple(sample_shape)
        self.wires = _complete(list(blocks), dict(wires or {}))
        self.input_shapes, self.output_shapes = self._infer_shapes()
        self.readout_name = self._find_readout()
        self._last_use = self._find_last_uses()
        # Updates by learners; streams look here whether the weights they hold are the present ones.
        self.updates = 0

    @property
    def blocks(self) -> dict[str, Spiking]:
        """The spiking blocks by name, in order."""
        return {k: b for k, b in self.modules_by_name.items() if isinstance(b, Spiking)}

    @property
    def readout(self) -> Readout | None:
        """The readout, if there is one."""
        if self.readout_name is None:
            return None
        module = self.modules_by_name[self.readout_name]
        return module if isinstance(module, Readout) else None

    @property
    def like(self) -> Tensor:
        """The first block's weight: its dtype and device are the network's."""
        first = next(iter(self.modules_by_name.values()))
        weight: Tensor = first.synapse.weight  # type: ignore[union-attr, assignment]
        return weight

    @property
    def neurons(self) -> int:
        """Spiking neurons of one sample."""
        return sum(self._neurons())

    @property
    def largest(self) -> int:
        """Spiking neurons of one sample in the block that has most."""
        return max(self._neurons(), default=0)

    def _neurons(self) -> list[int]:
        return [prod(b.neuron_shape(self.input_shapes[k])) for k, b in self.blocks.items()]

    @property
    def normalised(self) -> dict[str, Spiking]:
        """The blocks that keep running statistics of their currents."""
        return {name: block for name, block in self.blocks.items() if block.normalised}

    @property
    def classes(self) -> int | None:
        """Number of outputs of the readout."""
        return None if self.readout_name is None else self.output_shapes[self.readout_name][0]

    def _infer_shapes(self) -> tuple[dict[str, Shape], dict[str, Shape]]:
        ins: dict[str, Shape] = {}
        outs: dict[str, Shape] = {INPUT: self.sample_shape}
        for name, block in self.modules_by_name.items():
            sources = {s: outs[s] for s in self.wires[name]}
            if len(set(sources.values())) > 1:
                raise ShapeError(
                    f"block {name!r} adds sources of different shapes",
                    got=sources,
                    expected="equal shapes",
                    fix="Give the shortcut a 1x1 convolution block with the same stride",
                )
            ins[name] = next(iter(sources.values()))
            try:
                outs[name] = block.output_shape(ins[name])  # type: ignore[operator]
            except ShapeError as error:
                raise ShapeError(f"block {name!r}: {error}") from error
        return ins, outs

    def _find_readout(self) -> str | None:
        names = [k for k, b in self.modules_by_name.items() if isinstance(b, Readout)]
        if not names:
            return None
        if names != [list(self.modules_by_name)[-1]]:
            raise ConfigError("a network has at most one readout, as its last block", got=names)
        return names[0]

    def _find_last_uses(self) -> dict[str, str]:
        return {source: name for name, sources in self.wires.items() for source in sources}

    def gather(self, name: str, outputs: Mapping[str, Tensor]) -> Tensor:
        """The input of a block: the sum of its sources' outputs."""
        first, *rest = self.wires[name]
        x = outputs[first]
        for source in rest:
            x = x + outputs[source]
        return x

    def scatter(
        self,
        name: str,
        grad: Tensor,
        shapes: Mapping[str, torch.Size],
        arriving: dict[str, Tensor],
    ) -> None:
        """The adjoint of `gather`: add a block's input gradient to what arrives at its sources.

        Only sources in ``shapes`` (of their outputs) are served.
        """
        for source in self.wires[name]:
            if source in shapes:
                shaped = grad.view(shapes[source])
                arriving[source] = arriving[source] + shaped if source in arriving else shaped

    def release(self, name: str, outputs: dict[str, Tensor]) -> None:
        """Forget outputs whose last reader was block ``name``."""
        for source in self.wires[name]:
            if self._last_use[source] == name:
                outputs.pop(source, None)

    def init_state(
        self,
        batch: int,
        *,
        training: bool = False,
        generator: torch.Generator | None = None,
        extra: int = 0,
        thin: Container[str] = (),
        watched: bool = False,
    ) -> State:
        """Zero state of every block for a batch; ``training`` draws the dropout masks.

        ``extra`` samples run through the spiking blocks beside the batch and not to the readout.
        Membranes of the blocks in ``thin`` are one zero for all neurons, to be read only. Where
        ``watched``, normalised blocks gather the moments of their currents.
        """
        watching = self.normalised if watched else {}
        return {
            name: block.init_state(  # type: ignore[operator]
                self.input_shapes[name],
                batch if name == self.readout_name else batch + extra,
                training=training,
                generator=generator,
                # A user's block need not know these.
                **({"thin": True} if name in thin else {}),
                **({"watched": True} if name in watching else {}),
            )
            for name, block in self.modules_by_name.items()
        }

    def weights(self) -> dict[str, Weights]:
        """Every block's effective weights now."""
        return {k: b.weights() for k, b in self.modules_by_name.items()}  # type: ignore[operator]

    def run(
        self,
        frames: Tensor,
        state: State | None = None,
        *,
        psi: Surrogate | None = None,
        detach_reset: bool = False,
        dtype: torch.dtype | None = None,
        visit: Visit | None = None,
        valid: Tensor | None = None,
        drives: Mapping[str, Tensor] | None = None,
        samples: int | None = None,
    ) -> Run:
        """The whole forward pass, a layer's sequence at a time, on frames [T, B, ...].

        With ``psi`` the spikes are differentiable by autograd: this is the BPTT baseline's
        forward. ``visit(name, block, activity, weights)`` sees every block's activity. ``valid``
        [T, B] keeps padded steps out of the firing rates. ``drives`` are extra currents by block.
        Only the first ``samples`` of the batch count in rates and reach the readout.
        """
        state = dict(state) if state else self.init_state(frames.shape[1])
        samples = frames.shape[1] if samples is None else samples
        drives = drives or {}
        outputs, rates = {INPUT: frames}, {}
        for name, block in self.blocks.items():
            x, weights = self.gather(name, outputs), block.weights()
            activity, state[name] = block.sequence(
                x,
                state[name],
                weights,
                spike=spike_function(psi, block.neuron.fires_at_threshold),
                detach_reset=detach_reset,
                dtype=dtype,
                drive=drives.get(name),
                **({"valid": valid} if block.normalised else {}),  # a user's block need not know it
            )
            outputs[name] = activity.out
            self.release(name, outputs)
            fired = activity.o.detach().flatten(2).mean(2)
            rates[name] = mean_rate(fired[:, :samples], valid)
            if visit is not None:
                visit(name, block, activity, weights)
            del activity  # or this layer's sequence would stay while the next one is computed
        readout, last = self.readout, self.readout_name
        if readout is None or last is None:
            return Run(None, rates, state)
        x = readout.flat(self.gather(last, outputs), 2)[:, :samples]
        logits, state[last] = readout.sequence(x, state[last], readout.weights(), dtype)
        return Run(logits, rates, state, x)

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits [B, C] summed over the valid steps of frames [T, B, ...]."""
        self.check(frames, lengths)
        logits = self.run(frames).logits
        if logits is None:
            raise ConfigError("this network has no readout, so it has no logits")
        return masked_sum(logits, lengths)

    @torch.no_grad()
    def predict(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Class of every sample, [B] int64: the largest logit summed over the valid steps."""
        best: Tensor = self(frames, lengths).argmax(-1)
        return best

    def check(self, frames: Tensor, lengths: Tensor | None = None) -> None:
        """Refuse frames this network cannot take: rank, shape, dtype, emptiness, non-finite."""
        expected = f"[T, B, {', '.join(map(str, self.sample_shape))}]"
        if not isinstance(frames, Tensor) or frames.ndim != len(self.sample_shape) + 2:
            got = list(frames.shape) if isinstance(frames, Tensor) else type(frames).__name__
            raise ShapeError(
                "frames have the wrong rank", got=got, expected=expected, fix="Put time first"
            )
        self.check_step(frames[0] if len(frames) else frames.sum(0), expected, frames.shape)
        if frames.shape[0] == 0 or frames.shape[1] == 0:
            raise ShapeError(
                "an empty batch: no time step or no sample",
                got=list(frames.shape),
                expected="T >= 1 and B >= 1",
                fix="Skip empty batches",
            )
        _check_finite(frames)
        if lengths is not None:
            _check_lengths(lengths, frames.shape[0], frames.shape[1])

    def check_step(
        self, x: Tensor, expected: str | None = None, shape: Shape | None = None
    ) -> None:
        """Refuse one step's frames x [B, ...] of the wrong shape, dtype or device."""
        weight = self.like
        if tuple(x.shape[1:]) != self.sample_shape:
            expected = expected or f"[B, {', '.join(map(str, self.sample_shape))}]"
            raise ShapeError(
                "frames have the wrong shape", got=list(shape or x.shape), expected=expected
            )
        if x.dtype != weight.dtype:
            raise ShapeError(
                "frames have the wrong dtype",
                got=x.dtype,
                expected=weight.dtype,
                fix=f"Convert with frames.to({weight.dtype})",
            )
        if x.device != weight.device:
            raise ShapeError("frames are on another device", got=x.device, expected=weight.device)


def mean_rate(rates: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of rates [T, B] over the valid steps (all, without a mask).

    >>> mean_rate(torch.tensor([[1.0], [0.0]]), torch.tensor([[True], [False]]))
    tensor(1.)
    """
    return rates.mean() if valid is None else (rates * valid).sum() / valid.sum()


def masked_sum(logits: Tensor, lengths: Tensor | None) -> Tensor:
    """Sum of logits [T, B, C] over the valid steps t < length."""
    if lengths is None:
        return logits.sum(0)
    valid = torch.arange(len(logits), device=logits.device)[:, None] < lengths.long().to(
        logits.device
    )
    return (logits * valid[..., None]).sum(0)


def _complete(names: list[str], wires: dict[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Fill in the chain's wires and refuse sources that do not come before their reader."""
    if INPUT in names:
        raise ConfigError(f"a block may not be named {INPUT!r}", fix="That is the network's input")
    unknown = sorted(set(wires) - set(names))
    if unknown:
        raise ConfigError("wires name unknown blocks", got=unknown, expected=names)
    complete: dict[str, tuple[str, ...]] = {}
    before = INPUT
    for name in names:
        sources = tuple(wires.get(name, (before,)))
        known = {INPUT, *complete}
        if not sources or not set(sources) <= known:
            raise ConfigError(
                f"block {name!r} reads blocks that do not run before it",
                got=list(sources),
                expected=f"some of {sorted(known)}",
            )
        complete[name] = sources
        before = name
    return complete


def _check_finite(frames: Tensor) -> None:
    seen = frames[:1] if is_static(frames) else frames
    # A finite sum has finite terms only, and takes a third of the time of looking at each.
    if bool(torch.isfinite(seen.sum())) or bool(torch.isfinite(seen).all()):
        return
    t, b = (int(i) for i in torch.nonzero(~torch.isfinite(seen))[0][:2])
    raise DataError(
        "frames hold a non-finite value",
        got=f"NaN or infinity at step {t}, sample {b}",
        expected="finite numbers",
        fix="Replace such values, or leave the sample out",
    )


def _check_lengths(lengths: Tensor, steps: int, batch: int) -> None:
    integer = not (
        lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool
    )
    if lengths.shape != (batch,) or not integer:
        raise ShapeError(
            "lengths have the wrong shape or dtype",
            got=f"{list(lengths.shape)} {lengths.dtype}",
            expected=f"[{batch}] of integers",
        )
    least, most = int(lengths.long().min()), int(lengths.long().max())
    if least < 1 or most > steps:
        raise DataError(
            "lengths out of range",
            got=f"{least}..{most}",
            expected=f"1..{steps}",
        )
