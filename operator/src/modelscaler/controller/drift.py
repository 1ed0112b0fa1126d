"""Which children are no longer as they were applied, though nothing that is wanted of them has changed."""

import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from modelscaler.controller.summaries import DeploymentSummary, ServiceSummary
from modelscaler.domain import WorkloadKey

ANEW_SECONDS: Final = 3600.0
"""Everything is applied anew this often, spread over that time: what is not watched, such as ladders, is mended then."""

Child: TypeAlias = DeploymentSummary | ServiceSummary


@dataclass(frozen=True, slots=True)
class Applied:
    """A child as it was right after it was applied, or when it was first seen, and when it is to be applied anew."""

    template_digest: str
    owned: str
    due_at: float


class Drift:
    """Remembers of each child which fields were ours after it was applied, and when that was."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._applied: dict[WorkloadKey, dict[str, Applied]] = defaultdict(dict)

    def found(self, live: Child) -> bool:
        """Tell whether a child has to be applied anew: somebody took a field of it from us, or it is time.

        A child that is seen for the first time counts as it is: nobody knows what was ours before.
        """
        known = self._applied[live.owner].get(_name(live))
        if known is None or known.template_digest != live.template_digest:
            self._note(live, ANEW_SECONDS * _share_of(live))
            return False
        return known.owned != live.owned or self._monotonic() >= known.due_at

    def applied(self, now: Child) -> None:
        """Take down how a child is right after it was applied."""
        self._note(now, ANEW_SECONDS)

    def forget(self, owner: WorkloadKey) -> None:
        """Drop what is known of the children of a ModelDeployment that is gone."""
        self._applied.pop(owner, None)

    def _note(self, child: Child, due_in_seconds: float) -> None:
        applied = Applied(child.template_digest, child.owned, self._monotonic() + due_in_seconds)
        self._applied[child.owner][_name(child)] = applied


def _name(child: Child) -> str:
    return f"{type(child).__name__}/{child.name}"


def _share_of(child: Child) -> float:
    """Return a number in [0, 1) that is always the same for a child."""
    return zlib.crc32(f"{child.owner}/{_name(child)}".encode()) / 2**32
