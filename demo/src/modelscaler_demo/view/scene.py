"""What a view needs to know beforehand: the day, the objective, and where the demo runs."""

from dataclasses import dataclass
from typing import Protocol

from modelscaler_demo.day import clock, phase
from modelscaler_demo.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Scene:
    """The fixed part of a demo run. `gpu_note` says what the gpu placement really is on this machine."""

    day_seconds: float
    percentile: int
    target_ms: float
    gpu_note: str

    def clock(self, seconds: float) -> str:
        """Return the time of day, so many seconds into it."""
        return clock(seconds / self.day_seconds)

    def phase(self, seconds: float) -> str:
        """Name the part of the day, so many seconds into it."""
        return phase(seconds / self.day_seconds) if seconds >= 0 else "the evening before"


class View(Protocol):
    """Shows moments as they come."""

    def show(self, snapshot: Snapshot) -> None:
        """Show one moment."""


def milliseconds(value: float | None) -> str:
    """Write a latency, a dash for none."""
    return "-" if value is None else f"{value:.0f} ms"


def band_text(snapshot: Snapshot) -> str:
    """Write the forecast band in words."""
    band = snapshot.told.band
    if band is None:
        return "no forecast yet"
    return f"{band.lower_rps:.0f} to {band.planned_rps:.0f} rps (peak of the next {band.horizon_seconds} s)"


def pools_text(snapshot: Snapshot) -> str:
    """Write what is ready, what is wanted, and what is being switched to."""
    told = snapshot.told
    if told.active is None:
        return "nothing serves yet"
    wanted = f", wants {told.desired}" if told.desired and told.desired != told.active else ""
    return f"{told.ready} of {told.active} ready{wanted}"
