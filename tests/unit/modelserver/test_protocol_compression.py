import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.errors import BodyTooLargeError, InvalidRequestError, RequestError, UnsupportedEncodingError
from modelserver.protocol.compression import decompress

LIMIT = 1000
BODY = b'{"inputs": []}' * 20


def zipped(body: bytes) -> bytes:
    """Compress without the time, so that tests are called the same in every process."""
    return gzip.compress(body, mtime=0)


@pytest.mark.parametrize(
    ("compressed", "encoding"),
    [
        (zipped(BODY), "gzip"),
        (zipped(BODY), " X-GZip "),
        (zlib.compress(BODY), "deflate"),
        (zipped(BODY[:30]) + zipped(b"") + zipped(BODY[30:]), "gzip"),
        (BODY, "identity"),
    ],
)
def test_body_is_as_before_when_decompressed(compressed: bytes, encoding: str) -> None:
    assert decompress(compressed, encoding, LIMIT) == BODY


@given(st.lists(st.binary(max_size=300_000), min_size=1, max_size=3))
def test_members_are_joined_when_a_gzip_body_has_several(members: list[bytes]) -> None:
    compressed = b"".join(zipped(member) for member in members)
    assert decompress(compressed, "gzip", 1_000_000) == b"".join(members)


def test_body_passes_when_it_is_exactly_as_long_as_allowed() -> None:
    assert len(decompress(zipped(b"x" * LIMIT), "gzip", LIMIT)) == LIMIT


@pytest.mark.parametrize(
    ("compressed", "encoding"),
    [
        (zipped(b"x" * (LIMIT + 1)), "gzip"),
        (zlib.compress(b"x" * 50_000_000), "deflate"),
        (zipped(b"x" * (LIMIT - 1)) + zipped(b"xx"), "gzip"),
    ],
)
def test_body_is_refused_with_413_when_it_is_too_long_decompressed(compressed: bytes, encoding: str) -> None:
    with pytest.raises(BodyTooLargeError, match="more than 1000 bytes decompressed"):
        decompress(compressed, encoding, LIMIT)


@pytest.mark.parametrize(
    ("compressed", "encoding", "message"),
    [
        (b"", "gzip", "ends after 0 bytes"),
        (zipped(BODY)[:-1], "gzip", "ends after"),
        (zipped(BODY)[:20], "gzip", "ends after"),
        (zlib.compress(BODY)[:-1], "deflate", "ends after"),
        (zipped(BODY) + b"junk", "gzip", "as Content-Encoding says"),
        (zlib.compress(BODY) + b"junk", "deflate", "4 bytes after"),
        (BODY, "gzip", "as Content-Encoding says"),
        (zipped(BODY), "deflate", "as Content-Encoding says"),
        (zipped(BODY)[:-8] + b"\0" * 8, "gzip", "as Content-Encoding says"),
        (zipped(b"") * 1001, "gzip", "20 bytes after"),
    ],
)
def test_body_is_refused_when_it_is_not_what_the_encoding_says(compressed: bytes, encoding: str, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        decompress(compressed, encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "", "gzip;q=1"])
def test_body_is_refused_with_415_when_the_encoding_is_another(encoding: str) -> None:
    with pytest.raises(UnsupportedEncodingError, match="expected gzip or deflate"):
        decompress(BODY, encoding, LIMIT)


@given(st.binary(max_size=200) | st.binary(max_size=50).map(lambda tail: zipped(BODY)[:-20] + tail))
def test_nothing_but_a_request_error_is_raised_when_compressed_bytes_are_arbitrary(compressed: bytes) -> None:
    for encoding in ("gzip", "deflate"):
        try:
            assert len(decompress(compressed, encoding, LIMIT)) <= LIMIT
        except RequestError:
            continue
