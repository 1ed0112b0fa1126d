import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from modelscaler.domain import WorkloadKey
from modelscaler.metrics import queries
from modelscaler.metrics.prometheus import PrometheusSettings


@pytest.mark.parametrize(
    "url", ["", "prometheus:9090", "ftp://prometheus", "http://", "http://host:99999", "http://[::1"]
)
def test_url_is_refused_when_it_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="Prometheus URL: got"):
        PrometheusSettings(url, 60.0, 60.0)


@pytest.mark.parametrize(
    "url", ["ftp://admin:hunter2@host", "http://admin:hunter2@host:99999", "http://admin:hunter2@"]
)
def test_password_is_not_shown_when_the_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="got") as refusal:
        PrometheusSettings(url, 60.0, 60.0)
    assert "hunter2" not in str(refusal.value)


def test_only_the_address_is_shown_when_the_url_holds_secrets() -> None:
    settings = PrometheusSettings("https://admin:hunter2@prom.example/tenant-key?token=abc", 60.0, 60.0)
    assert settings.shown == "https://prom.example:443"


@pytest.mark.parametrize(("window", "stale"), [(0.0, 60.0), (60.0, -1.0), (float("nan"), 60.0)])
def test_durations_are_refused_when_not_above_zero(window: float, stale: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0"):
        PrometheusSettings("http://prom:9090", window, stale)


def test_token_is_not_read_when_settings_are_made() -> None:
    assert PrometheusSettings("http://prom", 60.0, 60.0, token_file=Path("/nonexistent")).token_file


def test_queries_stay_nine_and_grouped_when_windows_are_fractions_of_a_second() -> None:
    asked = queries.current(rate_window_seconds=2.5, stale_after_seconds=0.5)
    assert len(asked) == 9
    assert all("by (modeldeployment_namespace, modeldeployment" in promql for promql in asked.values())
    assert "[2500ms]" in asked[queries.OFFERED]
    assert "[5000ms:125ms]" in asked[queries.FRESHNESS]


def test_no_request_falls_between_two_steps_when_steps_are_longer_than_the_window() -> None:
    assert "[300000ms]" in queries.past(300.0, 60.0, [])
    assert "[60000ms]" in queries.past(15.0, 60.0, [])


def test_no_analytics_library_is_loaded_when_the_source_is_imported() -> None:
    program = (
        "import modelscaler.metrics.prometheus, sys; sys.exit(any(m in sys.modules for m in ('pandas', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_history_is_asked_for_by_name_when_few_are_meant_and_of_all_when_many_are() -> None:
    keys = [WorkloadKey("shop", "ranker"), WorkloadKey("shop", "tagger")]
    few = queries.past(15.0, 60.0, keys)
    assert few.count('{modeldeployment_namespace=~"shop", modeldeployment=~"ranker|tagger"}') == few.count("_total")
    many = [WorkloadKey("shop", f"ranker{number}") for number in range(queries.MOST_NAMED + 1)]
    assert queries.past(15.0, 60.0, many) == queries.past(15.0, 60.0, [])
    assert 'modeldeployment!=""' in queries.past(15.0, 60.0, [])


def test_query_fits_an_address_when_names_are_as_long_as_they_may_be() -> None:
    longest = [WorkloadKey(f"{number}{'n' * 62}", f"{'d' * 39}{number}") for number in range(queries.MOST_NAMED)]
    assert len(quote(queries.past(15.0, 60.0, longest))) < 8_000
