"""When to train: regularly, sooner after a failure, never in a tight loop."""

from datetime import datetime, timedelta
from typing import Final

from modelscaler.domain import backoff
from modelscaler.forecast.jobs import Grown, Outcome, Trained, TrainingFailed, TrainingRefused

REFUSED_RETRY_SECONDS: Final = 600.0


class TrainingSchedule:
    """Says when the next training is due, by the time that its caller passes in."""

    def __init__(self, retrain_seconds: float) -> None:
        self._retrain_seconds = retrain_seconds
        self._started_at: datetime | None = None
        self._wait = timedelta(0)
        self._failures = 0
        self.failure: str | None = None
        self.trainings = 0

    def due(self, now: datetime) -> bool:
        """Tell whether to train now."""
        return self._started_at is None or now >= self._started_at + self._wait

    def started(self, now: datetime) -> None:
        """Note that a training starts."""
        self._started_at = now
        self.trainings += 1

    def ended(self, outcome: Outcome) -> None:
        """Note how the training ended; a failure is retried after 30 s, doubling to 10 minutes."""
        match outcome:
            case Trained() | Grown():
                self._settle(0, None, timedelta(seconds=self._retrain_seconds))
            case TrainingRefused():
                self._settle(0, None, timedelta(seconds=min(REFUSED_RETRY_SECONDS, self._retrain_seconds)))
            case TrainingFailed(reason=reason):
                self._settle(self._failures + 1, reason, backoff(self._failures + 1))

    def _settle(self, failures: int, failure: str | None, wait: timedelta) -> None:
        self._failures, self.failure, self._wait = failures, failure, wait
