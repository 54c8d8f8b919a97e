"""What `localspike cost` prints."""

from __future__ import annotations

from typing import Any

from .output import table

Tree = dict[str, Any]
KINDS = ("forward", "signal", "contraction", "sent", "traces", "total")


def rule_lines(found: Tree) -> list[str]:
    """A table of rules, what is not defined and why, and the configured rule block by block."""
    still = ", the same frame at every step" if found["static"] else ""
    head = f"{found['recipe']}: T = {found['steps']}, batch of {found['batch']}{still}"
    columns = ("rule", "schedule", *KINDS, "paper's signal", "a sequence", "x forward")
    rows = [_rule_row(found, *entry) for entry in _schedules(found)]
    weights, idle = found["weights_bytes"], found["inference_bytes"]
    lines = [
        f"{head}. MACs of one sample and step (and of its sequence), bytes of the batch.",
        f"weights {weights:,} bytes; without learning {idle:,} held",
        table([(*columns, "bytes held", "matrix bytes"), *rows]),
    ]
    for name, rule in found["rules"].items():
        if not rule["defined"]:
            lines.append(f"{name} is not defined here: {rule['reason']}.")
    own = found["rule"] if found["rule"] in found["rules"] else next(iter(found["rules"]))
    for name, schedule, tree in _schedules(found):
        if name == own:
            lines += ["", *_block_lines(found, name, schedule, tree)]
    return lines + _operation_lines(found)


def _schedules(found: Tree) -> list[tuple[str, str, Tree]]:
    return [
        (name, schedule, tree)
        for name, rule in found["rules"].items()
        for schedule, tree in rule["schedules"].items()
    ]


def _rule_row(found: Tree, name: str, schedule: str, tree: Tree) -> list[str]:
    p = tree["products"]
    return [
        name,
        schedule,
        *_each(found, p),
        f"{tree['paper_signal'] / found['steps']:,.0f}",
        f"{p['total'] / found['batch']:,.0f}",
        f"{p['total'] / p['forward']:.2f}",
        "" if tree["bytes"] is None else f"{tree['bytes']:,}",
        f"{tree['auxiliary_bytes']:,}",
    ]


def _each(found: Tree, products: dict[str, int]) -> list[str]:
    """Products of one sample and step."""
    share = found["steps"] * found["batch"]
    return [f"{products[kind] / share:,.0f}" for kind in KINDS]


def _block_lines(found: Tree, name: str, schedule: str, tree: Tree) -> list[str]:
    rows = [
        (
            block,
            *_each(found, about["products"]),
            f"{about['weights_bytes']:,}",
            ", ".join(f"{k} {n:,}" for k, n in (about["bytes"] or {}).items()),
        )
        for block, about in tree["blocks"].items()
    ]
    columns = ("block", *KINDS, "weight bytes", "bytes held")
    return [f"{name}, {schedule}, by block:", table([columns, *rows])]


def _operation_lines(found: Tree) -> list[str]:
    if "operations" not in found:
        return []
    rows = [
        (name, f"{o['accumulates']:,.0f}", f"{o['multiplies']:,}")
        for name, o in found["operations"].items()
    ]
    columns = ("block", "accumulates", "multiply-accumulates")
    return ["", "forward at these firing rates, of one sample and step:", table([columns, *rows])]


def order_lines(found: Tree) -> list[str]:
    """Orders of the TP paper, and the powers ours have."""
    rows = found["rows"]
    columns = [column.replace("_", "'s ") for column in rows[0]]
    said = "L layers of H neurons, O classes, B samples; ours are powers for a whole batch."
    return [said, table([columns, *(tuple(row.values()) for row in rows)])]


def tess_lines(found: Tree) -> list[str]:
    """The TESS paper's table, row by row, each with the totals it leaves out."""
    return [line for row in found["rows"] for line in _row_lines(row)][:-1]


def _row_lines(row: Tree) -> list[str]:
    columns = ("figure", "paper", "ours", "difference", "first block twice", "follows")
    figures = [[*list(f.values())[:-1], "yes" if f["follows"] else "no"] for f in row["figures"]]
    heads = ("what the table leaves out", "schedule", "forward 1e6", "learning 1e6", "total 1e6")
    return [
        f"{row['data']}, T = {row['steps']}, one sample",
        table([columns, *figures]),
        table([(*heads, "MiB held"), *(_total_row(total) for total in row["totals"])]),
        "",
    ]


def _total_row(total: Tree) -> tuple[str, ...]:
    millions = (f"{total[kind] / 1e6:,.2f}" for kind in ("forward", "learning", "total"))
    held = "" if total["bytes"] is None else f"{total['bytes'] / 2**20:.2f}"
    return (total["rule"], total["schedule"], *millions, held)
