"""What a captured step takes for granted of its network and rule, and whether it still holds."""

from __future__ import annotations

from collections.abc import Iterator
from operator import is_
from typing import Any

from torch.nn.modules import module as hooks_of_all

from .credit import Credit

_OWN = "localspike."
_PASSED_ON = ("torch.nn.modules.container",)  # lists of blocks: they compute nothing
_COUNTED = ("training", "updates")  # of a module: what changes without changing a step
_CREDIT = ("net", "rule", "loss", "regulariser", "companion", "bound", "eligibilities")


class Guards:
    """Every object a step's Python reads, as it is now; `hold` is False once one is another."""

    def __init__(self, credit: Credit) -> None:
        self._modules = list(credit.net.modules())
        self._types = [type(m) for m in self._modules]
        places = [place for owner in _owners(credit) for place in owner]
        self._dicts = [d for d, _, _ in places]
        self._names = [name for _, name, _ in places]
        self._values = [value for _, _, value in places]
        self._all = [vars(m) for m in self._modules]
        self._sizes = list(map(len, self._all))
        self._hooks = [
            *(m._forward_hooks for m in self._modules),
            *(m._forward_pre_hooks for m in self._modules),
            hooks_of_all._global_forward_hooks,
            hooks_of_all._global_forward_pre_hooks,
        ]

    @property
    def hold(self) -> bool:
        """Whether all is as it was; tensors may hold other numbers."""
        now = map(dict.get, self._dicts, self._names)
        return (
            all(map(is_, now, self._values))
            and all(map(is_, map(type, self._modules), self._types))
            and list(map(len, self._all)) == self._sizes  # a method put over a class's own, say
        )

    @property
    def watched(self) -> bool:
        """Whether somebody watches calls of the network's modules by a hook."""
        return any(self._hooks)


_Place = tuple[dict[str, Any], str, Any]


def _owners(credit: Credit) -> Iterator[list[_Place]]:
    for module in credit.net.modules():
        held = vars(module)
        yield [(held, k, v) for k, v in held.items() if k[0] != "_" and k not in _COUNTED]
        for inner in (held["_parameters"], held["_buffers"], held["_modules"]):
            yield [(inner, k, v) for k, v in inner.items()]
    held = vars(credit)
    yield [(held, name, held[name]) for name in _CREDIT]
    for signal in credit.bound.values():
        held = getattr(signal, "__dict__", {})
        yield [(held, k, v) for k, v in held.items()]
        yield [(signal.parameters, k, v) for k, v in signal.parameters.items()]  # type: ignore[misc]


def stranger(credit: Credit) -> str | None:
    """Why the parts of a net and rule cannot be vouched for, or None if they can.

    A part of a user's own may do anything in Python: look at numbers, count calls. It is taken when
    it (or its class) says ``capturable = True``: that a step's operations depend on shapes only.
    """
    if credit.net.normalised:
        return "its blocks keep running statistics"
    for part in _parts(credit):
        home = getattr(type(part), "__module__", "")
        known = home.startswith(_OWN) or home in _PASSED_ON
        if not known and not getattr(part, "capturable", False):
            name = getattr(part, "__name__", type(part).__name__)
            return f"{name} is not localspike's own and does not say `capturable = True`"
    return None


def _parts(credit: Credit) -> Iterator[object]:
    yield from credit.net.modules()
    for block in credit.net.blocks.values():
        yield block.neuron
        yield from block.tail
    rule = credit.rule
    yield from (rule, rule.eligibility, rule.signal, rule.surrogate, credit.loss)
    yield from credit.bound.values()
    yield from credit.eligibilities.values()
    yield from (part for part in (rule.band, credit.regulariser) if part is not None)
