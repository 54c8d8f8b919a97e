"""`localspike cost`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from ..config import RunConfig
from ..config.options import nearest
from ..errors import ConfigError
from ..export.fixed import Dtype
from ..recipes.cost_papers import order_table, tess_table
from ..recipes.costs import Asked, costs
from ..recipes.device_costs import device_costs, last_rates
from ..recipes.folder import read_config
from ..recipes.plugin import load_plugins
from ..recipes.registry import RECIPES, recipe
from .arguments import Json, Plugins
from .cost_lines import order_lines, rule_lines, tess_lines
from .device_lines import device_lines
from .output import print_json, say


def all_lines(found: dict[str, Any]) -> list[str]:
    """What `localspike cost` prints of a network."""
    return [*rule_lines(found), "", *device_lines(found["device"])]


@dataclass(frozen=True)
class Cost:
    """Work out what learning costs from sizes alone: products, bytes and matrices, by rule, and
    bytes by layer and buffer on a device."""

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN|RECIPE]")] = ""
    """A recipe's name or a run folder."""
    rules: str = "all"
    """Names with commas between; all takes the recipe's own and every preset."""
    steps: int | None = None
    """Time steps T, where not the recipe's."""
    batch: int | None = None
    """Samples at once, where not the recipe's."""
    rate: float | None = None
    """Spikes per neuron and step: adds the synaptic operations of the forward pass."""
    input_rate: float | None = None
    """Events per number of an input frame and step; without it the input is analog."""
    learn: str = "all"
    """What learns on the device, as for export: all, none, or last-k for the last k blocks."""
    paper: Literal["tess", "tp"] | None = None
    """Instead: the figures a paper gives, beside ours."""
    dtype: Dtype = "f32"
    """Of weights and states on the device: f32, or fixed point in int16 or int8."""
    plugin: Plugins = ()
    json: Json = False

    def __call__(self) -> int:
        load_plugins(self.plugin)
        if self.paper is None:
            found = self._of_network()
            lines = all_lines
        else:
            found, lines = self._of_paper(), tess_lines if self.paper == "tess" else order_lines
        if self.json:
            print_json(found)
        else:
            say("\n".join(lines(found)))
        return 0

    def _of_network(self) -> dict[str, Any]:
        config, asked = self._config(), self._asked()
        rates = None if self.what in RECIPES else last_rates(Path(self.what))
        device = device_costs(config, asked, self.learn, rates, self.dtype)
        return {**costs(config, asked), "device": device}

    def _of_paper(self) -> dict[str, Any]:
        if self.what:
            raise ConfigError(
                "--paper has networks of its own", got=self.what, fix="Leave one of the two out"
            )
        rows: list[Any] = tess_table() if self.paper == "tess" else order_table()
        return {"paper": self.paper, "rows": rows}

    def _asked(self) -> Asked:
        names = tuple(name.strip() for name in self.rules.split(",") if name.strip())
        if not names:
            raise ConfigError("no rule is named", got=self.rules, fix="Name some, or leave it out")
        every = names == ("all",)
        return Asked(self.steps, self.batch, () if every else names, self.rate, self.input_rate)

    def _config(self) -> RunConfig:
        if not self.what:
            raise ConfigError(
                "no recipe and no run is named",
                fix="Name one: localspike cost keywords-tess; or ask for --paper tess",
            )
        if self.what in RECIPES:
            return recipe(self.what)
        if Path(self.what).is_dir():
            return read_config(Path(self.what))
        raise ConfigError(
            f"{self.what!r} is no recipe and no run folder",
            fix=nearest(self.what, RECIPES, "localspike list"),
        )
