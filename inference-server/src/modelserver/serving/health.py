"""What the server says of itself to probes. Pure, given the facts."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["serving", "lame duck", "draining"]


@dataclass(frozen=True)
class Facts:
    """What health follows from.

    Attributes:
        phase: `lame duck`: told to end, still serving; `draining`: takes nothing new.
        started: Whether the model has been loaded and is warm, hot items included.
        workers_ready: Loaded, warm and alive.
        failure: Why nothing can be computed, for good as it seems; None while all is well.
        stalled_seconds: For how long nothing has moved although something is queued or being computed.
        stalled_limit_seconds: Longer than this is not coming back.
        siblings_waited_for: Fronts of this server that have never been ready yet.
    """

    phase: Phase
    started: bool
    workers_ready: int
    failure: Exception | None = None
    stalled_seconds: float = 0.0
    stalled_limit_seconds: float = 30.0
    siblings_waited_for: int = 0


def why_not_live(facts: Facts) -> str | None:
    """Return why the process should be restarted; None when it is live. Loading counts as live."""
    if facts.failure is not None:
        return f"the model cannot be computed: {facts.failure}"
    if facts.stalled_seconds > facts.stalled_limit_seconds:
        return (
            f"requests wait and nothing has moved for {facts.stalled_seconds:.0f} s, expected at most "
            f"{facts.stalled_limit_seconds:g}"
        )
    return None


def why_not_ready(facts: Facts) -> str | None:
    """Return why no new traffic should come here; None when it is ready."""
    if facts.phase != "serving":
        return f"shutting down ({facts.phase})"
    return why_not_live(facts) or _why_not_loaded(facts)


def _why_not_loaded(facts: Facts) -> str | None:
    if not facts.started:
        return "loading the model"
    if not facts.workers_ready:
        return "no worker is ready: it was lost and is being started again"
    if facts.siblings_waited_for:
        return f"{facts.siblings_waited_for} other fronts of this server are loading the model"
    return None


def why_not_accepting(facts: Facts) -> str | None:
    """Return why a request that came anyway is refused; None when it is served. A lame duck serves.

    While a lost worker is started again requests wait for it in the queue, which is bounded.
    """
    if facts.phase == "draining":
        return "draining"
    return why_not_live(facts) or (None if facts.started else "loading the model")
