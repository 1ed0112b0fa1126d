"""What a decision weighed, as its status has it."""

from collections.abc import Sequence
from typing import Final, Literal

from modelscaler.api.v1alpha1 import CandidateStatus
from modelscaler.domain import Choice, Plan
from modelscaler.planner.choice import Option
from modelscaler.planner.weighing import Weighed
from modelscaler.status.wording import LONGEST_WORD_CHARACTERS, clipped, decimal

MOST_CANDIDATES: Final = 8
"""So many are told: the one taken, and those that carry the demand for the least money."""


def candidates_status(weighed: Sequence[Weighed], plan: Plan) -> list[CandidateStatus]:
    """Return what is told of the candidates, the one taken first.

    Args:
        weighed: The candidates, in that order.
        plan: What was decided: of the one taken its replicas count, which behaviour may limit.
    """
    return [
        _told(one.option, plan.target, plan.binding, None)
        if one.lost_by is None
        else _told(one.option, one.option.choice(one.option.replicas), one.lost_by, one.why_not)
        for one in weighed[:MOST_CANDIDATES]
    ]


def _told(option: Option, choice: Choice, word: str, why_not: str | None) -> CandidateStatus:
    candidate = option.candidate
    return CandidateStatus(
        placement=candidate.pool.placement,
        variant=candidate.pool.variant,
        needed=option.needed,
        replicas=choice.replicas,
        hourly_cost=decimal(choice.hourly_cost),
        replica_rps=decimal(candidate.rps_per_replica),
        ladder_rps=decimal(candidate.rung_rps_per_replica) if candidate.rung else None,
        start_seconds=round(candidate.start_seconds),
        carries=_carries(option),
        bound_by=word,
        why_not=None if why_not is None else clipped(why_not, LONGEST_WORD_CHARACTERS),
    )


def _carries(option: Option) -> Literal["Yes", "CheaperAnswers", "No"]:
    if not option.feasible:
        return "No"
    return "CheaperAnswers" if option.degraded_rps > 0.0 else "Yes"
