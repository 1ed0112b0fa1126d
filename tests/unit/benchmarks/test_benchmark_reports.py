"""Sections of documents, tables, and what a machine is."""

import dataclasses
from pathlib import Path

import pytest

from modelscaler_benchmarks.machine import measured_machine
from modelscaler_benchmarks.report import DOCUMENT, MarkerError, markdown_table, replace_section, write_json

DOCUMENT_TEXT = "# A\n\n<!-- one begins -->\nold\n<!-- one ends -->\n\n<!-- two begins -->\nkept\n<!-- two ends -->\n"


def test_section_is_replaced_alone_when_its_markers_are_there() -> None:
    replaced = replace_section(DOCUMENT_TEXT, "one", "new")

    assert "old" not in replaced
    assert "<!-- one begins -->\n\nnew\n\n<!-- one ends -->" in replaced
    assert replaced.endswith(DOCUMENT_TEXT[DOCUMENT_TEXT.index("\n\n<!-- two begins") :])


def test_replacing_changes_nothing_when_done_twice() -> None:
    once = replace_section(DOCUMENT_TEXT, "one", "new")

    assert replace_section(once, "one", "new") == once


@pytest.mark.parametrize(
    "document",
    [
        "none",
        "<!-- one begins --> only",
        "<!-- one ends --> <!-- one begins -->",
        2 * "<!-- one begins --><!-- one ends -->",
    ],
)
def test_section_is_refused_when_its_markers_are_not_one_pair(document: str) -> None:
    with pytest.raises(MarkerError, match="one begins"):
        replace_section(document, "one", "new")


@pytest.mark.parametrize(
    "name", ["server", "soak", "cold-start", "reflex", "split", "fuzz", "forecast", "forecast-cost"]
)
def test_document_has_a_place_when_a_benchmark_writes_its_section(name: str) -> None:
    replace_section(DOCUMENT.read_text(encoding="utf-8"), name, "new")


def test_table_has_a_line_per_row_when_written_as_markdown() -> None:
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_json_refuses_a_figure_when_it_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "figures.json", {"rate": float("nan")})


def test_facts_name_only_what_is_installed_when_asked_for_versions() -> None:
    facts = measured_machine(["numpy", "no-such-package"])

    assert list(facts.versions) == ["numpy"]
    assert facts.cores >= 1
    assert facts.cpu in facts.sentence()


@pytest.mark.parametrize(("load", "warned"), [(1.0, False), (1.1, True)])
def test_machine_is_called_busy_when_others_are_at_work(load: float, warned: bool) -> None:
    facts = dataclasses.replace(measured_machine([]), cores=2, load_average=(load, 9.0, 9.0))

    assert (facts.warning() is not None) is warned
