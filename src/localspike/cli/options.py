"""What is wrong with arguments before they are parsed: empty ones, options nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any, get_args

from ..config import keys
from ..config.options import nearest
from ..errors import ConfigError
from ..recipes.registry import RECIPES, recipe


def check(kinds: Any, arguments: Sequence[str]) -> None:
    """Refuse an empty argument, and an option the command does not have.

    Raises
    ------
    ConfigError
        The message names the argument and what may have been meant.
    """
    for before, argument in pairwise(["", *arguments]):
        if not argument or (argument.startswith("--") and argument.endswith("=")):
            raise ConfigError(
                f"the value of {before} is empty" if before.startswith("--") else "empty argument",
                got=repr(argument),
                fix="Give a value, or leave it out",
            )
    command, known = options(kinds, arguments)
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if known and name.startswith("--") and name.replace("_", "-") not in known:
            value = value or next(iter(arguments[position + 1 :]), "VALUE")
            raise ConfigError(
                f"unknown option {name} of localspike {command}",
                fix=_meant(name, value, command, known, arguments),
            )


def options(kinds: Any, arguments: Sequence[str]) -> tuple[str, set[str]]:
    """The command that is named, with the part of it that is, and its options; else ("", none)."""
    for kind in get_args(kinds):
        made, *configured = get_args(kind)
        if arguments and any(getattr(one, "name", "") == arguments[0] for one in configured):
            parts = getattr(made, "PARTS", None)
            if parts is not None:
                part, known = options(parts, arguments[1:])
                return f"{arguments[0]} {part}".strip(), known
            named = {f"--{field.name.replace('_', '-')}" for field in fields(made)}
            return arguments[0], {*named, "--help"}
    return "", set()


def _meant(name: str, value: str, command: str, known: set[str], arguments: Sequence[str]) -> str:
    """A setting of the recipe that was written as an option, or options of like names."""
    setting = name.removeprefix("--").replace("-", "_")
    for argument in arguments if arguments[0] == "train" else ():
        if argument in RECIPES:
            every = keys(recipe(argument))
            if setting in every or setting in {full.split(".", 1)[1] for full in every}:
                return f"Settings go without dashes: {setting}={value}"
    return nearest(name, known, f"localspike {command} --help")
