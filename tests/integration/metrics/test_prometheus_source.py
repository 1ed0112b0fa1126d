"""The source against a real Prometheus that scrapes real exporters."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import requests

from localcluster.binaries.provide import provide_prometheus
from modelscaler.domain import Absent, Reading, SourceError, Stale, Value, WorkloadKey, Zero, known
from modelscaler.metrics.prometheus import PrometheusSettings, PrometheusSource
from prometheus_fakes import SCRAPE_SECONDS, exporter, prometheus

pytestmark = pytest.mark.integration

Read = TypeVar("Read")

RATE_WINDOW_SECONDS = 8 * SCRAPE_SECONDS
STALE_AFTER_SECONDS = 4 * SCRAPE_SECONDS
PATIENCE_SECONDS = 20.0
BUSY, IDLE, BROKEN, SILENT, MORTAL, RESTARTED = (
    WorkloadKey("shop", name) for name in ("busy", "idle", "broken", "silent", "mortal", "restarted")
)
ASLEEP = WorkloadKey("shop", "asleep")
BUSY_RPS = 40.0
RESTARTED_EVERY_SECONDS = 3.0
STORMY, PATIENT, CALMED, ORPHANED = (WorkloadKey("shop", name) for name in ("stormy", "patient", "calmed", "orphaned"))


def labels(key: WorkloadKey, **more: str) -> str:
    found = {"modeldeployment_namespace": key.namespace, "modeldeployment": key.name, "pool": "cpu-full", **more}
    return "{" + ",".join(f'{name}="{value}"' for name, value in found.items()) + "}"


def counter(key: WorkloadKey, value: float) -> str:
    return f"modelserver_requests_offered_total{labels(key)} {value}\n"


def histogram(key: WorkloadKey, requests_seen: float) -> str:
    shares = {"0.05": 0.5, "0.1": 0.9, "0.2": 0.98, "+Inf": 1.0}
    name = "modelserver_request_duration_seconds_bucket"
    return "".join(f"{name}{labels(key, le=le)} {share * requests_seen}\n" for le, share in shares.items())


def retrying(key: WorkloadKey, seconds: float, retried_rps: float, refused: float) -> str:
    """Return the counters of a server that is offered 40 requests/s, of which so many were sent before."""
    retried = f"modelserver_requests_retried_total{labels(key)} {retried_rps * seconds}\n"
    turned_away = f"modelserver_requests_turned_away_total{labels(key)} {refused}\n"
    return counter(key, 40.0 * seconds) + retried + turned_away


def rows(key: WorkloadKey, variant: str, value: float) -> str:
    return f"modelserver_rows_total{labels(key, variant=variant)} {value}\n"


def budget(key: WorkloadKey, share: float, instance: str) -> str:
    return f"modelserver_reflex_budget{labels(key, of=instance)} {share}\n"


def activator(key: WorkloadKey, held: float) -> str:
    mine = labels(key, pool="activator")
    return f"modelserver_requests_offered_total{mine} 0\nmodelserver_queue_depth{mine} {held}\n"


def fleet(seconds: float) -> str:
    return "".join(
        [
            activator(BUSY, 0.0),
            activator(ASLEEP, 2.0),
            budget(BUSY, 1.0, "one") + budget(BUSY, 0.25, "other"),
            retrying(STORMY, seconds, retried_rps=25.0, refused=15.0 * seconds),
            retrying(PATIENT, seconds, retried_rps=5.0, refused=15.0 * seconds),
            retrying(CALMED, seconds, retried_rps=10.0, refused=200.0 * (seconds // 6.0)),
            retrying(ORPHANED, seconds, retried_rps=10.0, refused=0.0),
            rows(BUSY, "full", 30.0 * seconds),
            rows(BUSY, "int8", 10.0 * seconds),
            counter(BUSY, BUSY_RPS * seconds),
            f"modelserver_queue_depth{labels(BUSY)} 3\n",
            histogram(BUSY, BUSY_RPS * seconds),
            counter(RESTARTED, BUSY_RPS * (seconds % RESTARTED_EVERY_SECONDS)),
            counter(IDLE, 5.0),
            f"modelserver_queue_depth{labels(IDLE)} 0\n",
            histogram(IDLE, 5.0),
            counter(BROKEN, math.nan),
            f"modelserver_queue_depth{labels(BROKEN)} -1\n",
            "modelserver_requests_offered_total 99\n",
        ]
    )


@pytest.fixture(scope="module")
def program() -> Path:
    return provide_prometheus()["prometheus"]


@pytest.fixture(scope="module")
def url(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        exporter(fleet) as one,
        exporter(lambda seconds: counter(BUSY, BUSY_RPS * seconds)) as two,
        prometheus(program, tmp_path_factory.mktemp("prometheus"), [one, two]) as address,
    ):
        yield address


def source(url: str, rate_window_seconds: float = RATE_WINDOW_SECONDS) -> PrometheusSource:
    return PrometheusSource(PrometheusSettings(url, rate_window_seconds, STALE_AFTER_SECONDS))


def eventually(read: Callable[[], Read], wanted: Callable[[Read], bool]) -> Read:
    """Return the first reading that is as wanted; the last one when none is in time."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not wanted(reading := read()) and time.monotonic() < until:
        time.sleep(SCRAPE_SECONDS)
    return reading


def now() -> datetime:
    return datetime.now(UTC)


def test_demand_of_all_replicas_is_added_up_when_they_report(url: str) -> None:
    reading = eventually(lambda: source(url).read(now()).offered(BUSY), lambda r: abs((known(r) or 0) - 80) < 8)
    assert isinstance(reading, Value)
    assert reading.value == pytest.approx(2 * BUSY_RPS, rel=0.1)
    assert timedelta(0) <= now() - reading.at < timedelta(seconds=PATIENCE_SECONDS)
    assert known(source(url).read(now()).reporting(BUSY)) == 2.0


@pytest.mark.parametrize(("key", "wanted_rps"), [(STORMY, 25.0), (PATIENT, 35.0), (CALMED, 30.0), (ORPHANED, 40.0)])
def test_demand_leaves_out_retries_as_far_as_replicas_turned_requests_away(
    url: str, key: WorkloadKey, wanted_rps: float
) -> None:
    def as_wanted(reading: Reading) -> bool:
        return abs((known(reading) or 0.0) - wanted_rps) < 0.05 * wanted_rps

    def in_the_past() -> Reading:
        end = now().replace(microsecond=0)
        return Value(source(url).history(end - timedelta(seconds=2), end, 1.0, [key]).windows[key].rps[-1], end)

    assert as_wanted(eventually(lambda: source(url).read(now()).offered(key), as_wanted))
    assert as_wanted(eventually(in_the_past, as_wanted))


def test_demand_is_neither_negative_nor_far_off_when_a_counter_falls_back_to_zero(url: str) -> None:
    def plausible(
        rps: float,
    ) -> bool:  # a restart hides what was counted since the last scrape, maybe since the one before
        return 0.5 * BUSY_RPS < rps < 1.25 * BUSY_RPS

    eventually(lambda: source(url).read(now()).offered(RESTARTED), lambda r: plausible(known(r) or 0.0))
    readings, until = [], time.monotonic() + 2 * RESTARTED_EVERY_SECONDS
    while time.monotonic() < until:
        readings.append(source(url).read(now()).offered(RESTARTED))
        time.sleep(SCRAPE_SECONDS)
    end = now().replace(microsecond=0)
    past = source(url).history(end - timedelta(seconds=4), end, 1.0, [RESTARTED]).windows[RESTARTED]

    assert resets(url, RESTARTED, 2 * RESTARTED_EVERY_SECONDS) >= 1
    fresh = [reading for reading in readings if not isinstance(reading, Stale)]
    assert len(fresh) > 4
    assert all(isinstance(reading, Value) and plausible(reading.value) for reading in fresh), readings
    assert all(plausible(rps) for rps in past.rps[-4:]), past.rps


def resets(url: str, key: WorkloadKey, seconds: float) -> float:
    """Return how often Prometheus has seen the counter of offered requests fall lately."""
    promql = f'resets(modelserver_requests_offered_total{{modeldeployment="{key.name}"}}[{seconds:g}s])'
    answer = requests.get(f"{url}/api/v1/query", params={"query": promql}, timeout=5).json()
    return float(answer["data"]["result"][0]["value"][1])


def test_who_answers_is_read_per_variant(url: str) -> None:
    eventually(lambda: source(url).read(now()).offered(BUSY), lambda r: abs((known(r) or 0) - 80) < 8)
    served = source(url).read(now()).served(BUSY, "cpu-full")
    assert served == pytest.approx({"full": 30.0, "int8": 10.0}, rel=0.1)
    assert source(url).read(now()).served(SILENT, "cpu-full") == {}


def test_budgets_of_a_pool_s_replicas_are_added_up(url: str) -> None:
    found = eventually(lambda: source(url).read(now()).budgets(BUSY, "cpu-full"), lambda share: share is not None)
    assert found == 1.25
    assert source(url).read(now()).budgets(SILENT, "cpu-full") is None


def test_demand_is_a_true_zero_when_a_fresh_counter_stands_still(url: str) -> None:
    reading = eventually(lambda: source(url).read(now()).offered(IDLE), lambda r: isinstance(r, Zero))
    assert isinstance(reading, Zero)
    metrics = source(url).read(now())
    assert isinstance(metrics.queued(IDLE), Zero)
    assert metrics.latency(IDLE, 0.99) == Absent()


def test_activator_is_heard_of_and_is_no_replica(url: str) -> None:
    metrics = eventually(lambda: source(url).read(now()), lambda found: known(found.activated(ASLEEP)) == 1.0)
    assert (known(metrics.offered(ASLEEP)), known(metrics.queued(ASLEEP))) == (0.0, 2.0)
    assert metrics.reporting(ASLEEP) == metrics.waited(ASLEEP) == Absent()
    assert known(metrics.activated(BUSY)) == 1.0
    assert known(metrics.waited(BUSY)) == 3.0, "the activator's empty queue is none of its replicas'"
    assert metrics.activated(IDLE) == Absent()


def test_reading_is_absent_when_prometheus_has_no_such_series(url: str) -> None:
    metrics = source(url).read(now())
    assert metrics.offered(SILENT) == metrics.queued(SILENT) == metrics.latency(SILENT, 0.9) == Absent()


def test_reading_is_absent_not_zero_when_the_window_holds_too_few_samples_for_a_rate(url: str) -> None:
    eventually(lambda: source(url).read(now()).offered(IDLE), lambda r: isinstance(r, Zero))
    metrics = source(url, rate_window_seconds=SCRAPE_SECONDS / 4).read(now())
    assert metrics.offered(IDLE) == Absent()
    assert metrics.reporting(IDLE) == Absent()


def test_reading_is_an_error_when_the_server_reports_nan_or_less_than_nothing(url: str) -> None:
    reading = eventually(lambda: source(url).read(now()).offered(BROKEN), lambda r: isinstance(r, SourceError))
    assert isinstance(reading, SourceError)
    assert "shop/broken: got nan" in reading.message
    queued = source(url).read(now()).queued(BROKEN)
    assert isinstance(queued, SourceError)
    assert "got -1" in queued.message


def test_queue_is_read_when_requests_wait(url: str) -> None:
    assert known(eventually(lambda: source(url).read(now()).queued(BUSY), lambda r: isinstance(r, Value))) == 3.0


@pytest.mark.parametrize(("percentile", "seconds"), [(0.25, 0.025), (0.7, 0.075), (0.95, 0.1625), (0.995, 0.2)])
def test_latency_is_what_prometheus_would_say_when_asked_for_any_percentile(
    url: str, percentile: float, seconds: float
) -> None:
    reading = eventually(lambda: source(url).read(now()).latency(BUSY, percentile), lambda r: isinstance(r, Value))
    assert known(reading) == pytest.approx(seconds, rel=0.01)
    selector = 'modelserver_request_duration_seconds_bucket{modeldeployment="busy"}[2s]'
    promql = f"histogram_quantile({percentile}, sum by (le) (rate({selector})))"
    answer = requests.get(f"{url}/api/v1/query", params={"query": promql}, timeout=5).json()
    assert known(reading) == pytest.approx(float(answer["data"]["result"][0]["value"][1]), rel=0.01)


def test_nine_queries_are_sent_when_the_fleet_is_read(url: str) -> None:
    sent: list[None] = []
    settings = PrometheusSettings(url, RATE_WINDOW_SECONDS, STALE_AFTER_SECONDS)
    PrometheusSource(settings, on_query=lambda: sent.append(None)).read(now())
    assert len(sent) == 9


def test_reading_goes_stale_and_in_the_end_absent_when_the_exporter_dies(program: Path, tmp_path: Path) -> None:
    with contextlib.ExitStack() as life:
        port = life.enter_context(exporter(lambda seconds: counter(MORTAL, BUSY_RPS * seconds)))
        with prometheus(program, tmp_path, [port]) as url:
            alive = eventually(lambda: source(url).read(now()).offered(MORTAL), lambda r: isinstance(r, Value))
            assert isinstance(alive, Value)
            life.close()
            stale = eventually(lambda: source(url).read(now()).offered(MORTAL), lambda r: isinstance(r, Stale))
            assert isinstance(stale, Stale)
            assert stale.age_seconds > STALE_AFTER_SECONDS
            gone = eventually(lambda: source(url).read(now()).offered(MORTAL), lambda r: isinstance(r, Absent))
            assert gone == Absent()


def test_history_is_nan_where_nothing_was_scraped_and_the_rate_where_it_was(url: str) -> None:
    eventually(lambda: source(url).read(now()).offered(BUSY), lambda r: abs((known(r) or 0) - 80) < 8)
    end = now().replace(microsecond=0)
    read = source(url).history(end - timedelta(hours=3), end, 1.0, [])
    assert read.error is None
    window = read.windows[BUSY]
    assert len(window.rps) == 3 * 3600 + 1
    assert window.end == end
    assert np.isnan(window.rps[:-600]).all()
    assert np.nanmax(window.rps) == pytest.approx(2 * BUSY_RPS, rel=0.25)
    assert SILENT not in read.windows
