"""How a server is set up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServeSettings:
    """Settings of one server process.

    Attributes:
        model_uri: Where the model is.
        variant: Which of its variants.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        max_queue: Rows that may wait; a request beyond them is answered 429.
        max_batch: Rows per batch; None to find it at warm-up.
        lame_duck_seconds: After SIGTERM the server is not ready but serves on for this long, until nobody sends any more.
        drain_seconds: After that it answers what it has accepted, for at most this long.
        wedged_after_seconds: A batch that takes longer makes the server not live.
        body_limit_bytes: Longest body of a request.
        body_timeout_seconds: Longest wait for a body to arrive.
    """

    model_uri: str
    variant: str
    host: str
    port: int
    max_queue: int = 128
    max_batch: int | None = None
    lame_duck_seconds: float = 5.0
    drain_seconds: float = 20.0
    wedged_after_seconds: float = 30.0
    body_limit_bytes: int = 256 * 1024
    body_timeout_seconds: float = 10.0
