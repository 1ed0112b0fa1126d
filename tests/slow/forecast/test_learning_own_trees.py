"""Trees are fitted to single series: they find what is that series' alone, in the time that there is."""

from pathlib import Path

import numpy as np

from loads import KEY
from modelscaler.domain import Floats, WorkloadKey
from modelscaler.forecast.anchor import judge_stride, judged
from modelscaler.forecast.base import QUANTILES, pinball
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.jobs import (
    GROWN,
    Grown,
    History,
    TrainingBudget,
    TrainingJob,
    TrainingRefused,
    read_job,
    read_outcome,
    write_job,
    write_outcome,
)
from modelscaler.forecast.learning.own import FEWER_ROWS, MOST_ROWS, own_trees, rows_of_trees
from modelscaler.forecast.learning.parts import part_of
from modelscaler.forecast.learning.retuning import Workplace, train
from modelscaler.forecast.networks import shipped_network
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.pipeline import MEMBERS, OWN, PRETRAINED, said

DAY = 1_440
AHEAD = 10
OTHER = WorkloadKey("shop", "tagger")


def scheduled(days: int, seed: int = 0) -> Floats:
    """Return minutes that are high from 17 to 23 past, but only where they were low ten minutes before: no rule knows that."""
    rng = np.random.default_rng(seed)
    load = 100.0 + 10.0 * rng.standard_normal(days * DAY)
    then = np.flatnonzero(np.isin(np.arange(days * DAY) % 60, range(17, 24)))
    load[then] += np.where(load[then - AHEAD] < 100.0, 100.0, 0.0)
    return load


def panel_of(load: Floats) -> Panel:
    return Panel.of(load[None], 60.0, 30_000_000 // DAY * DAY)


def test_trees_know_what_is_one_series_alone() -> None:
    panel = panel_of(scheduled(10))
    cutoff = 8 * DAY
    trees = own_trees(part_of(panel, slice(0, 1), cutoff), Calendar.utc(1), AHEAD, 0)
    assert trees is not None
    network = shipped_network()
    assert network is not None
    record = judged(panel, AHEAD, np.arange(0, panel.columns, judge_stride(60.0)), None)
    origins = np.arange(cutoff + 1, panel.columns - AHEAD)
    heard = said(panel, origins, AHEAD, record, Calendar.utc(1), {PRETRAINED: network}, [(0, trees)]).quantiles
    came = panel.value(origins + AHEAD, 0)[0]
    losses = {
        name: float(np.nanmean(pinball(came, heard[MEMBERS.index(name), 0, 0])[:, QUANTILES.index(0.9)]))
        for name in (OWN, PRETRAINED)
    }
    assert losses[OWN] < 0.8 * losses[PRETRAINED], losses


def job(days: int, seconds: float = 300.0) -> TrainingJob:
    load = np.stack([scheduled(days), scheduled(days, 1)])
    panel = Panel.of(load, 60.0, 30_000_000)
    history = History(panel, Calendar.utc(2), (1, AHEAD), (KEY, OTHER))
    return TrainingJob((history,), 0, budget=TrainingBudget(seconds=seconds), kind=GROWN)


def test_every_series_gets_trees_for_every_horizon_and_they_come_back_from_the_process(tmp_path: Path) -> None:
    write_job(job(3), tmp_path)
    found = train(read_job(tmp_path))
    assert isinstance(found, Grown)
    assert set(found.grove.trees) == {(key, ahead) for key in (KEY, OTHER) for ahead in (1, AHEAD)}

    write_outcome(found, tmp_path)
    read = read_outcome(tmp_path, None)

    assert isinstance(read, Grown)
    assert set(read.grove.trees) == set(found.grove.trees)


def test_short_horizons_come_first_when_there_is_no_time_for_all() -> None:
    ticks = iter(range(1_000))
    found = train(job(3, seconds=3.5), Workplace(clock=lambda: float(next(ticks))))
    assert isinstance(found, Grown)
    assert {ahead for _, ahead in found.grove.trees} == {1}


def test_trees_learn_from_fewer_rows_when_there_are_many_of_them() -> None:
    assert rows_of_trees(1) == MOST_ROWS
    assert FEWER_ROWS < rows_of_trees(100) < MOST_ROWS
    assert rows_of_trees(100_000) == FEWER_ROWS


def test_there_are_none_when_too_little_is_known() -> None:
    short = job(3)
    (history,) = short.histories
    values = np.full((2, 3 * DAY), np.nan)
    values[:, : DAY + 60] = 5.0
    values[:, 400:] = np.nan
    empty = History(Panel.of(values, 60.0, 30_000_000), history.calendar, history.aheads, history.keys)
    assert isinstance(train(TrainingJob((empty,), 0, kind=GROWN)), TrainingRefused)
    assert own_trees(panel_of(scheduled(1)[:300]), Calendar.utc(1), AHEAD, 0) is None
