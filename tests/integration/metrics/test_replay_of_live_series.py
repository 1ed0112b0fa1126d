"""`modelscaler replay` on what a Prometheus remembers of a ModelDeployment's load."""

import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest

from modelscaler.cli import main
from prometheus_fakes import answering, http

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[3] / "examples" / "01-search-ranker" / "modeldeployment.yaml"
STEP_SECONDS = 60
USUAL = ["--policies", "oracle", "--days", "0.1", "--seeds", "1", "--no-retuning", "--processes", "1"]


def remembered(connection: socket.socket, request: bytes) -> None:
    """Answer a range query with a daily wave around 20 requests a second."""
    asked = request.decode(errors="replace")
    first, last = (
        float(found[1]) for found in (re.search(rf"{word}=([0-9.]+)", asked) for word in ("start", "end")) if found
    )
    times = np.arange(first, last + 1.0, STEP_SECONDS)
    values = [[at, f"{20.0 + 10.0 * np.sin(at * np.pi / 43200.0):.6g}"] for at in times]
    series = {"metric": {"modeldeployment_namespace": "shop", "modeldeployment": "search-ranker"}, "values": values}
    http(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [series]}}).encode())(connection)


def test_own_load_is_replayed_when_prometheus_remembers_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[bytes] = []
    outputs = ["--json", str(tmp_path / "r.json")]
    with answering(lambda connection: remembered(connection, seen[-1]), seen) as url:
        given = ["--prometheus", url, "--lookback", "2", "--modeldeployment", str(EXAMPLE)]
        status = main(["replay", *given, *USUAL, *outputs])

    assert status == 0, capsys.readouterr().err
    document = json.loads((tmp_path / "r.json").read_text())
    (found,) = document["comparisons"]
    assert found["trace"] == "search-ranker"
    assert found["testDays"][1] == pytest.approx(2.0, abs=0.01), "the two days that were asked for"
    (run,) = next(one for one in found["judged"] if one["policy"] == "oracle")["seeds"]
    assert 8.0 < run["offered"] / (run["days"] * 86400.0) < 32.0, "as it was remembered, not scaled"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--modeldeployment", str(EXAMPLE), "load.csv"], "expected no trace, and --modeldeployment FILE"),
        ([], "got 0 traces and no --modeldeployment"),
    ],
)
def test_replay_is_refused_when_it_is_not_clear_whose_load_is_meant(
    given: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--prometheus", "http://127.0.0.1:9", *given]) == 1

    assert expected in capsys.readouterr().err


def test_replay_is_refused_in_one_line_when_prometheus_cannot_be_reached(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--prometheus", "http://127.0.0.1:9", "--modeldeployment", str(EXAMPLE)]) == 1

    told = capsys.readouterr().err
    assert told.startswith("modelscaler: ")
    assert told.count("\n") == 1


def test_replay_is_refused_when_no_load_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay"]) == 1

    assert "got no trace, expected one at least, or --prometheus URL" in capsys.readouterr().err
