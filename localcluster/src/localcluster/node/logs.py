"""Container logs: each line with the time it came, as container runtimes keep them."""

import datetime
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from localcluster.node.clock import now

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class LogWriter:
    """Appends a container's output, line by line, with times."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._partial = b""

    def write(self, chunk: bytes) -> None:
        """Take output as it comes; an unfinished line waits for its end."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        stamp = now().strftime(TIME_FORMAT).encode() + b" "
        if lines:
            self._file.write(b"".join(stamp + line + b"\n" for line in lines))

    def close(self) -> None:
        """Write what is left and close."""
        if self._partial:
            self.write(b"\n")
        self._file.close()


@dataclass(frozen=True)
class LogQuery:
    """What ``kubectl logs`` asks for.

    Attributes:
        tail_lines: only the last so many; None for all.
        since: only lines from then on; None for all.
        timestamps: whether lines keep their times.
        limit_bytes: at most so much; None for all.
    """

    tail_lines: int | None = None
    since: datetime.datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


def read_log(path: Path, query: LogQuery) -> tuple[list[bytes], int]:
    """Return the lines asked for, and the file's size, where following goes on."""
    with path.open("rb") as file:
        content = file.read()
    lines: Iterator[bytes] | deque[bytes] = (line for line in content.splitlines(keepends=True) if _wanted(line, query))
    if query.tail_lines is not None:
        lines = deque(lines, maxlen=query.tail_lines)
    return [shown(line, query) for line in lines], len(content)


def _wanted(line: bytes, query: LogQuery) -> bool:
    if query.since is None:
        return True
    return line.partition(b" ")[0].decode() >= query.since.strftime(TIME_FORMAT)


def shown(line: bytes, query: LogQuery) -> bytes:
    """Return a stored line as the client wants it."""
    return line if query.timestamps else line.partition(b" ")[2]
