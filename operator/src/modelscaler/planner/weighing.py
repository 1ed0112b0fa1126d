"""All candidates as a plan weighs them, to be shown. Pure."""

from dataclasses import dataclass

from modelscaler.api.words import Binding
from modelscaler.domain import Observation, PolicyState, QuantileForecast, Workload
from modelscaler.planner.choice import Option
from modelscaler.planner.idling import of_no_use
from modelscaler.planner.mixed import alone
from modelscaler.planner.mixing import Scene
from modelscaler.planner.pairing import Mix
from modelscaler.planner.plan import Considered, considered
from modelscaler.planner.wording import loss


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate sized for the demand, and why it lost, as one word and one sentence; both are None of the one taken.

    `mix` is the sizes where two pools were taken, of which `option` serves; else None.
    """

    option: Option
    lost_by: Binding | None = None
    why_not: str | None = None
    mix: Mix | None = None


def weigh(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> tuple[Weighed, ...]:
    """Return every candidate as `plan` weighs it: what it takes, then what carries the demand, the cheapest first.

    The arguments are those of `plan`. Others than the one taken are sized as if there were accelerators for all. Where it takes
    two pools, each of them stands among the others besides, as it would be alone.

    Raises:
        NoCandidateError: The spec allows no pool at all.
    """
    found = considered(workload, observation, forecast, state, lead_seconds)
    if found.scene is None or found.shared.mix is None:
        taken, lost = Weighed(found.selection.option), _others(found, observation)
    else:
        mix = found.shared.mix
        taken, lost = Weighed(mix.base, mix=mix), _singles(found, found.scene, mix)
    return (taken, *sorted(lost, key=lambda one: (not one.option.feasible, one.option.hourly_cost)))


def _others(found: Considered, observation: Observation) -> list[Weighed]:
    """Return the candidates that lost against one pool, or against no replica at all."""
    chosen = found.selection.option.candidate.pool
    others = [option for option in found.unlimited if option.candidate.pool != chosen]
    if found.idling is not None:
        return [Weighed(option, Binding.COST, of_no_use(option)) for option in others]
    losses = [loss(found.workload, observation, found.state, found.selection, option) for option in others]
    return [Weighed(option, why.word, why.text) for option, why in zip(others, losses, strict=True)]


def _singles(found: Considered, scene: Scene, mix: Mix) -> list[Weighed]:
    """Return the candidates that lost against two pools: all."""
    singles = [alone(scene, found.shared, mix, option) for option in found.unlimited]
    return [Weighed(option, why.word, why.text) for option, why in singles]
