import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelserver_process import QUERY, ServerProcess, serve_command, serving

CLIENTS = 6
GRACE_SECONDS = 30


@pytest.mark.parametrize("variant", ["full", "int8"])
def test_variant_answers_over_http_and_names_itself(tiny_model: Path, tmp_path: Path, variant: str) -> None:
    with serving(tiny_model, variant, tmp_path / "log") as server:
        assert server.request("GET", "/v2/health/live")[0] == 200
        server.wait_until_ready()
        status, body = server.request("POST", "/v2/models/search-ranker/infer", QUERY)
        assert status == 200
        assert json.loads(body)["model_version"] == variant


def test_int8_server_never_imports_torch(tiny_model: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from modelserver.serving import server; from modelserver.model import open_model\n"
        f"model = open_model(Path({str(tiny_model)!r}), 'int8'); model.predict([model.example()])\n"
        "assert 'onnxruntime' in sys.modules; print('torch' in sys.modules, 'tqdm' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.split() == ["False", "False"]


@dataclass
class Tally:
    """What clients saw. `lost` are requests on a connection that was accepted, and not answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    lost: list[str] = field(default_factory=list)
    answered_after_sigterm: int = 0


class Clients:
    """Clients that keep sending on connections kept alive, and on new ones whenever the server says close."""

    def __init__(self, server: ServerProcess) -> None:
        self.tally = Tally()
        self.server = server
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
            connection.request("POST", "/v2/models/search-ranker/infer", json.dumps(QUERY))
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


def test_no_request_is_lost_when_the_server_is_terminated_under_load(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tiny_model, "int8", tmp_path / "log", "--lame-duck-seconds", "1.5") as server:
        server.wait_until_ready()
        clients = Clients(server)
        with ThreadPoolExecutor(CLIENTS) as pool:
            for _ in range(CLIENTS):
                pool.submit(clients.run)
            time.sleep(0.5)
            started = time.monotonic()
            server.terminate()
            clients.terminated.set()
            # Endpoints learn of the lame duck within its window; from then on no new connection comes.
            time.sleep(0.2)
            assert server.request("GET", "/v2/health/ready")[0] == 503
            assert server.infer() == 200
            time.sleep(0.9)
            clients.stopped.set()
        assert server.process.wait(timeout=GRACE_SECONDS) == 0
        assert time.monotonic() - started >= 1.5
    tally = clients.tally
    assert tally.lost == []
    assert tally.refused == 0
    assert set(tally.statuses) == {200}
    assert tally.answered_after_sigterm > CLIENTS


def test_what_is_queued_is_answered_when_the_lame_duck_is_over(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tiny_model, "int8", tmp_path / "log", "--lame-duck-seconds", "0", "--max-batch", "1") as server:
        server.wait_until_ready()
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=20) for _ in range(40)]
        for connection in connections:
            connection.connect()
        for connection in connections:
            connection.request("POST", "/v2/models/search-ranker/infer", json.dumps(QUERY))
        while b"modelserver_requests_offered_total 40.0" not in server.request("GET", "/metrics")[1]:
            time.sleep(0.005)
        server.terminate()
        statuses = [connection.getresponse().status for connection in connections]
        for connection in connections:
            connection.close()
        assert statuses == [200] * 40
        assert server.process.wait(timeout=GRACE_SECONDS) == 0


def test_server_ends_at_once_when_terminated_before_it_is_ready(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tiny_model, "full", tmp_path / "log") as server:
        started = time.monotonic()
        server.terminate()
        assert server.process.wait(timeout=GRACE_SECONDS) == 0
        assert time.monotonic() - started < 4.0


@pytest.mark.parametrize(
    ("model", "variant", "options", "expected"),
    [
        ("builtin://no-such-model", "full", [], "modelserver build no-such-model"),
        ("tiny", "bf16", [], "expected one of full, int8"),
        ("tiny", "int8", ["--host", "203.0.113.1"], "cannot listen"),
    ],
)
def test_process_fails_with_one_clear_line_when_it_cannot_serve(
    tiny_model: Path, model: str, variant: str, options: list[str], expected: str
) -> None:
    command = serve_command(tiny_model if model == "tiny" else model, variant, *options)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1
    assert last.startswith("modelserver: ")
    assert expected in last
    assert "Traceback" not in ended.stderr
