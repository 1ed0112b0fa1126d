"""What came of the cases."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_KEPT_FAILURES = 50

NO_ANSWER = 0
"""Status of a case that was cut off, where that is allowed."""


@dataclass
class Tally:
    """Counts cases by kind and status, and keeps what should not have been.

    Attributes:
        counts: (kind, status) -> cases.
        failures: The first of them, in words.
        failed: How many there were.
    """

    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    failed: int = 0

    def note(self, kind: str, status: int) -> None:
        """Count a case."""
        self.counts[kind, status] += 1

    def fail(self, kind: str, message: str) -> None:
        """Note that a case went wrong."""
        self.failed += 1
        if len(self.failures) < _KEPT_FAILURES:
            self.failures.append(f"{kind}: {message}")

    @property
    def cases(self) -> int:
        """Return how many cases there were."""
        return sum(self.counts.values())

    def by_kind(self) -> dict[str, dict[str, int]]:
        """Return the counts: kind -> status -> cases; a status of 0 is a connection closed without an answer."""
        table: dict[str, dict[str, int]] = {}
        for (kind, status), count in sorted(self.counts.items()):
            table.setdefault(kind, {})[str(status)] = count
        return table

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "cases": self.cases,
            "failed": self.failed,
            "failures": self.failures,
            "by_kind_and_status": self.by_kind(),
        }
