from math import inf

from hypothesis import given
from hypothesis import strategies as st

from modelserver.engine.answers import CANCELLED, EXPIRED
from modelserver.engine.queue import Dropped, Job, RowQueue
from modelserver.errors import ClientGoneError, DeadlineExceededError
from modelserver_fakes import numbers_request

NOW = 100.0


def job(rows: int = 1, arrived: float = NOW, deadline: float = inf, priority: int = 0, gone: bool = False) -> Job:
    return Job(
        numbers_request(*range(rows)),
        rows,
        arrived,
        deadline,
        deadline,
        priority,
        gone=(lambda: True) if gone else None,
    )


def queue_of(*jobs: Job, capacity_rows: int = 8) -> RowQueue:
    queue = RowQueue(capacity_rows)
    for each in jobs:
        queue.put(each)
    return queue


def take(queue: RowQueue, limit_rows: int = 100, now: float = NOW) -> tuple[list[Job], list[Dropped]]:
    return queue.take(limit_rows, lambda _: True, now, now)


def test_jobs_come_by_priority_then_deadline_then_arrival_when_taken() -> None:
    late, soon, first, second = job(deadline=200), job(deadline=150), job(), job()
    urgent, patient = job(priority=0, deadline=300), job(priority=1, deadline=101)

    taken, _ = take(queue_of(patient, first, late, soon, second, urgent))

    assert taken == [soon, late, urgent, first, second, patient]


def test_as_many_rows_are_taken_as_fit_when_there_are_more() -> None:
    jobs = [job(2), job(2), job(2)]
    queue = queue_of(*jobs)

    taken, _ = take(queue, limit_rows=5)

    assert taken == jobs[:2]
    assert queue.rows == 2


def test_a_large_job_is_taken_alone_when_it_exceeds_the_batch() -> None:
    large, small = job(7), job(1)

    queue = queue_of(large, small)

    assert take(queue, limit_rows=4)[0] == [large]
    assert take(queue, limit_rows=4)[0] == [small]


def test_small_jobs_do_not_overtake_when_a_larger_one_is_next() -> None:
    jobs = [job(3), job(3), job(1)]

    taken, _ = take(queue_of(*jobs), limit_rows=4)

    assert taken == jobs[:1]


def test_expired_jobs_are_dropped_when_others_are_taken() -> None:
    expired, alive = job(deadline=NOW), job(deadline=NOW + 1)
    queue = queue_of(expired, alive)

    taken, dropped = take(queue)

    assert taken == [alive]
    assert dropped == [Dropped(expired, EXPIRED)]
    assert queue.rows == 0


def test_jobs_are_dropped_when_nobody_waits_for_them() -> None:
    gone, alive = job(gone=True), job()

    taken, dropped = take(queue_of(gone, alive))

    assert taken == [alive]
    assert dropped == [Dropped(gone, CANCELLED)]


def test_hopeless_jobs_are_dropped_when_their_batch_would_end_after_their_deadline() -> None:
    hopeless, hopeful = job(deadline=NOW + 0.1), job(deadline=NOW + 0.3)

    taken, dropped = queue_of(hopeless, hopeful).take(10, lambda _: True, NOW, NOW + 0.2)

    assert taken == [hopeful]
    assert [each.job for each in dropped] == [hopeless]


def test_unwanted_jobs_stay_in_order_when_others_are_taken() -> None:
    jobs = [job() for _ in range(5)]
    queue = queue_of(*jobs)

    taken, _ = queue.take(2, lambda each: each in (jobs[1], jobs[3], jobs[4]), NOW, NOW)

    assert taken == [jobs[1], jobs[3]]
    assert take(queue)[0] == [jobs[0], jobs[2], jobs[4]]


def test_any_one_job_fits_when_the_queue_is_empty() -> None:
    queue = queue_of(capacity_rows=4)

    assert queue.fits(100)
    queue.put(job(2))
    assert queue.fits(2)
    assert not queue.fits(3)


def test_the_dead_leave_when_the_queue_is_purged() -> None:
    queue = queue_of(job(2, deadline=NOW - 1), job(1, gone=True), job(3))

    assert [each.reason for each in queue.purge(NOW)] == [EXPIRED, CANCELLED]
    assert queue.rows == 3


def test_places_count_rows_and_slack_when_jobs_wait() -> None:
    places = queue_of(job(2, deadline=NOW + 1), job(2, deadline=NOW + 2)).places(NOW, NOW)

    assert [(place.rows, place.slack_seconds) for place in places] == [(2.0, 1.0), (4.0, 2.0)]


def test_a_place_is_passed_over_when_its_deadline_cannot_be_met() -> None:
    places = queue_of(job(deadline=NOW + 1), job(deadline=NOW + 3), job()).places(NOW, NOW + 2)

    assert [place.rows for place in places] == [2.0, 3.0]


def test_few_places_are_looked_at_when_the_queue_is_long() -> None:
    places = queue_of(*(job(deadline=NOW + 1 + index) for index in range(1000))).places(NOW, NOW)

    assert len(places) < 15
    assert (places[0].rows, places[-1].rows) == (1, 1000)


def test_the_error_says_how_long_it_took_when_a_job_is_dropped() -> None:
    expired = Dropped(job(arrived=NOW - 0.4, deadline=NOW - 0.1), EXPIRED).error(NOW)
    gone = Dropped(job(arrived=NOW - 0.4), CANCELLED).error(NOW)

    assert isinstance(expired, DeadlineExceededError)
    assert str(expired).startswith("timeout of 300 ms: the request waited 400 ms")
    assert isinstance(gone, ClientGoneError)


jobs = st.builds(
    job,
    rows=st.integers(1, 5),
    deadline=st.one_of(st.just(inf), st.floats(NOW - 1, NOW + 1)),
    priority=st.integers(0, 2),
    gone=st.booleans(),
)


@given(st.lists(jobs, max_size=40), st.integers(1, 16))
def test_every_job_leaves_exactly_once_when_batches_are_taken_until_the_queue_is_empty(
    offered: list[Job], limit_rows: int
) -> None:
    queue = queue_of(*offered)
    left: list[Job] = []
    while queue:
        taken, dropped = take(queue, limit_rows)
        assert taken or dropped, "somebody must leave"
        assert sum(each.rows for each in taken) <= limit_rows or len(taken) == 1
        left += [*taken, *(each.job for each in dropped)]

    assert sorted(map(id, left)) == sorted(map(id, offered))
    assert queue.rows == 0
