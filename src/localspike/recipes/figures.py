"""The four figures of a run, drawn from its journal, its confusion counts and one test sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .. import plot
from ..config import Session
from ..data import Dataset
from ..learn.atomic import writing
from ..learn.metrics import read_journal
from ..nn import Network
from ..nn.layer import Activity, Spiking, Weights


def draw(
    session: Session, folder: Path, test: Dataset, counts: list[list[int]], accuracy: float
) -> None:
    """Write learning curves, firing rates, confusion matrix and a spike raster as PNG.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    name = folder.name
    epochs = [line for line in read_journal(folder) if line["kind"] == "epoch"]
    title = f"Test split of {test.name}: {100 * accuracy:.1f} % of {len(test)} correct"
    drawn = {
        "learning_curves": plot.learning_curves(epochs, name),
        "firing_rates": plot.rates_figure(*firing_rates(folder)),
        "confusion": plot.confusion_figure(np.array(counts), test.classes, title),
        "raster": raster(session, test),
    }
    with writing(folder / "figures"):
        (folder / "figures").mkdir(exist_ok=True)
        for stem, figure in drawn.items():
            plot.save(figure, folder / "figures" / f"{stem}.png")


def firing_rates(folder: Path) -> tuple[list[int], list[dict[str, float]]]:
    """Steps and firing rates by block: of every logged stretch of steps, else of every epoch."""
    lines = read_journal(folder)
    logged = [line for line in lines if line["kind"] == "train"]
    if len(logged) < 2:
        logged = [line for line in lines if line["kind"] == "epoch"]
    return [line["step"] for line in logged], [line["rates"] for line in logged]


def raster(session: Session, test: Dataset) -> Any:
    """The spikes of the first test sample, with the class read from it."""
    frames, labels, lengths = test.batch([0])
    frames = session.train.shaped(frames).to(session.device)
    judged = session.learner.evaluate(frames, labels.to(session.device), lengths)
    true, read = test.classes[int(labels[0])], test.classes[int(judged.logits[0].argmax())]
    spikes = spikes_of(session.net, frames if lengths is None else frames[: int(lengths[0])])
    return plot.raster_figure(spikes, f"A test sample of class “{true}”, read as “{read}”")


@torch.no_grad()
def spikes_of(net: Network, frames: torch.Tensor) -> dict[str, NDArray[Any]]:
    """Spikes [T, n] of every block for one sample, the input's too if it is events.

    A static image is the same at every step and is left out.
    """
    spikes: dict[str, NDArray[Any]] = {}
    if len(frames) == 1 or frames.stride(0) != 0:
        spikes["input"] = frames[:, 0].flatten(1).cpu().numpy()

    def visit(name: str, block: Spiking, activity: Activity, weights: Weights) -> None:
        spikes[name] = activity.o[:, 0].flatten(1).float().cpu().numpy()

    net.run(frames, visit=visit)
    return spikes
