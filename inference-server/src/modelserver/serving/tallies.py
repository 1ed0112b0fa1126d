"""Counters and histograms that cost next to nothing per request: they note, and count when they are flushed.

A counter of prometheus_client takes a lock per increment and a histogram searches its buckets per observation; with all that
is counted per request that is more than parsing the request. Flushed once a second and before each scrape.
"""

from bisect import bisect_left

from prometheus_client import Counter, Histogram


class TalliedCounter(Counter):
    """A counter.

    Attributes:
        pending: What it is to be raised by; add to it.
    """

    pending: float = 0.0

    def flush(self) -> None:
        """Count what was noted."""
        noted, self.pending = self.pending, 0.0
        if noted:
            self.inc(noted)


class TalliedHistogram(Histogram):
    """A histogram."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self.pending: list[float] = []

    def flush(self) -> None:
        """Count what was noted: append to `pending`."""
        noted, self.pending = self.pending, []
        if not noted:
            return
        counts: dict[int, int] = {}
        for amount in noted:
            bucket = bisect_left(self._upper_bounds, amount)
            counts[bucket] = counts.get(bucket, 0) + 1
        self._sum.inc(sum(noted))
        for bucket, count in counts.items():
            self._buckets[bucket].inc(count)
