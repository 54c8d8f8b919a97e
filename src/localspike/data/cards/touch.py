"""Card of what was felt: Braille letters."""

from __future__ import annotations

from .card import Card, Citation, File

BRAILLE = Card(
    name="braille",
    title="Braille letters, read by an event-coded fingertip of 12 taxels",
    kind="touch",
    citation=Citation(
        "muellercleve2022braille",
        "article",
        (
            "Simon F. Müller-Cleve", "Vittorio Fra", "Lyes Khacef", "Alejandro Pequeño-Zurro",
            "Daniel Klepatsch", "Evelina Forno", "Diego G. Ivanovich", "Shavika Rastogi",
            "Gianvito Urgese", "Friedemann Zenke", "Chiara Bartolozzi",
        ),
        "Braille letter reading: a benchmark for spatio-temporal pattern recognition on "
        "neuromorphic hardware",
        "Frontiers in Neuroscience 16, 951164",
        2022,
        "10.3389/fnins.2022.951164",
    ),
    licence="not stated at its source",
    homepage="https://doi.org/10.5281/zenodo.7050094",
    official={"all": 5_400},
    classes=27,
    shape=(24,),
    steps=65,
    splits="none official; 7, 1 and 2 tenths of each class, in an order fixed for ever",
    step_ms=20,
    halves=True,
    files=(File("braille/braille_th10.npz"),),
    manual="the source publishes pickles, which are never unpickled here; the loader reads the "
    "threshold-10 encoding as arrays t_s, taxel, pol, offsets, labels, letters",
)  # fmt: skip

CARDS = (BRAILLE,)
