"""What a run found, and the statistics that are told of it: medians over rounds, and ratios within a round. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelscaler_benchmarks.server.int8 import Parity
from modelscaler_benchmarks.server.neighbours import NeighbourFigures
from modelscaler_benchmarks.server.termination import TerminationFigures


@dataclass(frozen=True, order=True)
class Key:
    """What one row of the table is about.

    Attributes:
        network: `mlp` or `encoder`.
        server: `modelserver`, a peer, or `raw` for torch alone.
        kind: `json`, `binary`, `2 workers`, `int8`; for `raw` `1 thread` or `2 threads`.
    """

    network: str
    server: str
    kind: str


@dataclass(frozen=True)
class Figures:
    """One turn of one key.

    Attributes:
        rows_per_second: Requests of one row, or rows of torch alone.
        p50_milliseconds: Median latency; 0.0 for torch alone.
        p99_milliseconds: Latency that 1 % exceed; 0.0 for torch alone.
        start_seconds: From process start to ready; 0.0 for torch alone.
        resident_mib: Memory of all its processes; 0.0 for torch alone.
    """

    rows_per_second: float
    p50_milliseconds: float = 0.0
    p99_milliseconds: float = 0.0
    start_seconds: float = 0.0
    resident_mib: float = 0.0


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds.

    Attributes:
        median: Middle value.
        least: Smallest.
        most: Largest.
    """

    median: float
    least: float
    most: float


Rounds = Sequence[Mapping[Key, Figures]]
"""One mapping per round; a key that failed in a round is not in it."""


@dataclass(frozen=True)
class Behaviour:
    """How one server treats what goes wrong.

    Attributes:
        neighbours: Good requests beside bad ones.
        termination: Requests around SIGTERM.
    """

    neighbours: NeighbourFigures
    termination: TerminationFigures


@dataclass(frozen=True)
class Results:
    """What a run found.

    Attributes:
        rounds: Of measurements.
        behaviours: By server.
        parity: Of the quantized encoder; None when it could not be made.
        labels: Each key's server with its settings.
    """

    rounds: Rounds
    behaviours: Mapping[str, Behaviour]
    parity: Parity | None
    labels: Mapping[Key, str]


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of some values; None of none."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def of(rounds: Rounds, key: Key, attribute: str) -> Spread | None:
    """Return the spread of one attribute of a key's figures; None when it was never measured."""
    return spread([getattr(each[key], attribute) for each in rounds if key in each])


def ratio(rounds: Rounds, numerator: Key, denominator: Key) -> Spread | None:
    """Return the spread of the ratio of two throughputs of the same round; None when no round has both."""
    pairs = [(each[numerator], each[denominator]) for each in rounds if numerator in each and denominator in each]
    return spread([one.rows_per_second / other.rows_per_second for one, other in pairs])


def tail_ratio(rounds: Rounds, key: Key) -> Spread | None:
    """Return the spread of p99 / p50; None when it was never measured."""
    return spread([each[key].p99_milliseconds / each[key].p50_milliseconds for each in rounds if key in each])


def rotated(count: int, round_number: int) -> list[int]:
    """Return the order of turns in a round: each round begins one later, so that nobody always follows the same one."""
    return [(round_number + each) % count for each in range(count)]
