"""The source against servers that are down, slow, huge or no Prometheus at all."""

import gzip
import json
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelscaler.domain import SourceError, WorkloadKey
from modelscaler.metrics.prometheus import PrometheusSettings, PrometheusSource
from modelscaler.metrics.source import FleetMetrics
from prometheus_fakes import answering, http

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RANKER = WorkloadKey("shop", "ranker")
EMPTY = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}).encode()

BROKEN_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"


def settings(url: str) -> PrometheusSettings:
    return PrometheusSettings(url, 60.0, 60.0, connect_seconds=0.5, read_seconds=0.5, most_bytes=10_000)


def complaint(metrics: FleetMetrics) -> str:
    reading = metrics.offered(RANKER)
    assert isinstance(reading, SourceError)
    return reading.message


def read_from(respond: Callable[[socket.socket], None]) -> str:
    with answering(respond) as url:
        return complaint(PrometheusSource(settings(url)).read(NOW))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http(b"<html>Sign in</html>"), "got '<html>Sign in</html>', expected Prometheus's JSON"),
        (http(b""), "got '', expected Prometheus's JSON"),
        (http(b"\xff\xfe\x00"), "expected Prometheus's JSON"),
        (http(b'{"data": {"result": ' + b"[" * 5_000), "expected Prometheus's JSON"),
        (http(b'{"data": {"result": ' + b"9" * 5_000 + b"}}"), "expected Prometheus's JSON"),
        (http(b'{"status": "success"}'), "got JSON without data.result"),
        (http(b"[1, 2]"), "got JSON without data.result"),
        (http(b'{"data": {"result": 7}}'), "got 7, expected a list of series"),
        (http(b'{"data": {"result": [{"metric": 1}]}}'), "expected a series with labels"),
        (http(b'{"status":"error","error":"query timed out"}', "503 Service Unavailable"), "HTTP 503: query timed out"),
        (http(b"no such route", "404 Not Found"), "HTTP 404: 'no such route'"),
        (http(b"", "302 Found", "Location: http://169.254.169.254/\r\n"), "HTTP 302"),
        (http(b"x" * 20_000), "answered more than 10000 bytes"),
        (lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), "it does not speak HTTP"),
        (lambda connection: connection.sendall(BROKEN_OFF), "broke off its answer"),
        (lambda _: None, "it closed the connection"),
    ],
)
def test_reading_is_an_error_that_names_what_came_when_the_answer_is_rubbish(
    answer: Callable[[socket.socket], None], said: str
) -> None:
    assert said in read_from(answer)


def test_reading_is_an_error_within_bounds_when_the_server_never_answers() -> None:
    started_at = time.monotonic()
    assert "no answer within 0.5 s" in read_from(lambda _: time.sleep(5))
    assert time.monotonic() - started_at < 3


def test_reading_is_an_error_within_bounds_when_the_body_trickles_in() -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"1\r\n \r\n")
            time.sleep(0.05)

    started_at = time.monotonic()
    assert "did not end its answer within 0.5 s" in read_from(trickle)
    assert time.monotonic() - started_at < 10


def test_reading_is_an_error_when_the_body_inflates_beyond_bounds() -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    assert len(bomb) < 10_000
    assert "answered more than 10000 bytes" in read_from(http(bomb, headers="Content-Encoding: gzip\r\n"))


@pytest.mark.parametrize(
    "answer",
    [
        lambda turn: http(f'{{"error": "no answer between {turn} and {turn + 60}"}}'.encode(), "422 Unprocessable"),
        lambda turn: http(f"<html>request {turn}</html>".encode(), "503 Service Unavailable"),
        lambda turn: http(f"<html>request {turn}</html>".encode()),
    ],
)
def test_message_stays_the_same_while_the_answer_is_wrong_in_the_same_way(
    answer: Callable[[int], Callable[[socket.socket], None]],
) -> None:
    turn, well = 0, False

    def respond(connection: socket.socket) -> None:
        nonlocal turn
        turn += 1
        (http(EMPTY) if well else answer(turn))(connection)

    with answering(respond) as url:
        source = PrometheusSource(settings(url))
        first, second = complaint(source.read(NOW)), complaint(source.read(NOW))
        well = True
        assert not isinstance(source.read(NOW).offered(RANKER), SourceError)
        well = False
        third = complaint(source.read(NOW))
    assert first == second
    assert first != third, "what is wrong anew is told anew"


def test_other_queries_are_not_tried_when_prometheus_is_down() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: refuses
        tried: list[None] = []
        source = PrometheusSource(
            settings(f"http://127.0.0.1:{held.getsockname()[1]}"), on_query=lambda: tried.append(None)
        )
        message = complaint(source.read(NOW))
        assert "connection refused" in message
        assert len(tried) == 1
        assert message == complaint(source.read(NOW))


def test_message_names_the_cause_when_the_host_does_not_exist() -> None:
    assert "cannot be resolved" in complaint(PrometheusSource(settings("http://prometheus.invalid:9090")).read(NOW))


def test_message_speaks_of_tls_when_the_port_does_not() -> None:
    with answering(http(EMPTY)) as url:
        message = complaint(PrometheusSource(settings(url.replace("http://", "https://"))).read(NOW))
    assert "TLS failed" in message


def test_only_one_query_s_readings_fail_when_only_that_query_does() -> None:
    asked = 0

    def respond(connection: socket.socket) -> None:
        nonlocal asked
        asked += 1
        http(b"oops" if asked == 3 else EMPTY)(connection)

    with answering(respond) as url:
        metrics = PrometheusSource(settings(url)).read(NOW)
    assert isinstance(metrics.queued(RANKER), SourceError)
    assert not isinstance(metrics.offered(RANKER), SourceError)
    assert asked == 9


def test_history_is_an_error_when_a_chunk_fails() -> None:
    with answering(http(b'{"data": {"result": [{"metric": {}, "values": []}, 3]}}')) as url:
        read = PrometheusSource(settings(url)).history(NOW - timedelta(hours=1), NOW, 60.0, [])
    assert read.error is not None
    assert "got 3, expected a series with labels" in read.error.message
    assert not read.windows


def test_password_is_sent_and_neither_logged_nor_told_when_the_url_holds_one(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[bytes] = []

    caplog.set_level(logging.DEBUG)
    with answering(http(b"denied", "401 Unauthorized"), seen) as url:
        message = complaint(PrometheusSource(settings(url.replace("//", "//admin:hunter%202@"))).read(NOW))
    assert b"Authorization: Basic YWRtaW46aHVudGVyIDI=" in seen[0]
    assert "HTTP 401" in message
    assert "hunter" not in message + caplog.text


def test_reading_is_an_error_that_names_the_file_when_there_is_no_such_certificate(tmp_path: Path) -> None:
    source = PrometheusSource(replace(settings("https://127.0.0.1:9"), ca_file=tmp_path / "ca.crt"))
    assert "ca.crt" in complaint(source.read(NOW))
    error = source.history(NOW - timedelta(hours=1), NOW, 60.0, []).error
    assert error is not None
    assert "ca.crt" in error.message


def test_token_is_read_anew_when_it_rotates(tmp_path: Path) -> None:
    token, seen = tmp_path / "token", list[bytes]()
    token.write_text("first\n")
    with answering(http(EMPTY), seen) as url:
        source = PrometheusSource(replace(settings(url), token_file=token))
        source.read(NOW)
        token.write_text("second\n")
        source.read(NOW)
        token.unlink()
        message = complaint(source.read(NOW))
    assert b"Authorization: Bearer first\r\n" in seen[0]
    assert b"Authorization: Bearer second\r\n" in seen[-1]
    assert f"token file {token} cannot be read" in message
