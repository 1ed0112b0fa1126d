"""When to train: regularly, sooner after a failure or when horizons outgrow the model, never in a tight loop."""

from datetime import datetime, timedelta

from modelscaler.domain import backoff
from modelscaler.forecast.fitting import TrainingRefused
from modelscaler.forecast.learned import LearnedModel
from modelscaler.forecast.training import Outcome, TrainingFailed

REFUSED_RETRY_SECONDS = 60.0
OUTGROWN_RETRY_SECONDS = 15.0


class TrainingSchedule:
    """Says when the next training is due, by the time that its caller passes in."""

    def __init__(self, retrain_seconds: float) -> None:
        self._retrain_seconds = retrain_seconds
        self._started_at: datetime | None = None
        self._wait = timedelta(0)
        self._failures = 0
        self.failure: str | None = None
        self.trainings = 0

    def due(self, now: datetime, outgrown: bool) -> bool:
        """Tell whether to train now; `outgrown` when the model does not reach as far as is asked."""
        if self._started_at is None:
            return True
        wait = (
            min(self._wait, timedelta(seconds=OUTGROWN_RETRY_SECONDS)) if outgrown and not self.failure else self._wait
        )
        return now >= self._started_at + wait

    def started(self, now: datetime) -> None:
        """Note that a training starts."""
        self._started_at = now
        self.trainings += 1

    def ended(self, outcome: Outcome) -> None:
        """Note how the training ended; a failure is retried after 30 s, doubling to 10 minutes."""
        match outcome:
            case LearnedModel():
                self._settle(0, None, timedelta(seconds=self._retrain_seconds))
            case TrainingRefused():
                self._settle(0, None, timedelta(seconds=min(REFUSED_RETRY_SECONDS, self._retrain_seconds)))
            case TrainingFailed(reason=reason):
                self._settle(self._failures + 1, reason, backoff(self._failures + 1))

    def _settle(self, failures: int, failure: str | None, wait: timedelta) -> None:
        self._failures, self.failure, self._wait = failures, failure, wait
