"""The study's records, read back."""

from __future__ import annotations

import json
from typing import Any

from jobs import RECORDS

Record = dict[str, Any]


def records(part: str) -> dict[str, dict[int, Record]]:
    """Those of a part, such as "trials" or "final/cifar10", by name and seed."""
    found: dict[str, dict[int, Record]] = {}
    for path in sorted((RECORDS / part).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(record["name"], {})[record["seed"]] = record
    return found


def values(mine: dict[int, Record], key: str) -> dict[int, float]:
    """One number by seed."""
    return {seed: record[key] for seed, record in mine.items()}
