"""All recipes by name, as the command line knows them."""

from __future__ import annotations

from collections.abc import Callable

from ..config import RunConfig
from ..config.options import nearest
from ..errors import ConfigError
from . import any_data, cifar10, generated, keywords, nmnist

Recipe = Callable[[], RunConfig]
_RULES = ("tess", "bptt", "frozen", "s_tllr", "ottt", "sltt")

RECIPES: dict[str, Recipe] = (
    {
        f"{prefix}-{rule.replace('_', '-')}": getattr(module, f"{prefix}_{rule}")
        for prefix, module in (("keywords", keywords), ("cifar10", cifar10), ("nmnist", nmnist))
        for rule in _RULES
    }
    | {"cifar10-tess-plus": cifar10.cifar10_tess_plus}
    | {
        f"keywords-leaky-{rule}": getattr(keywords, f"keywords_leaky_{rule}")
        for rule in ("tess", "bptt", "frozen")
    }
)
# What is written by hand above keeps its settings; the rest of the family comes from its table.
RECIPES |= {name: made for name, made in generated.recipes().items() if name not in RECIPES}
RECIPES |= any_data.recipes(RECIPES)


def recipe(name: str) -> RunConfig:
    """The configuration of a recipe.

    Raises
    ------
    ConfigError
        If there is no such recipe; the message has the nearest names.

    >>> recipe("keywords-tess").rule.name
    'tess'
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}", fix=nearest(name, RECIPES, "localspike list"))
    return RECIPES[name]()


def summary(name: str) -> str:
    """The first line of a recipe's docstring.

    >>> summary("keywords-bptt")
    'Backpropagation through time: the baseline on the same net, loss and schedule.'
    """
    return (RECIPES[name].__doc__ or "").strip().splitlines()[0]
