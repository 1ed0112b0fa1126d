"""What the demo plays: sizes, seeds, and what happens when."""

from dataclasses import dataclass

import numpy as np

from modelscaler_demo.day import HOURS, Day, DayShape, clock, earlier_days, today
from modelscaler_demo.snapshot import WINDOW_SECONDS

GPU_NODES = ("gpu-0", "gpu-1")
FAILING_NODE = GPU_NODES[0]
HISTORY_DAYS = 14
DAY_SECONDS = 220.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One demo day. Fractions are of the day; `lead_seconds` pass from the start of Prometheus to midnight."""

    shape: DayShape
    seed: int = 7
    lead_seconds: float = 26.0
    gpu_fails_at: float = 0.45
    gpu_returns_at: float = 0.65

    def earlier(self) -> tuple[Day, ...]:
        """Return the days before today, oldest first."""
        return earlier_days(self.shape, HISTORY_DAYS, self.seed)

    def today(self) -> Day:
        """Return today."""
        return today(self.shape, self.seed)

    def earlier_peak_rps(self) -> float:
        """Return the busiest five seconds of the days before, in requests per second."""
        window = round(WINDOW_SECONDS / self.shape.step_seconds)
        rates = np.concatenate([day.rates_rps for day in self.earlier()])
        return float(np.convolve(rates, np.full(window, 1.0 / window), mode="valid").max())

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
