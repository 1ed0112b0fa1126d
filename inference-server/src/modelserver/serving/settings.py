"""How a server is set up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True)
class ServeSettings:
    """Settings of a server: one process, or several fronts.

    Attributes:
        model_uri: Where the model is.
        variant: Planned one of its variants: the ladder's first.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        ladder: Variants to hold, most wanted first; empty for the planned one alone.
        min_mean_accuracy: What answers keep on average, 0 to 1; None for whatever the ladder gives.
        latency_objective_milliseconds: What the reflex keeps; None for no objective.
        accuracies: Variant -> accuracy, 0 to 1, where the model's own figure is to be overruled.
        overdraft: By how many times its size the budget of accuracy may be overdrawn; None for not at all.
        ladder_file: That states ladder, floor and objective, and is followed while the server runs; None for none.
        max_delay_seconds: Longest wait for a batch to fill; 0 for none.
        max_queue_seconds: What waits may take to compute, as predicted; a request beyond that is answered 429.
        max_queue: Rows that may wait, however quick; ditto.
        max_batch: Rows per batch; None to find it at warm-up.
        workers: Processes that compute, over all fronts; None for one per core, or one on an accelerator.
        fronts: Processes that speak HTTP.
        device: `auto`, `cpu` or a torch device such as `cuda:0`.
        executables: SHA-256 digests of executable artifacts that whoever runs the server vouches for.
        stage: Stage of a split model to serve as a model of its own; None for the whole model.
        pipeline: Whether a split model's stages run in processes of their own.
        stage_addresses: Stage -> base URL of the server that computes it.
        worker_memory_limit_bytes: Most resident memory of a worker; None for its share of the container's.
        cache_bytes: Most memory of the result cache; 0 for none.
        cache_seconds: Longest life of a cached result.
        hot_items: File of requests to answer before ready, JSON lines; None for none.
        lame_duck_seconds: After SIGTERM the server is not ready but serves on for this long, until nobody sends any more.
        drain_seconds: After that it answers what it has accepted, for at most this long.
        wedged_after_seconds: A batch that takes longer loses its worker; a server where nothing has moved for longer
            although work is queued is not live.
        body_limit_bytes: Longest body of a request, compressed and decompressed.
        bodies_limit_bytes: Of all requests that are being read or answered, together.
        body_timeout_seconds: Longest wait for a body to arrive.
        admin_host: Address of the admin port; None for the server's.
        admin_port: Where the ladder can be changed; None for nowhere.
    """

    model_uri: str
    variant: str
    host: str
    port: int
    ladder: tuple[str, ...] = ()
    min_mean_accuracy: float | None = None
    latency_objective_milliseconds: int | None = None
    accuracies: Mapping[str, Decimal] = field(default_factory=dict)
    overdraft: Decimal | None = None
    ladder_file: Path | None = None
    max_delay_seconds: float = 0.0
    max_queue_seconds: float = 5.0
    max_queue: int = 8192
    max_batch: int | None = None
    workers: int | None = None
    fronts: int = 1
    device: str = "auto"
    executables: tuple[str, ...] = ()
    stage: str | None = None
    pipeline: bool = False
    stage_addresses: dict[str, str] = field(default_factory=dict)
    worker_memory_limit_bytes: int | None = None
    cache_bytes: int = 0
    cache_seconds: float = 60.0
    hot_items: Path | None = None
    lame_duck_seconds: float = 5.0
    drain_seconds: float = 20.0
    wedged_after_seconds: float = 30.0
    body_limit_bytes: int = 4 * 1024 * 1024
    bodies_limit_bytes: int = 64 * 1024 * 1024
    body_timeout_seconds: float = 10.0
    admin_host: str | None = None
    admin_port: int | None = None

    @property
    def variants(self) -> tuple[str, ...]:
        """Return the ladder, the planned variant first."""
        return tuple(dict.fromkeys((self.variant, *self.ladder)))
