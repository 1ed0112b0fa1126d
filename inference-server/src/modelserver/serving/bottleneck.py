"""Which of compute, memory, transfer, concurrency and network holds the server back now. Pure, given a window's facts."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

Resource: TypeAlias = Literal["compute", "memory", "transfer", "concurrency", "network"]
RESOURCES: tuple[Resource, ...] = ("compute", "memory", "transfer", "concurrency", "network")
BINDS_AT = 0.5
"""Share of a window from which a resource is said to bind: below, more of it would change little."""
_RESIDENT_FROM = 0.9
"""Share of the memory limit from which the kernel begins to reclaim what is needed."""
_LAG_SECONDS = 0.1
"""A loop that is so late is of no use to anybody."""


@dataclass(frozen=True)
class WindowFacts:
    """What happened in a window. Shares are 0 to 1.

    Attributes:
        seconds: Its length.
        requests: Answered.
        refused: Answered 429: the queue was full.
        busy_share: Of the workers' time, in batches.
        transfer_share: Of the time in batches, between front, worker and device.
        batch_fill: Mean rows of a batch, of the most it may have.
        throttled_share: Of the CPU quota's periods, used up.
        resident_share: Of the memory limit, resident; 0 without a limit.
        memory_pressure: Of the time, something waited for memory.
        memory_restarts: Workers lost because they outgrew their memory.
        queue_seconds: Mean wait of an answered request.
        idle_while_queued_share: Of the time, rows waited while a worker had nothing to do.
        front_cpu_share: Of a core, used by this front.
        loop_lag_seconds: By which the event loop was late, at worst but for the odd time.
        body_seconds: Mean time to read a request's body.
        send_seconds: Mean time to send an answer.
        request_seconds: Mean time from a request's headers to its answer.
    """

    seconds: float
    requests: int = 0
    refused: int = 0
    busy_share: float = 0.0
    transfer_share: float = 0.0
    batch_fill: float = 0.0
    throttled_share: float = 0.0
    resident_share: float = 0.0
    memory_pressure: float = 0.0
    memory_restarts: int = 0
    queue_seconds: float = 0.0
    idle_while_queued_share: float = 0.0
    front_cpu_share: float = 0.0
    loop_lag_seconds: float = 0.0
    body_seconds: float = 0.0
    send_seconds: float = 0.0
    request_seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """What holds the server back.

    Attributes:
        resource: That binds; None when none does.
        sentence: Why, with the numbers, and what would help.
        shares: By resource, the share of the window in which it bound.
        facts: That this follows from.
    """

    resource: Resource | None
    sentence: str
    shares: Mapping[Resource, float]
    facts: WindowFacts

    def as_json(self) -> dict[str, object]:
        """Return it for `/debug/bottleneck`."""
        return {
            "bottleneck": self.resource,
            "because": self.sentence,
            "shares": dict(self.shares),
            "facts": asdict(self.facts),
        }


def _clipped(share: float) -> float:
    return min(1.0, max(0.0, share))


def _compute(facts: WindowFacts) -> float:
    return _clipped(max(facts.busy_share * (1.0 - facts.transfer_share), facts.throttled_share))


def _memory(facts: WindowFacts) -> float:
    near_limit = (facts.resident_share - _RESIDENT_FROM) / (1.0 - _RESIDENT_FROM)
    return _clipped(max(near_limit, facts.memory_pressure, 1.0 if facts.memory_restarts else 0.0))


def _transfer(facts: WindowFacts) -> float:
    return _clipped(facts.busy_share * facts.transfer_share)


def _concurrency(facts: WindowFacts) -> float:
    # A front's share of CPU is discounted while the workers are as busy: then it is they who need the next core.
    front = facts.front_cpu_share * (1.0 - 0.5 * facts.busy_share)
    return _clipped(max(facts.idle_while_queued_share, front, facts.loop_lag_seconds / _LAG_SECONDS))


def _network(facts: WindowFacts) -> float:
    if facts.request_seconds <= 0.0:
        return 0.0
    return _clipped((facts.body_seconds + facts.send_seconds) / facts.request_seconds)


_SHARES: Mapping[Resource, Callable[[WindowFacts], float]] = {
    "compute": _compute,
    "memory": _memory,
    "transfer": _transfer,
    "concurrency": _concurrency,
    "network": _network,
}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.1f} ms"


def _why_compute(facts: WindowFacts) -> str:
    busy = (
        f"workers were busy {_percent(facts.busy_share)} of the time, {_percent(1 - facts.transfer_share)} of it in the "
        f"model, with batches {_percent(facts.batch_fill)} full"
    )
    if facts.throttled_share > facts.busy_share * (1 - facts.transfer_share):
        return f"the CPU limit was used up in {_percent(facts.throttled_share)} of its periods; raise it"
    return f"{busy}; a cheaper variant, more cores or more replicas would help"


def _why_memory(facts: WindowFacts) -> str:
    if facts.memory_restarts:
        return f"{facts.memory_restarts} workers outgrew their memory; raise the limit or hold fewer variants"
    return (
        f"{_percent(facts.resident_share)} of the memory limit is resident and something waited for memory "
        f"{_percent(facts.memory_pressure)} of the time; raise the limit or hold fewer variants"
    )


def _why_transfer(facts: WindowFacts) -> str:
    return (
        f"of the time in batches {_percent(facts.transfer_share)} went into moving tensors; send fewer bytes, as binary "
        "tensors, in larger batches"
    )


def _why_concurrency(facts: WindowFacts) -> str:
    return (
        f"rows waited while a worker was idle {_percent(facts.idle_while_queued_share)} of the time, the front used "
        f"{_percent(facts.front_cpu_share)} of a core and its loop was up to {_milliseconds(facts.loop_lag_seconds)} late; "
        "more fronts (--fronts) would help"
    )


def _why_network(facts: WindowFacts) -> str:
    return (
        f"of {_milliseconds(facts.request_seconds)} per request {_milliseconds(facts.body_seconds)} went into reading its "
        f"body and {_milliseconds(facts.send_seconds)} into sending the answer; clients or the way to them are slow"
    )


_SENTENCES: Mapping[Resource, Callable[[WindowFacts], str]] = {
    "compute": _why_compute,
    "memory": _why_memory,
    "transfer": _why_transfer,
    "concurrency": _why_concurrency,
    "network": _why_network,
}


def diagnose(facts: WindowFacts) -> Verdict:
    """Name what binds.

    Memory comes before everything, since whoever is short of it is slow at all else; then the resource that bound for the
    largest share of the window.

    Args:
        facts: Of the window.
    """
    shares = {resource: _SHARES[resource](facts) for resource in RESOURCES}
    if shares["memory"] >= BINDS_AT:
        return _verdict("memory", shares, facts)
    most = max(RESOURCES, key=lambda resource: shares[resource])
    idle = not facts.requests and not facts.refused
    if idle or shares[most] < BINDS_AT:
        return _verdict(None, shares, facts)
    return _verdict(most, shares, facts)


def _verdict(resource: Resource | None, shares: Mapping[Resource, float], facts: WindowFacts) -> Verdict:
    if resource is not None:
        return Verdict(resource, f"{resource}: {_SENTENCES[resource](facts)}", shares, facts)
    rate = facts.requests / facts.seconds if facts.seconds else 0.0
    sentence = f"none: {rate:.1f} requests/s, workers busy {_percent(facts.busy_share)} of the time"
    return Verdict(None, sentence, shares, facts)
