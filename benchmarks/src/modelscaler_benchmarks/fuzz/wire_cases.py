"""HTTP that is broken, odd or cut off, and the statuses that are right for it."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from modelscaler_benchmarks.fuzz.asking import PATH, as_request
from modelscaler_benchmarks.fuzz.tensors import Body
from modelscaler_benchmarks.serving_process import HOST

GOOD_BODY = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4.5]}]}'
GOOD_SUM = 10.5
GOOD_REQUEST = as_request(Body(GOOD_BODY))
LONG_BYTES = 40_000
"""Longer than what the server takes of headers."""


@dataclass(frozen=True)
class WireCase:
    """Bytes to send on a connection of their own.

    Attributes:
        kind: What is wrong with them.
        content: The bytes.
        statuses: Those that are right.
        ends: Whether the client then says that nothing more comes; no answer is right too.
        answers: How many answers come.
    """

    kind: str
    content: bytes
    statuses: frozenset[int]
    ends: bool = False
    answers: int = 1


def _head(*lines: bytes, target: bytes = b"POST " + PATH.encode() + b" HTTP/1.1") -> bytes:
    return b"\r\n".join([target, b"Host: " + HOST.encode(), *lines, b"", b""])


def _chunked(random: Random, body: bytes) -> bytes:
    """Return a body in right chunks: of any size, with extensions, leading zeros and trailers now and then."""
    chunks = b""
    while body:
        size = random.randint(1, len(body))
        extension = random.choice([b"", b"", b";a=b", b';name="q;x"'])
        number = random.choice([b"%x", b"%X", b"00%x"]) % size
        chunks += number + extension + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    return chunks + b"0\r\n" + random.choice([b"", b"Trailer: x\r\n"]) + b"\r\n"


def _good_chunks(random: Random) -> WireCase:
    content = _head(b"Transfer-Encoding: chunked") + _chunked(random, GOOD_BODY)
    return WireCase("chunks", content, frozenset({200}))


def _broken_chunks(random: Random) -> WireCase:
    head = _head(b"Transfer-Encoding: chunked")
    size = b"%x" % len(GOOD_BODY)
    broken = random.choice(
        [
            b"zz\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
            b"-5\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
            b"f" * 17 + b"\r\n" + GOOD_BODY,
            size + GOOD_BODY,
            b"\r\n" + size + b"\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
            size + b"\r\n" + GOOD_BODY + b"xx0\r\n\r\n",
            size + b"\n" + GOOD_BODY + b"\n0\n\n",
            b"+" + size + b"\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
            b"0x" + size + b"\r\n" + GOOD_BODY + b"\r\n0\r\n\r\n",
        ]
    )
    return WireCase("broken chunks", head + broken, frozenset({400}))


def _cut_off(random: Random) -> WireCase:
    whole = random.choice([GOOD_REQUEST, _head(b"Transfer-Encoding: chunked") + _chunked(random, GOOD_BODY)])
    return WireCase("cut off", whole[: random.randrange(1, len(whole))], frozenset({400}), ends=True)


def _bad_length(random: Random) -> WireCase:
    size = b"%d" % len(GOOD_BODY)
    lines = random.choice(
        [
            [b"Content-Length: -1"],
            [b"Content-Length: abc"],
            [b"Content-Length: 1e3"],
            [b"Content-Length: +" + size],
            [b"Content-Length: 0x4c"],
            [b"Content-Length: " + b"9" * 30],
            [b"Content-Length: " + size + b", " + size],
            [b"Content-Length: " + size, b"Content-Length: 3"],
            [b"Content-Length: " + size, b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: identity, chunked, gzip"],
        ]
    )
    return WireCase("bad length", _head(*lines) + GOOD_BODY, frozenset({400}))


def _too_long(random: Random) -> WireCase:
    lines = random.choice([[b"Content-Length: 4194305"], [b"Content-Length: 999999999999"]])
    return WireCase("body too long", _head(*lines) + GOOD_BODY, frozenset({413}))


def _bad_header_length(random: Random) -> WireCase:
    value = random.choice([b"-1", b"abc", b"1_0", b"\xb2", b"9" * 30, b"99999"])
    lines = [b"Content-Length: %d" % len(GOOD_BODY), b"Inference-Header-Content-Length: " + value]
    return WireCase("bad header length", _head(*lines) + GOOD_BODY, frozenset({400}))


def _huge_headers(random: Random) -> WireCase:
    size = b"Content-Length: %d" % len(GOOD_BODY)
    content = random.choice(
        [
            _head(size, b"X: " + b"a" * LONG_BYTES) + GOOD_BODY,
            _head(size, *(b"X-%d: y" % number for number in range(LONG_BYTES // 8))) + GOOD_BODY,
            _head(target=b"GET /" + b"a" * LONG_BYTES + b" HTTP/1.1"),
            _head(b"X" * LONG_BYTES + b": y"),
        ]
    )
    return WireCase("huge headers", content, frozenset({431}))


def _not_http(random: Random) -> WireCase:
    content = random.choice(
        [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + random.randbytes(40) + b"\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET /v2 HTTP/9.9.9\r\n\r\n",
            b"get /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"G\0T /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /v2 HTTP/1.1\r\nHost : x\r\n\r\n",
            b"GET /v2 HTTP/1.1\r\nno colon\r\n\r\n",
            b"GET /v2 HTTP/1.1\r\nX: a\0b\r\n\r\n",
            b"\xff\xfe\xfd\r\n\r\n",
            b"FOO /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
        ]
    )
    return WireCase("not HTTP", content, frozenset({400}))


def _wrong_place(random: Random) -> WireCase:
    target, status = random.choice(
        [
            (b"GET /", 404),
            (b"GET /v2/models/other", 404),
            (b"GET //v2", 404),
            (b"GET /v2/../etc/passwd", 404),
            (b"GET /%2e%2e/%00", 404),
            (b"GET /v2/models/mixture/versions/none", 404),
            (b"GET /v2/models/mixture/versions/%FF/ready", 404),
            (b"GET /v2/models/mixture/infer", 405),
            (b"PUT /v2", 405),
            (b"DELETE /v2/models/mixture", 405),
            (b"OPTIONS /v2/health/ready", 405),
            (b"GET /v2?x=" + b"y" * 500, 200),
            (b"GET /%76%32", 200),
        ]
    )
    return WireCase("wrong place", _head(target=target + b" HTTP/1.1"), frozenset({status}))


def _odd(random: Random) -> WireCase:
    size = b"Content-Length: %d" % len(GOOD_BODY)
    content = random.choice(
        [
            b"\r\n\r\n" + GOOD_REQUEST,
            _head(size, b"X:", b"X:   ", b"Accept: */*", b"X: \xff\xfe") + GOOD_BODY,
            _head(size, b"Content-Type: text/html; charset=utf-7") + GOOD_BODY,
            _head(b"Upgrade: h2c", b"Connection: Upgrade", target=b"GET /v2 HTTP/1.1"),
            _head(size, b"cONTENT-encoding: IDENTITY") + GOOD_BODY,
            _head(size, target=b"POST http://elsewhere" + PATH.encode() + b" HTTP/1.1") + GOOD_BODY,
            _head(size, b"Connection: close") + GOOD_BODY,
            _head(size, target=b"POST " + PATH.encode() + b" HTTP/1.0") + GOOD_BODY,
        ]
    )
    return WireCase("odd but right", content, frozenset({200}))


def _pipelined(random: Random) -> WireCase:
    count = random.randint(2, 6)
    return WireCase("pipelined", GOOD_REQUEST * count, frozenset({200}), answers=count)


def _mutated(random: Random) -> WireCase:
    """Return a right request with some of its bytes changed; whatever it becomes, it ends."""
    content = bytearray(
        random.choice([GOOD_REQUEST, _head(b"Transfer-Encoding: chunked") + _chunked(random, GOOD_BODY)])
    )
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(content))
        change = random.randrange(3)
        if change == 0:
            content[place] = random.randrange(256)
        elif change == 1:
            del content[place : place + random.randint(1, 5)]
        else:
            content[place:place] = random.randbytes(random.randint(1, 3))
    any_refusal = frozenset({200, 400, 404, 405, 413, 415})
    return WireCase("mutated", bytes(content), any_refusal, ends=True)


_KINDS: dict[Callable[[Random], WireCase], int] = {
    _good_chunks: 2,
    _broken_chunks: 3,
    _cut_off: 3,
    _bad_length: 3,
    _too_long: 1,
    _bad_header_length: 1,
    _huge_headers: 1,
    _not_http: 3,
    _wrong_place: 3,
    _odd: 2,
    _pipelined: 1,
    _mutated: 8,
}


def wire_case(random: Random) -> WireCase:
    """Return some case."""
    (make,) = random.choices(list(_KINDS), list(_KINDS.values()))
    return make(random)
