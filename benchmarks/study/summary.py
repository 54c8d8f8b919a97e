"""The README's table of accuracies, from final records: a row a net, a column a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from contest import CONTESTANTS, SEEDS
from records import records, values
from stats import percent
from tables import TITLES

MARK = re.compile(r"<!-- study -->.*?<!-- /study -->", re.DOTALL)


def rows() -> Iterator[str]:
    """Test accuracy of every rule that has been judged somewhere."""
    found = {place: records(f"final/{place}") for place in SEEDS}
    there = {place: judged for place, judged in found.items() if judged}
    rules = [name for name in CONTESTANTS if any(name in judged for judged in there.values())]
    yield "| test accuracy, % (seeds) | " + " | ".join(CONTESTANTS[r].title for r in rules) + " |"
    yield "|---|" + "---:|" * len(rules)
    for place, judged in there.items():
        cells = [percent(values(judged.get(r, {}), "test_accuracy").values()) for r in rules]
        shown = ["" if cell == "not run" else cell for cell in cells]
        yield f"| {TITLES[place]} | {' | '.join(shown)} |"


def filled(readme: str) -> str:
    """A README with the table between its marks; one without marks stays as it is."""
    table = "\n".join(["<!-- study -->", *rows(), "<!-- /study -->"])
    return MARK.sub(lambda _: table, readme)
