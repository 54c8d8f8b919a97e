"""Batches in an order that depends on (seed, epoch) only, so any epoch can resume at any batch."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from .arguments import is_whole
from .bucket import bucketed
from .dataset import Batch, Dataset
from .events import BinnedEvents
from .moves import Mover
from .packed import PackedFrames

Augment = Callable[[Tensor, torch.Generator], Tensor]


def stream(seed: int, *path: int | str) -> torch.Generator:
    """A generator of its own for every (seed, path), independent of what was drawn elsewhere.

    >>> a, b = (torch.rand(1, generator=stream(0, "augment", batch)) for batch in (0, 1))
    >>> bool(a == b)
    False
    """
    digest = hashlib.blake2b(repr((seed, *path)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def order(n: int, seed: int, epoch: int) -> Tensor:
    """The permutation [n] of epoch ``epoch``, derived from (seed, epoch) only.

    >>> bool((order(5, seed=3, epoch=1) == order(5, seed=3, epoch=1)).all())
    True
    """
    return torch.randperm(n, generator=stream(seed, "order", epoch))


def batch_count(n: int, batch_size: int, drop_last: bool = False) -> int:
    """How many batches an epoch of ``n`` samples has.

    >>> batch_count(10, 4), batch_count(10, 4, drop_last=True)
    (3, 2)
    """
    return n // batch_size if drop_last else -(-n // batch_size)


def batches(
    dataset: Dataset,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
    drop_last: bool = False,
    augment: Augment | None = None,
    generator: torch.Generator | None = None,
    bucket: int | None = None,
    least: int = 1,
) -> Iterator[Batch]:
    """Yield the batches of one epoch, beginning with batch number ``start``.

    Batch k is the same however the loop came to it: the order comes from (seed, epoch) and the
    randomness of ``augment(samples, generator)`` from (seed, epoch, k). With ``generator`` the seed
    is drawn from it once. ``augment`` sees images [B, C, H, W] or event frames [T, B, ...].
    ``bucket`` puts samples of similar length in a batch, sorting so many batches at a time (see
    `bucketed`), and cuts its frames to the longest of them, but not below ``least`` steps.
    Raises DataError for an impossible batch size or start, when drop_last leaves no batch, and for
    a bucket where the data set has no lengths; ConfigError for an ``augment`` that takes other
    arguments.

    >>> from .speech import keywords
    >>> frames, labels, lengths = next(batches(keywords("val"), 16, shuffle=True, seed=1))
    >>> tuple(frames.shape), tuple(labels.shape), lengths
    ((50, 16, 80), (16,), None)
    """
    _check_whole(("batch size", batch_size), ("first batch", start), ("least steps", least))
    total = _checked_count(len(dataset), batch_size, start, drop_last)
    _check_augment(augment)
    batch_size, start = int(batch_size), int(start)
    if generator is not None:
        seed = int(torch.randint(2**62, (), generator=generator))
    sequence = order(len(dataset), seed, epoch) if shuffle else torch.arange(len(dataset))
    if bucket is not None:
        shuffled = stream(seed, "buckets", epoch) if shuffle else None
        sequence = bucketed(sequence, _lengths(dataset), batch_size, bucket, shuffled)

    def run() -> Iterator[Batch]:
        for k in range(start, total):
            chosen = sequence[k * batch_size : (k + 1) * batch_size]
            if augment is None:
                samples = dataset.gather(chosen)
            else:
                samples = _augmented(dataset, chosen, augment, stream(seed, "augment", epoch, k))
            batch = dataset.finish(samples, chosen)
            yield batch if bucket is None else _cut(batch, least)

    return run()


def _augmented(
    dataset: Dataset, chosen: Tensor, augment: Augment, generator: torch.Generator
) -> Tensor:
    """Events are moved before they are frames where both sides can: the same, and much faster."""
    inputs = dataset.inputs
    # A subclass that does something else when it is called must be called.
    if (
        isinstance(augment, Mover)
        and type(augment).__call__ is Mover.__call__
        and isinstance(inputs, BinnedEvents | PackedFrames)
    ):
        moves = augment.moves(len(chosen), generator)
        return inputs.gather_moved(dataset.places(chosen), moves)
    return augment(dataset.gather(chosen), generator)


def _lengths(dataset: Dataset) -> Tensor:
    if dataset.lengths is None:
        raise DataError(
            f"{dataset.name} {dataset.split} has no lengths to make buckets of",
            expected="sequences of different lengths",
            fix="Leave bucket out, or load with variable=True where the data set has it",
        )
    return dataset.lengths


def _cut(batch: Batch, least: int) -> Batch:
    """The batch without steps, behind the ``least`` first, at which all of it is padding."""
    if batch.lengths is None:
        return batch
    return batch._replace(frames=batch.frames[: max(int(batch.lengths.max()), least)])


def _check_whole(*numbers: tuple[str, object]) -> None:
    for what, number in numbers:
        if not is_whole(number):
            raise DataError(
                f"{what} is not a whole number", got=repr(number), expected="an int",
                fix="Divide with //, or convert it with int()",
            )  # fmt: skip


def _checked_count(n: int, batch_size: int, start: int, drop_last: bool) -> int:
    if batch_size < 1:
        raise DataError("batch size is too small", got=batch_size, expected="1 or more")
    total = batch_count(n, batch_size, drop_last)
    if total == 0:
        raise DataError(
            "no batch is left in the epoch",
            got=f"{n} samples with batch_size={batch_size} and drop_last={drop_last}",
            expected="at least one batch",
            fix="Use a smaller batch size or drop_last=False",
        )
    if not 0 <= start <= total:
        raise DataError("first batch is outside the epoch", got=start, expected=f"0 … {total}")
    return total


def _check_augment(augment: object) -> None:
    """Transforms of single recordings take (events, sensor, generator): too late for them here."""
    if augment is not None and not _takes_two(augment):
        raise ConfigError(
            "augment", got=repr(augment)[:80], expected="augment(samples, generator)",
            fix="Use a transform of frames or images; those of events come before binning",
        )  # fmt: skip


def _takes_two(augment: object) -> bool:
    if not callable(augment):
        return False
    try:
        inspect.signature(augment).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # some callables of C tell nothing of their arguments
        return True
    return True
