"""Plain lines every few seconds: for logs, pipes and continuous integration."""

from typing import TextIO

from modelscaler_demo.snapshot import Snapshot
from modelscaler_demo.view.scene import Scene, band_text, milliseconds, pools_text

EVERY_SECONDS = 5.0


class PlainView:
    """Prints a line every few seconds, and at once when something happens or the reason changes."""

    def __init__(self, scene: Scene, out: TextIO) -> None:
        self._scene = scene
        self._out = out
        self._due_seconds = float("-inf")
        self._reason = ""

    def show(self, snapshot: Snapshot) -> None:
        """Print what is due."""
        clock = self._scene.clock(snapshot.seconds)
        for event in snapshot.events:
            print(f"{clock}  ** {event}", file=self._out, flush=True)
        if snapshot.seconds >= self._due_seconds:
            print(self._line(clock, snapshot), file=self._out, flush=True)
            self._due_seconds = snapshot.seconds + EVERY_SECONDS
        told = snapshot.told
        if told.reason and told.reason != self._reason:
            print(f"{clock}     {told.reason}: {told.message}", file=self._out, flush=True)
            self._reason = told.reason

    def _line(self, clock: str, snapshot: Snapshot) -> str:
        served, scene, degraded = snapshot.served, self._scene, snapshot.told.degraded_share
        reflex = f"; {degraded:.0%} of answers by the rung" if degraded else ""
        return (
            f"{clock}  {scene.phase(snapshot.seconds)}: offered {served.offered_rps:.1f} rps, forecast "
            f"{band_text(snapshot)}; {pools_text(snapshot)}; p{scene.percentile} "
            f"{milliseconds(served.p99_ms)} of {scene.target_ms:.0f}; lost {served.lost}{reflex}"
        )
