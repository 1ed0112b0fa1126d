"""Whether one bad request fails the good ones that are batched with it."""

import asyncio
from dataclasses import dataclass

import numpy as np

from modelscaler_benchmarks.http_client import Answer, ask_once, request_bytes
from modelscaler_benchmarks.server.measuring import ANSWER_LIMIT_SECONDS, TOLERANCE
from modelscaler_benchmarks.server.payloads import Dialect, Payload
from modelscaler_benchmarks.server.workloads import Workload

GROUPS = 20
GOOD = 15


@dataclass(frozen=True)
class NeighbourFigures:
    """What became of good requests beside bad ones.

    Attributes:
        good: Good requests sent.
        failed: Those that were not answered rightly.
        bad_statuses: What the bad ones got: how many of each HTTP status; 0 for no answer.
    """

    good: int
    failed: int
    bad_statuses: dict[int, int]


def bad_body(dialect: Dialect, workload: Workload) -> bytes:
    """Return a request whose row is one element short."""
    return dialect.encode(workload.rows[0][:-1])[0]


async def ask_beside_bad(port: int, sent: Payload, bad: bytes, seed: int = 0) -> NeighbourFigures:
    """Send 15 good requests and a bad one at once, 20 times.

    Args:
        port: Of the server.
        sent: The good ones.
        bad: Body of the bad one.
        seed: Decides the bad one's place among them.
    """
    generator, failed, statuses = np.random.default_rng(seed), 0, dict[int, int]()
    for group in range(GROUPS):
        numbers = [(group * GOOD + each) % len(sent.bodies) for each in range(GOOD)]
        place = int(generator.integers(0, GOOD + 1))
        bodies = [sent.bodies[number] for number in numbers]
        bodies.insert(place, bad)
        requests = [request_bytes(port, sent.path, body, sent.headers) for body in bodies]
        answers = await asyncio.gather(*(ask_once(port, request, ANSWER_LIMIT_SECONDS) for request in requests))
        refused = answers.pop(place)
        statuses[refused.status] = statuses.get(refused.status, 0) + 1
        failed += sum(not is_right(answer, sent, number) for answer, number in zip(answers, numbers, strict=True))
    return NeighbourFigures(GROUPS * GOOD, failed, statuses)


def is_right(answer: Answer, sent: Payload, number: int) -> bool:
    """Return whether an answer is the one that its row should get."""
    if answer.status != 200:
        return False
    row = sent.decode(answer.headers, answer.body).reshape(-1)
    return np.allclose(row, sent.expected[number], atol=TOLERANCE)
