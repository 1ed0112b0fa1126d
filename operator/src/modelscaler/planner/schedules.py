"""The minimum of replicas that schedules ask for at a time. Pure.

A schedule is active from each time that `start` names until the next that `end` names, as in KEDA's cron scaler
(pkg/scalers/cron_scaler.go: active when the next end comes before the next start).
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from modelscaler.domain import Schedule, Workload

FIELDS = 5
"""Minute, hour, day of the month, month, day of the week."""

REMEMBERED = 16_384
"""So many (schedule, minute) pairs are looked up once: a schedule takes a few tenths of a millisecond."""

A_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def is_cron(text: str) -> bool:
    """Tell whether a text is a cron expression of five fields that names a time there is."""
    if len(text.split()) != FIELDS:
        return False
    try:
        return next(CronSim(text, A_DAY), None) is not None
    except CronSimError:
        return False


def least_replicas(workload: Workload, now: datetime, lead_seconds: float) -> int:
    """Return the fewest replicas a workload may have now: its own minimum, or that of a schedule, within its maximum.

    Args:
        workload: Whose schedules count.
        now: The time.
        lead_seconds: A schedule counts so much earlier, so that its replicas are ready when it begins.
    """
    asked = [schedule.min_replicas for schedule in active(workload, now, lead_seconds)]
    return min(max([workload.min_replicas, *asked]), max(workload.max_replicas, workload.min_replicas))


def active(workload: Workload, now: datetime, lead_seconds: float) -> list[Schedule]:
    """Return the schedules that ask for replicas now, or after so many seconds."""
    soon = now + timedelta(seconds=lead_seconds)
    return [schedule for schedule in workload.schedules if is_active(schedule, now) or is_active(schedule, soon)]


def is_active(schedule: Schedule, now: datetime) -> bool:
    """Tell whether a schedule is between a start and the end after it."""
    return _is_active(schedule, now.replace(second=0, microsecond=0))


@lru_cache(maxsize=REMEMBERED)
def _is_active(schedule: Schedule, minute: datetime) -> bool:
    local = minute.astimezone(ZoneInfo(schedule.time_zone))
    ends, starts = next(CronSim(schedule.end, local)), next(CronSim(schedule.start, local))
    return ends.astimezone(UTC) < starts.astimezone(UTC)
