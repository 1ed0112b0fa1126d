from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.cgroups import CpuUse
from modelserver.compute.executor import Loaded
from modelserver.engine.answers import BatchDone, Phases
from modelserver.serving.bottleneck import RESOURCES, WindowFacts, diagnose
from modelserver.serving.window import Surroundings, Window
from modelserver_fakes import echo_contract, loaded_variant

QUIET = Surroundings(CpuUse(), 0.0, 0.0, 0.0)


def make_facts(**changes: Any) -> WindowFacts:
    return WindowFacts(**{"seconds": 5.0, "requests": 1000, "request_seconds": 0.01, **changes})


@pytest.mark.parametrize(
    ("changes", "resource", "says"),
    [
        ({"busy_share": 0.2}, None, "workers busy 20 %"),
        ({"busy_share": 0.97, "transfer_share": 0.05, "batch_fill": 0.8}, "compute", "busy 97 % of the time"),
        ({"busy_share": 0.6, "throttled_share": 0.9}, "compute", "used up in 90 %"),
        ({"busy_share": 0.95, "transfer_share": 0.8}, "transfer", "80 % went into moving tensors"),
        ({"busy_share": 0.9, "memory_restarts": 2}, "memory", "2 workers outgrew"),
        ({"busy_share": 0.9, "resident_share": 0.98}, "memory", "98 % of the memory limit"),
        ({"memory_pressure": 0.6}, "memory", "60 % of the time"),
        ({"busy_share": 0.3, "front_cpu_share": 0.98}, "concurrency", "98 % of a core"),
        ({"idle_while_queued_share": 0.7}, "concurrency", "idle 70 % of the time"),
        ({"loop_lag_seconds": 0.09}, "concurrency", "90.0 ms late"),
        ({"body_seconds": 0.008}, "network", "8.0 ms went into reading"),
        ({"busy_share": 0.95, "front_cpu_share": 0.95}, "compute", "busy 95 %"),
    ],
)
def test_what_binds_is_named_with_its_numbers(changes: dict[str, Any], resource: str | None, says: str) -> None:
    verdict = diagnose(make_facts(**changes))
    assert verdict.resource == resource
    assert says in verdict.sentence
    assert verdict.sentence.startswith(resource or "none")


def test_nothing_binds_when_nothing_was_asked() -> None:
    assert diagnose(make_facts(requests=0, loop_lag_seconds=1.0)).resource is None


share = st.floats(0, 1)


@given(share, share, share, share, st.floats(0, 2), st.integers(0, 10), st.floats(0, 10))
def test_shares_are_shares_whatever_the_facts(
    busy: float, transfer: float, resident: float, idle: float, front: float, restarts: int, body: float
) -> None:
    facts = make_facts(
        busy_share=busy,
        transfer_share=transfer,
        resident_share=resident,
        idle_while_queued_share=idle,
        front_cpu_share=front,
        memory_restarts=restarts,
        body_seconds=body,
    )
    verdict = diagnose(facts)
    assert set(verdict.shares) == set(RESOURCES)
    assert all(0.0 <= value <= 1.0 for value in verdict.shares.values())
    assert verdict.resource is None or verdict.shares[verdict.resource] >= 0.5


@given(share, share)
def test_busier_workers_never_make_compute_bind_less(less: float, more: float) -> None:
    low, high = sorted((less, more))
    facts = make_facts(busy_share=low)
    assert diagnose(facts).shares["compute"] <= diagnose(replace(facts, busy_share=high)).shares["compute"]


def test_window_turns_batches_and_ticks_into_facts() -> None:
    window = Window(10.0, QUIET)
    window.on_loaded(0, Loaded(echo_contract(), (loaded_variant(max_batch_rows=4),)))
    for _ in range(2):
        window.on_batch(BatchDone(0, "full", 2, 0, [0.1, 0.3], 1.0, Phases(transfer_seconds=0.25), 0))
    for number in range(10):
        window.tick(0.01 * number, rows_waiting=1, idle_workers=1 if number < 4 else 0)
    window.requests.requests += 4
    window.requests.request_seconds += 2.0
    window.on_lost(0, "memory")
    facts = window.close(15.0, Surroundings(CpuUse(100, 25), 1.0, 0.5, 0.1), workers=2)
    assert facts.busy_share == pytest.approx(2.0 / 10.0)
    assert facts.transfer_share == pytest.approx(0.25)
    assert facts.batch_fill == pytest.approx(0.5)
    assert facts.queue_seconds == pytest.approx(0.2)
    assert facts.idle_while_queued_share == pytest.approx(0.4)
    assert facts.loop_lag_seconds == pytest.approx(0.09)
    assert facts.throttled_share == pytest.approx(0.25)
    assert facts.front_cpu_share == pytest.approx(0.2)
    assert facts.request_seconds == pytest.approx(0.5)
    assert facts.memory_restarts == 1


def test_window_begins_anew_when_it_is_closed() -> None:
    window = Window(0.0, QUIET)
    window.requests.requests += 1
    window.close(5.0, Surroundings(CpuUse(10, 10), 2.0, 0.0, 0.0), workers=1)
    facts = window.close(10.0, Surroundings(CpuUse(20, 10), 2.0, 0.0, 0.0), workers=1)
    assert (facts.requests, facts.throttled_share, facts.front_cpu_share) == (0, 0.0, 0.0)
