import pytest
from multidict import CIMultiDict

from modelscaler.activator.framing import answer_headers, request_headers
from modelscaler.activator.upstream import upstream_url


def test_headers_from_hop_to_hop_end_here() -> None:
    received = CIMultiDict(
        {
            "Host": "m.example",
            "Connection": "keep-alive, X-Hop",
            "X-Hop": "1",
            "Keep-Alive": "timeout=5",
            "TE": "trailers",
            "Transfer-Encoding": "chunked",
            "Content-Length": "7",
            "Expect": "100-continue",
            "Upgrade": "h2c",
            "Proxy-Authorization": "secret",
            "modelscaler-activator": "holding",
            "Authorization": "Bearer t",
            "Accept": "a",
        }
    )
    received.add("Accept", "b")
    kept = request_headers(received, 3)
    assert sorted(kept.items()) == [
        ("Accept", "a"),
        ("Accept", "b"),
        ("Authorization", "Bearer t"),
        ("Content-Length", "3"),
        ("Host", "m.example"),
        ("modelscaler-activator", "forwarded"),
    ]


def test_no_length_is_set_when_there_is_no_body() -> None:
    assert "Content-Length" not in request_headers(CIMultiDict({"Content-Length": "0"}), 0)


def test_answer_keeps_its_length_and_its_encoding() -> None:
    received = CIMultiDict(
        {"Content-Length": "7", "Content-Encoding": "gzip", "Connection": "close", "Server": "s", "Set-Cookie": "a=1"}
    )
    received.add("Set-Cookie", "b=2")
    kept = answer_headers(received)
    assert "Connection" not in kept
    assert (kept["Content-Length"], kept["Content-Encoding"], kept["Server"]) == ("7", "gzip", "s")
    assert kept.getall("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("text", ["http://m.ns.svc", "http://10.0.0.1:8080", "http://m.ns.svc/"])
def test_upstream_is_taken_when_it_is_a_host(text: str) -> None:
    assert str(upstream_url(text)).rstrip("/") == text.rstrip("/")


@pytest.mark.parametrize(
    "text", ["", "m.ns.svc", "https://m", "http://", "http://m/path", "http://m?q=1", "http://u@m"]
)
def test_upstream_is_refused_when_it_is_something_else(text: str) -> None:
    with pytest.raises(ValueError, match="expected http://HOST"):
        upstream_url(text)
