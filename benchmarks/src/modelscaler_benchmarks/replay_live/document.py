"""What the two runs came to, as a section of a document. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modelscaler_benchmarks.replay_live.curve import Curve, Figures, apart_among, figures_of, replicas_apart
from modelscaler_benchmarks.replay_live.manifest import ARTIFACTS, CPU, FAST, FULL, MODEL, MOST_REPLICAS, TARGET_MS
from modelscaler_benchmarks.replay_live.sampling import Sample
from modelscaler_benchmarks.report import markdown_table

ROWS: Final[tuple[tuple[str, Callable[[Figures], float], str], ...]] = (
    ("replicas that serve, mean", lambda one: one.mean_replicas, ".2f"),
    ("the most at once", lambda one: one.most_replicas, ".1f"),
    ("cost an hour, mean", lambda one: one.mean_hourly_cost, ".2f"),
    ("violating requests", lambda one: one.violating_share, ".2%"),
    ("degraded answers", lambda one: one.degraded_share, ".2%"),
    ("changes of size", lambda one: one.scale_events, ".1f"),
    ("turns", lambda one: one.direction_changes, ".1f"),
)
BY_CONSTRUCTION: Final = """What differs by construction:

- The replay makes a forecast each minute, from whole minutes; the operator each tick, from the minute that is under way too.
- A replica of the replay serves from its start on, always at the same speed; a live one shares two cores with the control
  plane, Prometheus, the operator and the load generator, which are busier the more requests there are, and its CPU limit is
  kept in slices of 10 ms.
- The client of the live run sends to the pod with the fewest requests under way, and sends again what was turned away; in the
  replay requests go to replicas in turn, and what is turned away is lost.
- Latency is the client's here, the server's there. The replay keeps no latencies, only who was late: only the live p99 is told.
  Who is late counts live when the answer comes, replayed when the request comes.
- Pods on their way out still answer, and cost nothing in either."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides.

    Attributes:
        live: What happened.
        replays: What the replay says, one for each seed and place of the ticks.
        samples: Of the live run, without the lead.
        speed: Of the live pods while they could not keep up, in multiples of the measured one; None: they always did.
        as_fast: What the replay says with pods of that speed, which the planner does not know of; empty without one.
    """

    live: Curve
    replays: Sequence[Curve]
    samples: Sequence[Sample]
    speed: float | None = None
    as_fast: Sequence[Curve] = ()

    @property
    def live_figures(self) -> Figures:
        """What the live run came to; sizes as they were seen each second."""
        return figures_of(self.live, [sample.asked for sample in self.samples])

    @property
    def replay_figures(self) -> list[Figures]:
        """What each replay came to."""
        return [figures_of(curve) for curve in self.replays]

    def as_json(self) -> dict[str, Any]:
        """Return all curves."""
        replays = [curve.as_json() for curve in self.replays]
        as_fast = [curve.as_json() for curve in self.as_fast]
        return {"live": self.live.as_json(), "replays": replays, "speed": self.speed, "replaysAsFast": as_fast}


def table(found: Compared) -> str:
    """Return both sides beside each other: the live figure, the replays' mean and range, and how far apart they are."""
    live = found.live_figures
    sides = [("replayed at the measured speed", found.replay_figures)]
    if found.as_fast:
        sides.append((f"replayed at {found.speed:.2f} of it", [figures_of(curve) for curve in found.as_fast]))
    rows = []
    for what, figure, form in ROWS:
        row = [what, format(figure(live), form)]
        for _, replays in sides:
            row += _beside(figure(live), [figure(one) for one in replays], form)
        rows.append(row)
    heads = [head for name, _ in sides for head in (f"{name}: mean (range)", "live against it")]
    return markdown_table(["", "live", *heads], rows)


def _beside(lived: float, theirs: Sequence[float], form: str) -> list[str]:
    mean = float(np.mean(theirs))
    apart = _points(lived - mean) if form.endswith("%") else _ratio(lived, mean)
    span = f"{format(min(theirs), form)} to {format(max(theirs), form)}"
    return [f"{format(mean, form)} ({span})", apart]


def _points(difference: float) -> str:
    return f"{100.0 * difference:+.2f} points"


def _ratio(one: float, other: float) -> str:
    return f"{one / other:.2f} ×" if other else "-"


def how_close(found: Compared) -> str:
    """Return how far the numbers of replicas are apart, beside how far replays are apart among themselves."""
    replays = found.as_fast or found.replays
    apart = [replicas_apart(found.live, one) for one in replays]
    said = (
        f"From step to step the number of serving replicas differs by {np.mean(apart):.2f} in the mean (by {min(apart):.2f} to "
        f"{max(apart):.2f}, one replay or another); the replays differ by {apart_among(replays):.2f} among themselves, "
        "since where the operator's ticks fall and how long each start takes is chance."
    )
    if found.speed is None:
        return said
    return (
        f"While nearly all answers were late, the live pods did {found.speed:.2f} of the work that their measured speeds "
        "promise: they were measured on a quiet cluster. The planner of either side counts on the measured speeds "
        "(`capacityRefinement: Off`); the last columns are of simulated pods as fast as the live ones were then. "
        f"{said}"
    )


def setting(
    seconds: float, entries: Sequence[Mapping[str, Any]], starts: Sequence[float], totals: Mapping[str, Any]
) -> str:
    """Return what was run, in sentences.

    Args:
        seconds: Of the comparison.
        entries: Capacity entries that were measured.
        starts: How long replicas took to start, in seconds.
        totals: The load generator's summary.
    """
    speeds = "; ".join(
        f"{one['variant']} {one['perRequestMilliseconds']} ms a request and {one['overheadMilliseconds']} ms a batch of at "
        f"most {one['maxBatch']}"
        for one in entries
    )
    shown_starts = f"{min(starts):.0f} to {max(starts):.0f} s (mean {np.mean(starts):.1f})"
    return (
        f"{MODEL}, {ARTIFACTS[FULL]} with {ARTIFACTS[FAST]} as its rung, "
        f"pods with {CPU} CPU, at most {MOST_REPLICAS}, 99 % within {TARGET_MS} ms; "
        "the operator as the chart has it (ticks of 15 s, windows of 30 s), a scrape every 5 s, speeds measured on pods of "
        f"this cluster just before ({speeds}), starts of {shown_starts}. Both sides know three hours of earlier load at "
        f"its first rate. {seconds / 60:.1f} minutes are compared, after a lead of that rate. In all, the load "
        f"generator counted {totals['offered']:,} requests, {totals['lost']} without an answer, {totals['rejections']} turned "
        f"away and sent again, p99 {totals['p99_ms'] or float('nan'):.0f} ms at the client; it was {totals['late_ms']:.0f} ms "
        "late at worst."
    )
