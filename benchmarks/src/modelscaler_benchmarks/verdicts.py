"""Targets, and whether a run met them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelscaler_benchmarks.report import markdown_table


@dataclass(frozen=True)
class Verdict:
    """One target and what was measured.

    Attributes:
        target: In words, with its bound.
        measured: In words; empty when it was not measured.
        met: Whether it is met; None when it was not measured.
    """

    target: str
    measured: str
    met: bool | None

    def word(self) -> str:
        """Return the verdict in words."""
        return {True: "met", False: "**not met**", None: "not measured"}[self.met]


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """Return the table of targets."""
    return markdown_table(
        ["target", "measured", ""], [[each.target, each.measured or "–", each.word()] for each in verdicts]
    )
