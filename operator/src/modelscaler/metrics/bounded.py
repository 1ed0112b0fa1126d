"""An HTTP session that trusts the other end with neither our memory nor our time."""

import io
import json
import time
from collections.abc import Callable
from typing import Any, Final

import requests
from urllib3.exceptions import HTTPError

READ_BYTES: Final = 65_536
LONGEST_ERROR_CHARACTERS: Final = 200


class BadAnswer(Exception):  # noqa: N818 - never leaves metrics/: it becomes a SourceError
    """An answer that is too large, too slow, broken off, or a refusal; the message says which."""


class Refusal(BadAnswer):
    """A status other than 200."""

    def __init__(self, status: int, complaint: str) -> None:
        super().__init__(f"answered HTTP {status}: {complaint}")
        self.status = status


class BoundedSession(requests.Session):
    """Reads at most `most_bytes` of a body for at most `most_seconds`; follows no redirect, takes only 200 for an answer."""

    def __init__(self, most_bytes: int, most_seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._monotonic = monotonic

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request and read its whole answer within the bounds.

        Raises:
            BadAnswer: the answer broke a bound, or is a refusal.
            requests.RequestException: there was no answer.
        """
        response = super().send(request, **{**kwargs, "stream": True, "allow_redirects": False})
        try:
            body = self._body(response)
        except BadAnswer:
            response.close()  # else the rest of the body would be read by whoever gets the connection next
            raise
        if response.status_code != requests.codes.ok:
            raise Refusal(response.status_code, _complaint(body))
        response.raw = io.BytesIO(body)
        return response

    def _body(self, response: requests.Response) -> bytes:
        until, body = self._monotonic() + self._most_seconds, bytearray()
        try:
            # read1 returns after one read of the socket, so a body that trickles in cannot hold us up for ever.
            while part := response.raw.read1(READ_BYTES, decode_content=True):
                body += part
                if len(body) > self._most_bytes:
                    raise BadAnswer(f"answered more than {self._most_bytes} bytes")
                if self._monotonic() > until:
                    raise BadAnswer(f"did not end its answer within {self._most_seconds:g} s")
        except (HTTPError, OSError) as error:
            raise BadAnswer("broke off its answer") from error
        return bytes(body)


def _complaint(body: bytes) -> str:
    """Return what Prometheus says is wrong, or the opening of whatever came."""
    try:
        return str(json.loads(body)["error"])[:LONGEST_ERROR_CHARACTERS]
    except (ValueError, KeyError, TypeError):
        return repr(body[:LONGEST_ERROR_CHARACTERS].decode(errors="replace"))
