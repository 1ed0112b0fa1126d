"""What the server must answer: the same request through the same protocol and model, in this process."""

from dataclasses import dataclass
from http import HTTPStatus

import orjson

from modelscaler_benchmarks.fuzz.served import Mixture
from modelscaler_benchmarks.fuzz.sockets import Received
from modelscaler_benchmarks.fuzz.tensors import Body
from modelserver.errors import RequestError
from modelserver.protocol.answer import encode_answer
from modelserver.protocol.compression import decompress
from modelserver.protocol.request import decode_request
from modelserver.tensors import Contract, RequestOptions, Tensor

NAME = "mixture"
CONTRACT = Contract(NAME, "", "", Mixture.inputs, Mixture.outputs, Mixture.max_rows)
_MODEL = Mixture()
_KNOWN_VARIANTS = (None, *_MODEL.variants())


@dataclass(frozen=True)
class Expected:
    """What is right.

    Attributes:
        outputs: The answer; None for an error.
        options: Of the request; None when it has none.
        status: Of the error.
        message: Ditto.
    """

    outputs: list[Tensor] | None = None
    options: RequestOptions | None = None
    status: int = HTTPStatus.OK
    message: str = ""


def expected(body: Body, variant: str | None, limit_bytes: int) -> Expected:
    """Return the right answer to a request.

    Args:
        body: Of the request.
        variant: In its path; None for none.
        limit_bytes: Longest body.
    """
    try:
        content = body.content if body.encoding is None else decompress(body.content, body.encoding, limit_bytes)
        request, options = decode_request(content, body.header_length, CONTRACT, variant)
        decoded = _MODEL.decode(request)
        outputs = _MODEL.encode(_MODEL.predict(decoded.arrays), decoded.memo, request.outputs)
        encode_answer(NAME, "full", options.identifier, outputs, options, degraded=False)
    except RequestError as error:
        return Expected(status=error.status, message=str(error))
    return Expected(outputs, options)


def mistake(right: Expected, received: Received) -> str | None:
    """Return what is wrong with an answer; None when it is right."""
    if right.outputs is None or right.options is None:
        text = orjson.dumps({"error": right.message})
        if (received.status, received.body) != (right.status, text):
            return f"{received.status} {received.body[:300]!r}, expected {right.status} {text!r}"
        return None
    options = right.options
    if options.variant not in _KNOWN_VARIANTS and received.status == HTTPStatus.NOT_FOUND:
        return None
    if options.timeout_seconds is not None and received.status == HTTPStatus.GATEWAY_TIMEOUT:
        return None
    if received.status != HTTPStatus.OK:
        return f"{received.status} {received.body[:300]!r}, expected 200"
    return _wrong_answer(right.outputs, options, received)


def _wrong_answer(outputs: list[Tensor], options: RequestOptions, received: Received) -> str | None:
    given = received.headers.get("inference-header-content-length")
    header = orjson.loads(received.body if given is None else received.body[: int(given)])
    variant, degraded = header["model_version"], header["parameters"]["degraded"]
    answer = encode_answer(NAME, variant, options.identifier, outputs, options, degraded)
    if options.variant not in (None, variant):
        return f"answered by {variant!r}, expected {options.variant!r}"
    length = None if answer.header_length is None else str(answer.header_length)
    if (received.body, given) != (answer.body, length):
        return f"{received.body[:300]!r} ({given}), expected {answer.body[:300]!r} ({length})"
    if received.headers["content-type"] != answer.content_type:
        return f"content-type {received.headers['content-type']}, expected {answer.content_type}"
    return None
