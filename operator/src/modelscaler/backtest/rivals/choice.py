"""Which rivals there are, by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from modelscaler.backtest.method import Method
from modelscaler.backtest.rivals import histogram

RIVALS: Final[Mapping[str, Callable[[], Method]]] = {
    "hgb-ratio": lambda: histogram.HGB_RATIO,
    "hgb-difference": lambda: histogram.HGB_DIFFERENCE,
    "hgb-anchor": lambda: histogram.HGB_ANCHOR,
}
ALL, NONE = "all", "none"


class UnknownRivalError(Exception):
    """There is no rival of that name."""


def chosen_rivals(names: Sequence[str]) -> list[Method]:
    """Return rivals by name; ALL stands for all there are, NONE for none.

    Raises:
        UnknownRivalError: there is none of a name.
    """
    if unknown := [name for name in names if name not in (*RIVALS, ALL, NONE)]:
        raise UnknownRivalError(f"got rival {unknown[0]!r}, expected {', '.join((*RIVALS, ALL, NONE))}")
    return [make() for name, make in RIVALS.items() if ALL in names or name in names]
