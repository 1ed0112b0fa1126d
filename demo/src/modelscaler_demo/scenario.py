"""What the demo plays: sizes, seeds, and what happens when."""

from dataclasses import dataclass, field

from modelscaler_demo.day import HOURS, Day, DayShape, clock, earlier_days, today

GPU_NODE = "gpu-0"
HISTORY_DAYS = 14


@dataclass(frozen=True, slots=True)
class Scenario:
    """One demo day. Fractions are of the day; `lead_seconds` pass from the start of Prometheus to midnight."""

    seed: int = 7
    shape: DayShape = field(default_factory=lambda: DayShape(peak_rps=46.0, seconds=220.0))
    lead_seconds: float = 34.0
    gpu_fails_at: float = 0.45
    gpu_returns_at: float = 0.65

    def earlier(self) -> tuple[Day, ...]:
        """Return the days before today, oldest first."""
        return earlier_days(self.shape, HISTORY_DAYS, self.seed)

    def today(self) -> Day:
        """Return today."""
        return today(self.shape, self.seed)

    def announcements(self) -> list[tuple[float, str]]:
        """Return what happens to the load, as (seconds into the day, text)."""
        sale = self.today().sale
        if sale is None:
            return []
        hour_seconds = self.shape.seconds / HOURS
        end = sale.start_hour + sale.hours
        return [
            (sale.start_hour * hour_seconds, f"a flash sale begins, unannounced (until {clock(end / HOURS)})"),
            (end * hour_seconds, "the sale ends"),
        ]
