"""Runs are what they are said to be: data options, schedules, searches, rasters, cut batches.

Options that change classes, shape or steps reach whoever works with a run; what cannot be meant is
refused before it starts.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers import batch, gradient, make
from localspike import Learner, rules
from localspike.config import build_network, override
from localspike.config.build import build_optimizer, build_scheduler, known_of
from localspike.data import Dataset, Frames, batches
from localspike.errors import ConfigError, ShapeError
from localspike.learn.meter import macs_of, sequence_bytes
from localspike.learn.targets import active_mask, steps_asked
from localspike.recipes import figures, recipe
from localspike.recipes.costs import Asked, costs
from localspike.recipes.demo_jobs import Job, config_of, search
from localspike.recipes.device_costs import untrained
from localspike.recipes.folder import create
from localspike.recipes.overview import describe_network
from localspike.recipes.use import _in_shape


def test_a_run_has_the_classes_its_data_were_loaded_with() -> None:
    config = override(recipe("cifar100"), ["data.labels=coarse"])
    run = untrained(config, build_network(config))
    assert len(run.classes) == run.net.classes == 20
    assert run.classes == known_of(config).classes != known_of(recipe("cifar100")).classes


def test_a_file_has_the_shape_the_data_were_loaded_in() -> None:
    config = override(recipe("shd"), ["data.channels=140"])
    run = untrained(config, build_network(config))
    assert _in_shape(np.zeros((5, 140)), run).shape == (5, 1, 140)
    with pytest.raises(ShapeError, match=r"expected \[T, 140\] for one sample"):
        _in_shape(np.zeros((5, 700)), run)


@pytest.mark.parametrize(
    ("option", "steps"),
    [("data.bin_ms=40", 33), ("data.steps=none", 65), ("data.steps=7", 7), ("data.bin_ms=20", 65)],
)
def test_costs_are_of_the_steps_there_are(option: str, steps: int) -> None:
    config = override(recipe("braille"), [option])
    assert costs(config, Asked(rules=("frozen",)))["steps"] == steps


@pytest.mark.parametrize("rate", [float("nan"), -0.1, 1.5])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"^the rate of 'every block': got "):
        costs(recipe("keywords-tess"), Asked(rules=("tess",), rate=rate))


def test_info_shows_the_schedule_a_run_takes() -> None:
    for asked in ("layerwise", "streaming"):
        config = override(recipe("keywords-tess"), [f"learner.schedule={asked}"])
        assert describe_network(config)["schedule"] == asked


def test_a_plateau_of_the_validation_loss_is_looked_for_by_the_epoch() -> None:
    config = override(recipe("keywords-tess"), ["scheduler=ReduceLROnPlateau"])
    made = build_optimizer(config, build_network(config))
    assert build_scheduler(override(config, ["scheduler.every=epoch"]), made, 3) is not None
    with pytest.raises(
        ConfigError, match=r"watches the validation loss.*Use scheduler\.every=epoch"
    ):
        build_scheduler(override(config, ["scheduler.every=step"]), made, 3)


def test_what_torch_refuses_at_run_time_is_one_line() -> None:
    settings = ["optimizer.foreach=true", "optimizer.fused=true"]
    config = override(recipe("keywords-tess"), settings)
    with pytest.raises(ConfigError, match=r"^optimizer Adam cannot be built"):
        build_optimizer(config, build_network(config))


def test_any_seed_of_a_configuration_draws_a_basis() -> None:
    drawn = [rules.basis.random(3, 5, seed) for seed in (10**20, 10**20, 10**20 + 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    for name in ("tp", "dfa", "drtp", "etlp", "decolle"):
        Learner(make("linear"), rules.PRESETS[name](seed=10**20))


def test_a_search_of_another_demo_is_not_taken_for_this_one(tmp_path: Path) -> None:
    job = Job("tess", 3e-3, 0, 20, str(tmp_path / "tess"), "keywords-tess")
    for other, refused in ((job._replace(epochs=2), True), (job, False)):
        folder = tmp_path / f"{other.epochs}"
        create(folder, config_of(other))
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / "step-000000001").mkdir()
        (folder / "validation.json").write_text(json.dumps({"val_accuracy": 0.5}))
        if refused:
            with pytest.raises(ConfigError, match="another run"):
                search(job._replace(folder=str(folder)))
        else:
            assert search(job._replace(folder=str(folder))).val_accuracy == 0.5


def test_the_raster_names_what_the_run_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Votes and lengths count in it, as in the accuracy beside it."""
    made = make("linear")
    frames, labels = batch(made, size=1)
    titles, asked = [], []

    def evaluate(*given: object) -> SimpleNamespace:
        asked.append(given[2])
        return SimpleNamespace(logits=torch.tensor([[0.0, 0.0, 9.0, 0.0, 0.0]]))

    def drawn(spikes: dict[str, np.ndarray], title: str) -> None:
        titles.append((title, {len(x) for x in spikes.values()}))

    monkeypatch.setattr(figures.plot, "raster_figure", drawn)
    session = SimpleNamespace(
        learner=SimpleNamespace(evaluate=evaluate),
        net=made,
        device=torch.device("cpu"),
        train=SimpleNamespace(shaped=lambda x: x),
    )
    for lengths, steps in ((torch.tensor([7]), 7), (None, 12)):
        test = SimpleNamespace(
            batch=lambda _, lengths=lengths: (frames, labels, lengths), classes="abcde"
        )
        figures.raster(session, test)  # type: ignore[arg-type]
        assert asked[-1] is lengths
        true = "abcde"[int(labels[0])]
        assert titles[-1] == (f"A test sample of class “{true}”, read as “c”", {steps})


@pytest.mark.parametrize("active", [10, [1, 6, 9], "all"])
@pytest.mark.parametrize("lengths", [[8, 3, 5], [8, 8, 8], [2, 2, 1]])
@pytest.mark.parametrize("schedule", ["layerwise", "streaming"])
def test_a_batch_cut_to_its_longest_sample_learns_at_the_same_steps(
    active: int | list[int] | str, lengths: list[int], schedule: str
) -> None:
    """Buckets leave the steps that are asked for; asking for more than there are is an error."""
    made = make("linear")
    frames, labels = batch(made)
    real = torch.tensor(lengths)
    source = Frames(frames.transpose(0, 1))
    data = Dataset("mine", "train", source, labels, tuple("abcde"), real)
    (cut,) = batches(data, 3, bucket=1, least=steps_asked(active))
    assert len(cut.frames) == (max(lengths) if active == "all" else 10)
    assert sorted(cut.lengths.tolist()) == sorted(lengths)
    given = {"schedule": schedule, "active_steps": active}
    whole, _ = gradient(made, rules.tess(), frames, labels, real, **given)
    found, _ = gradient(made, rules.tess(), cut.frames.double(), cut.labels, cut.lengths, **given)
    assert all(torch.allclose(whole[k], found[k], rtol=0, atol=1e-7) for k in whole)
    assert max(float(g.abs().max()) for g in found.values()) > 1e-4
    for given_lengths in (None, real):
        with pytest.raises(ConfigError):
            active_mask(20, 12, 3, given_lengths)


def test_counting_products_leaves_what_is_gathered_alone() -> None:
    for name in ("tess", "bptt"):
        made = make("linear")
        frames, labels = batch(made)
        learner = Learner(made, rules.PRESETS[name]())
        learner.gradient(frames, labels)
        held = {k: p.grad for k, p in made.named_parameters() if p.grad is not None}
        before = {k: g.clone() for k, g in held.items()}
        assert macs_of(learner, 1 - frames, labels) > 0
        assert sequence_bytes(learner, 1 - frames, labels) > 0
        for k, p in made.named_parameters():
            assert p.grad is held.get(k)
        assert all(torch.equal(held[k], before[k]) for k in held)
