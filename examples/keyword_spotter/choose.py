"""How should a device adapt? Asked of the training speakers, by cross-validation.

    python examples/keyword_spotter/choose.py --out /tmp/choose

The training speakers are dealt into four groups. A net is trained without one of them, exported,
and adapts to each speaker of that group who said enough; so for every group and setting. Neither
validation nor test speakers are heard. The settings with the largest mean gain less its spread over
speakers come first: adapting should help a speaker, not only speakers.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np
import torch
from adapting import Heard, Knobs, Speaker, adapt, speakers_of, spread

from localspike import Learner, models
from localspike.data import batches
from localspike.data.speech import keywords, read_keywords
from localspike.export import plan_of
from localspike.export.write import files_of
from localspike.nn import LIF, fold
from localspike.nn.init import calibrate
from localspike.rules import tess

GROUPS, LEAST, EPOCHS, BATCH, RATE = 4, 30, 20, 64, 1e-2


def exported(kept: np.ndarray, folder: Path, seed: int) -> None:
    """Train the net of `keywords-tess` on some clips of the training split and write its C."""
    train = keywords("train").subset(np.flatnonzero(kept).tolist())
    torch.manual_seed(seed)
    net = models.mlp(80, (200, 200), 10, neuron=LIF(decay=0.9, threshold=1.0))
    calibrate(net, train.batch(range(BATCH)).frames, rate=0.05)
    rule = tess(pre_decay=0.9, post_gain=0.0, latent_decay=0.99)
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    steps = EPOCHS * -(-len(train) // BATCH)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    learner = Learner(net, rule, optimizer)
    for epoch in range(EPOCHS):
        for frames, labels, _ in batches(train, BATCH, shuffle=True, epoch=epoch):
            learner.fit(frames, labels)
            scheduler.step()
    for name, text in files_of(plan_of(fold(net), rule)).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def groups() -> list[list[Speaker]]:
    """The speakers with enough clips, dealt in order of their names."""
    ready = list(speakers_of("train", LEAST))
    return [ready[k::GROUPS] for k in range(GROUPS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for exports")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-5, 3e-5, 1e-4, 3e-4])
    parser.add_argument("--passes", type=int, nargs="+", default=[3, 10])
    parser.add_argument("--first", type=int, nargs="+", default=[0, 2], help="layer that learns")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--record", type=Path, help="JSON file to write")
    asked = parser.parse_args()
    file = read_keywords()
    who = file.arrays["speaker"][file.arrays["split"] == 0]
    found: dict[Knobs, list[Heard]] = {
        Knobs(rate=rate, passes=passes, first=first, folds=asked.folds): []
        for rate, passes, first in product(asked.rates, asked.passes, asked.first)
    }
    for seed, away in enumerate(groups()):
        folder = asked.out / f"without-{seed}"
        if not (folder / "manifest.json").exists():
            exported(~np.isin(who, [speaker.name for speaker in away]), folder, seed)
        for knobs, heard in found.items():
            heard += adapt(folder, away, knobs, "host")
    rows = []
    for knobs, heard in found.items():
        gains = [x.gain for x in heard]
        rows.append((statistics.mean(gains), spread(gains), len(gains), knobs))
    rows.sort(key=lambda row: row[1] - row[0])
    for mean, sd, n, knobs in rows:
        print(f"gain {mean:+5.1f}, sd {sd:4.1f} over {n} speakers: {knobs}")
    if asked.record:
        asked.record.write_text(
            json.dumps(
                [{"mean": m, "sd": s, "speakers": n, **asdict(k)} for m, s, n, k in rows], indent=1
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
