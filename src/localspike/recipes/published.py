"""The tables published for TESS, S-TLLR and Traces Propagation: what they hold, number by number.

Accuracies are percent on the test split, mean and deviation over seeds as printed. The papers'
own protocols are in ``protocols``; ``reproduce`` runs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["accuracy", "costs", "orders"]


class Number(NamedTuple):
    """A published mean, and its deviation where one is printed.

    >>> print(Number(92.55, 0.16), Number(73.93))
    92.55 ± 0.16 73.93
    """

    mean: float
    sd: float | None = None

    def __str__(self) -> str:
        return f"{self.mean:.2f}" + ("" if self.sd is None else f" ± {self.sd:.2f}")


@dataclass(frozen=True)
class Row:
    """One rule on one data set of a table.

    ``place`` names data and net, ``name`` the rule as ``--only`` knows it; ``settings`` are those
    of the paper's protocol, ``varied`` what a table varies, at any scale. ``logs`` are the authors'
    own logs over all seeds at the final epoch. Without a published number the row stands in at
    small scale for data that are rarely at hand, ``stands_for``.
    """

    place: str
    name: str
    paper: Number | None
    settings: tuple[str, ...] = ()
    varied: tuple[str, ...] = ()
    logs: Number | None = None
    stands_for: str = ""
    measure: str = ""

    @property
    def rule(self) -> str:
        """The rule's own name.

        >>> Row("shd-rec", "s_tllr-dfa", None).rule, Row("cifar10", "tess:+1", None).rule
        ('s_tllr', 'tess')
        """
        return self.name.partition(":")[0].removesuffix("-dfa")

    @property
    def entry(self) -> str:
        """The entry of the family's table that this row is at small scale."""
        return self.name.partition(":")[0]

    @property
    def data(self) -> str:
        """The data set.

        >>> Row("nmnist-fc", "tp", None).data, Row("cifar10", "tess", None).data
        ('nmnist', 'cifar10')
        """
        return self.place.partition("-")[0]


@dataclass(frozen=True)
class Table:
    """A published table: its rows, or the model that works it out.

    ``small_seeds`` are as many as the scaled protocol has an hour for.
    """

    name: str
    paper: str
    title: str
    kind: Kind = "accuracy"
    rows: tuple[Row, ...] = ()
    small_seeds: int = 3

    @property
    def source(self) -> str:
        """Authors and number of the paper."""
        return SOURCES[self.paper]


SOURCES = {
    "tess": "Apolinario, Roy and Frenkel, arXiv 2502.01837",
    "s_tllr": "Apolinario and Roy, arXiv 2306.15220",
    "tp": "Pes, Yin, Stuijk and Corradi, arXiv 2509.13053",
}

_TESS = ("rule.pre_decay=0.5", "rule.post_decay=0.2")
_LAST_5 = ("learner.active_steps=5",)
_SIGMOID = ("rule.surrogate=sigmoid",)
_AUDIO = ("rule.surrogate=fast_sigmoid", "learner.active_steps=90")
_AUDIO_TRACES = (
    "rule.pre_decay=1.0", "rule.post_decay=0.5", "rule.post_gain=1.0", "rule.readout_decay=0.99",
)  # fmt: skip
_ARCTAN = ("rule.surrogate=arctan",)


def _tess(gain: float) -> tuple[str, ...]:
    return (*_TESS, f"rule.post_gain={gain}")


def _s_tllr(pre: float) -> tuple[str, ...]:
    return (f"rule.pre_decay={pre}", "rule.post_decay=0.2", "rule.post_gain=-1.0")


def _tp(decay: float) -> tuple[str, ...]:
    return (f"rule.decay={decay}", "learner.update=step")


def _of_tess(
    place: str, bptt: Number, s_tllr: Number, tess: Number, pre: float, gain: float = 1.0
) -> tuple[Row, ...]:
    return (
        Row(place, "bptt", bptt),
        Row(place, "s_tllr", s_tllr, _s_tllr(pre)),
        Row(place, "tess", tess, _tess(gain)),
    )


def _ablated(place: str, *means: float | None, stands_for: str = "") -> Iterator[Row]:
    """A row for each gain of the post trace: -1, 0, +1."""
    for gain, mean in zip((-1, 0, 1), means, strict=True):
        name = f"tess:{gain:+d}" if gain else "tess:0"
        paper = None if mean is None else Number(mean)
        varied = (f"rule.post_gain={float(gain)}",)
        yield Row(place, name, paper, _TESS, varied, stands_for=stands_for)


def _stand_ins(place: str, stands_for: str, *names: str) -> tuple[Row, ...]:
    return tuple(Row(place, name, None, stands_for=stands_for) for name in names)


_ACCURACY = (
    *_of_tess("cifar10dvs", Number(76.40, 0.66), Number(75.14, 1.37), Number(75.00, 0.65), 0.5, 0),
    *_of_tess("dvs_gesture", Number(97.95, 0.68), Number(98.48, 0.37), Number(98.56, 0.31), 0.75),
    *_of_tess("cifar10", Number(92.55, 0.06), Number(91.88, 0.28), Number(92.55, 0.16), 0.5),
    *_of_tess("cifar100", Number(69.28, 0.37), Number(68.00, 0.71), Number(70.00, 0.34), 0.5),
    *_stand_ins("nmnist-conv", "the event cameras", "bptt", "s_tllr", "tess"),
)  # fmt: skip
_ABLATION = (
    *_ablated("cifar10dvs", 75.00, 75.00, 74.36),
    *_ablated("dvs_gesture", 98.56, 98.33, 98.56),
    *_ablated("cifar10", 89.93, 91.99, 92.55),
    *_ablated("cifar100", 62.49, 68.19, 70.00),
    *_ablated("nmnist-conv", None, None, None, stands_for="the event cameras"),
)
_EVENTS = (
    Row("dvs_gesture", "bptt", Number(95.58, 1.08), _LAST_5),
    Row("dvs_gesture", "s_tllr", Number(97.72, 0.38), (*_s_tllr(0.75), *_LAST_5)),
    Row("cifar10dvs", "bptt", Number(75.44, 0.76), _SIGMOID),
    Row("cifar10dvs", "s_tllr", Number(75.6, 0.10), (*_s_tllr(0.5), *_SIGMOID)),
    Row("cifar10dvs", "s_tllr:last-5", Number(73.93), (*_s_tllr(0.5), *_SIGMOID, *_LAST_5)),
    Row("ncaltech101", "bptt", Number(65.92, 0.82), _LAST_5),
    Row("ncaltech101", "s_tllr", Number(66.06, 0.92), (*_s_tllr(0.5), *_LAST_5)),
    Row("shd-rec", "bptt", Number(70.57, 0.96), _AUDIO),
    Row("shd-rec", "s_tllr", Number(78.24, 1.84), (*_AUDIO, *_AUDIO_TRACES)),
    Row("shd-rec", "s_tllr-dfa", Number(74.60, 0.52), (*_AUDIO, *_AUDIO_TRACES, "rule.signal=dfa")),
    Row("mvsec", "bptt", Number(3.40), measure="sum of end-point errors, lower is better"),
    Row("mvsec", "s_tllr", Number(3.45), measure="sum of end-point errors, lower is better"),
    *_stand_ins("nmnist-conv", "the event cameras", "bptt", "s_tllr"),
    *_stand_ins("keywords-rec", "SHD", "bptt", "s_tllr", "s_tllr-dfa"),
    *_stand_ins("braille-rec", "SHD", "bptt", "s_tllr", "s_tllr-dfa"),
)
_SMALL_TP = (
    Row("nmnist-fc", "bptt", Number(98.45), _ARCTAN),
    Row("nmnist-fc", "tp", Number(97.33, 0.06), _tp(0.98), logs=Number(96.53, 0.14)),
    Row("shd-ff", "bptt", Number(75.86), _ARCTAN),
    Row("shd-ff", "tp", Number(67.06), _tp(0.97), logs=Number(61.62)),
    Row("shd-rec", "bptt", Number(83.23), _ARCTAN),
    Row("shd-rec", "tp", Number(81.80, 0.51), _tp(0.85), logs=Number(76.43)),
    *_stand_ins("keywords-fc", "SHD", "bptt", "tp"),
    *_stand_ins("keywords-rec", "SHD", "bptt", "tp"),
    *_stand_ins("braille-fc", "SHD", "bptt", "tp"),
)
_DEEP_TP = (
    Row("dvs_gesture", "bptt", Number(98.56), _ARCTAN),
    Row("dvs_gesture", "tp", Number(98.18, 0.15), _tp(0.98), logs=Number(95.61)),
    Row("cifar10dvs", "tp", Number(71.62, 0.31), _tp(0.19), logs=Number(69.35)),
    *_stand_ins("nmnist-conv", "the event cameras", "bptt", "tp"),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("tess-1", "tess", "accuracy of BPTT, S-TLLR and TESS", rows=_ACCURACY, small_seeds=1),
        Table("tess-2", "tess", "products of the learning signal, memory of states", "costs"),
        Table(
            "tess-3",
            "tess",
            "accuracy with the post trace's gain at -1, 0, +1",
            rows=_ABLATION,
            small_seeds=2,
        ),
        Table("s-tllr-2", "s_tllr", "accuracy of BPTT and S-TLLR on event data", rows=_EVENTS),
        Table("tp-1", "tp", "accuracy of TP on N-MNIST and SHD (our numbering)", rows=_SMALL_TP),
        Table("tp-2", "tp", "accuracy of TP with VGG-9 (our numbering)", rows=_DEEP_TP),
        Table("tp-3", "tp", "orders of space, time, auxiliary matrices (our numbering)", "orders"),
    )
}
"""Every table by the name it has on the command line."""
