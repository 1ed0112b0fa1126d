"""The generators and the process keeper, against a small HTTP server on this machine."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from modelscaler_benchmarks import closed_loop, wrk
from modelscaler_benchmarks.http_client import Answer, Connection, ask_once, request_bytes
from modelscaler_benchmarks.open_loop import Sample, offer
from modelscaler_benchmarks.server.termination import ask_across
from modelscaler_benchmarks.serving_process import HOST, Command, ServingProcess, StartError, free_ports

BODY_LIMIT = 1024


async def answer_requests(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer `X-Status` (200 without it) and the body that came; close after a body of `close`."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            body = await reader.readexactly(int(headers["Content-Length"]))
            if body == b"break":
                break
            closing = "close" if body == b"close" else "keep-alive"
            status = headers.get("X-Status", "200")
            writer.write(
                f"HTTP/1.1 {status} X\r\nConnection: {closing}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            )
            if closing == "close":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = await asyncio.start_server(answer_requests, HOST, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_connection_is_kept_when_the_server_keeps_it(port: int) -> None:
    connection = await Connection.connect(port)

    answers = [await connection.ask(request_bytes(port, "/", body, {}), 5.0) for body in (b"one", b"two")]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b"one"), (200, b"two")]
    assert connection.usable
    connection.close()


async def test_answer_says_why_when_there_is_none(port: int) -> None:
    broken = await ask_once(port, request_bytes(port, "/", b"break", {}), 5.0)
    (nobody,) = free_ports(1)
    refused = await ask_once(nobody, request_bytes(nobody, "/", b"", {}), 5.0)

    assert (broken.status, refused.status) == (0, 0)
    assert "connection lost" in broken.reason
    assert "not connected" in refused.reason


async def test_connection_is_not_usable_when_the_server_closes_it(port: int) -> None:
    connection = await Connection.connect(port)

    answer = await connection.ask(request_bytes(port, "/", b"close", {}), 5.0)

    assert answer.status == 200
    assert not connection.usable


async def test_every_request_is_told_when_load_is_open_loop(port: int) -> None:
    told: list[tuple[Sample, Answer]] = []
    requests = [request_bytes(port, "/", b"a", {}), request_bytes(port, "/", b"b", {"X-Status": "503"})]

    await offer(port, requests, np.linspace(0.0, 0.1, 40), lambda sample, answer: told.append((sample, answer)))

    assert len(told) == 40
    assert sum(sample.status == 503 for sample, _ in told) == 20
    assert all(sample.latency_seconds >= sample.late_seconds >= 0.0 for sample, _ in told)


async def test_failures_are_counted_apart_when_load_is_closed_loop(port: int) -> None:
    requests = [request_bytes(port, "/", b"a", {}), request_bytes(port, "/", b"b", {"X-Status": "500"})]

    figures = await closed_loop.offer(port, requests, connections=4, seconds=0.2)

    assert figures.requests > 0
    assert figures.failures == pytest.approx(figures.requests, abs=4)


async def test_failures_are_counted_when_wrk_offers_the_load(port: int, tmp_path: Path) -> None:
    program = shutil.which("wrk")
    if program is None:
        pytest.skip("wrk is not installed; `make bench-server` installs it")
    wrk.write_bodies(tmp_path, [b"one", b"two"])

    def run(headers: dict[str, str]) -> wrk.LoadFigures:
        return wrk.offer(program, f"http://{HOST}:{port}/", tmp_path, headers, count=2, connections=4, seconds=1)

    good, bad = await asyncio.to_thread(run, {}), await asyncio.to_thread(run, {"X-Status": "500"})

    assert good.failures == 0
    assert good.requests_per_second > 0
    assert bad.failures == bad.requests > 0


async def test_nothing_is_lost_when_a_server_ignores_the_signal(port: int) -> None:
    signalled: list[bool] = []

    figures = await ask_across(port, request_bytes(port, "/", b"a", {}), lambda: signalled.append(True))

    assert signalled == [True]
    assert (figures.lost, figures.new) == (0, 16)
    assert figures.kept > 100


def server_command(tmp_path: Path, code: str) -> Command:
    (port,) = free_ports(1)
    return Command([sys.executable, "-c", code, str(port)], {"ANSWER": "42"}, tmp_path / "server", "/", port)


SERVES = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_server_is_ready_and_then_gone_when_kept_as_a_process(tmp_path: Path) -> None:
    with ServingProcess(server_command(tmp_path, SERVES)) as server:
        process = server.process
        assert process.poll() is None
        assert server.start_seconds > 0.0
        assert server.resident_bytes() > 2**20

    assert process.poll() is not None


def test_error_closes_with_the_log_when_a_server_ends_at_once(tmp_path: Path) -> None:
    code = "import os; raise SystemExit('no model ' + os.environ['ANSWER'])"

    with pytest.raises(StartError, match="no model 42"), ServingProcess(server_command(tmp_path, code)):
        pass


def test_server_is_killed_when_it_is_not_ready_in_time(tmp_path: Path) -> None:
    keeper = ServingProcess(server_command(tmp_path, "import time; time.sleep(60)"), start_limit_seconds=0.2)

    with pytest.raises(StartError, match="not ready within"), keeper:
        pass

    assert keeper.process.poll() is not None
