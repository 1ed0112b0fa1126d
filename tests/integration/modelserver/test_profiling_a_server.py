import json
from pathlib import Path

import pytest
import yaml

from modelscaler.cli import main
from modelscaler.workload import parse_profile
from modelserver_process import SLEEPY, serving, sleep_body

BATCH_MILLISECONDS = 20
SHORT = ["--window", "0.4", "--inferences", "20", "--soak", "1"]
PAIR = ["--model", "sleepy", "--placement", "cpu", "--variant", "full"]


def test_speed_of_a_real_server_is_found_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request, stored = tmp_path / "request.json", tmp_path / "profile.yaml"
    request.write_text(json.dumps(sleep_body(BATCH_MILLISECONDS)))
    with serving(SLEEPY, "full", tmp_path / "log", "--max-batch", "4", "--workers", "1", name="sleepy") as server:
        server.wait_until_ready()
        url = f"http://127.0.0.1:{server.port}"
        status = main(["profile", url, *PAIR, *SHORT, "--request", str(request), "--output", str(stored)])
    assert status == 0, capsys.readouterr().err
    assert "batch sizes as the server counted them" in capsys.readouterr().out
    (entry,) = parse_profile(yaml.safe_load(stored.read_text())["data"]["profile.json"])
    # A batch sleeps for as long as its slowest request asks, however many there are.
    full_batch = float(entry.overhead_milliseconds) + 4 * float(entry.per_request_milliseconds)
    assert entry.max_batch == 4
    assert BATCH_MILLISECONDS <= full_batch <= 2.0 * BATCH_MILLISECONDS


def test_cache_is_named_when_it_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request = tmp_path / "request.json"
    request.write_text(json.dumps(sleep_body(1)))
    with serving(SLEEPY, "full", tmp_path / "log", "--cache-megabytes", "8", name="sleepy") as server:
        server.wait_until_ready()
        url = f"http://127.0.0.1:{server.port}"
        assert main(["profile", url, *PAIR, "--window", "0.05", "--soak", "0.1", "--request", str(request)]) == 1
    assert "--cache-megabytes 0" in capsys.readouterr().err
