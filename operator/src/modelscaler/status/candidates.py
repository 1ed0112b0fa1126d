"""What a decision weighed, as its status has it."""

from collections.abc import Sequence
from typing import Final, Literal

from modelscaler.api.v1alpha1 import CandidatePool, CandidateStatus
from modelscaler.domain import Plan
from modelscaler.planner.choice import Option
from modelscaler.planner.pairing import Mix, needed
from modelscaler.planner.weighing import Weighed
from modelscaler.status.wording import LONGEST_WORD_CHARACTERS, clipped, decimal

MOST_CANDIDATES: Final = 8
"""So many are told: what was taken, and those that carry the demand for the least money."""


def candidates_status(weighed: Sequence[Weighed], plan: Plan) -> list[CandidateStatus]:
    """Return what is told of the candidates, what was taken first.

    Args:
        weighed: The candidates, in that order.
        plan: What was decided: of what was taken its replicas count, which behaviour may limit.
    """
    return [_row(one, plan) for one in weighed[:MOST_CANDIDATES]]


def _row(one: Weighed, plan: Plan) -> CandidateStatus:
    if one.mix is not None and plan.side is not None:
        return _two(one.mix, plan, plan.side.replicas)
    option, rung = one.option, one.option.candidate.rung
    choice = plan.target if one.lost_by is None else option.choice(option.replicas)
    pool = _pool(option, option.needed, choice.replicas, rung.speedup if rung else None)
    return CandidateStatus(
        **pool.model_dump(),
        hourly_cost=decimal(choice.hourly_cost),
        carries=_carries(option),
        bound_by=one.lost_by or plan.binding,
        why_not=None if one.why_not is None else clipped(one.why_not, LONGEST_WORD_CHARACTERS),
    )


def _two(mix: Mix, plan: Plan, side_replicas: int) -> CandidateStatus:
    speedup = mix.ladder_speedup if mix.ladder_speedup > 1.0 else None
    asked = needed(mix)
    return CandidateStatus(
        **_pool(mix.base, asked.base_replicas, plan.target.replicas, speedup).model_dump(),
        side=_pool(mix.side, asked.side_replicas, side_replicas, speedup),
        hourly_cost=decimal(plan.hourly_cost),
        carries="Yes" if mix.feasible else "No",
        bound_by=plan.binding,
    )


def _pool(option: Option, needed_replicas: int, replicas: int, speedup: float | None) -> CandidatePool:
    candidate = option.candidate
    return CandidatePool(
        placement=candidate.pool.placement,
        variant=candidate.pool.variant,
        needed=needed_replicas,
        replicas=replicas,
        replica_rps=decimal(candidate.rps_per_replica),
        ladder_rps=None if speedup is None else decimal(candidate.rps_per_replica * speedup),
        start_seconds=round(candidate.start_seconds),
    )


def _carries(option: Option) -> Literal["Yes", "CheaperAnswers", "No"]:
    if not option.feasible:
        return "No"
    return "CheaperAnswers" if option.degraded_rps > 0.0 else "Yes"
