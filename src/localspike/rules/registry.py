"""Every rule by name, and how a user adds one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..errors import ConfigError
from . import presets, relatives
from .base import Rule

Preset = Callable[..., Rule]
_F = TypeVar("_F", bound=Preset)

PRESETS: dict[str, Preset] = {
    f.__name__: f
    for f in (
        presets.tess,
        presets.tess_plus,
        presets.s_tllr,
        presets.ottt,
        presets.sltt,
        relatives.tp,
        relatives.lls,
        relatives.decolle,
        relatives.local_loss,
        relatives.etlp,
        relatives.e_prop,
        relatives.ostl,
        relatives.osttp,
        relatives.es_d_rtrl,
        relatives.dfa,
        relatives.sdfa,
        relatives.drtp,
        presets.bptt,
        presets.frozen,
    )
}


def register(preset: _F) -> _F:
    """Add a rule of your own, by the name of its function, to recipes and comparisons.

    Raises
    ------
    ConfigError
        If the name is taken.

    >>> from localspike import rules
    >>> @rules.register
    ... def mine(scale: float = 1.0) -> rules.Rule:
    ...     return rules.tess(scale=scale)
    >>> rules.PRESETS.pop("mine")().signal.scale
    1.0
    """
    name = preset.__name__
    if PRESETS.get(name, preset) is not preset:
        raise ConfigError(f"a rule named {name!r} exists already", fix="Give yours another name")
    PRESETS[name] = preset
    return preset
