"""Batches in an order that depends on (seed, epoch) only, so any epoch can resume at any batch."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from .arguments import as_int
from .bucket import bucketed
from .cards import groups_of
from .dataset import Batch, Dataset
from .events import BinnedEvents
from .moves import Mover, followed, in_groups
from .packed import PackedFrames

Augment = Callable[[Tensor, torch.Generator], Tensor]


def stream(seed: int, *path: int | str) -> torch.Generator:
    """A generator of its own for every (seed, path), independent of what was drawn elsewhere.

    Whole numbers of NumPy and torch draw as Python's do. Raises DataError for other numbers.

    >>> a, b = (torch.rand(1, generator=stream(0, "augment", batch)) for batch in (0, 1))
    >>> bool(a == b)
    False
    """
    # What is hashed is their repr, which must not tell of which library a number is.
    whole = (str(part) if isinstance(part, str) else as_int("stream", part) for part in path)
    named = repr((as_int("seed", seed), *whole))
    digest = hashlib.blake2b(named.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def order(n: int, seed: int, epoch: int) -> Tensor:
    """The permutation [n] of epoch ``epoch``, derived from (seed, epoch) only.

    Raises DataError for what is no whole number.

    >>> bool((order(5, seed=3, epoch=1) == order(5, seed=3, epoch=1)).all())
    True
    """
    return torch.randperm(
        as_int("number of samples", n), generator=stream(seed, "order", as_int("epoch", epoch))
    )


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
    Groups that ``augment`` leaves open are those of the data set's card, 1 for data of your own.
    Where ``augment`` tells how far it moves a sample in time (see `followed`), its length moves
    along, within 1 … T. Raises DataError for an impossible batch size or start, a number that is
    not whole, when drop_last leaves no batch, and for a bucket where the data set has no lengths;
    ConfigError for an ``augment`` that takes other arguments.

    >>> from .speech import keywords
    >>> frames, labels, lengths = next(batches(keywords("val"), 16, shuffle=True, seed=1))
    >>> tuple(frames.shape), tuple(labels.shape), lengths
    ((50, 16, 80), (16,), None)
    """
    batch_size, start = as_int("batch size", batch_size), as_int("first batch", start)
    least, seed, epoch = as_int("least steps", least), as_int("seed", seed), as_int("epoch", epoch)
    total = _checked_count(len(dataset), batch_size, start, drop_last)
    _check_augment(augment)
    augment = in_groups(augment, groups_of(dataset.name))
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
                batch = dataset.finish(dataset.gather(chosen), chosen)
            else:
                batch = _augmented(dataset, chosen, augment, stream(seed, "augment", epoch, k))
            yield batch if bucket is None else _cut(batch, least)

    return run()


def _augmented(
    dataset: Dataset, index: Tensor, augment: Augment, generator: torch.Generator
) -> Batch:
    """Events are moved before they are frames where both sides can: the same, and much faster."""
    inputs = dataset.inputs
    # Of images no step can move: they are the same at all.
    known = None if inputs.static or dataset.lengths is None else dataset.lengths[index]
    # A subclass that does something else when it is called must be called.
    if (
        isinstance(augment, Mover)
        and type(augment).__call__ is Mover.__call__
        and isinstance(inputs, BinnedEvents | PackedFrames)
    ):
        moves = augment.moves(len(index), generator)
        samples = inputs.gather_moved(dataset.places(index), moves)
        lengths = None if known is None else moves.ends(known, inputs.steps)
    elif known is None:
        samples, lengths = augment(dataset.gather(index), generator), None
    else:
        samples, lengths = followed(augment, dataset.gather(index), known, generator)
    batch = dataset.finish(samples, index)
    return batch if lengths is None else batch._replace(lengths=lengths)


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
