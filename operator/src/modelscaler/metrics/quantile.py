"""The quantile of a histogram from its buckets. Pure."""

import math
from bisect import bisect_left
from collections.abc import Sequence


def bucket_quantile(quantile: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """Estimate a quantile as Prometheus does.

    Within a bucket the observations are taken to be spread evenly; the lowest bucket starts at 0 when its bound is positive; a
    quantile in the +Inf bucket is answered by the highest finite bound, since nothing more is known.

    Args:
        quantile: Between 0 and 1, neither included.
        buckets: (upper bound, cumulative count or rate), in any order, the bound +Inf among them.

    Returns:
        The estimate in the unit of the bounds; None when nothing was observed.

    Raises:
        ValueError: the quantile is out of range, or the buckets make no histogram.

    Source: BucketQuantile in prometheus/prometheus, promql/quantile.go.
    """
    if not 0.0 < quantile < 1.0:
        raise ValueError(f"quantile {quantile}: expected more than 0 and less than 1")
    ordered = sorted(buckets)
    if len(ordered) < 2 or not math.isinf(ordered[-1][0]):
        raise ValueError(f"bounds {[bound for bound, _ in ordered]}: expected a finite bound at least, and +Inf")
    bounds, counts = [bound for bound, _ in ordered], _monotone([count for _, count in ordered])
    total = counts[-1]
    if total <= 0.0:
        return None
    rank = quantile * total
    index = bisect_left(counts[:-1], rank)
    if index == len(counts) - 1:
        return bounds[-2]
    if index == 0 and bounds[0] <= 0.0:
        return bounds[0]
    start, below = (0.0, 0.0) if index == 0 else (bounds[index - 1], counts[index - 1])
    return start + (bounds[index] - start) * (rank - below) / (counts[index] - below)


def _monotone(counts: Sequence[float]) -> list[float]:
    """Lift counts that sink a little: buckets are scraped and summed one by one, so a race can make one lag behind."""
    highest = 0.0
    lifted = []
    for count in counts:
        highest = max(highest, count)
        lifted.append(highest)
    return lifted
