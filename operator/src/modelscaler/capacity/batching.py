"""The queue of one batching replica, solved numerically. Pure.

The server takes everything that is queued, up to its largest batch, whenever it is free (`a n + b` seconds for n
requests), and waits for the next request when nothing is. Seen at the starts of its batches the queue is a Markov chain
(Bailey 1954, Neuts 1967: bulk service); here the service time depends on the batch, for which no closed form of the tail
is known, so the chain is solved. It is exact for Poisson arrivals while the batch limit does not bind, whatever the ratio
of `b` to `a`; `latency.py` says how it is used.

Everything is in units of `a`: a batch of n takes `n + overhead`.
"""

from dataclasses import dataclass

import numpy as np

from modelscaler.domain import Floats

MOST_STATES = 96
"""Longest queue the chain tells apart. Longer queues are counted in groups of requests, which blurs only a tail in which
single requests no longer matter. Up to 100 states LAPACK solves on one thread, which matters on a machine that is busy."""

SLICES = 8
"""Parts of a service into which arrivals that have to wait for a later batch are sorted."""

NEGLIGIBLE = 1e-8
"""Share of requests below which a case is left out."""


@dataclass(frozen=True, slots=True)
class Load:
    """Arrivals at one replica, in units of its time per request.

    Attributes:
        rate: requests per unit of time, below `max_batch / (max_batch + overhead)`.
        overhead: fixed time of a batch.
        max_batch: most requests in a batch.
        dispersion: variance over mean of the number of arrivals in an interval; 1 is Poisson.
    """

    rate: float
    overhead: float
    max_batch: float
    dispersion: float

    @property
    def longest_queue(self) -> float:
        """Return a queue length that is practically never reached: the larger of two estimates, with and without cap.

        Without: a normal queue with the fluid mean and variance. With: the exponential tail of heavy traffic.
        """
        idle = max(1.0 - self.rate, 1e-3)
        mean = self.rate * self.overhead / idle
        free = mean + 8.0 * np.sqrt(self.dispersion * (mean + 1.0) / (idle * (1.0 + self.rate)))
        slack = 1.0 - self.rate * (self.max_batch + self.overhead) / self.max_batch
        capped = 2.0 * self.max_batch + 3.5 * self.dispersion / max(slack, 1e-3)
        return float(min(free, capped) if free < self.max_batch else capped) + 12.0

    def grouped(self, requests: float) -> "Load":
        """Return the same load counted in groups of so many requests; time is then in units of one group."""
        return Load(
            self.rate, self.overhead / requests, max(self.max_batch / requests, 1.0), self.dispersion / requests
        )


@dataclass(frozen=True, slots=True)
class Sojourns:
    """A mixture of uniform distributions: with `share[i]` a request stays between `least[i]` and `least[i] + spread[i]`."""

    share: Floats
    least: Floats
    spread: Floats

    def percentile(self, percentile: float) -> float:
        """Return the time that `percentile` (in (0, 1)) of the requests do not exceed."""
        target = (1.0 - percentile) * float(self.share.sum())
        low, high = float(self.least.min()), float((self.least + self.spread).max())
        spread = np.maximum(self.spread, 1e-12)
        for _ in range(18):
            middle = (low + high) / 2.0
            beyond = float((self.share * np.clip((self.least + self.spread - middle) / spread, 0.0, 1.0)).sum())
            low, high = (middle, high) if beyond > target else (low, middle)
        return high


def percentile_of_sojourn(load: Load, percentile: float) -> float:
    """Return a percentile of the time from a request's arrival to its answer, in units of the time per request."""
    # A full batch is a whole number of groups, or the cap would be rounded down with the queue.
    groups = max(np.floor(load.max_batch * min(MOST_STATES / load.longest_queue, 1.0)), 1.0)
    group = load.max_batch / groups
    states = int(np.ceil(load.longest_queue / group))
    return float(group * _sojourns(load.grouped(group), states).percentile(percentile))


def _sojourns(load: Load, states: int) -> Sojourns:
    queue = np.arange(1, states + 1, dtype=np.float64)
    batch = np.minimum(queue, load.max_batch)
    left = np.rint(queue - batch)
    service = batch + load.overhead
    arrivals = _arrivals(load.rate * service, load.dispersion, states)
    starts, found_idle = _stationary(arrivals, left.astype(np.intp))
    during = _during_service(load, starts, arrivals, left, service)
    at_rest = Sojourns(np.array([found_idle]), np.array([1.0 + load.overhead]), np.zeros(1))
    return _joined(at_rest, *during)


def _arrivals(mean: Floats, dispersion: float, most: int) -> Floats:
    """Return P(k arrivals), shape (len(mean), most + 1): Poisson, or binomial or negative binomial when dispersed.

    All three follow Panjer's recursion p(k) = (alpha + beta / k) p(k - 1).
    """
    alpha = 1.0 - 1.0 / dispersion
    beta = mean / dispersion - alpha
    ratio = alpha + beta[:, None] / np.arange(1, most + 1)
    logs = np.cumsum(np.log(np.maximum(ratio, 1e-30)), axis=1)
    logs = np.concatenate([np.zeros((len(mean), 1)), logs], axis=1)
    weights: Floats = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _stationary(arrivals: Floats, left: np.ndarray[tuple[int], np.dtype[np.intp]]) -> tuple[Floats, float]:
    """Return how often a batch starts with 1, 2, … requests queued, and how often none is queued when it ends."""
    states = len(left)
    come = np.arange(states + 1) - left[:, None]
    after = np.where(come >= 0, np.take_along_axis(arrivals, np.maximum(come, 0), axis=1), 0.0)
    empty = after[:, 0].copy()
    step = after[:, 1:]
    step[:, 0] += empty
    step[:, -1] += np.maximum(1.0 - step.sum(axis=1), 0.0)
    balance = step.T - np.eye(states)
    balance[-1] = 1.0
    starts = np.linalg.solve(balance, np.eye(states)[-1])
    starts = np.maximum(starts, 0.0)
    starts /= starts.sum()
    return starts, float(starts @ empty)


def _during_service(
    load: Load, starts: Floats, arrivals: Floats, left: Floats, service: Floats
) -> tuple[Sojourns, Sojourns]:
    """Sort the requests that arrive during a service into those the next batch takes whole and those that may overflow."""
    count = np.arange(arrivals.shape[1], dtype=np.float64)
    share = starts[:, None] * arrivals * count
    row, column = np.nonzero(share > NEGLIGIBLE)
    share, come, left, service = share[row, column], count[column], left[row], service[row]
    fits = left + come <= load.max_batch
    taken = Sojourns(share[fits], (left + come + load.overhead)[fits], service[fits])
    over = ~fits
    return taken, _overflowing(load, share[over], come[over], left[over], service[over])


def _overflowing(load: Load, share: Floats, come: Floats, left: Floats, service: Floats) -> Sojourns:
    """Return the sojourns where more are queued than one batch takes: first come, first served.

    `come` requests arrive evenly over a service that leaves `left` queued; full batches pass before a late one's turn.
    """
    part = (np.arange(SLICES) + 0.5) / SLICES
    ahead = left[:, None] + come[:, None] * part
    full = load.max_batch + load.overhead
    passes = np.floor(ahead / load.max_batch)
    behind = (left + come)[:, None] + passes * (load.rate * full - load.max_batch)
    last = np.minimum(np.maximum(behind, 1.0), load.max_batch) + load.overhead
    rest = service[:, None] * (1.0 - part - 0.5 / SLICES)
    least: Floats = (rest + passes * full + last).ravel()
    return Sojourns(np.repeat(share / SLICES, SLICES), least, np.repeat(service / SLICES, SLICES))


def _joined(*parts: Sojourns) -> Sojourns:
    return Sojourns(
        np.concatenate([p.share for p in parts]),
        np.concatenate([p.least for p in parts]),
        np.concatenate([p.spread for p in parts]),
    )
