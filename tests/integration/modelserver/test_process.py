import gzip
import http.client
import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton

from modelserver_process import (
    QUERY,
    ServerProcess,
    environment,
    maps_library,
    serve_command,
    serving,
    sleep_body,
    sleepy_server,
)

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("variant", ["full", "int8"])
def test_variant_answers_over_http_and_names_itself(tiny_model: Path, tmp_path: Path, variant: str) -> None:
    with serving(tiny_model, variant, tmp_path / "log", "--workers", "1") as server:
        assert server.request("GET", "/v2/health/live")[0] == 200
        server.wait_until_ready()
        status, body = server.request("POST", "/v2/models/search-ranker/infer", QUERY)
        assert status == 200
        assert json.loads(body)["model_version"] == variant
        assert not maps_library(server.process.pid, "libtorch")
        (worker,) = server.workers()
        assert maps_library(worker.pid, "libtorch") == (variant == "full")


@pytest.mark.parametrize(
    ("model", "variant", "options", "expected"),
    [
        ("builtin://no-such-model", "full", [], "modelserver build no-such-model"),
        ("tiny", "bf16x", [], "expected one of full"),
        ("tiny", "int8", ["--host", "203.0.113.1"], "cannot listen"),
        ("tiny", "int8", ["--fronts", "2", "--workers", "2", "--host", "203.0.113.1"], "cannot listen"),
        ("tiny", "bf16x", ["--fronts", "2"], "expected one of full"),
        ("tiny", "int8", ["--admin-port", "0"], "MODELSERVER_ADMIN_TOKEN"),
    ],
)
def test_process_fails_with_one_clear_line_when_it_cannot_serve(
    tiny_model: Path, model: str, variant: str, options: list[str], expected: str
) -> None:
    command = serve_command(tiny_model if model == "tiny" else model, variant, *options)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment())
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1
    assert last.startswith("modelserver: ")
    assert expected in last
    assert "Traceback" not in ended.stderr


def test_client_of_the_protocol_is_answered_in_json_and_in_binary(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log") as server:
        client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("sleepy")
        assert client.is_model_ready("sleepy", "full")
        assert client.get_model_metadata("sleepy")["versions"] == ["full"]
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        for binary in (False, True):
            given = triton.InferInput("ms", [2], "INT64")
            given.set_data_from_numpy(np.array([1, 0]), binary_data=binary)
            asked = triton.InferRequestedOutput("ms", binary_data=binary)
            answer = client.infer("sleepy", [given], outputs=[asked], request_id="7", priority=1, timeout=5_000_000)
            assert answer.as_numpy("ms").tolist() == [1, 0]
            assert answer.get_response()["id"] == "7"
        client.close()


def test_ladder_is_changed_over_the_admin_port_while_the_server_runs(tmp_path: Path) -> None:
    options = ("--admin-port", "0")
    with sleepy_server(tmp_path / "log", *options, MODELSERVER_ADMIN_TOKEN="secret") as server:
        port = int(server.log.read_text().partition("admin on http://127.0.0.1:")[2].split()[0])
        admin = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        ladder = json.dumps({"variants": ["full", "quick"], "latencyMilliseconds": 300})
        admin.request("PUT", "/admin/ladder", ladder)
        assert admin.getresponse().status == 401
        admin.close()
        admin.request("PUT", "/admin/ladder", ladder, {"Authorization": "Bearer secret"})
        answer = admin.getresponse()
        assert answer.status == 200
        digest = json.loads(answer.read())["hash"]
        admin.close()
        assert server.request("POST", "/v2/models/sleepy/versions/quick/infer", sleep_body(5))[0] == 200
        assert server.metric(f'modelserver_ladder_info{{hash="{digest}",variants="full,quick"}}') == 1.0
        assert server.request("GET", "/admin/ladder")[0] == 404


def test_ladder_file_is_read_before_loading_and_followed_and_what_does_not_load_is_left_out(tmp_path: Path) -> None:
    ladder = tmp_path / "ladder.json"
    ladder.write_text(json.dumps({"variants": ["full", "gone", "quick"], "latencyMilliseconds": 300}))
    with sleepy_server(tmp_path / "log", "--ladder-file", str(ladder)) as server:
        assert held_variants(server) == "full,quick"
        assert "variant 'gone' is left out" in server.log.read_text()
        assert server.request("POST", "/v2/models/sleepy/versions/quick/infer", sleep_body(5))[0] == 200
        ladder.write_text(json.dumps({"variants": ["full"], "latencyMilliseconds": 300}))
        until = time.monotonic() + 10.0
        while held_variants(server) != "full" and time.monotonic() < until:
            time.sleep(0.05)
        assert held_variants(server) == "full"
        assert server.request("POST", "/v2/models/sleepy/versions/quick/infer", sleep_body(5))[0] == 404


def held_variants(server: ServerProcess) -> str:
    lines = server.request("GET", "/metrics")[1].decode().splitlines()
    (line,) = [line for line in lines if line.startswith("modelserver_ladder_info{") and line.endswith(" 1.0")]
    return line.partition('variants="')[2].partition('"')[0]


def test_hot_items_are_in_the_cache_when_the_server_is_ready(tmp_path: Path) -> None:
    (tmp_path / "hot.jsonl").write_text(json.dumps(sleep_body(7)) + "\n")
    options = ("--cache-megabytes", "1", "--hot-items", str(tmp_path / "hot.jsonl"))
    with sleepy_server(tmp_path / "log", *options) as server:
        hits = server.metric("modelserver_cache_hits_total")
        assert server.infer(sleep_body(7)) == 200
        assert server.metric("modelserver_cache_hits_total") == hits + 1


def test_memory_does_not_grow_when_a_small_body_is_a_large_one(tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * (256 * MEBIBYTE))
    with sleepy_server(tmp_path / "log", "--body-limit-bytes", str(MEBIBYTE)) as server:
        server.infer(sleep_body(0))
        before = server.resident_bytes()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        for _ in range(5):
            connection.request("POST", "/v2/models/sleepy/infer", bomb, {"Content-Encoding": "gzip"})
            answer = connection.getresponse()
            assert answer.status == 413
            answer.read()
        connection.close()
        assert server.resident_bytes() - before < 16 * MEBIBYTE


def test_memory_stays_flat_over_many_requests(tmp_path: Path) -> None:
    body = json.dumps(sleep_body(0))

    def ask(connection: http.client.HTTPConnection, times: int) -> None:
        for _ in range(times):
            connection.request("POST", "/v2/models/sleepy/infer", body)
            assert connection.getresponse().read()

    with sleepy_server(tmp_path / "log") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        ask(connection, 1000)
        before = server.resident_bytes()
        ask(connection, 3000)
        connection.close()
        assert server.resident_bytes() - before < 3 * MEBIBYTE


def test_bottleneck_is_named_when_the_worker_is_busy_all_the_time(tmp_path: Path) -> None:
    with sleepy_server(tmp_path / "log") as server:
        deadline = time.monotonic() + 30
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        found: dict[str, object] = {}
        while found.get("bottleneck") != "compute" and time.monotonic() < deadline:
            connection.request("POST", "/v2/models/sleepy/infer", json.dumps(sleep_body(200)))
            connection.getresponse().read()
            status, content = server.request("GET", "/debug/bottleneck")
            found = json.loads(content) if status == 200 else {}
        connection.close()
        assert found["bottleneck"] == "compute"
        assert server.metric('modelserver_bottleneck{resource="compute"}') > 0.5
