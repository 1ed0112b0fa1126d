"""What a server says of itself on /metrics, where it is ours. Pure."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

SIZES, MEMORY, HITS = "modelserver_batch_size", "modelserver_worker_memory_bytes", "modelserver_cache_hits_total"


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters at one moment, over all variants and workers.

    Attributes:
        rows: Computed.
        batches: Of them.
        batches_up_to: Batches of at most so many rows, by that number.
        cache_hits: Requests that were answered without computing.
        memory_bytes: Resident, of all workers.
    """

    rows: float
    batches: float
    batches_up_to: dict[float, float]
    cache_hits: float
    memory_bytes: float


def read_counters(text: str) -> Counters | None:
    """Read a page of metrics; None when it is none, or not of a server that counts its batches."""
    totals: dict[str, float] = {}
    buckets: dict[float, float] = {}
    try:
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    except ValueError:
        return None
    for sample in samples:
        totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        if sample.name == f"{SIZES}_bucket":
            bound = float(sample.labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + sample.value
    if f"{SIZES}_count" not in totals:
        return None
    return Counters(
        totals[f"{SIZES}_sum"], totals[f"{SIZES}_count"], buckets, totals.get(HITS, 0.0), totals.get(MEMORY, 0.0)
    )


def mean_rows(before: Counters, after: Counters) -> float | None:
    """Return the mean rows of the batches in between; None when there were none."""
    batches = after.batches - before.batches
    return (after.rows - before.rows) / batches if batches > 0 else None


def largest_rows(before: Counters, after: Counters) -> int | None:
    """Return a number of rows that no batch in between exceeded, the smallest that the buckets can tell; None: none can."""
    batches = after.batches - before.batches
    bounds = sorted(bound for bound in after.batches_up_to if bound != float("inf"))
    grown = ((bound, after.batches_up_to[bound] - before.batches_up_to.get(bound, 0.0)) for bound in bounds)
    return next((int(bound) for bound, count in grown if count >= batches > 0), None)
