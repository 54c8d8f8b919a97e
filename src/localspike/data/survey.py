"""All data sets at a glance, and which of them are here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .files import ENVIRONMENT
from .registry import Info, info, names


def survey(data_root: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Cards of all data sets as plain data; ``here`` is "inside", "yes", "part" or "no".

    >>> survey()["data"][0]["here"]
    'inside'
    """
    given = os.fspath(data_root) if data_root else os.environ.get(ENVIRONMENT)
    root = Path(given).expanduser() if given else None
    return {"data_root": given, "data": [_entry(info(name), root) for name in names()]}


def _entry(entry: Info, root: Path | None) -> dict[str, Any]:
    card = entry.card
    form = where(entry, root)
    return {
        "name": card.name,
        "title": card.title,
        "kind": card.kind,
        "shape": list(card.shape),
        "steps": card.steps,
        "classes": list(entry.classes),
        "official": dict(card.official),
        "splits": card.splits,
        "licence": card.licence,
        "homepage": card.homepage,
        "cite": card.citation.bibtex,
        "here": "inside" if form == "" else _word(entry, form),
        "form": form,
    }


def where(entry: Info, root: Path | None) -> str | None:
    """The form of a data set's files that lies under ``root``; "" inside the package, else None."""
    if not entry.files:
        return ""
    forms = [form for form in entry.files if root is not None and (root / form).exists()]
    return forms[0] if forms else None


def _word(entry: Info, form: str | None) -> str:
    if form is None:
        return "no"
    return "part" if form in entry.card.parts else "yes"
