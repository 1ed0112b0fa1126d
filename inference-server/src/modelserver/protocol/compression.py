"""Compressed bodies, within limits: a small body can be a large one in disguise."""

import zlib

from modelserver.errors import BodyTooLargeError, InvalidRequestError, UnsupportedEncodingError
from modelserver.protocol.shown import shown

_CHUNK_BYTES = 64 * 1024
_MAX_MEMBERS = 1000
"""Of a gzip body. Each costs time however small it is, and no client makes more than a few."""
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": zlib.MAX_WBITS}


def decompress(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Return a body as it was before its Content-Encoding.

    Args:
        body: As it came.
        encoding: Value of the header Content-Encoding.
        limit_bytes: Most bytes of the result. No more than these are ever in memory.

    Raises:
        UnsupportedEncodingError: When it is not gzip, deflate (zlib's format, RFC 9110) or identity, alone.
        BodyTooLargeError: When there are more.
        InvalidRequestError: When it is not what the encoding says, or not all of it.
    """
    name = encoding.strip().lower()
    if name == "identity":
        return body
    if name not in _WINDOW_BITS:
        raise UnsupportedEncodingError(f"Content-Encoding: {shown(encoding)}, expected gzip or deflate")
    parts: list[bytes] = []
    position = size = 0
    for _ in range(_MAX_MEMBERS if name.endswith("gzip") else 1):
        try:
            position, size = _append_member(body, position, size, _WINDOW_BITS[name], limit_bytes, parts)
        except zlib.error as error:
            raise InvalidRequestError(f"body: expected {name}, as Content-Encoding says: {error}") from error
        if position == len(body):
            return b"".join(parts)
    raise InvalidRequestError(f"body: {len(body) - position} bytes after the {name} data, expected none")


def _append_member(
    body: bytes, position: int, size: int, window_bits: int, limit_bytes: int, parts: list[bytes]
) -> tuple[int, int]:
    """Decompress one member into `parts`; return where the next begins and how many bytes there are so far."""
    member = zlib.decompressobj(window_bits)
    while not member.eof:
        chunk = body[position : position + _CHUNK_BYTES]
        if not chunk:
            raise InvalidRequestError(f"body: ends after {len(body)} bytes, expected all of the compressed data")
        parts.append(member.decompress(chunk, limit_bytes - size + 1))
        size += len(parts[-1])
        if size > limit_bytes:
            raise BodyTooLargeError(f"body: more than {limit_bytes} bytes decompressed, expected at most that")
        position += len(chunk) - len(member.unused_data)
    return position, size
