"""One card per data set: source, citation, licence, files with checksums, official counts."""

from __future__ import annotations

from . import cameras, images, sounds, touch
from .card import NO_CHECKSUM, Card, Citation, File

__all__ = ["CARDS", "NO_CHECKSUM", "Card", "Citation", "File", "groups_of"]

CARDS: dict[str, Card] = {
    card.name: card for card in (*sounds.CARDS, *images.CARDS, *cameras.CARDS, *touch.CARDS)
}
"""Every card by the name of its data set."""


def groups_of(name: str) -> int:
    """How many equal blocks the last axis of a set's samples has: 2 where OFF comes before ON.

    A set without a card has 1.

    >>> groups_of("braille"), groups_of("shd"), groups_of("mine")
    (2, 1, 1)
    """
    return 2 if name in CARDS and CARDS[name].halves else 1
