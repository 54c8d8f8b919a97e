"""Golden files of every kind, made by the plain-torch reference and never by the library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from helpers_reference import (
    Layer,
    Out,
    Trial,
    basis,
    class_basis_signal,
    cross_entropy,
    sharp,
    sigmoid4,
    simulate,
    through_tail,
    triangle,
    two_trace,
)

Arrays = dict[str, Any]
MARGIN = 3e-5
"""Smallest |u − θ| of a file: spikes then do not hang on the last bit of a platform's sums."""


def make(kind: str, **options: Any) -> Arrays:
    """One file of a kind; seeds are tried until no membrane ties with the threshold."""
    for seed in range(200):
        torch.manual_seed(seed)
        arrays, trial, layers = _MAKERS[kind](**options)
        if all(_margin(trial, layer) > MARGIN for layer in layers):
            return {k: _plain(v) for k, v in arrays.items()} | {"kind": np.array(kind)}
    raise AssertionError("no seed keeps its distance from the threshold")


def _margin(trial: Trial, layer: Layer) -> float:
    return float((torch.stack(trial.u[layer.name]).detach() - layer.theta).abs().min())


def _plain(value: Any) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach()
        return value.to(torch.float32).numpy() if value.is_floating_point() else value.numpy()
    return np.asarray(value)


def _leaf(*shape: int, scale: float = 1.0) -> Tensor:
    """A float32 number held in float64: the library reads exactly what the reference used."""
    value = (torch.randn(*shape) * scale).float().double()
    return value.requires_grad_(True)


def _params(
    standardised: bool, *shape: int, bias: bool = False, gain: float = 1.5
) -> dict[str, Tensor]:
    params = {"weight": _leaf(*shape, scale=0.3 if standardised else 0.5)}
    if standardised:
        ones = (shape[0], *(1,) * (len(shape) - 1))
        params["gain"] = (torch.rand(ones) * 0.5 + gain).double().detach().requires_grad_(True)
    if bias:
        params["bias"] = _leaf(shape[0], scale=0.1)
    return params


def _input(*shape: int) -> Tensor:
    return ((torch.rand(shape) < 0.4) * (0.5 + torch.rand(shape))).double()


def _gate(steps: int, batch: int, first: int) -> Tensor:
    on = torch.zeros(steps, batch, dtype=torch.float64)
    on[first:] = 1.0
    return on


def _constants(layer: Layer, factors: tuple[float, ...] | None = None) -> Arrays:
    named = {
        "decay": np.float64(layer.gamma),
        "threshold": np.float64(layer.theta),
        "reset_amount": np.float64(layer.amount),
    }
    if factors:
        named["factors_lpost_lpre_apost_apre"] = np.array(factors, dtype=np.float64)
    return named


def _after(series: list[Tensor], decay: float) -> Tensor:
    """Σ_s λ^(T−1−s) series[s]."""
    return sum(decay ** (len(series) - 1 - s) * v.detach() for s, v in enumerate(series))


def tess_conv(
    pool: tuple[str, int] = ("AVG", 2),
    classes: int = 7,
    signal_pool: int = 1,
    first: int = 3,
    factors: tuple[float, ...] = (0.3, 0.6, 0.8, 0.9),
    steps: int = 7,
) -> tuple[Arrays, Trial, list[Layer]]:
    """γ, θ, r, decays, classes and pooling all unlike the recorded files."""
    kind = {"MAX": "max", "AVG": "avg", "ADAVG": "gap"}[pool[0]]
    tail = () if pool[1] == 1 and pool[0] != "ADAVG" else ((kind, pool[1]),)
    layer = Layer(
        "layer", _params(True, 5, 3, 3, 3), (1, 1, 1), tail, gamma=0.7, theta=0.8, amount=0.9
    )
    x, labels = _input(steps, 3, 3, 7, 6), torch.randint(0, classes, (3,))
    trial = simulate([layer], None, x, triangle)
    outs = trial.out["layer"]
    n = F.adaptive_avg_pool2d(outs[0], signal_pool)[0].numel()
    m_out = class_basis_signal(
        outs,
        labels,
        basis(classes, n, sine=True),
        scale="mean",
        pool=signal_pool,
        weight=_gate(steps, 3, first),
    )
    found, psi = _two_trace(
        layer, trial, through_tail(trial.o["layer"], tail, m_out), triangle, factors
    )
    arrays = {
        "x": x,
        "labels": labels,
        "weight": layer.params["weight"],
        "gain": layer.params["gain"],
        **_constants(layer, factors),
        "pool_kind": np.array(pool[0]),
        "pool_size": np.int64(pool[1]),
        "signal_pool": np.int64(signal_pool),
        "num_classes": np.int64(classes),
        "signal_active_from": np.int64(first),
        "out_spikes": torch.stack(outs),
        "membrane_after_reset": torch.stack(trial.v["layer"]),
        "trace_pre_final": _after(trial.x["layer"], factors[1]),
        "trace_post_final": _after(psi, factors[0]),
        "grad_weight": found["weight"],
        "grad_gain": found["gain"],
    }
    return arrays, trial, [layer]


def tess_linear(
    standardised: bool = True,
    classes: int = 6,
    signal_pool: int = 5,
    factors: tuple[float, ...] = (0.4, 0.8, 0.7, 1.0),
    steps: int = 9,
) -> tuple[Arrays, Trial, list[Layer]]:
    params = _params(standardised, 20, 15, bias=True)
    layer = Layer("layer", params, gamma=0.6, theta=0.7, amount=0.65)
    x, labels = _input(steps, 4, 15), torch.randint(0, classes, (4,))
    trial = simulate([layer], None, x, sharp)
    m = class_basis_signal(
        trial.out["layer"],
        labels,
        basis(classes, signal_pool, sine=True),
        scale="mean",
        pool=signal_pool,
    )
    found, psi = _two_trace(layer, trial, m, sharp, factors)
    arrays = {
        "x": x,
        "labels": labels,
        "weight": params["weight"],
        "bias": params["bias"],
        "weight_standardised": np.bool_(standardised),
        "gain": params.get("gain", torch.ones(20, 1)),
        **_constants(layer, factors),
        "signal_pool": np.int64(signal_pool),
        "num_classes": np.int64(classes),
        "out_spikes": torch.stack(trial.out["layer"]),
        "membrane_after_reset_final": trial.v["layer"][-1],
        "trace_pre_final": _after(trial.x["layer"], factors[1]),
        "trace_post_final": _after(psi, factors[0]),
        **{f"grad_{k}": g for k, g in found.items()},
    }
    return arrays, trial, [layer]


def _two_trace(
    layer: Layer,
    trial: Trial,
    m: list[Tensor],
    psi: Any,
    factors: tuple[float, ...],
    raw: bool = False,
) -> tuple[dict[str, Tensor], list[Tensor]]:
    post, pre, post_gain, pre_gain = factors
    values = [psi(u - layer.theta).detach() for u in trial.u[layer.name]]
    found = two_trace(
        layer,
        trial.x[layer.name],
        values,
        m,
        pre_decay=0.0 if raw else pre,
        post_decay=post,
        pre_gain=pre_gain,
        post_gain=post_gain,
        before=trial.before[layer.name],
    )
    return found, values


def _read_out(
    trial: Trial, labels: Tensor, on: Tensor, readout: Out, decay: float
) -> tuple[dict[str, Tensor], list[Tensor]]:
    for z in trial.logits:
        z.retain_grad()
    cross_entropy(trial.logits, labels, on).backward()
    errors = [z.grad for z in trial.logits]
    ones = [torch.ones_like(e) for e in errors]
    return two_trace(readout, trial.x["readout"], ones, errors, pre_decay=decay), errors


def stllr_recurrent(
    credit: str = "BP",
    last: int = 6,
    factors: tuple[float, ...] = (0.6, 0.8, -0.4, 0.7),
    out_decay: float = 0.75,
    out_trace: float = 0.9,
    steps: int = 10,
) -> tuple[Arrays, Trial, list[Layer]]:
    params = _params(True, 13, 11, bias=True)
    loop = _params(True, 13, 13, gain=0.6)
    params |= {"rec": loop["weight"], "rec_gain": loop["gain"]}
    layer = Layer("layer", params, gamma=0.85, theta=0.7, amount=0.7)
    readout = Out(_params(False, 6, 13, bias=True), out_decay, ("layer",))
    x, labels = _input(steps, 3, 11), torch.randint(0, 6, (3,))
    trial = simulate([layer], readout, x, sharp)
    own, errors = _read_out(trial, labels, _gate(steps, 3, steps - last), readout, out_trace)
    feedback = _leaf(6, 13, scale=0.3) if credit == "DFA" else np.zeros(0)
    m = [o.grad for o in trial.o["layer"]]
    if credit == "DFA":
        m = [3 * e @ feedback.detach() for e in errors]
    found, _ = _two_trace(layer, trial, m, sharp, factors)
    names = {
        "weight": "weight",
        "gain": "gain",
        "bias": "bias",
        "rec": "weight_rec",
        "rec_gain": "gain_rec",
    }
    arrays = {
        "x": x,
        "labels": labels,
        **{v: params[k] for k, v in names.items()},
        **_constants(layer, factors),
        "out_weight": readout.params["weight"],
        "out_bias": readout.params["bias"],
        "out_decay": np.float64(out_decay),
        "out_trace_decay": np.float64(out_trace),
        "spatial_credit": np.array(credit),
        "feedback": feedback,
        "signal_last_steps": np.int64(last),
        "hidden_spikes": torch.stack(trial.o["layer"]),
        "logits": torch.stack(trial.logits),
        **{f"grad_{v}": found[k] for k, v in names.items()},
        "grad_out_weight": own["weight"],
        "grad_out_bias": own["bias"],
    }
    return arrays, trial, [layer]


def _two_convs(
    x: Tensor, classes: int, bias: bool, tail: tuple[tuple[str, int], ...], **neuron: Any
) -> tuple[list[Layer], Out]:
    first = Layer("layer1", _params(True, 4, 2, 3, 3, bias=bias, gain=2.0), (1, 1, 1), **neuron)
    second = Layer(
        "layer2",
        _params(True, 5, 4, 3, 3, bias=bias, gain=2.5),
        (1, 1, 1),
        tail,
        ("layer1",),
        **neuron,
    )
    side = (x.shape[3] // 2) * (x.shape[4] // 2) if tail else x.shape[3] * x.shape[4]
    return [first, second], Out(_params(False, classes, 5 * side, bias=True), 0.0, ("layer2",))


def _pair(
    x: Tensor,
    labels: Tensor,
    layers: list[Layer],
    readout: Out,
    trial: Trial,
    found: list[dict[str, Tensor]],
    own: dict[str, Tensor],
) -> Arrays:
    arrays: Arrays = {
        "x": x,
        "labels": labels,
        "readout_weight": readout.params["weight"],
        "readout_bias": readout.params["bias"],
        "logits": torch.stack(trial.logits),
        "grad_readout_weight": own["weight"],
        "grad_readout_bias": own["bias"],
    }
    for i, (layer, grads) in enumerate(zip(layers, found, strict=True), start=1):
        arrays[f"spikes{i}"] = torch.stack(trial.o[layer.name])
        arrays |= {f"{k}{i}": p for k, p in layer.params.items()}
        arrays |= {f"grad_{k}{i}": g for k, g in grads.items()}
    return arrays


def stllr_conv(
    last: int = 4, factors: tuple[float, ...] = (0.4, 0.6, 0.5, 0.8), steps: int = 7
) -> tuple[Arrays, Trial, list[Layer]]:
    x, labels = _input(steps, 2, 2, 7, 6), torch.randint(0, 8, (2,))
    layers, readout = _two_convs(x, 8, False, (("max", 2),), gamma=0.6, theta=0.7, amount=0.7)
    trial = simulate(layers, readout, x, triangle)
    own, _ = _read_out(trial, labels, _gate(steps, 2, steps - last), readout, 0.0)
    found = [
        _two_trace(y, trial, [o.grad for o in trial.o[y.name]], triangle, factors)[0]
        for y in layers
    ]
    arrays = _pair(x, labels, layers, readout, trial, found, own)
    arrays |= {**_constants(layers[0], factors), "signal_last_steps": np.int64(last)}
    return arrays, trial, layers


def ottt_conv(
    alpha: float = 3.0, scale: float = 0.3, steps: int = 6
) -> tuple[Arrays, Trial, list[Layer]]:
    x, labels = _input(steps, 2, 2, 6, 5), torch.randint(0, 7, (2,))
    layers, readout = _two_convs(x, 7, True, (), gamma=0.65, theta=0.9, amount=0.9, inclusive=True)

    def psi(d: Tensor) -> Tensor:
        return sigmoid4(d, alpha)

    trial = simulate(layers, readout, x, psi)
    own, _ = _read_out(
        trial, labels, torch.full((steps, 2), scale, dtype=torch.float64), readout, 0.65
    )
    factors = (0.0, 0.65, 0.0, 1.0)
    found = [
        _two_trace(y, trial, [o.grad for o in trial.o[y.name]], psi, factors, raw=y is layers[0])[0]
        for y in layers
    ]
    arrays = _pair(x, labels, layers, readout, trial, found, own)
    arrays |= {
        **_constants(layers[0]),
        "surrogate": np.array("sigmoid"),
        "surrogate_alpha": np.float64(alpha),
        "loss_scale": np.float64(scale),
    }
    return arrays, trial, layers


_MAKERS: dict[str, Callable[..., tuple[Arrays, Trial, list[Layer]]]] = {
    f.__name__: f for f in (tess_conv, tess_linear, stllr_recurrent, stllr_conv, ottt_conv)
}

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "tess_conv-avg-late": ("tess_conv", {}),
    "tess_conv-max": ("tess_conv", {"pool": ("MAX", 3), "signal_pool": 2, "first": 0}),
    "tess_conv-none": ("tess_conv", {"pool": ("AVG", 1), "signal_pool": 3, "first": 1}),
    "tess_conv-global": (
        "tess_conv",
        {"pool": ("ADAVG", 1), "signal_pool": 1, "first": 0, "classes": 23},
    ),
    "tess_conv-adaptive": ("tess_conv", {"pool": ("ADAVG", 3), "signal_pool": 2, "first": 6}),
    "tess_conv-no-post": ("tess_conv", {"factors": (0.3, 0.0, 0.0, 1.0), "first": 0}),
    "tess_linear-standardised": ("tess_linear", {}),
    "tess_linear-plain": ("tess_linear", {"standardised": False, "signal_pool": 20, "classes": 13}),
    "stllr_recurrent-bp": ("stllr_recurrent", {}),
    "stllr_recurrent-dfa": ("stllr_recurrent", {"credit": "DFA", "last": 10, "out_decay": 0.0}),
    "stllr_conv": ("stllr_conv", {}),
    "ottt_conv": ("ottt_conv", {}),
}


def outputs(arrays: Arrays) -> Iterator[str]:
    """The arrays a file was made to check."""
    for name in arrays:
        if (
            name.startswith(("grad_", "trace_", "membrane_"))
            or "spikes" in name
            or name == "logits"
        ):
            yield name
