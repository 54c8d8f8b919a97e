"""Decoded, encoded and binned data sets kept on disk, to be mapped instead of made again.

    data = cached(build, {"data": "toy", "split": "train"}, files=[folder], cache=True)

An entry is found by what made it: the settings, the path, size and times of the source files, and
the version of the code. It is verified byte for byte when opened; one that is damaged is reported,
made again and never served. Where the cache cannot be used, the data set is made as if there were
none, and a `CacheWarning` says so.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ConfigError, DataError, LocalspikeWarning, os_advice, os_reason
from .cache_codec import decode, encode
from .cache_file import Damaged
from .cache_key import call_settings, describe, digest, watched
from .cache_store import GIGABYTE, Cache, Full
from .dataset import Dataset
from .files import first_line, resolve_root

ENVIRONMENT, LIMIT = "LOCALSPIKE_CACHE", "LOCALSPIKE_CACHE_GB"
OFF, ON = ("", "0", "off", "no", "false"), ("1", "on", "yes", "true")

Choice = Cache | str | os.PathLike[str] | bool | None


class CacheWarning(LocalspikeWarning):
    """The cache could not be used, or an entry was damaged; the data are right all the same."""


@dataclass(frozen=True)
class Note:
    """What the cache did: ``outcome`` is "hit", "made", "rebuilt" or "uncached".

    ``nbytes`` is the size of the entry, ``dense`` that of the same frames at a byte a place
    (static images: one frame); ``reason`` says why an entry was rebuilt or none was used.
    """

    outcome: str
    path: Path | None = None
    nbytes: int = 0
    dense: int = 0
    reason: str = ""

    @property
    def ratio(self) -> float:
        """How many times smaller than a byte a place the entry is; 0 without one."""
        return self.dense / self.nbytes if self.nbytes else 0.0

    def __str__(self) -> str:
        size = f"{self.nbytes} bytes, {self.ratio:.1f} times smaller than bytes"
        parts = [str(self.path) if self.path else "", size if self.nbytes else "", self.reason]
        return ": ".join([self.outcome, *filter(None, parts)])


def cached(
    build: Callable[[], Dataset],
    settings: Mapping[str, object],
    *,
    files: Iterable[str | os.PathLike[str]] = (),
    version: int = 1,
    cache: Choice = None,
) -> Dataset:
    """The data set ``build()`` makes, from the cache if it has been made before.

    ``settings`` and the state of ``files`` (each a file, or a folder with all below it) must
    determine what is built; raise ``version`` when the same of these should now give another.
    ``cache`` is a folder, a `Cache`, True (the folder named by the environment's
    LOCALSPIKE_CACHE, else ``localspike`` in the user's cache folder), False (off), or None: on only
    where LOCALSPIKE_CACHE is set. Frames are those of ``build()`` bit for bit.
    Raises ConfigError for an impossible LOCALSPIKE_CACHE_GB, and what ``build`` raises.

    >>> import tempfile
    >>> from .speech import keywords
    >>> folder, build = tempfile.mkdtemp(), lambda: keywords("val", limit=4)
    >>> made, found = (fetch(build, {"limit": 4}, cache=folder) for _ in range(2))
    >>> made[1].outcome, found[1].outcome, len(found[0])
    ('made', 'hit', 4)
    """
    return fetch(build, settings, files=files, version=version, cache=cache)[0]


def fetch(
    build: Callable[[], Dataset],
    settings: Mapping[str, object],
    *,
    files: Iterable[str | os.PathLike[str]] = (),
    version: int = 1,
    cache: Choice = None,
) -> tuple[Dataset, Note]:
    """As `cached`, and a `Note` of what the cache did."""
    store = choose(cache)
    if store is None:
        return build(), Note("uncached", reason="the cache is off")
    try:
        text = describe(settings, files, version, skip=store.folder)
    except DataError as error:
        return build(), _without(str(error))
    found = _found(store, text)
    if isinstance(found, tuple):
        return found
    data = build()
    return _kept(store, text, data, found)


def load_cached(
    loader: Callable[..., Dataset],
    forms: Sequence[str],
    *args: object,
    data_root: str | os.PathLike[str] | None = None,
    cache: Choice = None,
    **options: object,
) -> Dataset:
    """``loader(*args, data_root=data_root, **options)``, from the cache if made before.

    The key has all arguments of the loader, defaults included, and the state of every folder that
    has one of ``forms``, the paths the loader looks for under the data root.
    Raises what the loader raises.

    >>> def loader(split, data_root=None): raise DataError("no such data")
    >>> load_cached(loader, ["toy/labels.npz"], "val", cache=False)
    Traceback (most recent call last):
    localspike.errors.DataError: no such data.
    """

    def build() -> Dataset:
        return loader(*args, data_root=data_root, **options)

    store = choose(cache)
    if store is None:
        return build()
    settings = call_settings(loader, *args, data_root=None, **options)
    settings["@loader"] = f"{loader.__module__}.{loader.__qualname__}"
    files = watched(resolve_root(data_root, forms), forms)
    return cached(build, settings, files=files, cache=store)


def choose(cache: Choice) -> Cache | None:
    """The cache meant by the argument ``cache`` of `cached`, None for none.

    >>> choose(False) is None, choose("here").folder.name
    (True, 'here')
    """
    if cache is False or isinstance(cache, Cache):
        return cache or None
    named = os.environ.get(ENVIRONMENT, "")
    if cache is None and named.lower() in OFF:
        return None
    if cache is None or cache is True:
        cache = user_folder() if named.lower() in (*OFF, *ON) else named
    return Cache(Path(cache).expanduser(), _limit())


def user_folder() -> Path:
    """The folder ``localspike`` among the user's caches, where the system keeps these."""
    home = Path.home()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "localspike"


def _limit() -> int:
    given = os.environ.get(LIMIT) or "10"
    try:
        limit = float(given)
    except ValueError:
        limit = -1.0
    if not 0 < limit < 1e9:
        raise ConfigError(
            f"impossible {LIMIT}", got=repr(given), expected="the largest size of the cache in GB"
        )
    return int(limit * GIGABYTE)


def _found(store: Cache, text: str) -> tuple[Dataset, Note] | str:
    """The entry, or why it must be made again: "" when there is none."""
    key = digest(text)
    try:
        entry = store.read(key)
        if entry is None:
            return ""
        if entry.about.get("made_by") != text:
            raise Damaged("it is the entry of another data set")
        data, dense = decode(entry.about, entry.arrays), int(entry.about["dense"])
    except Damaged as error:
        return str(error)
    # Digests hold, yet we have not written this: it may lack or hold anything.
    except Exception as error:
        return f"it does not hold a data set ({type(error).__name__}: {first_line(error)})"
    return data, Note("hit", store.path(key), entry.nbytes, dense)


def _kept(store: Cache, text: str, data: Dataset, damage: str) -> tuple[Dataset, Note]:
    """Keep ``data`` and read them back, so that the first run sees what all others will."""
    key = digest(text)
    if damage:
        _warn(f"cache: {store.path(key)} is damaged ({damage}): made again")
    try:
        about, arrays, dense = encode(data)
        store.write(key, {**about, "dense": dense, "made_by": text}, arrays)
    except OSError as error:
        return data, _without(
            f"cannot write in {store.folder} ({os_reason(error)}): {os_advice(error)}"
        )
    except (Full, DataError) as error:
        return data, _without(str(error))
    again = _found(store, text)
    if isinstance(again, str):
        return data, _without(f"the entry just written is gone or damaged ({again or 'gone'})")
    outcome = "rebuilt" if damage else "made"
    return again[0], replace(again[1], outcome=outcome, reason=damage)


def _without(reason: str) -> Note:
    _warn(f"cache: {reason.rstrip('.')}; going on without it")
    return Note("uncached", reason=reason)


def _warn(text: str) -> None:
    """One line, once (by Python's own rule: the first time a text comes from a place)."""
    warnings.warn(text, CacheWarning, stacklevel=2)
