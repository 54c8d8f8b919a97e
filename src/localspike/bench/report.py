"""Records as text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns, the first one left-aligned, the others right-aligned.

    >>> print(columns([("method", "ms"), ("tess", "1.50")]))
    method    ms
    tess    1.50
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def milliseconds(seconds: float) -> str:
    """A time in ms with three digits that count.

    >>> milliseconds(0.01234), milliseconds(1.5)
    ('12.3', '1500')
    """
    value = 1000 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def train_text(record: dict[str, Any]) -> str:
    """Step times of all methods, then the ratios with the range of a round's."""
    rows = [("method", "ms/step", "from", "to", "compile s")]
    for name, method in sorted(
        record["methods"].items(), key=lambda pair: pair[1]["step_s"]["median"]
    ):
        took, compiled = method["step_s"], method.get("compile_s") or 0.0
        times = (milliseconds(took[key]) for key in ("median", "min", "max"))
        rows.append((name, *times, f"{compiled:.1f}"))
    head = (
        f"{record['title']}, B={record['batch']}, T={record['steps']}, {record['device']}, "
        f"{record['threads']} threads, n={record['rounds']} rounds; "
        f"best precision {record['best_precision']}"
    )
    absent = [f"{key}: none. {why}" for key, why in record["missing"].items()]
    return "\n".join([head, columns(rows), "", columns(_ratios(record)), *absent])


def _ratios(record: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("ratio", "value", "rounds from", "to")]
    for key, value in record["ratios"].items():
        if value is None:
            continue
        parts = record["spread"][key].values()
        low, high = min(p["min"] for p in parts), max(p["max"] for p in parts)
        rows.append((key, f"{value:.2f}", f"{low:.2f}", f"{high:.2f}"))
    return rows


def memory_text(record: dict[str, Any]) -> str:
    """The rise against T by net and method, the slope, and the share of BPTT's."""
    steps = sorted({key for row in record["rows"] for key in row["rise_mib"]}, key=int)
    rows = [("net, method", *(f"T={t} MiB" for t in steps), "KiB per step", "± error", "of BPTT")]
    for row in record["rows"]:
        slope = row.get("kib_per_step", {})
        share = record["ratios"].get(row["net"], {}).get(row["method"])
        rises = (row["rise_mib"].get(t, {}).get("median") for t in steps)
        rows.append(
            (
                f"{row['title']}, {row['method']}",
                *(_number(x, 1) for x in rises),
                _number(slope.get("slope"), 3),
                _number(slope.get("error"), 3),
                _number(share, 3),
            )
        )
    return columns(rows)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def stream_text(record: dict[str, Any]) -> str:
    """Steps per second, and the share of Python."""
    over, took = record["overhead"], record["step_s"]
    return (
        f"{record['title']}, {record['rule']}, B={record['batch']}, learning at every step, "
        f"{record['threads']} thread(s), n={took['n']} rounds\n"
        f"{record['steps_per_second']:.0f} steps/s ({milliseconds(took['median'])} ms, "
        f"{milliseconds(took['min'])} to {milliseconds(took['max'])})\n"
        f"outside PyTorch's operations: {100 * over['share']:.0f} % of a step "
        f"({100 * over['low']:.0f} to {100 * over['high']:.0f}), "
        f"{over['operations_per_step']:.0f} operations a step"
    )


def scale_text(record: dict[str, Any]) -> str:
    """Fitted exponents by axis and schedule."""
    rows = [("axis", "schedule", "from", "to", "time", "±", "by products", "±", "memory", "±")]
    for row in record["rows"]:
        fits = (row["time"], row["time_of_products"], row["memory"])
        cells = [c for fit in fits for c in (_number(fit["slope"], 2), _number(fit["error"], 2))]
        sizes = (str(row["fitted_from"]), str(row["points"][-1]["size"]))
        rows.append((row["axis"], row["schedule"], *sizes, *cells))
    return columns(rows)


def passes_text(record: dict[str, Any]) -> str:
    """A row per pass: bytes a neuron and step, time, speed, and that of a copy."""
    rows = [("pass", "bytes", "ms", "GB/s", "of a copy")]
    for row in record["rows"]:
        took, speed = milliseconds(row["seconds"]["median"]), row["bytes_per_second"] / 1e9
        name = f"{row['name']}, {row['precision']}"
        rows.append((name, f"{row['bytes']:.2f}", took, f"{speed:.1f}", f"{row['of_copy']:.2f}"))
    head = (
        f"{record['title']}, B={record['batch']}, T={record['steps']}, "
        f"{record['threads']} thread(s), n={record['rounds']} rounds"
    )
    return f"{head}\n{columns(rows)}"


def peers_text(record: dict[str, Any]) -> str:
    """A table per case: step time, times ours, memory; and what is missing."""
    parts = []
    for case in record["cases"]:
        rows = [("method", "ms/step", f"/ {case['divided_by']}", "MiB")]
        for name, method in case["methods"].items():
            took, over = method["step_s"]["median"], method["over_ours"]["ratio"]
            rows.append((name, milliseconds(took), f"{over:.2f}", _number(method["rise_mib"], 0)))
        head = f"{case['title']}, B={case['batch']}, T={case['steps']}"
        absent = [f"{name}: {why}" for name, why in case["missing"].items()]
        parts.append("\n".join([head, columns(rows), *absent]))
    return "\n\n".join(parts)
