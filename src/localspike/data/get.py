"""Bringing a data set under the data root: fetched, verified, unpacked, each part once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .archive import unpack
from .cards import Card, File
from .fetch import Progress, fetch_claimed, owning
from .reach import PATIENCE
from .registry import Info, info
from .survey import holds, whole


@dataclass(frozen=True)
class Got:
    """What was done about one file: ``state`` "there", "fetched" or "unpacked".

    ``checksum`` is the algorithm its published checksum was verified by, "" where none was: none is
    published, or the file was "there" and is not checked again.
    """

    path: str
    state: str
    checksum: str = ""


def get(
    name: str,
    root: Path,
    *,
    patience: float = PATIENCE,
    keep: bool = False,
    bar: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> list[Got]:
    """Fetch the official files of ``name`` to their places under ``root``; what is there is kept.

    An archive lying at its place, brought there by hand, is verified and unpacked as one that was
    fetched. Archives are removed once they are unpacked, unless ``keep``. ``say`` hears what is
    done, and the licence first. Raises DataError when a file can be had neither way: the message
    says which file to put where.

    >>> get("keywords", Path("anywhere"))
    [Got(path='in the package', state='there', checksum='')]
    """
    entry = info(name)
    card = entry.card
    say(f"{card.title}. Licence: {card.licence}. Source: {card.homepage}")
    elsewhere = "in the package" if not entry.files else _other_form(entry, root)
    if elsewhere:
        return [Got(elsewhere, "there")]
    shown = Progress(bar=bar, say=say)
    return [_get_one(card, file, root, patience, keep, shown) for file in card.files]


def _other_form(entry: Info, root: Path) -> str:
    """A form of the whole data set, other than the one that is fetched, if it lies there."""
    results = [file.result for file in entry.card.files]
    for form in entry.files:
        fetched = any(result == form or result.startswith(f"{form}/") for result in results)
        if not fetched and form not in entry.card.parts and whole(entry, root, form):
            return form
    return ""


def _get_one(
    card: Card, file: File, root: Path, patience: float, keep: bool, shown: Progress
) -> Got:
    if holds(root / file.result):
        return Got(file.result, "there")
    path = root / file.path
    fix = _by_hand(card, root)
    if not holds(path) and not file.urls:
        raise DataError(f"{card.name} cannot be fetched from here: {card.manual}", fix=fix)
    with owning(path):
        if holds(root / file.result):  # another process has just done it
            return Got(file.result, "there")
        shown.say(f"{'verifying' if path.exists() else 'fetching'} {file.path}")
        fetch_claimed(file, root, patience, shown, fix)
        if file.unpack is not None:
            shown.say(f"unpacking {file.path}")
            _unpack(file, root, keep)
    state = "fetched" if file.unpack is None else "unpacked"
    return Got(file.result, state, file.checksum[0] if file.checksum else "")


def _unpack(file: File, root: Path, keep: bool) -> None:
    archive = root / file.path
    held = unpack(archive, root / (file.unpack or ""))
    if not holds(root / file.result):
        raise DataError(
            f"{archive}: holds another data set",
            got=", ".join(held[:5]) or "nothing",
            expected=file.result,
            fix="Remove what was unpacked, and get the archive from its source",
        )
    if not keep:
        archive.unlink(missing_ok=True)


def _by_hand(card: Card, root: Path) -> str:
    """Which files to put where, of those that are missing."""
    missing = [one for one in card.files if not holds(root / one.result)] or card.files
    names = ", ".join(file.name for file in missing)
    folder = (root / missing[0].path).parent
    source = f" from {card.homepage}" if not card.manual else ""
    again = f" and run localspike data get {card.name} again" if missing[0].unpack else ""
    return f"Put {names}{source} into {folder}{again}"
