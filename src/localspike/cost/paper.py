"""The cost table of the TESS paper, counted its way on the network as it is.

Source: arXiv 2502.01837, Tables I–III: learning-signal products per sequence of one sample, and
memory for states. Its way of counting, found by fitting all four rows:

* BPTT's signal: the input gradient of every layer but the first, T times;
* TESS's signal: 2·C·n for n latents a block, and 3 operations for every number of a block's output
  that is averaged down to latents, T times;
* states: the inputs of all layers (the pre traces), T times for BPTT, twice for two traces, once
  for one; 4 bytes each, in MiB. Membranes, weights and everything else are left out. The ratios of
  3 to 10 are T over the number of traces.

On the network as published this gives less than the table says for TESS and for memory, always by
the same block: with the first block's latents and output counted **twice** every figure follows
(its averaging twice on event data only). Why it should be is not known. The BPTT figure of DVS
Gesture has 10 classes where TESS's has 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..describe import BlockDescription, Description
from .products import products
from .setting import Setting
from .signals import latents
from .view import View

AVERAGED = 3
"""Operations the paper's figures have for every number that is averaged down to latents."""


@dataclass(frozen=True)
class Published:
    """One row of the table: hundredths of 1e6 MACs and of a MiB; T, side and channels of the input.

    ``post_gain`` is the α_post of TESS; ``bptt_classes`` are the classes the BPTT figure has.
    """

    data: str
    steps: int
    side: int
    channels: int
    classes: int
    static: bool
    post_gain: float
    macs_bptt: int
    macs_tess: int
    ratio: int
    mib_bptt: int
    mib_s_tllr: int
    mib_tess: int
    bptt_classes: int


TABLE = (
    Published("CIFAR10-DVS", 10, 48, 2, 10, False, 0.0, 1358959, 2215, 613, 2550, 510, 255, 10),
    Published("DVS Gesture", 20, 32, 2, 11, False, 1.0, 1207969, 2265, 533, 2269, 226, 226, 10),
    Published("CIFAR10", 6, 32, 3, 10, True, 1.0, 362390, 548, 661, 683, 227, 227, 10),
    Published("CIFAR100", 6, 32, 3, 100, True, 1.0, 362418, 1764, 205, 683, 227, 227, 100),
)


@dataclass(frozen=True)
class Figure:
    """A figure of the table: the paper's, ours on the network as it is, and counted as the paper's.

    ``decimals`` says how many of the digits stand behind the point; all are cut, not rounded.
    """

    name: str
    paper: int
    ours: int
    recounted: int
    decimals: int = 2

    @property
    def follows(self) -> bool:
        """True where the network as it is gives the paper's figure."""
        return self.ours == self.paper

    def written(self, value: int) -> str:
        """A figure as the paper writes it.

        >>> Figure("memory", 683, 533, 683).written(683)
        '6.83'
        """
        return f"{value / 10**self.decimals:.{self.decimals}f}"


def figures(
    row: Published, tess: Description, bptt: Description, fewer: Description
) -> list[Figure]:
    """The figures of a row; ``tess`` and ``bptt`` describe its network under both rules.

    ``fewer`` is that under BPTT with the classes of the paper's BPTT figure.
    """
    sent, sent_fewer = (_sent(about, row.steps) for about in (bptt, fewer))
    signals = [row.steps * _signal(row, tess, twice) for twice in (False, True)]
    states = [_states(tess, twice) for twice in (False, True)]
    traces = 2 if row.post_gain else 1
    found = [
        Figure("signal MACs, BPTT (1e6)", row.macs_bptt, _millions(sent), _millions(sent_fewer)),
        Figure("signal MACs, TESS (1e6)", row.macs_tess, *map(_millions, signals)),
        Figure("ratio", row.ratio, sent // signals[0], sent_fewer // signals[1], 0),
    ]
    for name, paper, times in (
        ("memory, BPTT (MiB)", row.mib_bptt, row.steps),
        ("memory, S-TLLR (MiB)", row.mib_s_tllr, 2),
        ("memory, TESS (MiB)", row.mib_tess, traces),
    ):
        found.append(Figure(name, paper, *(_mib(times * n) for n in states)))
    for name, paper, times in (
        ("memory, BPTT / S-TLLR", row.mib_bptt // row.mib_s_tllr, 2),
        ("memory, BPTT / TESS", row.mib_bptt // row.mib_tess, traces),
    ):
        found.append(Figure(name, paper, row.steps // times, row.steps // times, 0))
    return found


def signal_macs(about: Description, setting: Setting) -> int:
    """What the paper calls the MACs of a rule's learning signal, of one sample's sequence.

    Input gradients where errors are sent down; for a class basis latents and their averaging; for
    other signals of a block's own, which the paper does not have, their products.

    >>> from localspike import describe, models, rules
    >>> about = describe.describe(models.mlp(20, (30,), 4), rules.bptt())
    >>> signal_macs(about, Setting(steps=12, schedule="bptt")) == 12 * 30 * 4
    True
    """
    kind = about.rule["signal"]["kind"]
    if kind == "ClassBasis":
        view = View(about, setting)
        asked = [block for block in about.blocks if view.has_signal(block)]
        return view.signal_steps * sum(_of_block(view, block, True) for block in asked)
    found = products(about, setting).values()
    return sum(p.sent + p.signal for p in found) // setting.batch


def _sent(about: Description, steps: int) -> int:
    """Products of input gradients of a sequence."""
    return signal_macs(about, Setting(steps=steps, schedule="bptt"))


def _signal(row: Published, about: Description, twice: bool) -> int:
    """Of a step: 2 C n for latents, and what averaging takes."""
    view = View(about, Setting())
    hidden = [block for block in about.blocks if block.kind != "readout"]
    found = sum(_of_block(view, block, True) for block in hidden)
    return found + (_of_block(view, hidden[0], not row.static) if twice else 0)


def _of_block(view: View, block: BlockDescription, averaging: bool) -> int:
    n, (held, _) = prod(block.output_shape), latents(view, block)
    return 2 * view.about.classes * held + (AVERAGED * n if averaging and held < n else 0)


def _states(about: Description, twice: bool) -> int:
    """Inputs of all layers."""
    found = sum(prod(block.input_shape) for block in about.blocks)
    return found + (prod(about.blocks[0].output_shape) if twice else 0)


def _millions(macs: int) -> int:
    """Hundredths of 1e6, cut.

    >>> _millions(5_480_448)
    548
    """
    return macs // 10_000


def _mib(numbers: int) -> int:
    """Hundredths of a MiB of float32, cut.

    >>> _mib(2 * 298_496)
    227
    """
    return numbers * 4 * 100 // 2**20
