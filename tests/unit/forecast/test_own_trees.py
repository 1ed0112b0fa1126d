"""Trees that single series have of their own: what they see, whose they are, and the file that keeps them."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from forecast_rig import HISTORY, service, tick, warmed
from loads import KEY, InstantTrainer, network, random_walk, seasonal_load
from modelscaler.backtest.champion import served_from
from modelscaler.domain import Floats, WorkloadKey
from modelscaler.forecast.anchor import judge_stride, judged
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.frames import Frame, frame
from modelscaler.forecast.grove import Grove, load_grove
from modelscaler.forecast.jobs import GROWN, NETWORK, Grown, Outcome, TrainingJob
from modelscaler.forecast.learning.own import own_trees
from modelscaler.forecast.network import WeightsError
from modelscaler.forecast.networks import own_width
from modelscaler.forecast.own import own_features
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.pipeline import MEMBERS, OWN, PRETRAINED, said
from own_trees import saying

AHEAD = 10
ORIGINS = np.array([2_000, 2_400])
OTHER = WorkloadKey("shop", "tagger")


def described() -> tuple[Panel, Frame]:
    load = np.stack([seasonal_load(3_000, seed=3, season=1_440), random_walk(3_000, seed=4)])
    panel = Panel.of(load, 60.0, 30_000_000)
    record = judged(panel, AHEAD, np.arange(0, panel.columns, judge_stride(60.0)), None)
    return panel, frame(panel, ORIGINS, AHEAD, record, Calendar.utc(2))


def test_loads_are_seen_as_differences_from_the_last_value_in_their_own_unit() -> None:
    panel, seen = described()

    features = own_features(panel, ORIGINS, AHEAD, seen, Calendar.utc(2))

    last = panel.value(ORIGINS, 0)
    assert features.shape == (2, 2, own_width())
    np.testing.assert_allclose(features[..., 0], 0.0, atol=1e-2)
    np.testing.assert_allclose(features[..., 1], panel.value(ORIGINS, 1) - last, rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(features[..., 5], panel.mean(ORIGINS, 0, 2) - last, rtol=1e-3, atol=1e-2)


def test_only_series_with_trees_are_told_of_and_only_where_enough_is_known() -> None:
    panel, _ = described()
    record = judged(panel, AHEAD, np.arange(0, panel.columns, judge_stride(60.0)), None)

    heard = said(
        panel, np.array([5, 2_400]), AHEAD, record, Calendar.utc(2), {PRETRAINED: network()}, [(1, saying(3.0))]
    )

    own = heard.quantiles[MEMBERS.index(OWN)]
    assert np.isnan(own[:, 0]).all(), "another series has none"
    assert np.isnan(own[:, 1, 0]).all(), "five minutes are not enough"
    np.testing.assert_allclose(own[:, 1, 1], panel.value(np.array([2_400]), 0)[1, 0] + 3.0, rtol=1e-6)


def test_a_forecast_is_never_below_zero() -> None:
    panel, _ = described()
    record = judged(panel, AHEAD, np.arange(0, panel.columns, judge_stride(60.0)), None)
    heard = said(panel, ORIGINS, AHEAD, record, Calendar.utc(2), {}, [(0, saying(-1e6))])
    assert (heard.quantiles[MEMBERS.index(OWN), :, 0] == 0.0).all()


def ragged(steps: int, known_share: float) -> Floats:
    """Return a load of which only so much is known, here and there; all of the last hour."""
    load = seasonal_load(steps, season=1_440)
    load[: steps - 60][np.random.default_rng(2).random(steps - 60) > known_share] = np.nan
    return load


ODD = {
    "constant": np.full(1_500, 7.0),
    "all zero": np.zeros(1_500),
    "sparse": np.where(np.random.default_rng(1).random(1_500) < 0.02, 3.0, 0.0),
    "a fifth unknown": ragged(1_500, 0.8),
    "a day missing": np.concatenate([seasonal_load(1_000), np.full(1_440, np.nan), seasonal_load(1_000)]),
    "huge after tiny": np.concatenate([np.full(1_200, 1e-6), np.full(300, 1e6)]),
}
"""Minutes of which trees are grown; the last hour is known of all."""


@pytest.mark.parametrize("load", ODD.values(), ids=ODD)
def test_trees_grow_and_tell_when_a_series_is_odd(load: Floats) -> None:
    panel, clock = Panel.of(load[None], 60.0, 30_000_000), Calendar.utc(1)
    trees = own_trees(panel, clock, AHEAD, seed=0, most_rows=1_000)
    assert trees is not None
    record = judged(panel, AHEAD, np.arange(0, panel.columns, judge_stride(60.0)), None)
    lately = np.arange(panel.columns - 60, panel.columns)

    own = said(panel, lately, AHEAD, record, clock, {}, [(0, trees)]).quantiles[MEMBERS.index(OWN)]
    served = served_from(panel, lately[0], AHEAD, [(0.0, {PRETRAINED: network()})], [[(0, trees)]])

    for quantiles in (own, served):
        assert np.isfinite(quantiles).all()
        assert (quantiles >= 0.0).all()
        assert quantiles.max() <= 5.0 * np.nanmax(load) + 1e-6
    assert (np.diff(served, axis=-1) >= 0.0).all()


@pytest.mark.parametrize("known_share", [0.0, 0.3])
def test_none_grow_and_rules_still_tell_when_hardly_anything_is_known(known_share: float) -> None:
    panel, clock = Panel.of(ragged(1_500, known_share)[None], 60.0, 30_000_000), Calendar.utc(1)
    assert own_trees(panel, clock, AHEAD, seed=0) is None
    assert np.isfinite(served_from(panel, panel.columns - 30, AHEAD, [(0.0, {})], [[]])).all()


def test_trees_are_those_of_a_series_and_a_horizon() -> None:
    grove = Grove({(KEY, 1): saying(1.0), (KEY, 10): saying(2.0), (OTHER, 10): saying(3.0)})
    assert [place for place, _ in grove.of([OTHER, KEY], 10)] == [0, 1]
    assert [place for place, _ in grove.of([OTHER, KEY], 1)] == [1]
    assert grove.of([OTHER, KEY], 30) == []
    assert not grove.of([WorkloadKey("other", "ranker")], 1), "names are no keys without their namespace"


def test_newer_trees_take_the_place_of_older_ones_and_those_of_the_gone_go() -> None:
    old = Grove({(KEY, 1): saying(1.0), (KEY, 10): saying(1.0), (OTHER, 1): saying(1.0)})
    renewed = old.renewed(Grove({(KEY, 1): saying(2.0)}), [KEY])
    assert {name: float(trees.weights["bases"][0, 0]) for name, trees in renewed.trees.items()} == {
        (KEY, 1): 2.0,
        (KEY, 10): 1.0,
    }


def test_trees_are_the_same_when_they_were_written_and_read(tmp_path: Path) -> None:
    grove = Grove({(KEY, 1): saying(1.5), (OTHER, 10): saying(2.5)})
    grove.save(tmp_path / "grove.safetensors")

    read = load_grove(tmp_path / "grove.safetensors", own_width())

    assert list(read.trees) == list(grove.trees)
    for name, trees in grove.trees.items():
        for part, array in trees.weights.items():
            np.testing.assert_array_equal(read.trees[name].weights[part], array)


def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "grove.safetensors"
    with pytest.raises(WeightsError, match="remove it"):
        load_grove(path, own_width())
    path.write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="remove it"):
        load_grove(path, own_width())
    save_file({"x": np.zeros(1)}, path, metadata={"schema": "grove-9"})
    with pytest.raises(WeightsError, match="schema grove-9, expected grove-1"):
        load_grove(path, own_width())
    save_file({"x": np.zeros(1)}, path, metadata={"schema": "grove-1", "entries": '[["shop", "ranker", 1, {}]]'})
    with pytest.raises(WeightsError, match="remove it"):
        load_grove(path, own_width())
    Grove({(KEY, 1): saying(1.0)}).save(path)
    with pytest.raises(WeightsError, match=f"expected {own_width() + 1}"):
        load_grove(path, own_width() + 1)


class Grower(InstantTrainer):
    """Grows trees that say a little more than the last value for every series and horizon; trains networks as others do."""

    def __init__(self, off: float = 0.0) -> None:
        super().__init__(off)
        self.grown_for: list[tuple[WorkloadKey, ...]] = []

    def submit(self, job: TrainingJob) -> None:
        super().submit(job)
        if job.kind == GROWN:
            (history,) = job.histories
            self.grown_for.append(history.keys)
            self._outcome: Outcome | None = Grown(
                Grove({(key, ahead): saying(0.5) for key in history.keys for ahead in history.aheads})
            )


def test_a_small_fleet_gets_trees_of_its_own_after_the_network_and_keeps_them_over_a_restart(tmp_path: Path) -> None:
    load, trainer = random_walk(HISTORY + 40, seed=5), Grower(off=3.0)
    forecasting = warmed(tmp_path, load, trainer)
    assert not forecasting.has_own_trees(KEY)
    for step in range(HISTORY, HISTORY + 30):
        found = tick(forecasting, step, load[step])
    assert [job.kind for job in trainer.jobs] == [NETWORK]
    assert trainer.grown_for == [(KEY,)]
    assert found is not None
    assert dict(found.shares).get(OWN, 0.0) > 0.0
    assert forecasting.has_own_trees(KEY)
    assert not forecasting.has_own_trees(WorkloadKey("shop", "another"))
    forecasting.close()

    again = service(tmp_path, Grower(off=3.0))
    assert again._tuition.grove.of([KEY], 1)
    again.close()
