"""Figures into files: JSON with every setting, and sections of documents between markers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[3]
"""The checkout that these benchmarks belong to; its documents are what they write."""

DOCUMENT = REPOSITORY / "docs" / "benchmarks.md"
IMAGES = REPOSITORY / "docs" / "images"


class MarkerError(Exception):
    """The document has no place for the section."""


def write_json(path: Path, figures: Mapping[str, Any]) -> None:
    """Write figures to a file, creating its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def replace_section(document: str, name: str, content: str) -> str:
    """Return the document with the text between `<!-- NAME begins -->` and `<!-- NAME ends -->` replaced.

    Raises:
        MarkerError: When the document does not have that pair of markers once, in that order.
    """
    begins, ends = f"<!-- {name} begins -->", f"<!-- {name} ends -->"
    before, found_begin, rest = document.partition(begins)
    _, found_end, after = rest.partition(ends)
    if not found_begin or not found_end or begins in rest:
        raise MarkerError(f"document: expected one pair of markers {begins} and {ends}, in that order")
    return f"{before}{begins}\n\n{content.strip()}\n\n{ends}{after}"


def write_section(path: Path, name: str, content: str) -> None:
    """Replace a section of a document on disk; see `replace_section`."""
    path.write_text(replace_section(path.read_text(encoding="utf-8"), name, content), encoding="utf-8")


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
