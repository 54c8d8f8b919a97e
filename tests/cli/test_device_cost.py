"""`localspike cost` of a device: what an export takes, and how every knob moves it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from helpers_cli import Said
from localspike.config import Part, RunConfig
from localspike.errors import ConfigError
from localspike.export import MODES
from localspike.export.fixed import Dtype
from localspike.recipes import recipe
from localspike.recipes.costs import Asked
from localspike.recipes.device_costs import device_costs, last_rates

FEW = Asked(rules=("tess", "s_tllr", "tp"))


def changed(name: str, **rule: Any) -> RunConfig:
    config = recipe(name)
    return replace(config, rule=Part(config.rule.name, {**config.rule.options, **rule}))


def arena(config: RunConfig, learn: str = "all", mode: str = "learn") -> int:
    found: int = device_costs(config, FEW, learn)["arena_bytes"][mode]
    return found


def test_a_run_costs_what_its_export_takes(
    command: Callable[..., Said], finished: Path, tmp_path: Path
) -> None:
    for learn in ("all", "last-1", "none"):
        made = command("export", "c", finished, tmp_path / learn, "--learn", learn)
        assert made.code == 0, made.err
        manifest = json.loads((tmp_path / learn / "manifest.json").read_text())
        said = command("cost", finished, "--rules", "tess", "--learn", learn, "--json")
        device = json.loads(said.out)["device"]
        assert {key: manifest[key] for key in device.keys() & manifest.keys()} == {
            key: device[key] for key in device.keys() & manifest.keys()
        }
        assert device.keys() >= {"arena_bytes", "buffers", "tables", "flash_bytes", "learns"}


def test_a_run_is_counted_at_the_rates_it_had(
    command: Callable[..., Said], finished: Path, tmp_path: Path
) -> None:
    had = last_rates(finished)
    assert had is not None and set(had) == {"hidden1", "hidden2"}
    assert last_rates(tmp_path) is None
    found = json.loads(command("cost", finished, "--rules", "tess", "--json").out)["device"]
    assert found["rates"] == {**had, "input": 1.0}
    assert found["operations"]["hidden2"]["forward"] == pytest.approx(12 * 8 * had["hidden1"], 1e-3)
    asked = ["--rate", "0.25", "--input-rate", "0.5"]
    found = json.loads(command("cost", finished, "--rules", "tess", *asked, "--json").out)["device"]
    assert found["operations"]["hidden1"]["forward"] == 80 * 12 // 2
    assert found["operations"]["hidden2"]["forward"] == 12 * 8 // 4


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"kind": "epoch"}', '{"kind": "epoch", "rates": {"hidden1": NaN}}']
)
def test_a_journal_without_rates_is_done_without(line: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    assert last_rates(tmp_path) is None


def rows_of(page: str, columns: int) -> list[list[str]]:
    """Cells of a page's tables of so many columns."""
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    rows = [line.strip()[1:-1].split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[c.strip().replace(",", "") for c in row] for row in rows if len(row) == columns]


def test_the_pages_have_what_the_command_says() -> None:
    rules = ("tess", "s_tllr", "e_prop", "es_d_rtrl", "ostl")
    found = device_costs(recipe("keywords-tess"), Asked(rules=rules))
    columns = [*(found["buffers"][mode] for mode in MODES), found["bptt"]["buffers"]]
    said = {(layer, buffer): held for layer, buffer, *held in rows_of("device.md", 6)}
    for layer, buffer in {(x, y) for c in columns for x, held in c.items() for y in held}:
        numbers = ["" if buffer not in c[layer] else str(c[layer][buffer]) for c in columns]
        assert said[layer or "(shared)", buffer] == numbers, (layer, buffer)
    totals = [*found["arena_bytes"].values(), found["bptt"]["bytes"]]
    assert said["arena", ""] == list(map(str, totals))
    table = {row[0]: row[1:] for row in rows_of("cost.md", 8)}
    for name, rule in {**found["rules"], "bptt T = 50": found["bptt"]}.items():
        layers = [str(sum(held.values())) for held in rule["buffers"].values()]
        assert table[name][:5] == [*layers, str(rule["bytes"])], name
        assert table[name][6] == str(rule["macs"])


def test_the_table_has_every_buffer_beside_bptt_and_every_rule(
    command: Callable[..., Said],
) -> None:
    said = command("cost", "keywords-tess", "--rules", "tess,s_tllr,tp")
    assert said.code == 0 and said.err == ""
    for line in (
        r"layer +buffer +infer +learn +gather +BPTT, T = 50",
        r"hidden1 +membrane +800 +800 +800 +40,000",
        r"hidden1 +pre trace +320 +320",
        r"hidden2 +gathered +160,000 +160,000",
        r"arena +1,816 +239,016 +471,056 +554,560",
        r"hidden1 +64,000 +40",
        r"tess +120 +65,948 +162,428 +8,080 +236,576 +130\.3 +124,000",
        r"bptt, T = 50 +4,040 +170,200 +362,200 +18,120 +554,560 +305\.4 +158,000",
    ):
        assert re.search(f"^{line}$", said.out, re.M), line
    assert "tp is not defined there: contrasting a batch" in said.out


@pytest.mark.parametrize(("dtype", "size"), [("f32", 4), ("int16", 2), ("int8", 2)])
def test_a_rule_s_bytes_are_the_plan_s_but_for_scratch_and_copies_of_inputs(
    dtype: Dtype, size: int
) -> None:
    """And few rules stand beside each other buffer by buffer."""
    config = changed("keywords-tess", post_gain=1.0)
    found = device_costs(config, FEW, dtype=dtype)
    plan, rule = found["buffers"]["learn"], found["rules"]["tess"]["buffers"]
    assert plan[""].pop("scratch") and plan["readout"].pop("pre trace") == size * 200
    assert {name: dict(sorted(held.items())) for name, held in plan.items()} == {
        name: dict(sorted(held.items())) for name, held in rule.items()
    }


def test_few_rules_are_shown_by_buffer(command: Callable[..., Said]) -> None:
    few = command("cost", "keywords-tess", "--rules", "tess,sltt").out.partition("the same by")[2]
    assert re.search(r"^hidden1 +pre trace +320$", few, re.M)
    assert re.search(r"^hidden2 +membrane +800 +800 +40,000$", few, re.M)
    assert "the same by buffer" not in command("cost", "keywords-tess").out


def test_time_is_in_bptt_s_bytes_alone() -> None:
    config = recipe("keywords-tess")
    one, two = (device_costs(config, replace(FEW, steps=steps)) for steps in (50, 100))
    for key in ("arena_bytes", "buffers", "flash_bytes", "macs", "rules"):
        assert one[key] == two[key], key
    step = 80 + 4 * (200 + 200 + 10) + 2 * 28
    assert two["bptt"]["bytes"] - one["bptt"]["bytes"] == 50 * step


def test_every_knob_moves_its_bytes() -> None:
    plain = changed("keywords-tess", post_gain=0.0, latent_decay=0.0)
    assert arena(changed("keywords-tess", post_gain=1.0, latent_decay=0.0)) - arena(plain) == 1600
    assert arena(changed("keywords-tess", post_gain=0.0)) - arena(plain) == 4 * 400
    assert arena(plain, mode="gather") - arena(plain) == 4 * 58_010
    wider = replace(plain, model=Part("mlp", {"hidden": (201, 200), "rate": 0.05}))
    # A neuron's membrane, its weights there and back, its pre trace, a latent, a number of a row.
    assert arena(wider) - arena(plain) == 4 * (1 + 80 + 200 + 1 + 1 + 1)
    # What does not learn has no weights in the arena, and no traces; nor is there a signal.
    last = arena(plain, "last-1")
    assert arena(plain) - last == 4 * (80 * 200 + 200 * 200 + 80 + 200) + 4 * (200 + 190)
    assert arena(plain, "none") == arena(plain, "all", "infer") == arena(plain, "last-1", "infer")


def test_pooling_moves_what_a_layer_sends_on() -> None:
    """Bits where any spike counts, bytes where they are counted; and a trace of every input."""

    def found(**options: Any) -> dict[str, Any]:
        config = replace(
            recipe("nmnist-drtp"), model=Part("convnet", {"channels": (4, 8), **options})
        )
        return device_costs(config, FEW)["buffers"]["learn"]

    most, mean = found(pooling="max"), found(pooling="avg")
    assert (most["conv1"]["output"], mean["conv1"]["output"]) == (148, 17 * 17 * 4)
    for layer in most:
        assert {k: n for k, n in most[layer].items() if k != "output"} == {
            k: n for k, n in mean[layer].items() if k != "output"
        }


def test_what_cannot_be_exported_is_named(command: Callable[..., Said]) -> None:
    bptt = command("cost", "keywords-bptt", "--rules", "bptt").out
    assert "Only to infer on a device: rule 'bptt' cannot be exported to C: got signal" in bptt
    assert re.search(r"^arena +1,816 +554,560$", bptt, re.M)
    still = command("cost", "cifar10-tess", "--rules", "tess")
    assert still.code == 0
    assert "No C for a device: data 'cifar10' cannot be exported to C: got still" in still.out
    found = json.loads(command("cost", "cifar10-tess", "--rules", "tess", "--json").out)
    assert not found["device"]["exported"] and "still images" in found["device"]["reason"]


@pytest.mark.parametrize("learn", ["last-0", "last-4", "last-", "some", "last-" + "9" * 5000])
def test_what_learns_is_named_as_for_an_export(learn: str, command: Callable[..., Said]) -> None:
    with pytest.raises(ConfigError, match=r"last-1 … last-3"):
        device_costs(recipe("keywords-tess"), FEW, learn)
    for name in ("keywords-tess", *(["cifar10-tess"] if learn != "last-4" else [])):
        said = command("cost", name, "--rules", "tess", "--learn", learn)
        assert said.code == 2 and said.out == "" and said.err.count("\n") == 1
