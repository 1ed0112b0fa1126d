"""`modelscaler backtest` on what a Prometheus remembers."""

import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest

from backtests import daily_load
from modelscaler.cli import main
from prometheus_fakes import answering, http

pytestmark = pytest.mark.integration

STEP_SECONDS = 600


def remembered(connection: socket.socket, request: bytes) -> None:
    """Answer a range query with a daily load on the grid that was asked for."""
    asked = request.decode(errors="replace")
    first, last = (
        float(found[1]) for found in (re.search(rf"{word}=([0-9.]+)", asked) for word in ("start", "end")) if found
    )
    load = np.nan_to_num(daily_load(days=8), nan=10.0)
    values = [
        [at, f"{load[round(at / STEP_SECONDS) % len(load)]:.6g}"] for at in np.arange(first, last + 1.0, STEP_SECONDS)
    ]
    series = {"metric": {"modeldeployment_namespace": "shop", "modeldeployment": "ranker"}, "values": values}
    http(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [series]}}).encode())(connection)


def test_live_series_is_scored_when_prometheus_remembers_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[bytes] = []
    with answering(lambda connection: remembered(connection, seen[-1]), seen) as url:
        status = main(
            ["backtest", f"--prometheus-url={url}", "--namespace=shop", "--days=5", f"--step={STEP_SECONDS}", "ranker",
             "--rivals=none", f"--json={tmp_path / 'a.json'}"]
        )  # fmt: skip

    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert re.search(r"^ranker +600 +value +\d+ +best naive", printed.out, re.MULTILINE)
    assert json.loads((tmp_path / "a.json").read_text())["traces"][0]["points"] == 5 * 144 + 1


def test_live_series_is_refused_in_one_line_when_prometheus_does_not_know_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen: list[bytes] = []
    with answering(lambda connection: remembered(connection, seen[-1]), seen) as url:
        status = main(["backtest", f"--prometheus-url={url}", "--namespace=shop", "unknown"])

    assert status == 1
    assert "modelscaler: shop/unknown: got 0 values of its offered load" in capsys.readouterr().err
