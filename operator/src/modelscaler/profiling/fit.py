"""From closed loops of n clients to the time of a batch, a·n + b. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelscaler.domain import Floats

RESAMPLES = 400
INTERVAL = (5.0, 95.0)
"""Percentiles of the bootstrap that are reported: a 90 % interval."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which so many clients asked, each again as soon as it was answered.

    Attributes:
        clients: How many.
        answered: Requests that were answered.
        seconds: Wall time.
        batch_requests: Mean requests of a batch, as the server counted; None: it does not say.
    """

    clients: int
    answered: int
    seconds: float
    batch_requests: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """Seconds of a batch of n requests: overhead + n x per request."""

    per_request_seconds: float
    overhead_seconds: float

    def full_rps(self, max_batch: int) -> float:
        """Return the requests/s of full batches, one after the other."""
        return max_batch / (self.overhead_seconds + max_batch * self.per_request_seconds)


@dataclass(frozen=True, slots=True)
class Fit:
    """A line, and between what its two numbers lie (90 % bootstrap intervals).

    `counted`: the batch sizes were the server's own, not guessed from the number of clients. `resampled`: bootstrap lines.
    """

    line: Line
    per_request_interval_seconds: tuple[float, float]
    overhead_interval_seconds: tuple[float, float]
    counted: bool
    resampled: tuple[Line, ...]

    def relative_error(self, max_batch: int) -> float:
        """Return half of the 90 % interval of the rate with full batches over its middle, from 0 to 1.

        The two numbers of a line make up for one another, so their own intervals would say too much.
        """
        low, high = np.percentile([line.full_rps(max_batch) for line in self.resampled], INTERVAL).tolist()
        return float((high - low) / (high + low))


def fit_batches(windows: Sequence[Window], seed: int = 0) -> Fit:
    """Fit the line through closed-loop windows.

    Where the server counts its batches, a window gives the mean batch m and the mean time from one batch to the next,
    m x seconds / answered (nothing idles while clients wait). Both are means, so the line through them is the line through the
    batches, whatever their spread. The time holds everything that happens between batches, decoding and network included. With
    one client the server idles while the client turns round, so those windows only count when there is nothing else. Several
    workers appear as one server of their joint speed, which makes an idle one look too fast.

    Where it does not, a batch is taken to hold all n clients, and the latency n x seconds / answered (Little's law) its time.
    The clients of one batch really come back one after the other: the first starts a batch of its own and the rest wait for the
    next, so that a round of n clients holds up to two batches. The slope is then nearly right (a few percent too steep) and the
    overhead up to twice too large: the replica looks slower than it is.

    Args:
        windows: Of at least two different numbers of clients, each with at least one answer.
        seed: Of the bootstrap, which draws windows within each number of clients.

    Raises:
        ValueError: the windows are of fewer than two numbers of clients.
    """
    if len({window.clients for window in windows}) < 2:
        raise ValueError("expected windows of at least two numbers of clients")
    counted = all(window.batch_requests is not None for window in windows)
    used = [window for window in windows if window.clients > 1] if counted else list(windows)
    if len({window.clients for window in used}) < 2:
        used = list(windows)
    sizes = np.array([(window.batch_requests if counted else None) or window.clients for window in used])
    times = np.array([size * window.seconds / window.answered for size, window in zip(sizes, used, strict=True)])
    lines = _resampled(np.array([window.clients for window in used]), sizes, times, np.random.default_rng(seed))
    numbers = [(line.per_request_seconds, line.overhead_seconds) for line in lines]
    slopes, overheads = np.percentile(numbers, INTERVAL, axis=0).T.tolist()
    return Fit(line_through(sizes, times), (slopes[0], slopes[1]), (overheads[0], overheads[1]), counted, lines)


def batch_within_seen(line: Line, largest: int, seen_rps: float) -> int:
    """Return the largest batch of which full ones come to no more requests than were seen to be answered.

    The line knows what computing a batch takes. A server whose computing is quick is held up by something else, such as the one
    process that speaks HTTP, before its batches are full; the line through half full ones promises what it will never do.

    Args:
        line: Of a batch.
        largest: Batch that was seen, in requests.
        seen_rps: Best of the closed loops.
    """
    free_share = 1.0 - line.per_request_seconds * seen_rps
    if free_share <= 0.0:
        return largest
    return max(1, min(largest, round(line.overhead_seconds * seen_rps / free_share)))


def line_through(sizes: Floats, times: Floats) -> Line:
    """Return the line with the least squared relative error, with neither number below 0.

    Args:
        sizes: Mean requests of a batch, above 0, shape (windows,).
        times: Seconds, above 0, shape (windows,).
    """
    design = np.stack([sizes, np.ones_like(sizes)], axis=1) / times[:, None]
    slope, overhead = np.linalg.lstsq(design, np.ones_like(times), rcond=None)[0]
    if overhead < 0.0:
        ratio = sizes / times
        return Line(float(ratio.sum() / (ratio @ ratio)), 0.0)
    if slope <= 0.0:
        # Requests that cost nothing would promise any rate: the cheapest one seen is the limit of what is known.
        return Line(float((times / sizes).min()), 0.0)
    return Line(float(slope), float(overhead))


def _resampled(clients: Floats, sizes: Floats, times: Floats, generator: np.random.Generator) -> tuple[Line, ...]:
    groups = [np.flatnonzero(clients == count) for count in np.unique(clients)]
    lines = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([generator.choice(group, size=len(group)) for group in groups])
        lines.append(line_through(sizes[drawn], times[drawn]))
    return tuple(lines)
