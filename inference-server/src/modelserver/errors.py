"""Errors with their HTTP status; every message names the field, the value and what was expected."""

from http import HTTPStatus


class RequestError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status of the answer.
        retry_after_seconds: Value of the Retry-After header; None for no header.
    """

    status: HTTPStatus = HTTPStatus.INTERNAL_SERVER_ERROR
    retry_after_seconds: int | None = None


class InvalidRequestError(RequestError):
    """The request breaks the protocol or the model's contract."""

    status = HTTPStatus.BAD_REQUEST


class NotFoundError(RequestError):
    """No such path or model."""

    status = HTTPStatus.NOT_FOUND


class MethodNotAllowedError(RequestError):
    """The path exists, the method does not."""

    status = HTTPStatus.METHOD_NOT_ALLOWED


class RequestTimeoutError(RequestError):
    """The client did not send its body in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class BodyTooLargeError(RequestError):
    """The body is longer than the server takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class QueueFullError(RequestError):
    """The queue is full: try again, here or elsewhere."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    retry_after_seconds = 1


class UnavailableError(RequestError):
    """The server is not taking requests: it is loading, draining or broken."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_seconds = 1


class UnauthorizedError(RequestError):
    """The admin port was asked without its token."""

    status = HTTPStatus.UNAUTHORIZED


class UnsupportedEncodingError(RequestError):
    """The body is compressed in a way that the server does not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class DeadlineExceededError(RequestError):
    """The answer would come too late to be worth anything."""

    status = HTTPStatus.GATEWAY_TIMEOUT


class ClientGoneError(RequestError):
    """The client hung up before its rows were computed; nobody reads the answer."""

    status = HTTPStatus.REQUEST_TIMEOUT


class WorkerLostError(RequestError):
    """The worker that held the request crashed or ran out of memory: try again, here or elsewhere."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after_seconds = 1


class WorkerHungError(RequestError):
    """The worker that held the request did not come back and was killed."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    retry_after_seconds = 1


class InferenceFailedError(RequestError):
    """The model raised on this input."""


class LoadError(Exception):
    """A model that cannot be loaded or found."""


class BuildError(Exception):
    """A model that cannot be built, or a variant that its gate refused."""
