"""Whether a data set is what its card says, and whether its splits keep apart."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import DataError
from .cards import NO_CHECKSUM, Card
from .content import digests, finest
from .fetch import verify
from .files import find, resolve_root
from .heidelberg import shared_speakers
from .registry import Info, info

Member = tuple[str, int, int]
"""Split, index in it, and label of a sample."""
SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One line of a report: ``ok`` None is a note, neither right nor wrong."""

    what: str
    found: str
    expected: str = ""
    ok: bool | None = True


@dataclass(frozen=True)
class Report:
    """What was found out about a data set; ``ok`` if nothing was wrong."""

    name: str
    form: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no finding is a fault."""
        return all(finding.ok is not False for finding in self.findings)


def check(
    name: str,
    data_root: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Load every split of ``name`` and compare it with its card and with the other splits.

    Counted are samples per split and per class; published checksums of the files that lie there
    are verified; and blake2b of each sample's content (all pixels, or all events by millisecond)
    tells samples that are in two splits, which is a fault, or twice in one, which is a note. So are
    people that SHD's official test shares with its training file.
    ``say`` hears what is being done. Raises DataError where the files cannot be read at all.

    >>> check("keywords").ok
    True
    """
    entry = info(name)
    form = "in the package"
    checksums: list[Finding] = []
    if entry.files:
        root = resolve_root(data_root, entry.files)
        form = find(root, entry.files)
        checksums = check_files(entry.card, root, say)
    part = form in entry.card.parts
    labels, members, classes = _read_all(entry, data_root, part, say)
    findings = [
        *_counts(entry.card, form, {split: len(values) for split, values in labels.items()}),
        *_balance(classes, labels, part),
        *checksums,
        *_overlap(members),
        *_people(name, data_root),
    ]
    return Report(name, form, tuple(findings))


def _read_all(
    entry: Info,
    data_root: str | os.PathLike[str] | None,
    part: bool,
    say: Callable[[str], None],
) -> tuple[dict[str, list[int]], dict[bytes, list[Member]], tuple[str, ...]]:
    """Labels by split, members by the digest of their content, and the classes."""
    labels: dict[str, list[int]] = {}
    classes = entry.classes
    members: dict[bytes, list[Member]] = {}
    for split in entry.splits:
        say(f"reading {entry.name} {split}")
        data = finest(entry.name, split, data_root, part=part)
        labels[split], classes = data.labels.tolist(), data.classes
        for number, digest in enumerate(digests(data)):
            members.setdefault(digest, []).append((split, number, labels[split][number]))
    return labels, members, classes


def _counts(card: Card, form: str, counted: Mapping[str, int]) -> list[Finding]:
    """Samples per split against the source's own counts, or against those of a known part."""
    expected = card.parts.get(form, card.official)
    lines = [
        Finding(f"samples in {split}", f"{count:,}", ok=None) for split, count in counted.items()
    ]
    for part, want in expected.items():
        splits = [part] if part in counted else list(counted)
        if part == "train" and "val" not in expected:
            splits = ["train", "val"]
        got = sum(counted[split] for split in splits)
        lines.append(Finding(" + ".join(splits), f"{got:,}", f"{want:,}", got == want))
    if form in card.parts:
        official = ", ".join(f"{part} {want:,}" for part, want in card.official.items())
        lines.append(Finding("these files hold a part of it", official, "", None))
    return lines


def _balance(
    classes: Sequence[str], labels: Mapping[str, Sequence[int]], part: bool
) -> list[Finding]:
    """How many classes a split has, and how evenly."""
    lines = []
    for split, values in labels.items():
        counts = Counter(values)
        missing = [name for at, name in enumerate(classes) if at not in counts]
        low, high = min(counts.values()), max(counts.values())
        span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        found = f"{len(counts)}, {span} samples each"
        if missing:
            found += f"; none of {', '.join(missing[:SHOWN])}{' …' if missing[SHOWN:] else ''}"
        wrong = bool(missing) and split == "train" and not part
        ok = False if wrong else None
        lines.append(Finding(f"classes in {split}", found, str(len(classes)), ok))
    return lines


def check_files(card: Card, root: Path, say: Callable[[str], None]) -> list[Finding]:
    """Published checksums of those of the card's files that lie under ``root``.

    >>> from .cards import CARDS
    >>> check_files(CARDS["braille"], Path("nowhere"), print)[0].found
    'no published checksum'
    """
    lines = []
    for file in card.files:
        if (root / file.path).is_file() and file.checksum:
            say(f"verifying {file.path}")
            lines.append(_verified(file.name, partial(verify, root / file.path, file)))
    for listed, md5 in card.listed.items():
        for path in (root / listed, root / card.name / listed):
            if path.is_file():
                lines.append(_verified(path.name, partial(_md5, path, md5)))
    if not lines:
        known = any(file.checksum for file in card.files) or bool(card.listed)
        found = "none published for this form of the files" if known else NO_CHECKSUM
        lines.append(Finding("checksum", found, ok=None))
    return lines


def _verified(name: str, ask: Callable[[], str]) -> Finding:
    try:
        return Finding(f"checksum of {name}", f"{ask()} matches")
    except DataError as error:
        return Finding(f"checksum of {name}", str(error.got), str(error.expected), False)


def _md5(path: Path, expected: str) -> str:
    with path.open("rb") as stream:
        got = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if got != expected:
        raise DataError(f"{path}: not the published file", got=f"md5 {got}", expected=expected)
    return "md5"


def _overlap(members: Mapping[bytes, Sequence[Member]]) -> list[Finding]:
    """Samples of equal content: between splits a fault, within one a note."""
    equal = [group for digest, group in members.items() if digest and len(group) > 1]
    across = [group for group in equal if len({split for split, _, _ in group}) > 1]
    within = [group for group in equal if len({split for split, _, _ in group}) == 1]
    unlike = sum(len({label for _, _, label in group}) > 1 for group in equal)
    lines = [Finding("contents in two splits", _some(across), "0", not across)]
    lines.append(Finding("contents twice in a split", _some(within), "", None))
    if b"" in members:
        lines.append(Finding("samples without events", f"{len(members[b'']):,}", "", None))
    if unlike:
        lines.append(Finding("equal contents, other label", f"{unlike:,}", "", None))
    return lines


def _people(name: str, data_root: str | os.PathLike[str] | None) -> list[Finding]:
    """A note where an official split does not keep people apart."""
    shared = _SHARED[name](data_root) if name in _SHARED else None
    if shared is None:
        return []
    return [Finding("speakers of test that train or val has too", f"{shared:,}", "", None)]


_SHARED = {"shd": shared_speakers}


def _some(groups: Sequence[Sequence[Member]]) -> str:
    """How many there are, and the first of them."""
    named = [" = ".join(f"{split} {at}" for split, at, _ in group[:SHOWN]) for group in groups]
    first = "; ".join(named[:SHOWN])
    return f"{len(groups):,} ({first}{'; …' if groups[SHOWN:] else ''})" if groups else "0"
