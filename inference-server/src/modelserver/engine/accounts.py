"""What has been served: by which variant, how accurately, and how hard pressed."""

from collections import deque

from modelserver.engine.rate import Rate

_HOUR_SECONDS = 3600.0
_SLICE_SECONDS = 60.0
_PRESSURE_SECONDS = 10.0
"""Time constant of the pressure."""


class Accounts:
    """Counts rows.

    Attributes:
        rows: Variant -> rows that it answered.
        degraded_rows: Rows that got a lesser variant than the ladder's first without having asked for it.
    """

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.degraded_rows = 0
        self._slices: deque[tuple[float, int, float]] = deque()
        self._all = Rate(_PRESSURE_SECONDS)
        self._pressed = Rate(_PRESSURE_SECONDS)

    def answered(self, variant: str, rows: int) -> None:
        """Count rows that a variant answered."""
        self.rows[variant] = self.rows.get(variant, 0) + rows

    def decided(self, rows: int, accuracy: float | None, degraded: bool, now: float) -> None:
        """Count rows, answered by the variant that the reflex took for them."""
        if degraded:
            self.degraded_rows += rows
        if accuracy is None:
            return
        start = now - now % _SLICE_SECONDS
        if self._slices and self._slices[-1][0] == start:
            _, before, total = self._slices.pop()
            self._slices.append((start, before + rows, total + rows * accuracy))
        else:
            self._slices.append((start, rows, rows * accuracy))
        while self._slices[0][0] < now - _HOUR_SECONDS:
            self._slices.popleft()

    def pressed(self, rows: int, hard: bool, now: float) -> None:
        """Note rows that were taken, refused or shed, and whether they got less than they should have."""
        self._all.add(rows, now)
        if hard:
            self._pressed.add(rows, now)

    def mean_accuracy(self, now: float) -> float | None:
        """Return the mean over the last hour, of the rows that the reflex decided on; None when there were none."""
        recent = [each for each in self._slices if each[0] >= now - _HOUR_SECONDS]
        rows = sum(each[1] for each in recent)
        return sum(each[2] for each in recent) / rows if rows else None

    def pressure(self, now: float) -> float:
        """Return the share of rows, lately, that were degraded, should have been, were refused or were shed; 0 to 1."""
        everything = self._all.per_second(now)
        return self._pressed.per_second(now) / everything if everything > 1e-9 else 0.0
