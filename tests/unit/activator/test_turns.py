import asyncio
from dataclasses import dataclass

import pytest

from modelscaler.activator.turns import FRESH_SECONDS, Turn, Turns
from modelscaler.activator.words import RefusalReason, RefusedError


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


async def taking(turns: Turns, *tickets: int) -> list[asyncio.Task[Turn]]:
    tasks = [asyncio.create_task(turns.take(ticket)) for ticket in tickets]
    await settled()
    return tasks


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def end(*tasks: asyncio.Task[Turn]) -> None:
    for task in tasks:
        (await task).end()


async def test_oldest_goes_first_when_a_replica_comes() -> None:
    turns = Turns(Clock(), most_at_once=1)
    second, first = await taking(turns, 2, 1)
    assert not first.done()
    turns.seen(True)
    await settled()
    assert (first.done(), second.done()) == (True, False)
    await end(first)
    await end(second)


async def test_request_goes_at_once_when_a_replica_is_known() -> None:
    clock = Clock()
    turns = Turns(clock)
    turns.seen(True)
    clock.now += FRESH_SECONDS * 0.99
    (task,) = await taking(turns, 1)
    assert task.done()
    assert not turns.someone_waits.is_set()
    await end(task)


@pytest.mark.parametrize("contradicted", [True, False])
async def test_request_waits_when_what_was_seen_is_old_or_contradicted(contradicted: bool) -> None:
    clock = Clock()
    turns = Turns(clock)
    turns.seen(True)
    if contradicted:
        turns.seen(False)
    else:
        clock.now += FRESH_SECONDS
    (task,) = await taking(turns, 1)
    assert not task.done()
    assert turns.someone_waits.is_set()
    turns.seen(True)
    await end(task)


async def test_no_more_go_at_once_than_may() -> None:
    turns = Turns(Clock(), most_at_once=2)
    turns.seen(True)
    tasks = await taking(turns, 1, 2, 3)
    assert [task.done() for task in tasks] == [True, True, False]
    await end(tasks[1])
    await settled()
    assert tasks[2].done()
    await end(tasks[0], tasks[2])


async def test_turn_counts_once_when_it_is_ended_twice() -> None:
    turns = Turns(Clock(), most_at_once=1)
    turns.seen(True)
    (task,) = await taking(turns, 1)
    await end(task)
    await end(task)
    tasks = await taking(turns, 2, 3)
    assert [task.done() for task in tasks] == [True, False]
    await end(*tasks)


async def test_nothing_is_kept_of_who_goes_away_while_waiting() -> None:
    turns = Turns(Clock())
    gone, stays = await taking(turns, 1, 2)
    gone.cancel()
    await settled()
    assert len(turns) == 1
    assert turns.someone_waits.is_set()
    stays.cancel()
    await settled()
    assert len(turns) == 0
    assert not turns.someone_waits.is_set()


async def test_turn_passes_on_when_who_has_it_goes_away_in_that_moment() -> None:
    turns = Turns(Clock(), most_at_once=1)
    gone, next_one = await taking(turns, 1, 2)
    turns.seen(True)
    gone.cancel()
    await settled()
    assert gone.cancelled()
    await end(next_one)


async def test_all_are_refused_when_the_activator_stops() -> None:
    turns = Turns(Clock())
    (waiting,) = await taking(turns, 1)
    turns.close()
    for taken in (waiting, asyncio.create_task(turns.take(2))):
        with pytest.raises(RefusedError) as refused:
            await taken
        assert refused.value.reason is RefusalReason.STOPPING
    assert len(turns) == 0


async def test_request_goes_all_the_same_while_the_activator_stops_when_a_replica_is_known() -> None:
    turns = Turns(Clock(), most_at_once=1)
    turns.seen(True)
    turns.close()
    turn = await turns.take(1)
    with pytest.raises(RefusedError):
        await turns.take(2)
    turn.end()


async def test_turn_ends_by_itself_when_the_answer_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelscaler.activator.turns.LONGEST_TURN_SECONDS", 0.001)
    turns = Turns(Clock(), most_at_once=1)
    turns.seen(True)
    slow, next_one = await taking(turns, 1, 2)
    assert slow.done()
    await end(next_one)
