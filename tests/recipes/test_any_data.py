"""`localspike train DATA` for every data set there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from localspike import data
from localspike.config import build_network, override
from localspike.data import Dataset, StaticImages
from localspike.recipes import RECIPES, recipe, train
from localspike.recipes.overview import describe_network
from localspike.recipes.registry import summary


@pytest.mark.parametrize("name", data.names())
def test_every_data_set_is_a_recipe_whose_net_fits(name: str) -> None:
    config = recipe(name)
    assert config.recipe == config.data.name == name
    assert "TESS" in summary(name) and len(summary(name)) < 100
    small = {"mlp": ["hidden=4"], "convnet": ["channels=2,2,2"], "vgg9": ["width=0.03"]}
    net = build_network(override(config, small[config.model.name]))
    about = data.info(name)
    shape = about.sample_shape
    assert net.sample_shape in (shape, (torch.Size(shape).numel(),))
    assert net.output_shapes["readout"] == (len(about.classes),)


def test_a_recipe_written_by_hand_is_taken_where_there_is_one() -> None:
    assert recipe("cifar10").model == recipe("cifar10-tess").model
    assert recipe("keywords").rule == recipe("keywords-tess").rule
    assert {name for name in data.names() if f"{name}-tess" in RECIPES} >= {"nmnist", "braille"}


@pytest.mark.parametrize(
    ("name", "settings", "shape", "classes"),
    [
        ("dvs_gesture", ["size=16", "channels=2,2,2"], (2, 16, 16), 11),
        ("shd", ["data.channels=70", "hidden=4"], (70,), 20),
        ("cifar100", ["data.labels=coarse", "channels=2,2,2"], (3, 32, 32), 20),
        ("speech_commands", ["words=35", "hidden=4"], (80,), 35),
    ],
)
def test_options_of_the_data_reach_the_net(
    name: str, settings: list[str], shape: tuple[int, ...], classes: int
) -> None:
    config = override(recipe(name), settings)
    net = build_network(config)
    assert net.sample_shape == shape and net.output_shapes["readout"] == (classes,)
    assert describe_network(config)["blocks"]


def test_any_rule_trains_on_any_data_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """MNIST's place is taken by brightness in three steps, which a small net learns at once."""

    def load(name: str, split: str, **_: object) -> Dataset:
        labels = torch.arange(30) % 3
        pixels = (labels * 100 + 20).byte().view(-1, 1, 1, 1).expand(30, 1, 28, 28)
        return Dataset(
            name, split, StaticImages(pixels, 2, (0.4,), (0.3,)), labels, data.info(name).classes
        )

    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr("localspike.recipes.run.draw_figures", lambda *_: None)
    settings = ["rule=bptt", "epochs=2", "channels=2,2,2", "batch_size=5", "threads=1", "lr=1e-2"]
    result = train(override(recipe("mnist"), settings), tmp_path / "run")
    assert result.recipe == "mnist" and result.test_samples == 30
    assert result.test_accuracy > 0.6
