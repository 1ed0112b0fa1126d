"""New rows start from their history: rules judged over the last day, and the mix learned by replaying it."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from modelscaler.forecast.anchor import LEAST_MEMORY, Judgements, judged
from modelscaler.forecast.batch import actual, newest_judgement
from modelscaler.forecast.cohort import Cohort, bursts_of
from modelscaler.forecast.grove import Grove
from modelscaler.forecast.network import Network
from modelscaler.forecast.own import Own
from modelscaler.forecast.panel import Ints, Panel
from modelscaler.forecast.pipeline import LEARNED, said
from modelscaler.forecast.rules import DAY_SECONDS
from modelscaler.forecast.store import LoadStore

REPLAYED_ORIGINS: Final = 24


def begin(cohort: Cohort, complete: int) -> None:
    """Say from when on a cohort is judged: now."""
    for rung in range(len(cohort.rungs)):
        cohort.judged_cells[rung] = newest_judgement(cohort, rung, complete)
    cohort.burst_cell = complete


def warm(
    cohort: Cohort, store: LoadStore, rows: slice, complete: int, networks: Mapping[str, Network], grove: Grove
) -> None:
    """Give rows the state that they would have, had they been forecast for the last day. `rows` is a slice of rows."""
    panel = cohort.panel(store, rows)
    cohort.keep_bursts(rows, bursts_of(panel, min(cohort.burst_cell, panel.first_cell + panel.columns - 1)))
    for rung, ahead in enumerate(cohort.rungs):
        record = judged(panel, ahead, _judged_columns(cohort, panel, rung), None)
        cohort.keep_record(rung, rows, record)
        _replay(cohort, panel, rows, rung, complete, record, networks, cohort.own(grove, rows, rung))
    cohort.table["warm"][rows] = True


def _judged_columns(cohort: Cohort, panel: Panel, rung: int) -> Ints:
    day = panel.steps(DAY_SECONDS)
    count = max(-(-day // cohort.stride), LEAST_MEMORY)
    last = cohort.judged_cells[rung] - panel.first_cell
    columns: Ints = last - cohort.stride * np.arange(count - 1, -1, -1)
    return columns[columns >= 0] if (columns >= 0).any() else columns[-1:]


def _replay(
    cohort: Cohort,
    panel: Panel,
    rows: slice,
    rung: int,
    complete: int,
    record: Judgements,
    networks: Mapping[str, Network],
    own: Own,
) -> None:
    ahead, silent = cohort.rungs[rung], ~cohort.table["learned"][rows]
    origins = replayed(panel, complete - panel.first_cell - ahead)
    if not len(origins):
        return
    heard = said(panel, origins, ahead, record, cohort.calendar(rows), networks, own)
    heard.quantiles[: len(LEARNED), :, silent] = np.nan
    online = cohort.online(rows)
    for at, origin in enumerate(origins):
        members, scale = heard.quantiles[:, :, :, at], heard.scale[:, :, at]
        came = actual(panel, int(origin) + ahead, ahead)
        online.learn(rung, came, members, online.serve(rung, members, scale), scale)


def replayed(panel: Panel, last: int) -> Ints:
    """Return columns to replay forecasts from: spaced evenly over the day up to `last`, oldest first."""
    day = panel.steps(DAY_SECONDS)
    every = max(day // REPLAYED_ORIGINS, 1)
    origins: Ints = last - every * np.arange(REPLAYED_ORIGINS - 1, -1, -1)
    return origins[origins > 0]
