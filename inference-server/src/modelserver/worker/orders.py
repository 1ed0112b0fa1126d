"""What a worker is told first, before its front has imported anything large; see `messages` for the rest."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import orjson

VERSION = 1
"""Of the messages; both ends come from one installation, so another version is a mistake and is refused."""
LENGTH = struct.Struct("<I")
"""Before each message: its length."""


@dataclass(frozen=True)
class Part:
    """Of a split model, what one worker does.

    Attributes:
        decode: Whether it takes requests, rather than what the worker before it hands over.
        stage: Whose network it runs; None for none, when another pod has it.
        encode: Whether it makes answers, rather than something to hand over.
    """

    decode: bool
    stage: str | None
    encode: bool


@dataclass(frozen=True)
class Open:
    """To the worker, first: which model.

    Attributes:
        uri: Where the model is.
        device: `auto`, `cpu` or a torch device.
        executables: SHA-256 digests of executable artifacts that are vouched for.
        stage: Stage of a split model that is to be served as a model of its own; None for the model itself.
        version: Of the messages.
    """

    op: ClassVar[str] = "open"
    uri: str
    device: str = "auto"
    executables: Sequence[str] = ()
    stage: str | None = None
    version: int = VERSION


@dataclass(frozen=True)
class Start:
    """To the worker, second: what to load and warm up.

    Attributes:
        variants: Most wanted first; the first is loaded whatever it takes.
        memory_limit_bytes: Of resident memory, beyond which no further variant is loaded; None for no limit.
        part: Of a split model; None for the whole.
        example: Whether to give the model's example back, in the first slot's memory, which no batch may then have.
        lenient: Whether a variant after the first that does not load is left out, whatever the reason.
    """

    op: ClassVar[str] = "start"
    variants: Sequence[str]
    memory_limit_bytes: int | None = None
    part: Part | None = None
    example: bool = False
    lenient: bool = False


def framed(op: str, body: object) -> bytes:
    """Return a message as it goes over the socket."""
    text = orjson.dumps((op, body))
    return LENGTH.pack(len(text)) + text
