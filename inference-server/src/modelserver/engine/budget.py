"""How much accuracy may be given away: a token bucket that keeps the mean at or above a floor."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Budget:
    """What better answers than the floor have saved for worse ones. One unit is one row, one whole unit of accuracy off.

    It starts empty, so that the mean over everything served is never below the floor; it may be overdrawn as far as others
    have saved.

    Attributes:
        floor: Mean accuracy to keep, 0 to 1; None for no floor.
        most: What it holds at most: POLICY's Zmax = (floor - accuracy of the fastest) * rows/s * seconds of a burst.
        held: What it holds; below 0 when it is overdrawn.
        overdraft: By how much it may be overdrawn.
    """

    floor: float | None = None
    most: float = 0.0
    held: float = 0.0
    overdraft: float = 0.0

    @property
    def share(self) -> float:
        """Return how full it is, at most 1 and below 0 when overdrawn; 1 without a floor, and when nothing can be spent."""
        return 1.0 if self.floor is None or self.most <= 0 else self.held / self.most

    def change(self, accuracy: float | None, rows: int) -> float:
        """Return what rows of an accuracy bring, or with a minus cost; an unknown accuracy costs nothing."""
        return 0.0 if self.floor is None or accuracy is None else rows * (accuracy - self.floor)

    def allows(self, accuracy: float | None, rows: int) -> bool:
        """Say whether so many rows of an accuracy can be afforded."""
        change = self.change(accuracy, rows)
        return change >= 0 or self.held + change >= -self.overdraft

    def changed(self, change: float) -> "Budget":
        """Return the budget after rows were answered; it never holds more than `most`."""
        return replace(self, held=min(self.most, self.held + change))

    def resized(self, floor: float | None, most: float, overdraft: float) -> "Budget":
        """Return the budget under other settings; what it holds stays, up to the new bound."""
        return Budget(floor, most, min(self.held, most), overdraft)
