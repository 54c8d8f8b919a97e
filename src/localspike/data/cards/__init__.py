"""One card per data set: source, citation, licence, files with checksums, official counts."""

from __future__ import annotations

from . import cameras, images, sounds, touch
from .card import NO_CHECKSUM, Card, Citation, File

__all__ = ["CARDS", "NO_CHECKSUM", "Card", "Citation", "File"]

CARDS: dict[str, Card] = {
    card.name: card for card in (*sounds.CARDS, *images.CARDS, *cameras.CARDS, *touch.CARDS)
}
"""Every card by the name of its data set."""
