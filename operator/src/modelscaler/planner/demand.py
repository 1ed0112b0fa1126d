"""How much load to plan for. Pure.

The reactive guard is the measured load plus what it takes to work off the queue, so a forecast that is too low cannot starve
a workload. A reading that is not knowledge (absent, stale, error) never lowers anything: what runs is then assumed needed.
"""

from dataclasses import dataclass

from modelscaler.domain import Demand, Observation, QuantileForecast, known


@dataclass(frozen=True, slots=True)
class Load:
    """What is known about the load, before a horizon is chosen.

    `measured_rps` is None when the load is not known; `assumed_rps`, what the running replicas can carry, counts instead.
    """

    measured_rps: float | None
    queued_requests: float
    assumed_rps: float
    forecast: QuantileForecast | None
    forecast_age_seconds: float
    quantile: float

    def within(self, horizon_seconds: float) -> Demand:
        """Return the demand to plan for: the larger of the forecast's peak within the horizon and what is there now.

        A backlog is to be gone by the horizon, when the capacity that is planned now serves.
        """
        present_rps, ahead_rps = self.assumed_rps, None
        if self.measured_rps is not None:
            present_rps = self.measured_rps + self.queued_requests / horizon_seconds
        if self.forecast is not None:
            ahead_rps = self.forecast.peak(self.quantile, horizon_seconds + self.forecast_age_seconds)
        return Demand(self.measured_rps, ahead_rps, max(present_rps, ahead_rps or 0.0), horizon_seconds)


def load_from(observation: Observation, forecast: QuantileForecast | None, quantile: float, assumed_rps: float) -> Load:
    """Return what is known about the load.

    Args:
        observation: What is seen now. An unknown queue does not count: the offered load is known without it.
        forecast: The forecast, None when there is none.
        quantile: Quantile of the peak to plan for.
        assumed_rps: Load to assume when it is not known.
    """
    age = (observation.now - forecast.made_at).total_seconds() if forecast is not None else 0.0
    return Load(
        measured_rps=known(observation.offered),
        queued_requests=known(observation.queued) or 0.0,
        assumed_rps=assumed_rps,
        forecast=forecast,
        forecast_age_seconds=max(age, 0.0),
        quantile=quantile,
    )
