"""A filter that rivals forecast with."""

from dataclasses import dataclass


@dataclass(slots=True)
class LocalLinear:
    """A Kalman filter on a level that moves with a trend, one measurement a step.

    The state starts at the first measurement with a variance of 1000, as in `KalmanPredictor` of ai-dynamo/dynamo
    (`components/src/dynamo/planner/core/load/predictors.py`, commit 260b6ae).

    Attributes:
        level_variance: Of the level's random steps.
        trend_variance: Of the trend's.
        noise_variance: Of a measurement.
    """

    level_variance: float
    trend_variance: float
    noise_variance: float
    _level: float | None = None
    _trend: float = 0.0
    _p: tuple[float, float, float] = (1000.0, 0.0, 1000.0)

    def forecast_after(self, measured: float) -> float:
        """Take a measurement, and return the level expected one step on.

        A run of zeros at the very beginning is passed over, as there.
        """
        if self._level is None:
            if measured == 0.0:
                return 0.0
            self._level = measured
        else:
            self._correct(measured)
        self._predict()
        return self._level if self._level is not None else 0.0

    def _predict(self) -> None:
        level, across, trend = self._p
        self._level = (self._level or 0.0) + self._trend
        self._p = (
            level + 2.0 * across + trend + self.level_variance,
            across + trend,
            trend + self.trend_variance,
        )

    def _correct(self, measured: float) -> None:
        level, across, trend = self._p
        expected = self._level or 0.0
        total = level + self.noise_variance
        gain, pull = level / total, across / total
        self._level = expected + gain * (measured - expected)
        self._trend += pull * (measured - expected)
        self._p = ((1.0 - gain) * level, (1.0 - gain) * across, trend - pull * across)
