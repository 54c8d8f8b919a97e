"""All data sets by name: a card, a loader, and where its files are looked for."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import DataError
from . import (
    caltech,
    cifar,
    cifar10dvs,
    command_lists,
    commands,
    digits,
    gestures,
    heidelberg,
    mnist,
    poker,
    speech,
    touch,
)
from .arguments import is_whole
from .cache import Choice, load_cached
from .cards import CARDS, Card
from .dataset import Dataset
from .events import Sensor
from .placing import frame_shape, shrunk

COMMON = ("split", "data_root", "limit")
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Info:
    """What is known of a data set without opening it.

    ``files`` are looked for under the data root, the first that exists is used; none means that
    the data are inside the package. ``steps`` is the default T.
    """

    card: Card
    loader: Callable[..., Dataset]
    classes: tuple[str, ...]
    files: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train", "val", "test")

    @property
    def name(self) -> str:
        """The name it is loaded by."""
        return self.card.name

    @property
    def title(self) -> str:
        """What it is, in one line."""
        return self.card.title

    @property
    def sample_shape(self) -> Shape:
        """Shape of one step of one sample, with the loader's default options."""
        return self.card.shape

    @property
    def steps(self) -> int:
        """The default T."""
        return self.card.steps

    @property
    def licence(self) -> str:
        """The licence as stated at the source."""
        return self.card.licence

    @property
    def watched(self) -> tuple[str, ...]:
        """Every file a loader may open, chosen forms included: what a cache entry depends on."""
        return (*self.files, *_MORE_FILES.get(self.name, ()))

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the loader's own options."""
        return tuple(key for key in inspect.signature(self.loader).parameters if key not in COMMON)

    def with_options(self, options: Mapping[str, Any]) -> Info:
        """What is known with these of the loader's options: some change shape or classes.

        Values the loader would refuse are left to it.

        >>> info("shd").with_options({"channels": 140}).sample_shape
        (140,)
        >>> len(info("cifar100").with_options({"labels": "coarse"}).classes)
        20
        """
        change = _CHANGES.get(self.name)
        return self if change is None else change(self, options)

    def _shaped(self, shape: Shape) -> Info:
        return replace(self, card=replace(self.card, shape=shape))


def _entry(
    loader: Callable[..., Dataset], classes: Sequence[str], files: Iterable[str] = ()
) -> Info:
    return Info(CARDS[loader.__name__], loader, tuple(classes), tuple(files))


_WORDS = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes")
_TABLE: Mapping[str, Info] = {
    entry.name: entry
    for entry in (
        _entry(speech.keywords, _WORDS),
        _entry(cifar.cifar10, cifar.CLASSES, cifar.FORMS),
        _entry(cifar.cifar100, cifar.FINE_CLASSES, cifar.FORMS_100),
        _entry(mnist.mnist, mnist.CLASSES, mnist.FORMS),
        _entry(mnist.fashion_mnist, mnist.FASHION_CLASSES, mnist.FASHION_FORMS),
        _entry(digits.nmnist, digits.CLASSES, digits.FORMS),
        _entry(gestures.dvs_gesture, gestures.CLASSES, gestures.FORMS),
        _entry(cifar10dvs.cifar10dvs, cifar10dvs.CLASSES, cifar10dvs.FORMS),
        _entry(caltech.ncaltech101, caltech.CLASSES, caltech.FORMS),
        _entry(poker.pokerdvs, poker.CLASSES, poker.FORMS),
        _entry(heidelberg.shd, heidelberg.SHD_CLASSES, heidelberg.SHD_FORMS),
        _entry(heidelberg.ssc, heidelberg.SSC_CLASSES, heidelberg.SSC_FORMS),
        _entry(commands.speech_commands, commands.CLASSES, commands.FORMS),
        _entry(touch.braille, touch.CLASSES, touch.FORMS),
    )
}


Change = Callable[[Info, Mapping[str, Any]], Info]


def _resized(sensor: Sensor) -> Change:
    def change(about: Info, options: Mapping[str, Any]) -> Info:
        if "size" not in options:
            return about
        return about._shaped(frame_shape(shrunk(sensor, options["size"], about.name)))

    return change


def _canvas(about: Info, options: Mapping[str, Any]) -> Info:
    chosen = {key: options[key] for key in ("size", "square") if key in options}
    return about._shaped(caltech.sample_shape(**chosen))


def _channels(about: Info, options: Mapping[str, Any]) -> Info:
    channels = options.get("channels")
    return about._shaped((int(channels),)) if is_whole(channels) else about


def _words(about: Info, options: Mapping[str, Any]) -> Info:
    chosen = command_lists.CLASSES.get(str(options.get("words")), about.classes)
    return replace(about, classes=chosen)


def _labels(about: Info, options: Mapping[str, Any]) -> Info:
    kinds = {kind: classes for kind, (_, classes) in cifar.LABELS.items()}
    return replace(about, classes=kinds.get(options.get("labels", ""), about.classes))


_CHANGES: Mapping[str, Change] = {
    "cifar100": _labels,
    "speech_commands": _words,
    "dvs_gesture": _resized(gestures.SENSOR),
    "cifar10dvs": _resized(cifar10dvs.SENSOR),
    "ncaltech101": _canvas,
    "shd": _channels,
    "ssc": _channels,
}
"""Data sets with options that change the shape of a sample or the classes, and how."""


# Forms that are taken only when asked for by an option.
_MORE_FILES: Mapping[str, tuple[str, ...]] = {"nmnist": digits.FORM_FILES["raw"]}


def names() -> tuple[str, ...]:
    """Names of all data sets.

    >>> names()[:4]
    ('keywords', 'cifar10', 'cifar100', 'mnist')
    """
    return tuple(_TABLE)


def info(name: str) -> Info:
    """What is known of the data set ``name``; DataError with the nearest names if unknown.

    >>> info("nmnist").sample_shape
    (2, 34, 34)
    """
    if not isinstance(name, str):
        raise DataError(
            "no name of a data set", got=repr(name), expected=" or ".join(map(repr, names()))
        )
    if name not in _TABLE:
        raise DataError("unknown data set", got=repr(name), expected=_hint(name, names()))
    return _TABLE[name]


def load(
    name: str,
    split: str,
    *,
    data_root: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    cache: Choice = None,
    **options: Any,
) -> Dataset:
    """Load a split of the data set ``name``; ``options`` are its loader's own (steps, bin_ms, …).

    ``cache`` is where decoded sets are kept, see `cached`; None follows LOCALSPIKE_CACHE.

    Raises DataError for an unknown name, split or option and for anything wrong with the files.

    >>> load("keywords", "val", limit=10, steps=25).steps
    25
    """
    entry = info(name)
    for key in options:
        if key not in entry.options:
            raise DataError(
                f"{name} has no such option", got=repr(key), expected=_hint(key, entry.options)
            )
    if not entry.files:
        return entry.loader(split, limit=limit, **options)
    return load_cached(
        entry.loader, entry.watched, split, data_root=data_root, cache=cache, limit=limit, **options
    )


def _hint(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return " or ".join(map(repr, near or known))
