"""What the server says of itself to probes. Pure, given the facts."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["serving", "lame duck", "draining"]


@dataclass(frozen=True)
class Facts:
    """What health follows from.

    Attributes:
        phase: `lame duck`: told to end, still serving; `draining`: takes nothing new.
        loaded: Whether the model is loaded and warm.
        thread_alive: Whether the compute thread runs.
        failure: Why it does not; None while all is well.
        busy_seconds: For how long the current batch has been running.
        wedged_after_seconds: Longer than this is not coming back.
    """

    phase: Phase
    loaded: bool
    thread_alive: bool
    failure: Exception | None
    busy_seconds: float
    wedged_after_seconds: float


def why_not_live(facts: Facts) -> str | None:
    """Return why the process should be restarted; None when it is live. Loading counts as live."""
    if facts.failure is not None:
        return f"compute thread ended: {facts.failure}"
    if not facts.thread_alive:
        return "compute thread is not running"
    if facts.busy_seconds > facts.wedged_after_seconds:
        return (
            f"a batch has been running for {facts.busy_seconds:.0f} s, expected at most {facts.wedged_after_seconds:g}"
        )
    return None


def why_not_ready(facts: Facts) -> str | None:
    """Return why no new traffic should come here; None when it is ready."""
    if facts.phase != "serving":
        return f"shutting down ({facts.phase})"
    return why_not_live(facts) or (None if facts.loaded else "loading the model")


def why_not_accepting(facts: Facts) -> str | None:
    """Return why a request that came anyway is refused; None when it is served. A lame duck serves."""
    if facts.phase == "draining":
        return "draining"
    return why_not_live(facts) or (None if facts.loaded else "loading the model")
