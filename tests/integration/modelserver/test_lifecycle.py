import http.client
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelserver_process import SLEEPY, ServerProcess, serving, sleep_body, sleepy_server

CLIENTS = 6
GRACE_SECONDS = 30


@dataclass
class Tally:
    """What clients saw. `lost` are requests on a connection that was accepted, and not answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    answered_after_sigterm: int = 0


class Clients:
    """Clients that keep sending on connections kept alive, and on new ones whenever the server says close."""

    def __init__(self, server: ServerProcess, body: Any) -> None:
        self.tally = Tally()
        self.server = server
        self.body = json.dumps(body)
        self.stopped = threading.Event()
        self.terminated = threading.Event()

    def _send(self, connection: http.client.HTTPConnection) -> bool:
        """Send one request; return whether the connection may be used again."""
        try:
            if connection.sock is None:
                connection.connect()
        except ConnectionRefusedError:
            self.tally.refused += 1
            self.stopped.set()
            return False
        try:
            connection.request("POST", f"/v2/models/{self.server.model}/infer", self.body)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self.tally.lost.append(repr(error))
            return False
        self.tally.statuses[response.status] += 1
        self.tally.answered_after_sigterm += self.terminated.is_set()
        return not response.will_close

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        while not self.stopped.is_set():
            if not self._send(connection):
                connection.close()
        connection.close()


@contextmanager
def load(server: ServerProcess, body: Any, clients: int = CLIENTS) -> Iterator[Clients]:
    """Keep clients sending until the block ends."""
    sending = Clients(server, body)
    with ThreadPoolExecutor(clients) as pool:
        for _ in range(clients):
            pool.submit(sending.run)
        try:
            yield sending
        finally:
            sending.stopped.set()


@pytest.mark.parametrize("fronts", [1, 2])
def test_no_request_is_lost_when_the_server_is_terminated_under_load(tmp_path: Path, fronts: int) -> None:
    options = ("--lame-duck-seconds", "1.5", "--fronts", str(fronts))
    with sleepy_server(tmp_path / "log", *options) as server:
        with load(server, sleep_body(3)) as clients:
            time.sleep(0.5)
            started = time.monotonic()
            server.terminate()
            clients.terminated.set()
            # Endpoints learn of the lame duck within its window; from then on no new connection comes.
            time.sleep(0.2)
            assert server.request("GET", "/v2/health/ready")[0] == 503
            assert server.infer(sleep_body(1)) == 200
            time.sleep(0.9)
        assert server.process.wait(timeout=GRACE_SECONDS) == 0
        assert time.monotonic() - started >= 1.5
    tally = clients.tally
    assert tally.lost == []
    assert tally.refused == 0
    assert set(tally.statuses) == {200}
    assert tally.answered_after_sigterm > CLIENTS


def test_what_is_queued_is_answered_when_the_lame_duck_is_over(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log", "--lame-duck-seconds", "0", "--max-batch", "1") as server:
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=20) for _ in range(40)]
        for connection in connections:
            connection.connect()
        for connection in connections:
            connection.request("POST", "/v2/models/sleepy/infer", json.dumps(sleep_body(20)))
        server.wait_for(lambda: server.metric("modelserver_requests_offered_total") == 40)
        server.terminate()
        statuses = [connection.getresponse().status for connection in connections]
        for connection in connections:
            connection.close()
        assert statuses == [200] * 40
        assert server.process.wait(timeout=GRACE_SECONDS) == 0


@pytest.mark.parametrize("fronts", ["1", "2"])
def test_server_ends_at_once_when_terminated_before_it_is_ready(tmp_path: Path, fronts: str) -> None:
    with serving("python:worker_models:NeverReady", "full", tmp_path / "log", "--fronts", fronts) as server:
        started = time.monotonic()
        server.terminate()
        assert server.process.wait(timeout=GRACE_SECONDS) == 0
        assert time.monotonic() - started < 4.0


def test_nothing_is_left_when_the_server_is_killed(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log", "--fronts", "2") as server:
        family = server.descendants()
        server.process.kill()
        server.process.wait()
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []


def test_only_requests_in_flight_are_refused_when_a_worker_is_killed_under_load(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log") as server, load(server, sleep_body(5)) as clients:
        time.sleep(0.3)
        (worker,) = server.workers()
        worker.send_signal(signal.SIGKILL)
        server.wait_for(lambda: not server.is_ready())
        assert server.request("GET", "/v2/health/live")[0] == 200
        server.wait_until_ready()
        before = clients.tally.statuses[200]
        server.wait_for(lambda: clients.tally.statuses[200] > before + 50)
        assert server.metric('modelserver_worker_restarts_total{reason="crash"}') == 1.0
    assert clients.tally.lost == []
    assert clients.tally.statuses[503] <= CLIENTS
    assert set(clients.tally.statuses) <= {200, 503}


def test_hanging_batch_is_answered_504_and_the_next_one_is_served(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log", "--wedged-after-seconds", "0.5") as server:
        assert server.infer(sleep_body(30_000)) == 504
        assert server.infer(sleep_body(0)) == 200
        assert server.metric('modelserver_worker_restarts_total{reason="hang"}') == 1.0


def test_row_is_not_computed_when_its_client_hangs_up(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log", "--max-batch", "1") as server:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(server.infer, sleep_body(600))
            server.wait_for(lambda: server.metric("modelserver_inflight_requests") == 1)
            body = json.dumps(sleep_body(30_000)).encode()
            head = b"POST /v2/models/sleepy/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            with socket.create_connection(("127.0.0.1", server.port)) as impatient:
                impatient.sendall(head + body)
                server.wait_for(lambda: server.metric("modelserver_queue_depth") == 1)
            assert first.result() == 200
        assert server.infer(sleep_body(0)) == 200
        assert server.metric('modelserver_requests_total{outcome="cancelled",variant="full"}') == 1.0


def test_fronts_share_a_port_and_count_together(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log", "--fronts", "2") as server:
        assert [server.infer(sleep_body(0)) for _ in range(40)] == [200] * 40
        # The other front shows what it has counted once a second.
        server.wait_for(lambda: server.metric("modelserver_requests_offered_total") == 40)
        assert server.metric("modelserver_workers_ready") == 2.0
        assert server.metric('modelserver_requests_total{outcome="ok",variant="full"}') == 40
        server.terminate()
        assert server.process.wait(timeout=GRACE_SECONDS) == 0


def test_front_is_started_again_when_it_crashes(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log", "--fronts", "2", "--lame-duck-seconds", "0") as server:
        victim, survivor = server.fronts()
        victim.kill()
        psutil.wait_procs([victim], timeout=10)
        assert [server.infer(sleep_body(0)) for _ in range(20)] == [200] * 20
        server.wait_for(lambda: len(server.fronts()) == 2 and server.metric("modelserver_workers_ready") == 2.0)
        assert survivor.is_running()
        assert [server.infer(sleep_body(0)) for _ in range(20)] == [200] * 20
        server.terminate()
        assert server.process.wait(timeout=GRACE_SECONDS) == 0


def test_slow_model_does_not_make_the_server_unhealthy(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log") as server, load(server, sleep_body(100), clients=2):
        for _ in range(20):
            assert server.is_ready()
            assert server.request("GET", "/v2/health/live")[0] == 200


def test_lost_worker_costs_nothing_when_nobody_is_waiting(tmp_path: Path) -> None:
    with serving(SLEEPY, "full", tmp_path / "log", "--workers", "2", name="sleepy") as server:
        server.wait_until_ready()
        server.wait_for(lambda: server.metric("modelserver_workers_ready") == 2.0)
        server.workers()[0].send_signal(signal.SIGKILL)
        server.wait_for(lambda: server.metric('modelserver_worker_restarts_total{reason="crash"}') == 1.0)
        assert [server.infer(sleep_body(1)) for _ in range(30)] == [200] * 30
        assert server.is_ready()
        server.wait_for(lambda: server.metric("modelserver_workers_ready") == 2.0)
