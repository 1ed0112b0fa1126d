"""The state of all series that share a clock: what was judged, mixed, corrected and what waits, in arrays by row."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np

from modelscaler.domain import WorkloadKey
from modelscaler.forecast import waiting
from modelscaler.forecast.anchor import EXCESSES, Judgements, judge_stride
from modelscaler.forecast.anchor import MEMBERS as RECORDED
from modelscaler.forecast.base import TARGETS
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.conformal import Calibration
from modelscaler.forecast.frames import BURST_LEVEL_SECONDS, BURSTS
from modelscaler.forecast.grove import Grove
from modelscaler.forecast.mixing import Mixture
from modelscaler.forecast.online import LEAST_MEMORY, PAIR, PRIOR, Online, memory_of
from modelscaler.forecast.own import NONE, Own
from modelscaler.forecast.panel import Begun, Ints, Panel
from modelscaler.forecast.rules import DAY_SECONDS, RULES
from modelscaler.forecast.store import ALL, LoadStore
from modelscaler.forecast.table import Rows, Table
from modelscaler.forecast.waiting import Waiting

RECENT_OUTCOMES: Final = 20
ASKED: Final = ("slot", "lookback", "steps", "offset", "learned")

Chosen: TypeAlias = slice | Ints


class Cohort:
    """Series whose load repeats after the same time, forecast together.

    Rules and models know days. Where load repeats after another time, the clock runs at another speed: a season is a day on it.
    """

    def __init__(
        self, step_seconds: float, season_seconds: float, rungs: tuple[int, ...], boosted: bool, expected: int
    ) -> None:
        """Start empty.

        Args:
            step_seconds: The step of the series.
            season_seconds: After which their load repeats.
            rungs: The horizons in steps that are forecast directly.
            boosted: Whether the boosted rival serves in the place of the tuned network.
            expected: How many series are likely to come.
        """
        self.boosted = boosted
        self.rate = DAY_SECONDS / season_seconds
        self.step_seconds = step_seconds * self.rate
        self.rungs = rungs
        self.stride = judge_stride(self.step_seconds)
        self.judged_cells = [-1] * len(rungs)
        self.burst_cell = -1
        self.waiting = [Waiting(number, ahead) for number, ahead in enumerate(rungs)]
        self.table = Table(_blank(rungs), expected)
        self.keys: list[WorkloadKey] = []
        self.rows: dict[WorkloadKey, int] = {}
        self.holidays: dict[int, Ints] = {}

    def panel(self, store: LoadStore, rows: Chosen) -> Panel:
        """Return the history of a chunk of rows within their lookback, on this cohort's clock."""
        panel = store.panel(self.table["slot"][rows], self.table["lookback"][rows])
        if self.rate != 1.0:
            panel = Panel.of(panel.fine.values, self.step_seconds, panel.first_cell)
        return panel

    def glance(self, store: LoadStore, rows: Chosen) -> Panel:
        """Return the same history for looks from single origins; only what is looked at is unpacked, as far as possible."""
        if self.rate != 1.0:
            return self.panel(store, rows)
        return store.glance(self.table["slot"][rows], self.table["lookback"][rows])

    def with_bursts(self, panel: Panel, rows: Chosen) -> Panel:
        """Return a panel that knows the bursts of its rows so far."""
        begun = {times: self._begun(number, rows) for number, times in enumerate(BURSTS)}
        return Panel(
            panel.step_seconds, panel.first_cell, panel.fine, panel.coarse, panel.factor, panel.first_coarse, begun
        )

    def calendar(self, rows: Chosen) -> Calendar:
        """Return the clocks of a chunk of rows."""
        numbers = np.arange(len(self.table))[rows]
        days = {at: self.holidays[int(row)] for at, row in enumerate(numbers) if int(row) in self.holidays}
        return Calendar(self.table["offset"][rows] * self.rate, days)

    def own(self, grove: Grove, rows: Chosen, rung: int) -> Own:
        """Return the trees that a chunk of rows has of its own at a horizon; the boosted rival's series have none."""
        if self.boosted or not grove.trees:
            return NONE
        keys = self.keys[rows] if isinstance(rows, slice) else [self.keys[row] for row in rows]
        return grove.of(keys, self.rungs[rung])

    def record(self, rung: int, rows: Chosen, panel: Panel) -> Judgements:
        """Return what was judged of a chunk of rows at a horizon, as views."""
        errors, weights, excess, counts = (self.table[name][rows, rung] for name in RECORD)
        first = self.judged_cells[rung] - panel.first_cell
        return Judgements(first, self.stride, *(_last(part) for part in (errors, weights, excess, counts)))

    def keep_record(self, rung: int, rows: Chosen, record: Judgements) -> None:
        """Store the newest judgement of a chunk of rows."""
        parts = (record.errors, record.weights, record.excess, record.counts)
        for name, part in zip(RECORD, parts, strict=True):
            self.table[name][rows, rung] = np.moveaxis(part[..., -1], -1, 0)

    def keep_bursts(self, rows: Chosen, begun: Mapping[float, Begun]) -> None:
        """Store the bursts of a chunk of rows."""
        for number, times in enumerate(BURSTS):
            found = begun[times]
            self.table["burst_last"][rows, number] = found.last
            self.table["burst_before"][rows, number] = found.before
            self.table["burst_above"][rows, number] = found.above

    def online(self, rows: Chosen, every: int = 1) -> Online:
        """Return the mix and its correction of a chunk of rows; what they learn is learned here, `every` so many steps."""
        slow, fast, counts = (self.table[name][rows] for name in ("slow", "fast", "counts"))
        offsets, coverage, matured = (self.table[name][rows] for name in ("offsets", "coverage", "matured"))
        memory = max(memory_of(self.step_seconds) // every, LEAST_MEMORY)
        mixture = Mixture(PRIOR, memory, slow, fast, counts, PAIR)
        return Online(mixture, Calibration(offsets, coverage, matured))

    def take_over(self, other: "Cohort") -> None:
        """Take the series of another cohort over, with what is asked of them; their state is made anew."""
        for key in other.keys:
            row = self.add(key)
            for name in ASKED:
                self.table[name][row] = other.table[name][other.rows[key]]

    def add(self, key: WorkloadKey) -> int:
        """Add a series and return its row, which may change when another one is removed."""
        self.keys.append(key)
        self.rows[key] = self.table.add()
        return self.rows[key]

    def remove(self, key: WorkloadKey) -> None:
        """Remove a series; the last one takes its row."""
        row, last = self.rows.pop(key), self.keys.pop()
        self.table.remove(row)
        self.holidays.pop(row, None)
        if last == key:
            return
        self.keys[row], self.rows[last] = last, row
        if len(self.keys) in self.holidays:
            self.holidays[row] = self.holidays.pop(len(self.keys))

    def _begun(self, number: int, rows: Chosen) -> Begun:
        last, before, above = (self.table[name][rows, number] for name in ("burst_last", "burst_before", "burst_above"))
        return Begun(self.burst_cell, last, before, above)


RECORD: Final = ("errors", "weights", "excess", "judged")


def bursts_of(panel: Panel, cell: int) -> dict[float, Begun]:
    """Find the bursts up to a cell."""
    return {times: Begun.of(panel, cell, times, BURST_LEVEL_SECONDS) for times in BURSTS}


def _last(rows: Rows) -> Rows:
    """Return an array by row with its rows last and one judgement, (B, ...) → (..., B, 1)."""
    return np.moveaxis(rows, 0, -1)[..., None]


def _blank(rungs: tuple[int, ...]) -> dict[str, Rows]:
    online, count = Online.of(1, len(rungs), LEAST_MEMORY), len(rungs)
    float32 = np.float32
    found: dict[str, Rows] = {
        "slot": np.zeros(1, dtype=np.intp),
        "lookback": np.full(1, ALL, dtype=np.int64),
        "steps": np.ones(1, dtype=np.int64),
        "offset": np.zeros(1),
        "learned": np.ones(1, dtype=np.bool_),
        "warm": np.zeros(1, dtype=np.bool_),
        "errors": np.zeros((1, count, TARGETS, len(RULES)), dtype=float32),
        "weights": np.zeros((1, count, TARGETS, len(RULES)), dtype=float32),
        "excess": np.zeros((1, count, TARGETS, RECORDED, len(EXCESSES)), dtype=float32),
        "judged": np.zeros((1, count, TARGETS, RECORDED), dtype=float32),
        "burst_last": np.full((1, len(BURSTS)), -1, dtype=np.int64),
        "burst_before": np.full((1, len(BURSTS)), -1, dtype=np.int64),
        "burst_above": np.zeros((1, len(BURSTS)), dtype=np.bool_),
        "slow": online.mixture.slow,
        "fast": online.mixture.fast,
        "counts": online.mixture.counts,
        "offsets": online.calibration.offsets,
        "coverage": online.calibration.coverage,
        "matured": online.calibration.matured,
        "recent": np.full((1, count), 0.9, dtype=float32),
        "able": np.zeros(1, dtype=np.bool_),
        "failing": np.zeros(1, dtype=np.bool_),
        "named": np.zeros(1, dtype=np.bool_),
        "uncovered": np.zeros(1, dtype=np.bool_),
    }
    for number, ahead in enumerate(rungs):
        found |= waiting.blank(number, ahead)
    return found
