"""Every single request of a simulated pool: what the replay's flows of requests are measured against."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelscaler.domain import Floats
from modelscaler.replay.batching import Speed


@dataclass(frozen=True)
class Phase:
    """Seconds at a rate of arrivals."""

    seconds: float
    rps: float


def arrivals(phases: Sequence[Phase], seed: int) -> Floats:
    """Return the times of Poisson arrivals, from 0."""
    random = np.random.default_rng(seed)
    start, times = 0.0, []
    for phase in phases:
        times.append(start + np.sort(phase.seconds * random.random(random.poisson(phase.seconds * phase.rps))))
        start += phase.seconds
    return np.concatenate(times)


def sojourns(speed: Speed, at: Floats, replicas: int, queue_seconds: float) -> Floats:
    """Return how long each request stays, in the order of arrival; inf when it is refused.

    Requests go to the replicas in turn; a free replica takes whatever waits, up to its largest batch. What comes while
    `queue_seconds` of work wait at a replica is refused.
    """
    stays = np.full(len(at), np.inf)
    room = int(queue_seconds * speed.largest_rps)
    for replica in range(replicas):
        mine = at[replica::replicas]
        stays[replica::replicas] = _ended(speed, mine.tolist(), room) - mine
    return stays


def _ended(speed: Speed, at: list[float], room: int) -> Floats:
    """Return when each request is answered by one replica; inf when it is refused."""
    ended = np.full(len(at), np.inf)
    waiting: list[int] = []
    now, came, first = 0.0, 0, 0
    while came < len(at) or first < len(waiting):
        if first == len(waiting):
            now = max(now, at[came])
        while came < len(at) and at[came] <= now:
            if len(waiting) - first < room:
                waiting.append(came)
            came += 1
        batch = waiting[first : first + int(speed.most)]
        first += len(batch)
        now += speed.batch_seconds(len(batch))
        ended[batch] = now
    return ended
