"""Which children are no longer as they were applied, though nothing that is wanted of them has changed."""

import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from modelscaler.controller.summaries import ActivatorSummary, DeploymentSummary, RouteSummary, ServiceSummary
from modelscaler.domain import WorkloadKey

ANEW_SECONDS: Final = 3600.0
"""Everything is applied anew this often, spread over that time: what is not watched, such as ladders, is mended then."""

FIRST_ANEW_SECONDS: Final = 600.0
"""What is seen for the first time is applied anew within this time, spread over it: it may have changed while nobody looked."""

FIRST_WAIT_SECONDS: Final = 5.0
LONGEST_WAIT_SECONDS: Final = 600.0
"""Between two mendings of one child: who else writes the same field is not fought with all the time."""

Child: TypeAlias = DeploymentSummary | ActivatorSummary | ServiceSummary | RouteSummary


@dataclass(frozen=True, slots=True)
class Applied:
    """A child as it was right after it was applied, or when it was first seen, and when it is to be applied anew.

    `mended` is how often it had to be within the last hours, `mended_at` when that was last.
    """

    template_digest: str
    owned: str
    due_at: float
    mended: int = 0
    mended_at: float = float("-inf")

    @property
    def wait_seconds(self) -> float:
        """Return how long it is left as it is after it was mended."""
        return min(FIRST_WAIT_SECONDS * 2.0 ** min(self.mended, 10), LONGEST_WAIT_SECONDS)


class Drift:
    """Remembers of each child which fields were ours after it was applied, and when that was.

    Args:
        on_drift: Is told of a child that somebody else has changed, once until it has been left in peace for an hour.
        monotonic: A clock.
    """

    def __init__(self, on_drift: Callable[[Child], None], monotonic: Callable[[], float]) -> None:
        self._on_drift = on_drift
        self._monotonic = monotonic
        self._applied: dict[WorkloadKey, dict[str, Applied]] = defaultdict(dict)

    def found(self, live: Child) -> bool:
        """Tell whether a child has to be applied anew: somebody took a field of it from us, or it is time.

        A child that is seen for the first time counts as it is for some minutes: nobody knows what was ours before.
        """
        now, mine = self._monotonic(), self._applied[live.owner]
        known = mine.get(_name(live))
        if known is None or known.template_digest != live.template_digest:
            mine[_name(live)] = Applied(live.template_digest, live.owned, now + FIRST_ANEW_SECONDS * _share_of(live))
            return False
        if known.owned == live.owned:
            return now >= known.due_at
        if now - known.mended_at < known.wait_seconds:
            return False
        times = known.mended + 1 if now - known.mended_at < ANEW_SECONDS else 0
        if not times:
            self._on_drift(live)
        mine[_name(live)] = replace(known, mended=times, mended_at=now)
        return True

    def applied(self, now: Child) -> None:
        """Take down how a child is right after it was applied."""
        mine, due_at = self._applied[now.owner], _next_turn(now, self._monotonic())
        known = mine.get(_name(now)) or Applied(now.template_digest, now.owned, due_at)
        mine[_name(now)] = replace(known, template_digest=now.template_digest, owned=now.owned, due_at=due_at)

    def forget(self, owner: WorkloadKey) -> None:
        """Drop what is known of the children of a ModelDeployment that is gone."""
        self._applied.pop(owner, None)


def _name(child: Child) -> str:
    return f"{type(child).__name__}/{child.name}"


def _next_turn(child: Child, now: float) -> float:
    """Return when a child is to be applied anew: each at its own time of the hour."""
    return now + ANEW_SECONDS - (now - ANEW_SECONDS * _share_of(child)) % ANEW_SECONDS


def _share_of(child: Child) -> float:
    """Return a number in [0, 1) that is always the same for a child."""
    return zlib.crc32(f"{child.owner}/{_name(child)}".encode()) / 2**32
