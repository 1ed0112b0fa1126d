"""Timelines as CSV: one row per step and pool, from which violations and cost can be computed again."""

import csv
import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from modelscaler.domain import Floats
from modelscaler.replay.timeline import Timeline

HEADER: Final = (
    "trace",
    "cold_start_seconds",
    "variants",
    "policy",
    "settings",
    "hindsight",
    "seed",
    "seconds",
    "offered",
    "served",
    "queued",
    "violating",
    "refused",
    "degraded",
    "accuracy",
    "pool",
    "ready",
    "starting",
    "serving",
    "hourly_cost",
)
STEP_SECONDS: Final = 15.0


def write_timelines(path: Path, runs: Iterable[tuple[tuple[object, ...], Timeline]]) -> None:
    """Write timelines; of a step's several pools only the first row has the requests and the cost, the others have zeros.

    So each column adds up over all rows of a run.

    Args:
        path: Where to; `.gz` is compressed.
        runs: What the rows of a run begin with (trace to seed, as in HEADER), and what happened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for begins, timeline in runs:
            writer.writerows((*begins, *row) for row in rows(timeline))


def rows(timeline: Timeline, step_seconds: float = STEP_SECONDS) -> Iterator[tuple[object, ...]]:
    """Return the rows of a run, from `seconds` on, in steps of `step_seconds`: sums of requests, means of replicas and cost."""
    every = max(round(step_seconds / timeline.step_seconds), 1)
    steps = len(timeline.offered) // every

    def summed(values: Floats) -> Floats:
        total: Floats = values[: steps * every].reshape(steps, every).sum(axis=1)
        return total

    sums = [summed(each) for each in (timeline.offered, timeline.served)]
    ends = timeline.queued[every - 1 : steps * every : every]
    more = [summed(each) for each in (timeline.violating, timeline.refused, timeline.degraded, timeline.accuracy)]
    costs = summed(timeline.hourly_cost / every)
    ready = [summed(each / every) for each in timeline.ready]
    starting = [summed(each / every) for each in timeline.starting]
    serving = timeline.serving[: steps * every : every]
    for step in range(steps):
        requests = (
            [f"{total[step]:g}" for total in sums] + [f"{ends[step]:g}"] + [f"{total[step]:.6g}" for total in more]
        )
        for place, pool in enumerate(timeline.pools):
            told = requests if place == 0 else ["0"] * len(requests)
            cost = f"{costs[step]:.6g}" if place == 0 else "0"
            if place and not ready[place][step] and not starting[place][step]:
                continue
            serves = int(serving[step] in (place, -1))
            counts = (f"{ready[place][step]:g}", f"{starting[place][step]:g}", serves)
            yield (f"{step * every * timeline.step_seconds:g}", *told, str(pool), *counts, cost)


def told(settings: dict[str, float | str]) -> str:
    """Return settings as one cell."""
    return ";".join(f"{name}={value}" for name, value in settings.items())
