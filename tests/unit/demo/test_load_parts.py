import numpy as np
import pytest

from modelscaler_demo.load.arrivals import arrival_seconds, steady
from modelscaler_demo.load.replicas import EJECT_SECONDS, Replica, Replicas
from modelscaler_demo.load.tally import Outcome, Second, Totals, percentile


def test_arrivals_follow_the_curve_when_the_rate_changes() -> None:
    rates = np.concatenate([steady(10, 100), steady(40, 100)])
    arrivals = arrival_seconds(rates, 1.0, np.random.default_rng(3))
    early, late = np.sum(arrivals < 100), np.sum(arrivals >= 100)
    assert early == pytest.approx(1000, abs=4 * np.sqrt(1000))
    assert late == pytest.approx(4000, abs=4 * np.sqrt(4000))
    assert np.all(np.diff(arrivals) >= 0)


def test_gaps_are_exponential_when_the_rate_is_steady() -> None:
    gaps = np.diff(arrival_seconds(steady(50, 400, 0.25), 0.25, np.random.default_rng(5)))
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)


def test_arrivals_repeat_when_the_seed_does() -> None:
    first, second = (arrival_seconds(steady(20, 10), 1.0, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first, second)


def test_no_arrivals_when_the_rate_is_zero() -> None:
    assert len(arrival_seconds(steady(0, 10), 1.0, np.random.default_rng(1))) == 0


def chosen(replicas: Replicas, now: float = 0.0) -> Replica:
    replica = replicas.choose(set(), now)
    assert replica is not None
    return replica


def test_least_outstanding_is_chosen_when_loads_differ() -> None:
    replicas = Replicas()
    replicas.replace(["http://a", "http://b"])
    busy = chosen(replicas)
    busy.outstanding = 1
    assert chosen(replicas) is not busy


def test_all_take_turns_when_loads_are_equal() -> None:
    replicas = Replicas()
    replicas.replace(["http://a", "http://b", "http://c"])
    assert {chosen(replicas).base_url for _ in range(3)} == {"http://a", "http://b", "http://c"}


def test_replica_is_left_alone_when_it_refused() -> None:
    replicas = Replicas()
    replicas.replace(["http://a", "http://b"])
    refusing = chosen(replicas)
    refusing.failed(now=0.0)
    assert all(chosen(replicas, 0.5 * EJECT_SECONDS) is not refusing for _ in range(4))
    assert any(chosen(replicas, 1.5 * EJECT_SECONDS) is refusing for _ in range(4))


def test_ejected_replica_is_chosen_when_there_is_no_other() -> None:
    replicas = Replicas()
    replicas.replace(["http://a"])
    only = chosen(replicas)
    only.failed(now=0.0)
    assert chosen(replicas) is only
    assert replicas.choose({"http://a"}, now=0.0) is None


def test_counts_under_way_survive_when_the_set_of_replicas_changes() -> None:
    replicas = Replicas()
    replicas.replace(["http://a"])
    chosen(replicas).outstanding = 5
    replicas.replace(["http://a", "http://b"])
    assert chosen(replicas).base_url == "http://b"


@pytest.mark.parametrize(("percent", "expected"), [(50, 50.0), (99, 99.0), (100, 100.0), (1, 1.0)])
def test_percentile_is_the_nearest_rank_when_there_are_a_hundred(percent: float, expected: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], percent) == expected


def test_percentile_is_none_when_there_is_nothing() -> None:
    assert percentile([], 99) is None


def test_lost_requests_miss_the_objective_when_the_share_is_counted() -> None:
    second = Second(0)
    second.record(Outcome(ok=True, latency_seconds=0.05, version="full"))
    second.record(Outcome(ok=True, latency_seconds=0.5, version="int8", retries=1, resets=1))
    second.record(Outcome(ok=False, reason="connection reset", resets=2))
    totals = Totals([second])
    assert totals.within(200.0) == pytest.approx(1 / 3)
    assert totals.versions == {"full": 1, "int8": 1}
    assert (totals.sum_of("lost"), totals.sum_of("resets"), totals.sum_of("retried")) == (1, 3, 1)


def test_a_replica_is_left_alone_for_seconds_however_often_it_failed() -> None:
    replica = Replica("http://replica")
    pauses = []
    for _ in range(5000):
        replica.failed(now=100.0)
        pauses.append(replica.ejected_until - 100.0)
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert set(pauses[3:]) == {8.0}
