"""The words that documents list are those of the code."""

import re
from pathlib import Path

from modelscaler.api.words import Binding, TuningReason

DOCS = Path(__file__).parents[3] / "docs"


def words(text: str) -> list[str]:
    """Return what is in backticks and looks like a reason, in order."""
    return re.findall(r"`([A-Z]\w+)`", text)


def test_constraints_are_all_listed_when_a_table_is_explained() -> None:
    page = (DOCS / "explain.md").read_text()
    (listed,) = re.findall(
        r"^The words are those of .*?(?= `SwitchCost` of a candidate:)", page, re.DOTALL | re.MULTILINE
    )

    assert sorted(words(listed)) == sorted(Binding)


def test_reasons_are_all_listed_when_self_tuning_is_described() -> None:
    page = (DOCS / "self-tuning.md").read_text()
    _, table = page.split("| `status.tuning.reason` | meaning |\n")
    listed = [row.split("|")[1] for row in table.split("\n\n")[0].splitlines()[1:]]

    assert sorted(words(" ".join(listed))) == sorted(TuningReason)
