"""Errors that teach: one line saying what is wrong, what was got, what was expected, what to do."""

from __future__ import annotations

import errno
import math


class LocalspikeWarning(UserWarning):
    """Base of what this library warns of: it goes on, but whoever runs it should know."""


class LateWarning(LocalspikeWarning):
    """All events come after the time that is looked at."""


class BasisWarning(LocalspikeWarning):
    """A class basis is degenerate for this many classes and latents."""


class LocalspikeError(Exception):
    """Base of every error this library raises on purpose.

    Parameters
    ----------
    what:
        The subject and the fault, e.g. ``"labels out of range"``.
    got, expected:
        What was found and what would have been accepted.
    fix:
        One imperative sentence telling the user what to do.

    >>> print(ShapeError("frames have the wrong rank", got="[64, 80]", expected="[T, B, 80]"))
    frames have the wrong rank: got [64, 80]; expected [T, B, 80].
    """

    def __init__(
        self, what: str, *, got: object = None, expected: object = None, fix: str | None = None
    ) -> None:
        self.what, self.got, self.expected, self.fix = what, got, expected, fix
        super().__init__(self._line())

    def _line(self) -> str:
        parts = []
        if self.got is not None:
            parts.append(f"got {self.got}")
        if self.expected is not None:
            parts.append(f"expected {self.expected}")
        line = self.what + (": " + "; ".join(parts) if parts else "")
        line = line.rstrip(".") + "."
        if self.fix:
            line += " " + self.fix.rstrip(".") + "."
        return " ".join(line.split())


class ConfigError(LocalspikeError):
    """A setting, recipe or key is unknown or has an impossible value."""


class ShapeError(LocalspikeError):
    """A tensor has the wrong shape, rank or dtype."""


class DataError(LocalspikeError):
    """A data file or a batch is missing, malformed, or holds values that cannot be."""


class IllegalError(LocalspikeError):
    """A combination of rule, network and schedule that is mathematically not defined."""


class NumericalError(LocalspikeError):
    """A non-finite value appeared while learning."""


class CheckpointError(LocalspikeError):
    """A checkpoint is missing, damaged, or belongs to another model."""


class MissingDependencyError(LocalspikeError):
    """An optional package is needed; the message says what to install."""


def is_finite(value: object) -> bool:
    """Whether a setting is a finite number, of Python's or of any library's.

    >>> [is_finite(x) for x in (1, 0.5, float("nan"), "0.5", None)]
    [True, True, False, False, False]
    """
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return False


_ADVICE = {
    errno.ENOSPC: "Free some space there",
    errno.EDQUOT: "Free some of your quota there",
    errno.EFBIG: "Allow larger files there",
    errno.EACCES: "Change its permissions",
    errno.EPERM: "Change its permissions",
    errno.EROFS: "Make that file system writable",
    errno.ENOTDIR: "Check the path, a part of it is a file",
    errno.EISDIR: "Name a file, this is a folder",
    errno.ENAMETOOLONG: "Shorten the name",
    errno.EMFILE: "Allow more open files (ulimit -n)",
    errno.EIO: "Check the disk",
}


def os_reason(error: OSError) -> str:
    """What the system says, without numbers and paths.

    >>> os_reason(OSError(errno.ENOENT, "No such file or directory", "x"))
    'No such file or directory'
    """
    return error.strerror or str(error) or type(error).__name__


def os_advice(error: OSError) -> str:
    """What to do about it, as an imperative without a full stop.

    >>> os_advice(OSError(errno.ENOSPC, "No space left on device"))
    'Free some space there'
    """
    return _ADVICE.get(error.errno or 0, "Check the path")
