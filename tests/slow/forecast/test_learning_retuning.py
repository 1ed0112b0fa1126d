from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.jobs import BOOSTED, History, Trained, TrainingBudget, TrainingJob, TrainingRefused
from modelscaler.forecast.learning.fitting import new_network
from modelscaler.forecast.learning.hiding import FEATURES
from modelscaler.forecast.learning.retuning import COPIES, Workplace, material_of, mean_weights, rows_of_each, train
from modelscaler.forecast.learning.weights import serving
from modelscaler.forecast.network import Network
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.trees import Trees

STEP_SECONDS = 600.0
WEEK = 1_008
BUDGET = TrainingBudget(max_rows=4_000)


class KilledError(Exception):
    """Stands for the signal that ends a training."""


class Listener:
    """Keeps what a training tells, and kills it at a word."""

    def __init__(self, kill_at: str = "never") -> None:
        self.told: list[str] = []
        self._kill_at = kill_at

    def __call__(self, text: str) -> None:
        if text.startswith(self._kill_at):
            raise KilledError
        self.told.append(text)


def history(columns: int, series: int = 2) -> History:
    """Return a load with a burst every two hours, which only its own history can teach."""
    rng = np.random.default_rng(0)
    rps = 10.0 + rng.standard_normal((series, columns)) + 30.0 * (np.arange(columns) % 12 == 7)
    return History(Panel.of(rps, STEP_SECONDS, 2_900_000), Calendar.utc(series), (1, 6))


def untaught() -> Network:
    return serving(new_network(FEATURES, 0, 0.0), {})


def job(columns: int = WEEK, start: Network | None = None, budget: TrainingBudget = BUDGET) -> TrainingJob:
    network = untaught()
    return TrainingJob((history(columns),), 0, start or network, network, budget)


def trained(job: TrainingJob, at: Workplace | None = None) -> Trained:
    outcome = train(job, at)
    assert isinstance(outcome, Trained)
    return outcome


def same(one: Network, other: Network) -> bool:
    """Tell whether weights are the same but for how sums were rounded, which may depend on where arrays lie in memory."""
    return all(np.allclose(weight, other.weights[name], atol=1e-5) for name, weight in one.weights.items())


def test_a_tuned_network_does_better_on_what_it_has_not_seen() -> None:
    outcome = trained(job())

    assert outcome.relative_loss < 0.8
    assert outcome.rows > 2_500
    assert outcome.network.features == FEATURES


def test_what_is_learned_before_the_newest_part_is_judged_does_not_see_it() -> None:
    whole = history(WEEK)
    cut = round(0.9 * WEEK)
    changed = whole.panel.fine.values.copy()
    changed[:, cut:] *= 3.0
    other = History(Panel.of(changed, STEP_SECONDS, 2_900_000), whole.calendar, whole.aheads)

    first, second = (material_of(TrainingJob((of,), 0, budget=BUDGET)) for of in (whole, other))

    np.testing.assert_array_equal(first.old.features, second.old.features)
    np.testing.assert_array_equal(first.old.came, second.old.came)
    assert not np.array_equal(first.newest.came, second.newest.came, equal_nan=True)


def first_loss(of: TrainingJob) -> float:
    """Return the mean loss in the first epoch of a training."""
    listener = Listener()
    trained(of, Workplace(None, listener))
    return float(next(text for text in listener.told if text.startswith("epoch 1")).rpartition(" ")[2])


def test_tuning_goes_on_from_the_last_tuned_network() -> None:
    last = trained(job()).network

    assert first_loss(job(start=last)) < 0.9 * first_loss(job())


def test_the_loss_that_is_told_is_of_a_network_that_has_not_seen_the_newest_part_when_the_last_tuned_one_has() -> None:
    last = trained(job())

    assert trained(job(start=last.network)).relative_loss == pytest.approx(last.relative_loss, rel=1e-4)


def test_a_training_starts_from_nothing_when_there_is_no_network() -> None:
    outcome = trained(TrainingJob((history(WEEK),), 0, budget=BUDGET))

    assert outcome.relative_loss == 1.0
    assert outcome.network.features == FEATURES


@pytest.mark.parametrize("columns", [1, 100])
def test_training_is_refused_when_less_than_a_day_is_known(columns: int) -> None:
    assert train(job(columns)) == TrainingRefused("no series has 24 hours of known history yet")


def test_training_is_refused_when_there_are_few_rows() -> None:
    refused = train(job(300, budget=TrainingBudget(max_rows=100)))

    assert isinstance(refused, TrainingRefused)
    assert "expected at least 500" in refused.reason


def test_trees_are_grown_when_the_rival_is_asked_for() -> None:
    outcome = trained(replace(job(), kind=BOOSTED))

    assert isinstance(outcome.network, Trees)
    assert outcome.relative_loss < 0.8


def test_tuning_begins_with_the_pretrained_network_when_the_last_tuned_model_is_the_rival() -> None:
    rival = trained(replace(job(), kind=BOOSTED)).network

    assert same(trained(replace(job(), start=rival)).network, trained(job()).network)


def test_training_is_refused_when_nothing_is_known() -> None:
    blank = Panel.of(np.full((2, WEEK), np.nan), STEP_SECONDS, 2_900_000)

    refused = train(TrainingJob((History(blank, Calendar.utc(2), (1,)),), 0, budget=BUDGET))

    assert isinstance(refused, TrainingRefused)


def test_the_same_network_comes_of_the_same_job() -> None:
    assert same(trained(job()).network, trained(job()).network)


def test_a_killed_training_goes_on_after_its_last_epoch(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(job(), Workplace(tmp_path, Listener("epoch 3")))
    listener = Listener()

    outcome = trained(job(), Workplace(tmp_path, listener))

    assert "goes on after epoch 2" in listener.told
    assert same(outcome.network, trained(job()).network)
    assert not list(tmp_path.glob("checkpoint*"))


def test_copies_that_were_done_are_not_fitted_again_when_a_later_one_was_killed(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(job(), Workplace(tmp_path, Listener("copy 3")))
    listener = Listener()

    outcome = trained(job(), Workplace(tmp_path, listener))

    assert listener.told.count("goes on after epoch 3") == 2
    assert same(outcome.network, trained(job()).network)


def test_the_mean_of_copies_from_several_seeds_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    mean = trained(job()).network
    monkeypatch.setattr("modelscaler.forecast.learning.retuning.COPIES", 1)

    alone = [trained(replace(job(), seed=seed)).network for seed in range(COPIES)]

    assert same(mean, Network(mean_weights(alone), {}))
    assert not same(alone[0], alone[1])


def test_a_training_begins_anew_when_the_killed_one_started_from_another_network(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        train(job(), Workplace(tmp_path, Listener("epoch 3")))
    other = serving(new_network(FEATURES, 1, 0.0), {})
    listener = Listener()

    trained(job(start=other), Workplace(tmp_path, listener))

    assert not [text for text in listener.told if "goes on" in text]


def test_a_training_still_answers_when_its_time_is_short() -> None:
    outcome = trained(job(budget=TrainingBudget(seconds=1e-3, max_rows=4_000)))

    assert all(np.isfinite(weight).all() for weight in outcome.network.weights.values())


def test_rows_are_spread_over_series_within_both_bounds() -> None:
    budget = TrainingBudget(max_rows=200_000, max_rows_per_series=15_000)

    assert [rows_of_each(series, budget) for series in (1, 10, 200, 1_000_000)] == [15_000, 15_000, 1_000, 1]
