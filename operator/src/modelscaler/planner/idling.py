"""Whether no replica is needed at all. Pure.

A ModelDeployment with `minReplicas: 0` keeps no replica where nobody has asked for a while, nor is expected to before one could
be ready again. Only what is known puts it to sleep: a load that is absent, stale or of some replicas alone keeps it awake, or
wakes it. Meanwhile the activator holds who comes; what it holds is a queue, and a queue is demand.
"""

from datetime import datetime
from typing import Final

from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain import (
    Choice,
    Idling,
    Observation,
    Plan,
    PolicyState,
    QuantileForecast,
    Workload,
    Zero,
    is_unknown,
    known,
)
from modelscaler.planner.candidates import candidate_of
from modelscaler.planner.choice import Option
from modelscaler.planner.schedules import active
from modelscaler.planner.starts import longest_start

EXPECTED_REQUESTS: Final = 1.0
"""A forecast of fewer requests in each of its steps is one of none."""

QUIET_SHARE: Final = 0.01
"""So is one of less than this share of the mean of the last day: quantiles of a load that rests are noise of about a thousandth
of what it is by day, a hundredth at the highest ones."""

HELD_SHARE: Final = 0.5
"""But not where so much of what the activator holds might come until a replica is ready."""

MOST_MISSING_TICKS: Final = 3
"""So many ticks without metrics wake nobody: a Prometheus that starts anew takes two scrapes to know a rate, and whoever asks
meanwhile is held."""


def quiet_since(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> datetime | None:
    """Return since when nobody has asked, nor been expected to; None: somebody does, or may, or replicas are always kept.

    Args:
        workload: What the user asked for.
        observation: What is seen.
        forecast: Quantiles of the coming load; None when there is none.
        state: What earlier decisions left behind.
        lead_seconds: How far to look ahead besides the start of a replica.
    """
    if workload.idling is None:
        return None
    if _is_gap(observation, state):
        return state.quiet_since
    if not isinstance(observation.offered, Zero) or known(observation.queued) != 0.0:
        return None
    ahead_seconds = longest_start(workload.placements, observation.starts) + lead_seconds
    if active(workload, observation.now, ahead_seconds):
        return None
    if forecast is not None and _somebody(workload, workload.idling, observation, forecast, ahead_seconds):
        return None
    return state.quiet_since or observation.now


def rests(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    state: PolicyState,
    lead_seconds: float,
) -> bool:
    """Tell whether no replica is to run; the arguments are those of `quiet_since`.

    Raises:
        NoCandidateError: The spec allows no pool at all.
    """
    if state.active is None or candidate_of(workload, observation, state, state.active) is None:
        return False
    return is_idle(workload, observation, state, quiet_since(workload, observation, forecast, state, lead_seconds))


def is_idle(workload: Workload, observation: Observation, state: PolicyState, since: datetime | None) -> bool:
    """Tell whether no replica is to run: it has been quiet for long enough, and the activator is there for who comes.

    Not while another pool is on its way, or beside the serving one: that is over first. Nor where nothing may be taken away.
    Nor while the pool that is to serve does not yet: a model that does not start must not pass for one that rests.
    """
    if since is None or workload.idling is None or what_keeps_awake(workload, observation) is not None:
        return False
    if state.active is None or state.switch is not None or _is_shared(observation, state):
        return False
    found = observation.pool(state.active)
    if found.replicas and not found.ready and not observation.held:
        return False
    lasted_seconds = (observation.now - since).total_seconds()
    return lasted_seconds >= workload.idling.after_seconds


def what_keeps_awake(workload: Workload, observation: Observation) -> str | None:
    """Return why no quiet of any length leads to zero replicas; None where one does, or where zero is not asked for."""
    if workload.idling is None:
        return None
    if workload.scale_down.select == "Disabled":
        return "scaling.behavior.scaleDown is Disabled"
    if longest_start(workload.placements, observation.starts) > workload.idling.hold_seconds:
        return "a start takes longer than scaleToZero.holdSeconds"
    if not observation.activator_ready:
        return "the activator is not ready, or Prometheus does not scrape it"
    return None


def idle_plan(idling: Idling, serving: Option) -> Plan:
    """Return the plan to keep no replica; the runner-up is to keep as many as there would be otherwise.

    Args:
        idling: What the user asked for.
        serving: The pool that serves, and shall when somebody asks.
    """
    candidate, kept = serving.candidate, serving.choice(serving.replicas)
    return Plan(
        target=Choice(candidate.pool, 0, 0.0, candidate.accuracy, latency_seconds=candidate.start_seconds),
        reason=DecisionReason.IDLE,
        message=(
            f"nobody has asked for {idling.after_seconds:g} s, nor is expected to within "
            f"{serving.demand.horizon_seconds:.0f} s: 0 replicas of {candidate.pool}; who comes is held until one is ready, "
            f"which takes {candidate.start_seconds:.0f} s"
        ),
        binding=Binding.DEMAND,
        demand=serving.demand,
        runner_up=kept,
        why_not_runner_up=of_no_use(serving),
    )


def of_no_use(option: Option) -> str:
    """Say why an option is not taken while nobody asks."""
    return f"it would cost {option.hourly_cost:.3g} an hour and answer nobody"


def _is_shared(observation: Observation, state: PolicyState) -> bool:
    """Tell whether a pool beside the serving one runs, or gets requests; one that would be started in time does neither."""
    if state.side is None:
        return False
    route, side = observation.route, observation.pool(state.side.pool)
    return bool(side.replicas or side.alive) or (route is not None and route.share_of(side.pool) > 0.0)


def _is_gap(observation: Observation, state: PolicyState) -> bool:
    """Tell whether metrics have only been missing for a moment, and the activator has whoever asks, of whom nobody is known."""
    missing = is_unknown(observation.offered) and not known(observation.queued)
    return observation.held and missing and state.missing_ticks <= MOST_MISSING_TICKS


def _somebody(
    workload: Workload, idling: Idling, observation: Observation, forecast: QuantileForecast, ahead_seconds: float
) -> bool:
    """Tell whether requests are forecast, at the quantile that the spec plans for.

    What self-tuning finds changes nothing here, neither the quantile nor whether the forecast is heeded: settings are for
    sizes, and whether replicas may go at all is the user's choice.
    """
    age_seconds = max((observation.now - forecast.made_at).total_seconds(), 0.0)
    (peak_rps,) = forecast.peaks((workload.forecast.quantile,), ahead_seconds + age_seconds)
    negligible_rps = min(QUIET_SHARE * forecast.usual_rps, HELD_SHARE * idling.most_held / ahead_seconds)
    return peak_rps >= max(EXPECTED_REQUESTS / forecast.step_seconds, negligible_rps)
