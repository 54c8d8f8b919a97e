"""What is run: how many steps of how many samples, under which schedule."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError

SCHEDULES = ("streaming", "layerwise", "two_sweep", "bptt")


@dataclass(frozen=True)
class Setting:
    """One sequence batch and the schedule that works through it.

    Parameters
    ----------
    steps, batch:
        T and B.
    schedule:
        "streaming", "layerwise", "two_sweep" or "bptt".
    active:
        How many of the last steps have a learning signal; None is all of them.
    static:
        The same frame is shown at every step: all schedules but streaming multiply it once.
    crossings:
        How often the layerwise schedule hands a long sequence from one part to the next, which
        takes one contraction more each time; 0 for a sequence in one piece.

    Raises
    ------
    ConfigError
        For sizes below 1 or an unknown schedule.

    >>> Setting(steps=6, active=2).signal_steps
    2
    """

    steps: int = 1
    batch: int = 1
    schedule: str = "streaming"
    active: int | None = None
    static: bool = False
    crossings: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ConfigError(name, got=getattr(self, name), expected="a whole number >= 1")
        if self.schedule not in SCHEDULES:
            raise ConfigError("unknown schedule", got=self.schedule, expected=f"one of {SCHEDULES}")
        if self.active is not None and not 1 <= self.active <= self.steps:
            raise ConfigError("active", got=self.active, expected=f"1 .. {self.steps} steps")

    @property
    def streams(self) -> bool:
        """True where time is outside: every step does all of its work."""
        return self.schedule == "streaming"

    @property
    def signal_steps(self) -> int:
        """Steps at which a signal is worked out; a schedule of sequences takes all of them."""
        return self.active if self.streams and self.active is not None else self.steps

    def times(self, shown: bool) -> int:
        """How often an input is multiplied; ``shown``: it is the network's own input."""
        return 1 if self.static and shown and not self.streams else self.steps
