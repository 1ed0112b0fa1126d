"""What activators say to each other and to the servers, and why one refuses a request."""

from enum import StrEnum
from http import HTTPStatus
from typing import Final

HEADER: Final = "modelscaler-activator"
PROBE: Final = "probe"
FORWARDED: Final = "forwarded"
HOLDING: Final = "holding"
RETRY_AFTER_SECONDS: Final = 5
HELD_PATH: Final = "/held"
"""On the status port: how many requests wait, said as soon as one does. `seconds` in the query is how long to wait for that."""

LONGEST_LISTEN_SECONDS: Final = 60.0
ATTEMPT_HEADER: Final = "x-envoy-attempt-count"
"""As Envoy counts attempts, from 1 on: a server that knows does not take a retry for more demand."""


class RefusalReason(StrEnum):
    """Why a request is answered by the activator itself."""

    TOO_MANY = "TooManyHeld"
    TOO_MANY_BYTES = "TooManyBytesHeld"
    HELD_TOO_LONG = "HeldTooLong"
    STOPPING = "Stopping"
    BODY_TOO_LARGE = "BodyTooLarge"
    BODY_TOO_SLOW = "BodyTooSlow"
    HEADERS_TOO_LARGE = "HeadersTooLarge"
    MALFORMED = "MalformedRequest"
    BROKEN_OFF = "UpstreamBrokeOff"


_STATUSES: Final = {
    RefusalReason.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    RefusalReason.BODY_TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    RefusalReason.HEADERS_TOO_LARGE: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    RefusalReason.MALFORMED: HTTPStatus.BAD_REQUEST,
    RefusalReason.BROKEN_OFF: HTTPStatus.BAD_GATEWAY,
}


class RefusedError(Exception):
    """A request is refused; the message is a sentence for whoever sent it: what is wrong, and what to do.

    Args:
        reason: Decides the status.
        message: The sentence.
    """

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def status(self) -> HTTPStatus:
        """The status of the answer; 503 where it is not the request's fault, so that it may be sent again."""
        return _STATUSES.get(self.reason, HTTPStatus.SERVICE_UNAVAILABLE)
