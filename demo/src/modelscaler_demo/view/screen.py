"""The live screen."""

from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from modelscaler_demo.snapshot import Snapshot
from modelscaler_demo.view.chart import BAND, CAPACITY, LOAD, columns, draw, top_of
from modelscaler_demo.view.scene import Scene, band_text, milliseconds, pools_text

CHART_HEIGHT = 10
EVENTS_SHOWN = 5
FRAMES_PER_SECOND = 2
MARGIN_COLUMNS = 12
SMALLEST_TOP_RPS = 20.0


class Screen:
    """Redraws a panel with every moment; use it as a context manager."""

    def __init__(self, scene: Scene, console: Console) -> None:
        self._scene = scene
        self._console = console
        self._snapshots: list[Snapshot] = []
        self._events: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self._live = Live(console=console, refresh_per_second=FRAMES_PER_SECOND, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Redraw with one moment more."""
        self.remember(snapshot)
        self._live.update(self.panel(snapshot), refresh=True)

    def remember(self, snapshot: Snapshot) -> None:
        """Take note of one moment without drawing it."""
        self._snapshots.append(snapshot)
        clock = self._scene.clock(snapshot.seconds)
        self._events.extend(f"{clock}  {event}" for event in snapshot.events)

    def panel(self, snapshot: Snapshot) -> RenderableType:
        """Compose the whole picture of one moment."""
        scene = self._scene
        title = f"Modelscaler  {scene.clock(snapshot.seconds)}  {scene.phase(snapshot.seconds)}"
        parts = (self._chart(), self._legend(), self._figures(snapshot), self._why(snapshot), self._happened())
        return Panel(Group(*parts), title=title, subtitle=scene.gpu_note, border_style="blue")

    def _chart(self) -> Text:
        width = max(self._console.width - MARGIN_COLUMNS, 24)
        shown = columns(self._snapshots, self._scene.day_seconds, width)
        return draw(shown, CHART_HEIGHT, top_of(shown, SMALLEST_TOP_RPS))

    @staticmethod
    def _legend() -> Text:
        return Text.assemble(
            ("      █ offered load", LOAD),
            ("   ░ forecast band, planned for its top", BAND),
            ("   ━ what the ready replicas carry", CAPACITY),
        )

    def _figures(self, snapshot: Snapshot) -> Table:
        served, told, scene = snapshot.served, snapshot.told, self._scene
        late = served.p99_ms is not None and served.p99_ms > scene.target_ms
        table = Table.grid(padding=(0, 2))
        table.add_row("offered", f"{served.offered_rps:.1f} rps", "forecast", band_text(snapshot))
        table.add_row("serving", pools_text(snapshot), "method", told.band.method if told.band else "-")
        latency = Text(
            f"{milliseconds(served.p99_ms)} of {scene.target_ms:.0f} ms", style="bold red" if late else "green"
        )
        cost = "-" if told.hourly_cost is None else f"{told.hourly_cost:.2f} an hour"
        table.add_row(f"p{scene.percentile}", latency, "price", cost)
        lost = Text(str(served.lost), style="bold red" if served.lost else "green")
        table.add_row("lost", lost, "not available", ", ".join(told.unavailable) or "-")
        degraded = "-" if told.degraded_share is None else f"{told.degraded_share:.0%} of answers"
        table.add_row("reflex", degraded)
        return table

    @staticmethod
    def _why(snapshot: Snapshot) -> Text:
        told = snapshot.told
        if not told.reason:
            return Text("waiting for the first decision", style="dim")
        return Text.assemble((f"{told.reason}: ", "bold magenta"), told.message)

    def _happened(self) -> Text:
        return Text("\n".join(self._events), style="dim")
