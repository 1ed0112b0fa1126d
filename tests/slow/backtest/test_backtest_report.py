"""What a backtest writes: figures, forecasts, pictures, a page; and the command that writes them."""

import csv
import gzip
import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from backtests import START, Constant, daily_load, trace_of
from modelscaler.backtest.cases import case_of
from modelscaler.backtest.live import live_traces
from modelscaler.backtest.method import silent
from modelscaler.backtest.reading import TraceError
from modelscaler.backtest.report.figures import figures
from modelscaler.backtest.report.page import page
from modelscaler.backtest.report.rows import COLUMNS, write_forecasts
from modelscaler.backtest.report.table import text
from modelscaler.backtest.running import Backtest, run
from modelscaler.cli import main
from modelscaler.domain import LoadWindow, SourceError, WorkloadKey

SECONDS = (600.0, 1800.0)
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def found() -> Backtest:
    cases = [case_of(trace_of(daily_load(seed=seed), name=name), SECONDS) for seed, name in enumerate(("one", "two"))]
    return run(cases, [Constant((4.0, 9.0, 15.0, 16.0, 18.0), name="modelscaler")], silent)


def rescored(path: Path) -> dict[tuple[str, str, str, str], tuple[float, float, int]]:
    """Score a file of forecasts with nothing but its columns; return mean loss, coverage and count."""
    losses, covered = defaultdict(list), defaultdict(list)
    with path.open() as file:
        for row in csv.DictReader(file):
            if row["actual"]:
                level, value, actual = float(row["quantile"]), float(row["value"]), float(row["actual"])
                key = (row["trace"], row["horizon_seconds"], row["method"], row["quantile"])
                losses[key].append(level * (actual - value) if actual > value else (1 - level) * (value - actual))
                covered[key].append(actual <= value)
    return {key: (float(np.mean(losses[key])), float(np.mean(covered[key])), len(losses[key])) for key in losses}


def test_forecasts_scored_again_from_their_file_give_the_figures(found: Backtest, tmp_path: Path) -> None:
    path = tmp_path / "forecasts.csv"
    written = write_forecasts(path, found, ["modelscaler"])
    again = rescored(path)

    told = [row for row in figures(found, SECONDS, {})["scores"] if row["method"] == "modelscaler"]

    assert written == len(path.read_text().splitlines()) - 1
    assert len(told) * 5 == len(again) == 2 * 2 * 2 * 5
    for row in told:
        for level in ("0.1", "0.5", "0.9", "0.95", "0.99"):
            method = "modelscaler" + (":peak" if row["target"] == "peak" else "")
            loss, coverage, count = again[row["trace"], f"{row['horizonSeconds']:g}", method, level]
            assert loss == pytest.approx(row["loss"][level], rel=1e-5)
            assert coverage == pytest.approx(row["coverage"][level])
            assert count == row["origins"]


def test_forecasts_have_times_of_origin_and_target_as_the_trace_has_them(found: Backtest, tmp_path: Path) -> None:
    write_forecasts(tmp_path / "f.csv.gz", found, ["modelscaler"])

    with gzip.open(tmp_path / "f.csv.gz", "rt") as file:
        first = next(csv.DictReader(file))

    case = found.case("one")
    assert tuple(first) == COLUMNS
    assert first["origin"] == case.trace.stamp(int(case.origins[0]))
    passed = datetime.fromisoformat(first["target"]) - datetime.fromisoformat(first["origin"])
    assert f"{passed.total_seconds():g}" == first["horizon_seconds"]
    assert float(first["actual"]) == pytest.approx(case.trace.rps[case.origins[0] + 1], rel=1e-8)


def test_figures_are_json_with_every_trace_horizon_target_and_method(found: Backtest) -> None:
    told = json.loads(json.dumps(figures(found, SECONDS, {"mostOrigins": 7}), allow_nan=False))

    assert {(row["trace"], row["horizonSeconds"], row["target"]) for row in told["scores"]} == {
        (trace, seconds, target) for trace in ("one", "two") for seconds in SECONDS for target in ("value", "peak")
    }
    row = next(row for row in told["scores"] if row["method"] == "modelscaler")
    low, high = row["interval"]["0.9"]
    assert low <= row["ratio"]["0.9"] <= high
    assert sum(day["origins"] for day in row["coverageByDay"]) == row["origins"]
    assert told["settings"]["mostOrigins"] == 7
    assert "numpy" in told["versions"]


def test_table_names_methods_ratios_and_what_was_not_counted(found: Backtest) -> None:
    shown = text(found, SECONDS, everything=True)

    assert re.search(r"^one +1800 +peak +\d+ +modelscaler ", shown, re.MULTILINE)
    assert re.search(r"^600 +value +modelscaler +2 ", shown, re.MULTILINE)


def test_page_needs_no_network_and_shows_a_picture_of_every_trace(found: Backtest) -> None:
    html = page(found, SECONDS)

    assert html.count("data:image/png;base64,") == 1 + 2
    assert not re.search(r"""(src|href)=["'](?!data:)""", html)
    assert "http" not in html


def written_load(folder: Path, days: int = 4) -> Path:
    rows = [f"{index * 600},{'' if np.isnan(rps) else rps}" for index, rps in enumerate(daily_load(days))]
    path = folder / "load.csv"
    path.write_text("timestamp,requests_per_second\n" + "\n".join(rows) + "\n")
    return path


def test_command_writes_table_figures_forecasts_picture_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "out" / name for name in ("a.json", "a.csv", "a.png", "a.html")]
    options = [*zip(("--json", "--forecasts", "--plot", "--html"), map(str, files), strict=True)]

    status = main(
        [
            "backtest",
            str(written_load(tmp_path)),
            "--rivals=none",
            "--horizon=1200",
            *(word for pair in options for word in pair),
        ]
    )

    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert "best naive" in printed.out
    assert {row["horizonSeconds"] for row in json.loads(files[0].read_text())["scores"]} == {1200.0}
    assert files[1].read_text().startswith(",".join(COLUMNS))
    assert files[2].read_bytes().startswith(PNG)
    assert files[3].read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["missing.csv"], "missing.csv: cannot be read"),
        (["ranker", "--rivals=none", "--prometheus-url=ftp://x"], "got 'ftp://x'"),
        (["missing.csv", "--rivals=prophet"], "got rival 'prophet', expected hgb-ratio"),
    ],
)
def test_command_refuses_in_one_line_when_it_cannot_do_it(
    words: Sequence[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["backtest", *words])

    told = capsys.readouterr().err
    assert status == 1
    assert told.startswith("modelscaler: ")
    assert complaint in told
    assert told.count("\n") == 1


def test_command_says_what_to_install_when_pictures_cannot_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    status = main(["backtest", str(written_load(tmp_path)), "--rivals=none", "--plot", str(tmp_path / "a.png")])

    assert status == 1
    assert "pip install 'modelscaler[backtest]'" in capsys.readouterr().err


def test_live_series_begins_with_its_first_known_value() -> None:
    key, end = WorkloadKey("default", "ranker"), datetime(2025, 3, 4, tzinfo=UTC)
    window = LoadWindow(60.0, end, np.array([np.nan, 1.0, np.nan, 3.0]))

    trace = live_traces([key], {key: window}, None)[0]

    assert (trace.name, trace.time(2)) == ("ranker", end)
    np.testing.assert_array_equal(trace.rps, [1.0, np.nan, 3.0])


@pytest.mark.parametrize("error", [None, SourceError("Prometheus at x: no answer within 10 s")])
def test_live_series_is_refused_when_it_is_not_known(error: SourceError | None) -> None:
    key = WorkloadKey("default", "ranker")
    window = LoadWindow(60.0, START, np.array([np.nan, 1.0]))

    with pytest.raises(TraceError, match="no answer within" if error else r"default/ranker: got 1 values"):
        live_traces([key], {key: window}, error)
