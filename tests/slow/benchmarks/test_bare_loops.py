"""What a soak is held beside: a loop that does nothing else."""

from modelscaler_benchmarks.soak.control import bare_loop, bare_loops


def test_bare_loop_takes_no_less_than_its_work_when_it_is_due() -> None:
    tail = bare_loop(load=0.5, seconds=0.2)

    assert 0.2 < tail.p50_milliseconds <= tail.p99_milliseconds


def test_bare_loops_run_in_processes_of_their_own() -> None:
    tail = bare_loops(load=0.5, seconds=0.1, count=2)

    assert 0.2 < tail.p50_milliseconds <= tail.p99_milliseconds
