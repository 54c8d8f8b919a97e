"""TESS's three open knobs, turned one at a time on several data sets: jobs of the figure.

Post trace gain α_post, logit scale s, and basis, each around TESS without a post trace, the scale
``l2`` and the integer square wave. CIFAR-10 takes its trials from `trials.py`; the small nets'
are here. Validation after the last epoch, the step size that won TESS's grid there.
"""

from __future__ import annotations

from collections.abc import Iterator

from contest import chosen
from jobs import Job

KNOBS: dict[str, tuple[str, ...]] = {
    "post_gain": ("-1", "0", "1"),
    "scale": ("mean", "sqrt", "l2"),
    "basis": ("integer_square", "cosine", "hadamard", "random", "trained", "adapted"),
}
USUAL = {"post_gain": "0", "scale": "l2", "basis": "integer_square"}
PLACES = {"nmnist-fc": (0, 1, 2), "keywords-fc": (0, 1, 2)}
"""Small nets and the seeds of each setting."""

IMAGES: dict[tuple[str, str], str] = {
    ("post_gain", "-1"): "post-minus",
    ("post_gain", "1"): "tess-published",
    ("scale", "mean"): "scale-mean",
    ("scale", "sqrt"): "scale-sqrt",
    ("basis", "cosine"): "cosine",
    ("basis", "hadamard"): "hadamard",
    ("basis", "random"): "random",
    ("basis", "trained"): "trained-alone",
    ("basis", "adapted"): "adapted-alone",
}
"""The trial on CIFAR-10 that has a setting; the usual ones are "tess"."""


def job_name(knob: str, value: str) -> str:
    """One training for the usual setting of all knobs."""
    return "usual" if USUAL[knob] == value else f"{knob}={value}"


def jobs() -> Iterator[Job]:
    """Everything on the small nets, once."""
    for place, seeds in PLACES.items():
        lr = chosen(place, "tess")
        if lr is None:
            continue
        for seed in seeds:
            for knob, values in KNOBS.items():
                for value in values:
                    if value != USUAL[knob]:
                        yield _job(place, knob, value, seed, lr)
            yield _job(place, "post_gain", USUAL["post_gain"], seed, lr)


def _job(place: str, knob: str, value: str, seed: int, lr: float) -> Job:
    kept = ("rule.pre_decay=0.9", f"rule.latent_decay={0.99 if place[0] == 'k' else 0.9}")
    learns = ("rule_factor=10",) if value in ("trained", "adapted") else ()
    settings = ("rule=plain", *kept, f"rule.{knob}={value}", *learns, f"lr={lr!r}")
    return Job(
        f"ablation/{place}", job_name(knob, value), seed, f"{place}/tess", settings, plugin=True
    )
