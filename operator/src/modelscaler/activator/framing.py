"""What of a message goes from hop to hop, and what ends here (RFC 9110, 7.6.1)."""

from collections.abc import Collection, Mapping
from typing import Final

from multidict import CIMultiDict, MultiMapping

from modelscaler.activator.words import FORWARDED, HEADER

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        HEADER,
    }
)
_OF_REQUESTS: Final = frozenset({"content-length", "expect"})
"""The length is set anew from the body, which is complete; and who has it needs no leave to send it."""
SERVER: Final = "modelscaler-activator"


def request_headers(received: MultiMapping[str], body_bytes: int) -> CIMultiDict[str]:
    """Return the headers to forward a request with.

    Args:
        received: Those of the client, with the host it asked for.
        body_bytes: What is forwarded.
    """
    kept = _end_to_end(received, _OF_REQUESTS)
    kept[HEADER] = FORWARDED
    if body_bytes:
        kept["Content-Length"] = str(body_bytes)
    return kept


def answer_headers(received: MultiMapping[str]) -> CIMultiDict[str]:
    """Return the headers to pass an answer on with."""
    kept = _end_to_end(received, frozenset())
    kept.setdefault("Server", SERVER)
    return kept


def own_headers(more: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an answer of the activator's own."""
    return {"Server": SERVER, **more}


def _end_to_end(received: MultiMapping[str], also_dropped: Collection[str]) -> CIMultiDict[str]:
    named = {name.strip().lower() for value in received.getall("connection", ()) for name in value.split(",")}
    dropped = {*_HOP_BY_HOP, *also_dropped, *named}
    return CIMultiDict((name, value) for name, value in received.items() if name.lower() not in dropped)
