"""What capacity must be there for: the forecast peak until new capacity could be ready, and never less than what is here.

The reactive guard is the measured load corrected for queue growth, so a forecast that is too low cannot starve a
workload; a reading that is not knowledge (absent, stale, error) never lowers anything.
"""

from modelscaler.domain import Demand, Observation, QuantileForecast, Workload, known


def horizon_seconds(workload: Workload, observation: Observation, placement: str, interval_seconds: float) -> float:
    """Return how far ahead a plan for `placement` must look.

    That is the start of a replica there (the slowest measured 90th percentile of its pools, else what the spec says), plus
    one interval until the next decision.
    """
    measured = [p.start_seconds for p in observation.pools if p.pool.placement == placement and p.start_seconds]
    return max(measured, default=workload.placement(placement).start_seconds) + interval_seconds


def measured_rps(observation: Observation, drain_seconds: float) -> float | None:
    """Return offered load plus the rate that drains the queue in `drain_seconds`; None when the load is unknown."""
    offered = known(observation.offered)
    if offered is None:
        return None
    return offered + (known(observation.queued) or 0.0) / drain_seconds


def demand_for(
    workload: Workload,
    observation: Observation,
    forecast: QuantileForecast | None,
    placement: str,
    interval_seconds: float,
) -> Demand:
    """Return what capacity on `placement` must be planned for.

    `planned_rps` is the larger of the forecast quantile of the peak and what is measured; 0 when neither is known. A queue
    is to be gone by the horizon, when what is bought now serves.
    """
    horizon = horizon_seconds(workload, observation, placement, interval_seconds)
    ahead = None if forecast is None else forecast.peak(workload.forecast.quantile, horizon)
    here = measured_rps(observation, drain_seconds=horizon)
    return Demand(
        measured_rps=here,
        forecast_rps=ahead,
        planned_rps=max(ahead or 0.0, here or 0.0),
        horizon_seconds=horizon,
    )
