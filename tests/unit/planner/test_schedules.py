from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from builders import CPU_INT8, observation, pool, rules, single_pool
from modelscaler.api.words import Binding
from modelscaler.domain import PolicyState, Schedule, Workload
from modelscaler.planner.plan import plan
from modelscaler.planner.schedules import is_active, is_cron, least_replicas

OFFICE = Schedule("0 8 * * MON-FRI", "0 18 * * MON-FRI", "Europe/Berlin", 4)
BERLIN = ZoneInfo("Europe/Berlin")


def berlin(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    """Return a time of March 2026, in which the 2nd is a Monday, as UTC."""
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "active"),
    [
        (berlin(2, 7, 59), False),
        (berlin(2, 8), True),
        (berlin(2, 17, 59), True),
        (berlin(2, 18), False),
        (berlin(7, 12), False),
        (berlin(30, 7, 59), False),
        (berlin(30, 8), True),
    ],
    ids=[
        "before",
        "from start",
        "until end",
        "from end",
        "on Saturday",
        "summer time: before",
        "summer time: from start",
    ],
)
def test_schedule_is_active_from_start_to_end_on_its_own_clock(now: datetime, active: bool) -> None:
    assert is_active(OFFICE, now) is active


def test_schedule_is_active_over_midnight_when_its_end_is_on_the_next_day() -> None:
    night = Schedule("0 22 * * *", "0 6 * * *", "UTC", 2)
    hours = [hour for hour in range(24) if is_active(night, datetime(2026, 3, 2, hour, tzinfo=UTC))]

    assert hours == [0, 1, 2, 3, 4, 5, 22, 23]


@pytest.mark.parametrize("text", ["0 8 * * MON-FRI", "*/5 * * * *", "0 0 1,15 * *", "0 9 * * 5#2"])
def test_cron_expression_is_known(text: str) -> None:
    assert is_cron(text)


@pytest.mark.parametrize("text", ["", "0 8 * *", "0 0 8 * * *", "61 8 * * *", "0 8 * * FUNDAY", "0 0 31 2 *"])
def test_text_is_no_cron_expression_when_it_names_no_time(text: str) -> None:
    assert not is_cron(text)


def scheduled(*schedules: Schedule, **overrides: object) -> Workload:
    return single_pool(**({"schedules": schedules, "scale_down": rules(0.0)} | overrides))


def test_largest_active_minimum_counts_within_the_maximum() -> None:
    spec = scheduled(OFFICE, Schedule("0 12 * * *", "0 13 * * *", "Europe/Berlin", 30), min_replicas=2)
    least = [least_replicas(spec, berlin(2, hour), 0.0) for hour in (7, 9, 12, 13, 18)]

    assert least == [2, 4, 10, 4, 2]


def test_replicas_are_there_when_the_schedule_begins() -> None:
    def replicas(now: datetime) -> tuple[int, Binding]:
        made, _ = plan(scheduled(OFFICE), observation(10.0, pool(CPU_INT8, 1), now=now), None, state, 15.0)
        return made.target.replicas, made.binding

    state, eight = PolicyState(active=CPU_INT8), berlin(2, 8)
    assert replicas(eight - timedelta(seconds=120)) == (1, Binding.DEMAND)
    assert replicas(eight - timedelta(seconds=30)) == (4, Binding.SCHEDULE), (
        "20 s to start, 15 s until the next decision"
    )
    assert replicas(eight + timedelta(hours=9)) == (4, Binding.SCHEDULE)


@pytest.mark.parametrize(("start_seconds", "ahead_seconds"), [(100.0, 114.0), (5.0, 34.0)])
def test_replicas_are_asked_for_sooner_when_starts_are_slower_than_stated_but_never_later(
    start_seconds: float, ahead_seconds: float
) -> None:
    def binding(ahead_seconds: float) -> Binding:
        now = berlin(2, 8) - timedelta(seconds=ahead_seconds)
        seen = observation(10.0, pool(CPU_INT8, 1, start_seconds=start_seconds), now=now)
        return plan(scheduled(OFFICE), seen, None, PolicyState(active=CPU_INT8), 15.0)[0].binding

    assert binding(ahead_seconds) == Binding.SCHEDULE
    assert binding(ahead_seconds + 61.0) == Binding.DEMAND, "schedules are looked up by the minute"


def test_replicas_fall_when_the_schedule_ends_and_load_wins_over_it() -> None:
    def made(now: datetime, rps: float) -> tuple[int, str]:
        wanted, _ = plan(scheduled(OFFICE), observation(rps, pool(CPU_INT8, 4), now=now), None, state, 15.0)
        return wanted.target.replicas, wanted.message

    state = PolicyState(active=CPU_INT8)
    assert made(berlin(2, 12), 10.0) == (
        4,
        "measured 10 rps; cpu-int8 carries 90.9 rps per replica within 400 ms p99: 4 replicas, the minimum of a schedule",
    )
    assert made(berlin(2, 18), 10.0)[0] == 1
    assert made(berlin(2, 12), 600.0)[0] == 7
