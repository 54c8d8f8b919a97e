"""The sizes of a described network under a rule and a batch: who has how many samples of what."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from ..describe import BlockDescription, Description
from .setting import Setting

INPUT = "input"


class Afferent(NamedTuple):
    """One input of a block: numbers of a sample, products of a sample and step, and how often."""

    name: str
    numbers: int
    products: int
    fan_in: int
    samples: int
    shown: bool


class View:
    """A description and a setting, with the samples that run beside the batch counted in.

    Traces Propagation runs ``companions`` targets beside the samples. They have no input from
    outside and no readout; every spiking block carries them.
    """

    def __init__(self, about: Description, setting: Setting) -> None:
        self.about, self.setting = about, setting
        self.signal = about.rule["signal"]
        self.companions = 0
        if self.signal["kind"] == "Contrast":
            per_class = self.signal["against"] != "batch"
            self.companions = about.classes if per_class else setting.batch
        self.local = self.signal["kind"] not in ("Backprop", "Silent")
        # Targets beside the batch run at every step, and a regulariser acts at every step.
        always = self.companions > 0 or about.rule["band"] is not None
        self.signal_steps = setting.steps if always else setting.signal_steps

    def rows(self, block: BlockDescription) -> int:
        """Samples whose neurons a block has."""
        return self.setting.batch + (0 if block.kind == "readout" else self.companions)

    def afferents(self, block: BlockDescription) -> list[Afferent]:
        """The inputs of a block."""
        n, loops = block.neurons, block.neurons**2 if block.recurrent else 0
        outside = INPUT in block.sources
        from_outside = self.setting.batch if outside else self.rows(block)
        numbers = prod(block.input_shape)
        found = [
            Afferent(
                "input",
                numbers,
                block.macs - loops,
                block.synapse.fan_in,
                from_outside,
                block.sources == (INPUT,),
            )
        ]
        if block.recurrent:
            found.append(Afferent("recurrent", n, loops, n, self.rows(block), False))
        return found

    def learns(self, block: BlockDescription) -> bool:
        """True where the rule changes the block's weights."""
        silent = self.signal["kind"] == "Silent" and block.kind != "readout"
        return block.learns and not silent

    def has_signal(self, block: BlockDescription) -> bool:
        """True where a signal of the block's own is worked out."""
        if not self.local or block.kind == "readout":
            return False
        return self.learns(block) or bool(self.companions)

    def reached(self) -> set[str]:
        """Blocks an error may be sent down to: the first that learns and all behind it."""
        hidden = [b for b in self.about.blocks if b.kind != "readout"]
        first = next((i for i, b in enumerate(hidden) if self.learns(b)), len(hidden))
        return {b.name for b in hidden[first:]}
