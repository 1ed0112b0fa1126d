"""All candidates as a plan weighs them, to be shown. Pure."""

from dataclasses import dataclass

from modelscaler.api.words import Binding
from modelscaler.domain import Observation, PolicyState, QuantileForecast, Workload
from modelscaler.planner.choice import Option
from modelscaler.planner.plan import considered
from modelscaler.planner.wording import loss


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate sized for the demand, and why it lost, as one word and one sentence; both are None of the one taken."""

    option: Option
    lost_by: Binding | None = None
    why_not: str | None = None


def weigh(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> tuple[Weighed, ...]:
    """Return every candidate as `plan` weighs it: the one it takes, then what carries the demand, the cheapest first.

    The arguments are those of `plan`. Others than the one taken are sized as if there were accelerators for all.

    Raises:
        NoCandidateError: The spec allows no pool at all.
    """
    found = considered(workload, observation, forecast, state, lead_seconds)
    chosen = found.selection.option
    others = [option for option in found.unlimited if option.candidate.pool != chosen.candidate.pool]
    losses = [loss(found.workload, observation, found.state, found.selection, option) for option in others]
    lost = [Weighed(option, why.word, why.text) for option, why in zip(others, losses, strict=True)]
    return (Weighed(chosen), *sorted(lost, key=lambda one: (not one.option.feasible, one.option.hourly_cost)))
