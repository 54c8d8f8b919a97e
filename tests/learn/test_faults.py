"""Bad input: one clear line each saying what, got, expected, and what to do; nothing half done."""

from __future__ import annotations

import pytest
import torch

from helpers import RULES, make
from localspike import CrossEntropy, FiringRate, Learner, SquaredError, models
from localspike.errors import (
    ConfigError,
    DataError,
    IllegalError,
    LocalspikeError,
    ShapeError,
)
from localspike.nn import LIF, Conv2d, Linear, Spiking

X, Y = torch.rand(12, 3, 14), torch.tensor([0, 1, 4])
NAN = torch.where(torch.arange(12)[:, None, None] == 7, torch.nan, X)
INF = X.clone()
INF[2, 1, 5] = torch.inf

FRAMES = {
    "rank": (
        X[0],
        ShapeError,
        r"frames have the wrong rank: got \[3, 14\]; expected \[T, B, 14\]\. Put time first",
    ),
    "not-a-tensor": (
        X.tolist(),
        ShapeError,
        r"frames have the wrong rank: got list; expected \[T, B, 14\]",
    ),
    "shape": (
        X[..., :9],
        ShapeError,
        r"frames have the wrong shape: got \[12, 3, 9\]; expected \[T, B, 14\]",
    ),
    "dtype": (
        X.double(),
        ShapeError,
        r"wrong dtype: got torch.float64; expected torch.float32\. Convert with",
    ),
    "integers": (X.long(), ShapeError, r"wrong dtype: got torch.int64; expected torch.float32"),
    "no-batch": (
        X[:, :0],
        ShapeError,
        r"an empty batch.*: got \[12, 0, 14\]; expected T >= 1 and B >= 1",
    ),
    "no-time": (
        X[:0],
        ShapeError,
        r"an empty batch.*: got \[0, 3, 14\]; expected T >= 1 and B >= 1",
    ),
    "nan": (
        NAN,
        DataError,
        r"frames hold a non-finite value: got NaN or infinity at step 7, sample 0; .*Replace",
    ),
    "inf": (INF, DataError, r"non-finite value: got NaN or infinity at step 2, sample 1"),
}


@pytest.mark.parametrize("case", FRAMES)
@pytest.mark.parametrize("rule", ["tess", "ottt", "bptt"])
def test_bad_frames(case: str, rule: str) -> None:
    frames, kind, text = FRAMES[case]
    net = make("linear", torch.float32)
    learner = Learner(net, RULES[rule](), torch.optim.SGD(net.parameters(), 0.1))
    before = [p.detach().clone() for p in net.parameters()]
    labels = Y[: frames.shape[1]] if isinstance(frames, torch.Tensor) and frames.ndim > 2 else Y
    for call in (learner.fit, learner.evaluate, learner.gradient):
        with pytest.raises(kind, match=text) as caught:
            call(frames, labels)
        assert "\n" not in str(caught.value)
    with pytest.raises(kind, match=text):
        net.predict(frames)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


LABELS = {
    "high": (
        torch.tensor([0, 1, 5]),
        DataError,
        r"labels out of range: got 0\.\.5; expected 0\.\.4\. Check the number",
    ),
    "negative": (
        torch.tensor([0, -1, 4]),
        DataError,
        r"labels out of range: got -1\.\.4; expected 0\.\.4",
    ),
    "floats": (
        torch.rand(3),
        ShapeError,
        r"labels have the wrong dtype: got torch.float32; expected integers",
    ),
    "booleans": (
        torch.ones(3, dtype=torch.bool),
        ShapeError,
        r"labels have the wrong dtype: got torch.bool",
    ),
    "short": (
        torch.tensor([0, 1]),
        ShapeError,
        r"labels have the wrong shape: got \[2\]; expected \[3\].*\[12, 3\]",
    ),
    "scalar": (torch.tensor(1), ShapeError, r"labels have the wrong shape: got \[\]"),
    "column": (
        torch.tensor([[0], [1], [2]]),
        ShapeError,
        r"labels have the wrong shape: got \[3, 1\]",
    ),
    "turned": (
        torch.zeros(3, 12, dtype=torch.long),
        ShapeError,
        r"labels have the wrong shape: got \[3, 12\]",
    ),
    "empty": (
        torch.zeros(0, dtype=torch.long),
        ShapeError,
        r"labels have the wrong shape: got \[0\]",
    ),
}


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("rule", ["tess", "ottt", "bptt"])
def test_bad_labels(case: str, rule: str) -> None:
    labels, kind, text = LABELS[case]
    net = make("linear", torch.float32)
    learner = Learner(net, RULES[rule]())
    for call in (learner.fit, learner.evaluate):
        with pytest.raises(kind, match=text) as caught:
            call(X, labels)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        (
            torch.rand(3, 4),
            ShapeError,
            r"targets of a squared error: got \[3, 4\] torch.float32; expected floats \[..., 5\]",
        ),
        (Y, ShapeError, r"targets of a squared error: got \[3\] torch.int64"),
        (torch.full((3, 5), torch.nan), DataError, r"targets hold a non-finite value"),
        (torch.rand(2, 5), ShapeError, r"labels have the wrong shape: got \[2, 5\]"),
        (torch.rand(4, 3, 5), ShapeError, r"labels have the wrong shape: got \[4, 3, 5\]"),
    ],
)
def test_bad_values(values: torch.Tensor, kind: type[LocalspikeError], text: str) -> None:
    net = make("linear", torch.float32)
    with pytest.raises(kind, match=text):
        Learner(net, RULES["tess"](), loss=SquaredError()).fit(X, values)


LENGTHS = {
    "zero": (
        torch.tensor([12, 0, 3]),
        DataError,
        r"lengths out of range: got 0\.\.12; expected 1\.\.12",
    ),
    "long": (
        torch.tensor([12, 13, 3]),
        DataError,
        r"lengths out of range: got 3\.\.13; expected 1\.\.12",
    ),
    "floats": (
        torch.tensor([12.0, 3, 3]),
        ShapeError,
        (
            r"lengths have the wrong shape or dtype: got \[3\] torch.float32; expected \[3\] "
            r"of integers"
        ),
    ),
    "short": (
        torch.tensor([12, 3]),
        ShapeError,
        r"lengths have the wrong shape or dtype: got \[2\] torch.int64",
    ),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_bad_lengths(case: str) -> None:
    lengths, kind, text = LENGTHS[case]
    net = make("linear", torch.float32)
    for call in (Learner(net, RULES["tess"]()).fit, Learner(net, RULES["bptt"]()).evaluate):
        with pytest.raises(kind, match=text):
            call(X, Y, lengths)
    with pytest.raises(kind, match=text):
        net.predict(X, lengths)


ILLEGAL = [
    (
        "tess",
        {"schedule": "bptt"},
        (
            r"schedule 'bptt' is illegal for rule 'tess': the rule is defined by traces, "
            r"not by autograd through time\. Use schedule='layerwise' or 'streaming', or 'auto'\."
        ),
    ),
    (
        "tess",
        {"schedule": "layerwise", "update": "step"},
        (
            r"schedule 'layerwise' is illegal.*weights that change at every step cannot serve "
            r"a whole sequence"
        ),
    ),
    (
        "s_tllr-bp",
        {"schedule": "layerwise"},
        (
            r"'layerwise' is illegal for rule 's_tllr': its signal is backpropagated from "
            r"the layers above"
        ),
    ),
    (
        "s_tllr-dfa",
        {"schedule": "layerwise"},
        r": its signal needs the readout's error, which exists only after all layers ran",
    ),
    ("ottt", {"schedule": "layerwise"}, r"backpropagated from the layers above at every step"),
    (
        "bptt",
        {"schedule": "streaming"},
        (
            r"'streaming' is illegal for rule 'bptt': credit flows backward through time, "
            r"so no step"
        ),
    ),
    (
        "bptt",
        {"schedule": "layerwise"},
        (
            r"'layerwise' is illegal for rule 'bptt': credit flows backward through time "
            r"and layers"
        ),
    ),
    (
        "bptt",
        {"update": "step"},
        (
            r"no schedule can run rule 'bptt' with update='step': credit through time "
            r"needs.*Use update='sequence'"
        ),
    ),
    (
        "tess",
        {"update": "step", "accumulate": 2},
        r"update='step' cannot accumulate over batches\. Use accumulate=1",
    ),
]


@pytest.mark.parametrize(("rule", "options", "text"), ILLEGAL)
def test_illegal_combinations_say_why(rule: str, options: dict, text: str) -> None:
    with pytest.raises(IllegalError, match=text):
        Learner(make("linear"), RULES[rule](), **options)


SETTINGS = [
    (
        {"schedule": "sideways"},
        (
            r"unknown schedule: got sideways; expected 'auto' or one of \['bptt', "
            r"'layerwise', 'streaming', 'two_sweep'\]"
        ),
    ),
    ({"update": "epoch"}, r"unknown update: got epoch; expected 'sequence' or 'step'"),
    ({"precision": "fp16"}, r"unknown precision: got fp16; expected 'auto', 'float32' or 'bf16'"),
    ({"accumulate": 0}, r"accumulate: got 0; expected a whole number >= 1"),
    ({"clip_norm": 0.0}, r"clip_norm: got 0.0; expected a norm > 0, or None"),
    ({"clip_norm": float("nan")}, r"clip_norm: got nan"),
]


@pytest.mark.parametrize(("options", "text"), SETTINGS)
def test_impossible_settings(options: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Learner(make("linear"), RULES["tess"](), **options)


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (0, r"active_steps: got 0; expected .* the last k >= 1"),
        ("none", r"active_steps: got 'none'; expected 'all', the last k >= 1, a seq"),
        (13, r"asks for more steps than there are: got 13; expected the last k <= 12, or 'all'"),
        ("every-13", r"active_steps skips more steps than there are: got every-13; expected k <="),
        ([3, 12], r"active_steps name steps that do not exist: got \[12\]; expected 0\.\.11"),
        ([-1], r"active_steps name steps that do not exist: got \[-1\]"),
    ],
)
def test_impossible_active_steps(steps: object, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Learner(make("linear", torch.float32), RULES["tess"](), active_steps=steps).fit(X, Y)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (
            lambda: CrossEntropy(label_smoothing=1.5),
            r"label_smoothing out of range: got 1.5; expected \[0, 1\]",
        ),
        (lambda: CrossEntropy(mse=-0.1), r"mse out of range: got -0.1"),
        (
            lambda: FiringRate(1.5, 1.0),
            r"firing-rate regulariser: got \(1.5, 1.0\); expected a target",
        ),
        (lambda: LIF(decay=1.2), r"LIF decay out of range: got 1.2; expected γ in \[0, 1\]"),
        (lambda: LIF(threshold=0.0), r"LIF threshold: got 0.0; expected a finite θ > 0"),
        (lambda: LIF(threshold=float("nan")), r"LIF threshold: got nan"),
        (
            lambda: LIF(reset="partial"),
            r"LIF reset: got partial; expected 'soft', 'hard' or 'none'",
        ),
        (
            lambda: Conv2d(3, 4, 3, groups=2),
            r"groups must divide channels and filters: got groups=2, channels=3",
        ),
        (lambda: models.mlp(5, (), 3), r"layer sizes: got \(\); expected at least one size"),
        (
            lambda: models.convnet(pooling="sum"),
            r"unknown pooling: got sum; expected 'max' or 'avg'",
        ),
        (lambda: models.vgg9(width=0.0), r"width: got 0.0; expected a factor > 0"),
        (
            lambda: models.mlp(5, (4,), 3, dropout=1.0),
            r"dropout probability: got 1.0; expected p in \[0, 1\)",
        ),
        (lambda: models.mlp(5, (4,), 3, readout_decay=1.1), r"integrator decay: got 1.1"),
        (lambda: models.mlp(5, (4,), 3, rate=0.9), r"calibration rate outside the band: got 0.9"),
        (
            lambda: Spiking(Conv2d(1, 1, 1), recurrent=Linear(1, 1)),
            r"recurrent weights need a linear synapse: got Conv2d",
        ),
    ],
)
def test_impossible_parts(build, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build()


def test_class_weights_of_another_number_of_classes() -> None:
    loss = CrossEntropy(class_weights=(1.0, 2.0))
    with pytest.raises(ConfigError, match=r"class_weights: got \(1.0, 2.0\); expected 5 numbers"):
        Learner(make("linear", torch.float32), RULES["tess"](), loss=loss).fit(X, Y)
