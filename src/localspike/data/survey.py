"""All data sets at a glance, and which of them are here."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

from .files import ENVIRONMENT, resolve_root
from .registry import Info, info, names


def survey(data_root: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Cards of all data sets as plain data; ``here`` is "inside", "yes", "part" or "no".

    Raises DataError when a ``data_root`` is given that is no folder.

    >>> survey()["data"][0]["here"]
    'inside'
    """
    if data_root is not None:
        resolve_root(data_root)
    given = os.environ.get(ENVIRONMENT) if data_root is None else os.fspath(data_root)
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
    forms = [form for form in entry.files if root is not None and whole(entry, root, form)]
    return forms[0] if forms else None


def whole(entry: Info, root: Path, form: str) -> bool:
    """Whether ``form`` lies under ``root`` with every file that belongs to it, none of them empty.

    >>> import tempfile
    >>> whole(info("mnist"), Path(tempfile.mkdtemp()), "mnist/train-images-idx3-ubyte")
    False
    """
    at, results = PurePosixPath(form), [PurePosixPath(one.result) for one in entry.card.files]
    if form in entry.card.parts or not results:
        return holds(root / form)
    if len(results) == 1:
        # What is yet to be unpacked, or was in vain, makes no form of the folder above it.
        return holds(root / form, besides=results[0].name if results[0].parent == at else "")
    beside = at.name in {name for one in results for name in (one.name, one.stem)}
    folder = root / (at.parent if beside else at)
    needed = [(folder / one.name, folder / one.name.removesuffix(".gz")) for one in results]
    return holds(root / form) and all(any(map(holds, ways)) for ways in needed)


def holds(path: Path, besides: str = "") -> bool:
    """Whether a file of some bytes, or a folder with something in it, lies at ``path``.

    Which of the two is to be there is told by the name. Of a folder's content, names that begin
    with ``besides`` do not count.

    >>> import tempfile
    >>> holds(Path(tempfile.mkdtemp()))
    False
    """
    try:
        if path.suffix or path.name.endswith("-ubyte"):
            return path.is_file() and path.stat().st_size > 0
        return any(not besides or not one.name.startswith(besides) for one in path.iterdir())
    except OSError:
        return False


def _word(entry: Info, form: str | None) -> str:
    if form is None:
        return "no"
    return "part" if form in entry.card.parts else "yes"
