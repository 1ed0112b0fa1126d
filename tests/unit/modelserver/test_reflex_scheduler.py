from decimal import Decimal
from math import inf

import pytest

from modelserver.compute.executor import LoadedVariant
from modelserver.engine.ladder import Ladder
from modelserver.engine.queue import Job
from modelserver.engine.reflex import Footing
from modelserver.engine.scheduler import Scheduler, SchedulerSettings, Taken
from modelserver.errors import InvalidRequestError, LoadError, NotFoundError, QueueFullError
from modelserver_fakes import loaded_variant, numbers_request

FULL = loaded_variant("full", 0.99, per_row_seconds=0.01, overhead_seconds=0.02, max_batch_rows=8)
INT8 = loaded_variant("int8", 0.97, per_row_seconds=0.002, overhead_seconds=0.005, max_batch_rows=8)
LADDER = Ladder(("full", "int8"))
NOW = 50.0


def scheduler(
    ladder: Ladder = LADDER, variants: tuple[LoadedVariant, ...] = (FULL, INT8), **settings: float
) -> Scheduler:
    made = Scheduler(SchedulerSettings(**{"max_queue_rows": 32, **settings}), ladder)  # type: ignore[arg-type]
    made.learn(variants)
    made.use(ladder, NOW)
    return made


def offer(
    to: Scheduler,
    count: int = 1,
    timeout_seconds: float | None = None,
    variant: str | None = None,
    now: float = NOW,
    priority: int = 0,
) -> list[Job]:
    jobs = []
    for _ in range(count):
        due, deadline = to.due(now, timeout_seconds)
        jobs.append(Job(numbers_request(1), 1, now, due, deadline, priority, variant))
        to.offer(jobs[-1], now)
    return jobs


def take(of: Scheduler, now: float = NOW) -> Taken:
    taken, _ = of.take(now)
    assert taken is not None
    return taken


def finish(of: Scheduler, taken: Taken, factor: float = 1.0) -> float:
    seconds = factor * taken.predicted_seconds
    now = taken.started + seconds
    of.done(taken, seconds, seconds, now)
    return now


def test_whatever_is_queued_is_taken_when_a_worker_is_free() -> None:
    one = scheduler()
    jobs = offer(one, 3)

    assert take(one).jobs == jobs
    assert one.take(NOW) == (None, [])


def test_a_batch_is_not_larger_than_the_cap_when_more_wait() -> None:
    one = scheduler()
    offer(one, 20)

    assert take(one).rows == 8
    assert scheduler(max_batch_rows=3)._rung("full", NOW).max_rows == 3


def test_the_most_accurate_answers_when_nobody_states_a_timeout() -> None:
    one = scheduler()
    offer(one, 30)

    assert take(one).variant == "full"


def test_a_lesser_variant_answers_when_timeouts_are_near() -> None:
    one = scheduler()
    offer(one, 30, timeout_seconds=0.1)

    taken = take(one)

    assert taken.variant == "int8"
    assert taken.degraded
    assert taken.free_rows == 8


def test_the_ladders_objective_counts_when_a_request_has_no_timeout() -> None:
    one = scheduler(Ladder(("full", "int8"), latency_milliseconds=100))
    (job, *_) = offer(one, 30)

    assert (job.due, job.deadline) == (NOW + 0.1, inf)
    assert take(one).variant == "int8"


def test_requests_that_miss_the_objective_are_answered_when_they_have_no_timeout() -> None:
    one = scheduler(Ladder(("full", "int8"), latency_milliseconds=100))
    jobs = offer(one, 3)

    assert take(one, NOW + 10).jobs == jobs


def test_the_variant_insisted_on_answers_when_the_reflex_would_take_another() -> None:
    one = scheduler()
    insisting = offer(one, 1, timeout_seconds=0.1, variant="full")
    others = offer(one, 20, timeout_seconds=0.12)

    taken = take(one)
    assert (taken.variant, taken.jobs, taken.free_rows) == ("full", insisting, 0)
    assert take(one).jobs == others[:8]


def test_insisting_requests_share_a_batch_when_the_reflex_takes_the_same() -> None:
    one = scheduler()
    insisting, other = offer(one, 1, variant="full"), offer(one, 1)

    assert take(one).jobs == [*insisting, *other]


def test_a_request_is_refused_when_it_insists_on_what_is_not_there() -> None:
    one = scheduler(Ladder(("full",)))

    with pytest.raises(NotFoundError, match="variant 'int8': expected one of full"):
        offer(one, 1, variant="int8")


def test_a_request_is_refused_when_the_queue_is_full() -> None:
    one = scheduler()
    offer(one, 32)

    with pytest.raises(
        QueueFullError, match=r"32 rows wait, 0\.4 s of work, and 1 more were sent, expected at most 32 waiting"
    ) as caught:
        offer(one, 1)
    assert caught.value.retry_after_seconds == 1


def test_the_retry_is_told_to_wait_longer_when_the_backlog_is_longer() -> None:
    slow = loaded_variant("full", 0.99, per_row_seconds=0.5, overhead_seconds=0.0, max_batch_rows=8)
    one = scheduler(Ladder(("full",)), (slow,), max_queue_seconds=60.0)
    offer(one, 32)

    with pytest.raises(QueueFullError) as caught:
        offer(one, 1)
    assert caught.value.retry_after_seconds == 16


@pytest.mark.parametrize("per_row_seconds", [0.001, 0.01, 0.1])
def test_as_much_work_waits_when_models_differ_in_speed(per_row_seconds: float) -> None:
    model = loaded_variant("full", 0.99, per_row_seconds=per_row_seconds, overhead_seconds=0.0, max_batch_rows=8)
    one = scheduler(Ladder(("full",)), (model,), max_queue_seconds=2.0, max_queue_rows=10_000)
    offer(one, round(2.0 / per_row_seconds))

    with pytest.raises(QueueFullError, match="2 s of work, and 1 more"):
        offer(one, 1)


def test_less_waits_when_batches_take_longer_than_predicted() -> None:
    one = scheduler(Ladder(("full",)), max_queue_seconds=2.0, max_queue_rows=10_000)
    before = one.queue.capacity_rows
    now = NOW
    for _ in range(50):
        offer(one, 8, now=now)
        seconds, now = 0.2, now + 0.2  # twice what the warm-up said
        one.done(take(one, now - seconds), seconds, seconds, now)

    assert one.queue.capacity_rows == pytest.approx(before / 2, rel=0.1)


def test_more_waits_when_another_worker_is_there() -> None:
    one = scheduler(Ladder(("full",)), max_queue_seconds=2.0, max_queue_rows=10_000)
    offer(one, one.queue.capacity_rows)
    with pytest.raises(QueueFullError):
        offer(one, 1)

    one.workers = 2

    assert len(offer(one, 100)) == 100


def test_more_waits_when_a_faster_variant_is_in_force() -> None:
    one = scheduler(max_queue_seconds=2.0, max_queue_rows=10_000)
    before = one.queue.capacity_rows
    offer(one, 8, timeout_seconds=0.05)
    taken = take(one)
    assert taken.variant == "int8"
    finish(one, taken)

    assert one.queue.capacity_rows > 4 * before


def test_a_batch_waits_when_it_takes_longer_than_the_bound() -> None:
    slow = loaded_variant("full", 0.99, per_row_seconds=1.0, overhead_seconds=0.0, max_batch_rows=8)
    one = scheduler(Ladder(("full",)), (slow,), max_queue_seconds=2.0)

    assert len(offer(one, 8)) == 8


def test_a_request_is_taken_when_those_who_fill_the_queue_have_expired() -> None:
    one = scheduler()
    offer(one, 32, timeout_seconds=0.1)

    (job,) = offer(one, 1, now=NOW + 1)

    assert take(one, NOW + 1).jobs == [job]


def test_a_full_queue_is_not_searched_again_when_it_was_just_now() -> None:
    looks = 0

    def look() -> bool:
        nonlocal looks
        looks += 1
        return False

    one = scheduler()
    (watched,) = offer(one, 1)
    watched.gone = look
    offer(one, 31)

    for _ in range(100):
        with pytest.raises(QueueFullError):
            offer(one, 1)

    assert looks == 1


def test_hopeless_requests_are_shed_when_costs_are_known() -> None:
    one = scheduler(Ladder(("full",)))
    offer(one, 1)
    now = finish(one, take(one))
    hopeless, hopeful = offer(one, 1, 0.01, now=now), offer(one, 1, 1.0, now=now)

    taken, dropped = one.take(now)

    assert taken is not None
    assert taken.jobs == hopeful
    assert [each.job for each in dropped] == hopeless


@pytest.mark.parametrize("priority", [0, 1], ids=["first in the queue", "last in the queue"])
def test_nobody_is_answered_worse_for_a_request_that_nothing_can_answer_in_time(priority: int) -> None:
    one = scheduler(Ladder(("full", "int8"), latency_milliseconds=1000))
    offer(one, 1)
    now = finish(one, take(one))
    (hopeless,) = offer(one, 1, 0.001, now=now, priority=priority)
    others = offer(one, 3, now=now)

    taken, dropped = one.take(now)

    assert taken is not None
    assert (taken.variant, taken.jobs) == ("full", others)
    assert [each.job for each in dropped + one.sweep(now + 0.001)] == [hopeless]


def test_nobody_is_answered_worse_when_whoever_came_last_cannot_be_answered_in_time() -> None:
    one = scheduler(Ladder(("full", "int8"), latency_milliseconds=1000))
    offer(one, 9)
    now = finish(one, take(one))
    offer(one, 9, now=now)
    offer(one, 1, 0.001, now=now)

    assert take(one, now).variant == "full"


def test_nothing_is_shed_for_a_prediction_when_none_has_been_checked_for_a_while() -> None:
    one = scheduler(Ladder(("full",)))
    jobs = offer(one, 1, 0.01)

    assert take(one).jobs == jobs


def test_the_others_time_counts_when_it_is_decided_what_is_left_behind() -> None:
    one = scheduler()
    one.workers = 2
    offer(one, 8, 0.6)
    assert take(one).variant == "full"
    offer(one, 16, 0.2)

    assert one._others_busy_seconds(NOW) == [pytest.approx(0.1)]


def test_worse_answers_are_given_when_better_ones_have_been() -> None:
    one = scheduler(Ladder(("full", "int8"), Decimal("0.98")))
    offer(one, 8, timeout_seconds=0.01)
    assert take(one).variant == "full", "nothing is saved yet"

    two = scheduler(Ladder(("full", "int8"), Decimal("0.98")))
    offer(two, 8)
    now = finish(two, take(two))
    offer(two, 8, timeout_seconds=0.04, now=now)

    assert take(two, now).variant == "int8"
    assert two.budget.held == pytest.approx(0, abs=1e-9)


def test_what_a_lost_batch_cost_is_given_back_when_its_worker_is_gone() -> None:
    one = scheduler(Ladder(("full", "int8"), Decimal("0.98")))
    offer(one, 8)
    now = finish(one, take(one))
    before = one.budget.held
    offer(one, 8, timeout_seconds=0.04, now=now)
    taken = take(one, now)
    assert one.budget.held < before

    one.lost(taken)

    assert one.budget.held == pytest.approx(before)


def test_rows_and_accuracy_are_counted_when_batches_are_done() -> None:
    one = scheduler()
    offer(one, 8)
    now = finish(one, take(one))
    offer(one, 24, timeout_seconds=0.04, now=now)
    now = finish(one, take(one, now))

    assert one.accounts.rows == {"full": 8, "int8": 8}
    assert one.accounts.degraded_rows == 8
    assert one.accounts.mean_accuracy(now) == pytest.approx(0.98)
    assert one.accounts.pressure(now) == pytest.approx(0.5, abs=0.05)
    assert one.accounts.mean_accuracy(now + 7200) is None


def test_insisted_rows_do_not_count_for_the_mean_when_they_are_done() -> None:
    one = scheduler(Ladder(("full", "int8"), Decimal("0.98")))
    offer(one, 8, variant="int8")
    now = finish(one, take(one))

    assert one.budget.held == 0
    assert one.accounts.mean_accuracy(now) is None
    assert one.accounts.rows == {"int8": 8}
    assert one.accounts.degraded_rows == 0


def test_pressure_rises_when_requests_are_refused() -> None:
    one = scheduler()
    offer(one, 32)
    for _ in range(8):
        with pytest.raises(QueueFullError):
            offer(one, 1)

    assert one.accounts.pressure(NOW) == 1.0


def test_a_batch_waits_for_more_when_a_delay_was_asked_for() -> None:
    one = scheduler(max_delay_seconds=0.05)
    offer(one, 3)

    assert one.wait_until(NOW + 0.01) == pytest.approx(NOW + 0.05)
    offer(one, 5)
    assert one.wait_until(NOW + 0.01) == NOW + 0.01, "the batch is full"


def test_a_batch_does_not_wait_past_a_deadline_when_a_delay_was_asked_for() -> None:
    one = scheduler(max_delay_seconds=0.5)
    offer(one, 1, timeout_seconds=0.3)

    assert NOW < one.wait_until(NOW) < NOW + 0.3 - FULL.cost.seconds(8)


def test_nothing_waits_when_no_delay_was_asked_for() -> None:
    one = scheduler()
    offer(one, 1)

    assert one.wait_until(NOW) == NOW


@pytest.mark.parametrize(
    ("ladder", "message"),
    [
        (Ladder(("full", "int8"), Decimal("0.995")), "expected at most 0.99, that of 'full'"),
        (Ladder(("full", "int8"), Decimal("0.98"), accuracies={"full": Decimal("0.5")}), "expected at most 0.5"),
    ],
)
def test_a_ladder_is_refused_when_its_floor_cannot_be_kept(ladder: Ladder, message: str) -> None:
    one = scheduler()

    with pytest.raises(InvalidRequestError, match=message):
        one.use(ladder, NOW)
    assert one.ladder == LADDER


def test_a_floor_is_refused_when_an_accuracy_is_not_known() -> None:
    unknown = loaded_variant("int8", None)
    floor = Ladder(("full", "int8"), Decimal("0.9"))

    with pytest.raises(InvalidRequestError, match="field 'accuracies': 'int8' is missing"):
        scheduler(floor, (FULL, unknown))
    stated = Ladder(("full", "int8"), Decimal("0.9"), accuracies={"int8": Decimal("0.8")})
    assert scheduler(stated, (FULL, unknown)).budget.floor == 0.9


def test_a_ladder_is_refused_when_none_of_it_is_loaded() -> None:
    with pytest.raises(LoadError, match="expected a variant that is loaded: full, int8"):
        scheduler().use(Ladder(("bf16",)), NOW)


def test_what_is_not_loaded_is_passed_over_when_the_rest_is() -> None:
    assert scheduler(Ladder(("full", "bf16", "int8"))).variants() == ["full", "int8"]


@pytest.mark.parametrize("accuracy", ["0.9467", "0.9471", "0.1", "0.3"])
def test_floor_is_kept_when_it_is_the_accuracy_of_the_first_to_the_last_digit(accuracy: str) -> None:
    stated = {"full": Decimal(accuracy), "int8": Decimal("0.05")}
    one = scheduler(Ladder(("full", "int8"), Decimal(accuracy), 100, stated))
    assert one.ladder.min_mean_accuracy == Decimal(accuracy)


def test_budget_may_be_overdrawn_as_far_as_the_ladder_says_and_begins_empty() -> None:
    one = scheduler(Ladder(("full", "int8"), Decimal("0.98"), overdraft=Decimal("0.5")))

    assert one.budget.held == 0.0
    assert one.budget.overdraft == pytest.approx(0.5 * one.budget.most)
    one.use(Ladder(("full", "int8"), Decimal("0.98")), NOW)
    assert one.budget.overdraft == 0.0


def test_reflex_stands_where_it_stood_when_only_the_overdraft_changes() -> None:
    one = scheduler(Ladder(("full", "int8"), Decimal("0.98")))
    one.footing = stood = Footing(1)

    one.use(Ladder(("full", "int8"), Decimal("0.98"), overdraft=Decimal(1)), NOW)
    assert one.footing is stood
    one.use(Ladder(("full", "int8"), Decimal("0.97"), overdraft=Decimal(1)), NOW)
    assert one.footing == Footing()
