"""What a worker process is asked to do, as one JSON object on its command line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from ..errors import ConfigError
from ..kernels.compiling import Compile
from .workload import Workload

Precision = Literal["float32", "bf16"]
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Job:
    """A method on a workload. ``weights``, ``parameters`` and ``reference`` are files, or "".

    ``feed`` says whether a stream gets the sequence of the reference, or frames one at a time and
    never a sequence. ``compile`` is the learner's: timed methods compile whatever the net's size.
    ``repeatable`` is a training run's own; the floor never is.
    """

    workload: Workload
    method: str
    precision: Precision = "float32"
    schedule: str = "auto"
    threads: int = 1
    device: str = "cpu"
    warm_up: int = 2
    feed: Literal["sequence", "steps"] = "sequence"
    update: Literal["sequence", "step"] = "sequence"
    compile: Compile = "auto"
    repeatable: bool = True
    weights: str = ""
    parameters: str = ""
    reference: str = ""
    benchmarks: str = ""

    def to_json(self) -> str:
        """The job as a worker of this package reads it: the workload's parts beside the rest.

        >>> Job(Workload("mlp", 2, 3), "tess").to_json()[:26]
        '{"net": "mlp", "batch": 2,'
        """
        tree = asdict(self)
        workload = tree.pop("workload")
        return json.dumps({**workload, "sizes": dict(workload["sizes"]), **tree})

    def for_peer(self, library: str) -> str:
        """The job as the worker of another library reads it."""
        work = self.workload
        return json.dumps(
            {
                "package": library,
                "method": self.method,
                "net": work.net,
                "batch": work.batch,
                "steps": work.steps,
                "threads": self.threads,
                "weights": self.weights,
                "reference": self.reference,
                "warm_up": self.warm_up,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job of a JSON object.

        Raises
        ------
        ConfigError
            If it is none.

        >>> job = Job(Workload("mlp", 2, 3), "tess")
        >>> Job.from_json(job.to_json()) == job
        True
        """
        try:
            tree: dict[str, Any] = json.loads(text)
            parts = {key: tree.pop(key) for key in ("net", "batch", "steps")}
            sizes = tuple(tree.pop("sizes", {}).items())
            return cls(Workload(**parts, sizes=sizes), **tree)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError("a worker's job", got=error, expected="a JSON object") from error

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the products."""
        return torch.bfloat16 if self.precision == "bf16" else torch.float32
