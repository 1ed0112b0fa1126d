"""The ladder that is in force, on disk: for the other fronts, and for a front that is started again."""

import logging
import os
import tempfile
from pathlib import Path

import orjson

from modelserver.engine.ladder import Ladder, parse_ladder
from modelserver.errors import InvalidRequestError

log = logging.getLogger("modelserver")


class LadderFile:
    """A file that fronts share.

    Args:
        path: Of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def write(self, ladder: Ladder) -> None:
        """Put a ladder there, whole or not at all."""
        descriptor, name = tempfile.mkstemp(dir=self._path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(ladder.document()))
        Path(name).replace(self._path)
        self._seen = self._stamp()

    def forget(self) -> None:
        """Have `changed` return what is there once more: it could not be put in force yet."""
        self._seen = None

    def changed(self) -> Ladder | None:
        """Return the ladder that another front has put there; None when there is nothing new."""
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return None
        self._seen = stamp
        try:
            return parse_ladder(orjson.loads(self._path.read_bytes()))
        except (OSError, ValueError, InvalidRequestError) as error:
            log.error("%s: %s", self._path, error)
            return None

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino
