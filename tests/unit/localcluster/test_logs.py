"""Container logs."""

import datetime
from pathlib import Path

from localcluster.node.kubelet import log_query
from localcluster.node.logs import LogQuery, LogWriter, read_log

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def test_lines_are_whole_when_output_comes_in_pieces(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path / "0.log")
    for piece in (b"one\ntw", b"o\nthr", b"ee"):
        writer.write(piece)
    writer.close()
    lines, size = read_log(tmp_path / "0.log", LogQuery())
    assert lines == [b"one\n", b"two\n", b"three\n"]
    assert size == (tmp_path / "0.log").stat().st_size


def test_lines_are_chosen_by_number_and_time(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(
        b"2026-01-01T11:59:00.000000Z old\n2026-01-01T12:00:01.000000Z new\n2026-01-01T12:00:02.000000Z newer\n"
    )
    assert read_log(path, LogQuery(tail_lines=1))[0] == [b"newer\n"]
    assert read_log(path, LogQuery(since=NOON))[0] == [b"new\n", b"newer\n"]
    assert read_log(path, LogQuery(tail_lines=1, timestamps=True))[0] == [b"2026-01-01T12:00:02.000000Z newer\n"]


def test_query_is_read_as_the_api_server_sends_it() -> None:
    query = log_query({"tailLines": "5", "sinceSeconds": "60", "timestamps": "true", "limitBytes": "10"}, NOON)
    assert query == LogQuery(5, NOON - datetime.timedelta(minutes=1), True, 10)
    assert log_query({"sinceTime": "2026-01-01T12:00:00Z"}, NOON).since == NOON
