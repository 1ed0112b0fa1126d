"""Reading traces: what files may look like, and what is said of those that are wrong."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from modelscaler.backtest.reading import MOST_LINE_CHARACTERS, TraceError, read_trace, read_traces

HEADER = "timestamp,requests_per_second\n"


def written(folder: Path, text: str, name: str = "load.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_trace_has_times_and_gaps_when_it_is_written_in_iso_8601(tmp_path: Path) -> None:
    rows = "2014-07-01T00:00:00Z,1.5\n2014-07-01T00:30:00Z,\n2014-07-01T01:00:00Z,0\n"
    trace = read_trace(written(tmp_path, HEADER + rows))

    assert (trace.name, trace.step_seconds, trace.start) == ("load", 1800.0, datetime(2014, 7, 1, tzinfo=UTC))
    np.testing.assert_array_equal(trace.rps, [1.5, np.nan, 0.0])


def test_trace_is_the_same_when_its_rows_are_shuffled_doubled_and_late(tmp_path: Path) -> None:
    text = HEADER + "180,4\n0,9\n0,1\n60,2\n122,3\n120,\n300,6\n360,7\n420,\n"

    np.testing.assert_array_equal(read_trace(written(tmp_path, text)).rps, [1, 2, 3, 4, np.nan, 6, 7, np.nan])


def test_trace_is_read_when_it_is_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "0,1\n60,2\n").encode()))

    assert (read_trace(path).name, list(read_trace(path).rps)) == ("a", [1.0, 2.0])


@pytest.mark.parametrize(
    "stamps",
    [
        ("0", "60", "120"),
        ("1000.5", "1060.5", "1120.5"),
        ("2021-08-01T00:00:00Z", "2021-08-01T00:01:00Z", "2021-08-01T00:02:00Z"),
        ("2021-08-01 00:00:00", "2021-08-01 00:01:00", "2021-08-01 00:02:00"),
        ("2021-08-01T00:00:00+02:00", "2021-08-01T00:01:00+02:00", "2021-08-01T00:02:00+02:00"),
        ("2021-08-01T00:00:00+00:00", "2021-08-01T00:01:00+00:00", "2021-08-01T00:02:00+00:00"),
    ],
)
def test_times_are_written_as_they_were_read(tmp_path: Path, stamps: tuple[str, ...]) -> None:
    trace = read_trace(written(tmp_path, HEADER + "".join(f"{stamp},1\n" for stamp in stamps)))

    assert tuple(trace.stamp(index) for index in range(3)) == stamps


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("time,rps\n0,1\n", "line 1: got 'time,rps', expected the header timestamp,requests_per_second"),
        (HEADER + "0,1\n60,-2\n", "line 3: got '-2', expected a rate between 0 and 1e+12"),
        (HEADER + "0,1\n\n60,inf\n", "line 4: got 'inf', expected a rate"),
        (HEADER + "0,nan\n60,1\n", "line 2: got 'nan', expected a rate"),
        (HEADER + "0,many\n", "line 2: got 'many', expected a rate"),
        (HEADER + "0,1,2\n", "line 2: got '0,1,2', expected a timestamp, a comma and a rate"),
        (HEADER + "yesterday,1\n", "line 2: got 'yesterday', expected a timestamp in ISO 8601 or seconds"),
        (
            HEADER + "0,1\n2021-08-01T00:00:00Z,1\n",
            "line 3: got '2021-08-01T00:00:00Z', expected a timestamp in seconds",
        ),
        (HEADER + "2021-08-01T00:00:00Z,1\n60,1\n", "line 3: got '60', expected a timestamp in ISO 8601"),
        (HEADER + "0,1\n1e300,1\n", "line 3: got '1e300', expected a timestamp in seconds between 1970 and 9999"),
        (
            HEADER + "0,1\n60,1\n120,1\n150,1\n",
            "line 5: got '150', expected a time on the grid of 60 s that starts at 0",
        ),
        (HEADER + "0,1\n", "has 1 rows, expected at least two"),
        (HEADER, "has 0 rows, expected at least two"),
        (HEADER + "0,1\n0.1,1\n", "has a step of 0.1 s, expected 1 to 86400 s"),
        (HEADER + "0,1\n60,1\n6000000000,1\n", "spans 100,000,001 steps, expected at most 10,000,000"),
        (HEADER + "0," + "1" * MOST_LINE_CHARACTERS + "\n", f"expected at most {MOST_LINE_CHARACTERS} characters"),
    ],
)
def test_error_names_line_value_and_expectation_when_a_file_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, text)

    with pytest.raises(TraceError) as error:
        read_trace(path)

    assert str(error.value).startswith(str(path))
    assert complaint in str(error.value)


@pytest.mark.parametrize("name", ["missing.csv", "broken.csv.gz", "binary.csv"])
def test_error_names_the_file_when_it_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(HEADER.encode())[:-9])
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x00")

    with pytest.raises(TraceError, match=name):
        read_trace(tmp_path / name)


def test_directory_is_read_in_order_of_names_with_fine_traces_only_when_asked(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "fine/c.csv"):
        written(tmp_path, HEADER + "0,1\n60,2\n", name)
    written(tmp_path, "", "INDEX.md")

    assert [trace.name for trace in read_traces([tmp_path])] == ["a", "b"]
    assert [trace.name for trace in read_traces([tmp_path], fine=True)] == ["a", "b", "c"]


def test_error_is_raised_when_a_directory_is_empty_or_names_are_the_same(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds no trace"):
        read_traces([tmp_path])
    written(tmp_path, HEADER, "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(b"")
    with pytest.raises(TraceError, match=r"a\.csv\.gz: has the name of"):
        read_traces([tmp_path])
