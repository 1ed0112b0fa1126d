"""The ladder on disk: for the other fronts, for one that is started again, or from whoever runs the server."""

import logging
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import orjson

from modelserver.engine.ladder import Ladder, parse_ladder, without_unknown
from modelserver.errors import InvalidRequestError
from modelserver.serving.settings import ServeSettings

log = logging.getLogger("modelserver")


class LadderFile:
    """A file that fronts share, or that whoever runs the server writes.

    Args:
        path: Of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def write(self, ladder: Ladder) -> None:
        """Put a ladder there, whole or not at all.

        Raises:
            OSError: When it cannot be written; nothing is left behind.
        """
        descriptor, name = tempfile.mkstemp(dir=self._path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(ladder.document()))
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink()
            raise
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
            # Whoever writes it may be newer than this server, and is so while an upgrade rolls.
            document, unknown = without_unknown(orjson.loads(self._path.read_bytes()))
            if unknown:
                log.warning("%s: fields not known here are passed over: %s", self._path, ", ".join(unknown)[:256])
            return parse_ladder(document)
        except (OSError, ValueError, InvalidRequestError) as error:
            log.error("%s: %s", self._path, error)
            return None

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino


def told_by_file(settings: ServeSettings) -> ServeSettings:
    """Return settings with what their ladder file states; as they are when it is missing or damaged.

    A server starts all the same: it serves the planned variant, and follows the file once there is something to follow.
    """
    told = None if settings.ladder_file is None else LadderFile(settings.ladder_file).changed()
    if told is None:
        return settings
    first, *others = told.variants
    floor = told.min_mean_accuracy
    return replace(
        settings,
        variant=first,
        ladder=tuple(others),
        min_mean_accuracy=None if floor is None else float(floor),
        latency_objective_milliseconds=told.latency_milliseconds,
        accuracies=told.accuracies,
        overdraft=told.overdraft,
    )
