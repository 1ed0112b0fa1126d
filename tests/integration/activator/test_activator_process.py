"""The activator as a process of its own, in front of a server that comes up later."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from activator_process import LABELS, SHOWN, ActivatorProcess, activating, command, free_port
from modelserver_process import SLEEPY, serving, sleep_body

INFER = "/v2/models/sleepy/infer"
MEBIBYTE = 1 << 20


class Server(BaseHTTPRequestHandler):
    """A server that is ready, and answers with what it got."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def asked(pool: ThreadPoolExecutor, activator: ActivatorProcess, *bodies: str) -> list[Future[tuple[int, bytes]]]:
    futures = [pool.submit(activator.ask, "POST", "/x/infer", body) for body in bodies]
    activator.until_held(len(bodies))
    return futures


def serve_on(port: int) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", port), Server)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def test_requests_are_answered_by_the_model_server_once_it_is_ready(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    port = free_port()
    with activating(port, tmp_path / "activator.log") as activator:
        body = json.dumps(sleep_body(1))
        futures = [pool.submit(activator.ask, "POST", INFER, body) for _ in range(4)]
        activator.until_held(4)
        with serving(
            SLEEPY, "full", tmp_path / "server.log", "--workers", "1", "--port", str(port), name="sleepy"
        ) as it:
            answers = [future.result(60) for future in futures]
            assert it.metric("modelserver_requests_offered_total") == 4
        assert [status for status, _ in answers] == [200] * 4
        assert all("outputs" in json.loads(said) for _, said in answers)
        assert activator.metric("modelscaler_activator_forwarded_total") == 4
        assert activator.metric(f"modelserver_requests_offered_total{SHOWN}") == 0
        assert activator.metric(f"modelserver_queue_depth{SHOWN}") == 0


def test_activator_starts_fast_and_stays_small(tmp_path: Path) -> None:
    with activating(free_port(), tmp_path / "log") as activator:
        assert activator.status("/healthz")[0] == activator.status("/readyz")[0] == 200
        assert activator.start_seconds < 5.0
        assert activator.resident_bytes() < 80 * MEBIBYTE


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_what_is_held_is_forwarded_when_a_replica_comes_after_the_signal(
    tmp_path: Path, pool: ThreadPoolExecutor, signum: signal.Signals
) -> None:
    port = free_port()
    with activating(port, tmp_path / "log") as activator:
        futures = asked(pool, activator, "a", "b")
        activator.process.send_signal(signum)
        while activator.status("/readyz")[0] != 503:
            pass
        assert activator.status("/healthz")[0] == 200
        late = pool.submit(activator.ask, "POST", "/x/infer", "c")
        activator.until_held(3)
        server = serve_on(port)
        assert [future.result(30) for future in (*futures, late)] == [(200, b"a"), (200, b"b"), (200, b"c")]
        assert activator.process.wait(20) == 0
        server.shutdown()
        server.server_close()


def test_what_is_still_held_is_refused_when_the_time_to_stop_is_over(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    with activating(free_port(), tmp_path / "log", "--shutdown-seconds", "0.2") as activator:
        futures = asked(pool, activator, "a", "b")
        activator.process.terminate()
        answers = [future.result(30) for future in futures]
        assert [status for status, _ in answers] == [503, 503]
        assert all(b"This activator stops" in body for _, body in answers)
        assert activator.process.wait(20) == 0


@pytest.mark.parametrize(
    ("options", "labels", "status", "said"),
    [
        (["--upstream", "m.ns.svc"], LABELS, 2, "expected http://HOST"),
        (["--most-held", "0"], LABELS, 2, "expected a whole number, 1 or more"),
        (["--port", "70000"], LABELS, 2, "expected a port"),
        ([], "pool", 1, "MODELSERVER_METRIC_LABELS: 'pool', expected name=value"),
    ],
)
def test_command_is_refused_when_it_makes_no_sense(options: list[str], labels: str, status: int, said: str) -> None:
    done = _done(command(1, *options), labels)
    assert (done.returncode, said in done.stderr) == (status, True)


def test_address_is_named_when_somebody_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = _done(command(1, "--port", str(port)), LABELS)
    assert (done.returncode, f"modelscaler: 127.0.0.1:{port}: " in done.stderr) == (1, True)


def _done(words: list[str], labels: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MODELSERVER_METRIC_LABELS": labels}
    return subprocess.run(words, capture_output=True, text=True, env=environment, check=False, timeout=30)
