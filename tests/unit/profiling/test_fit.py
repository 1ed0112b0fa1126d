import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscaler.profiling.fit import Fit, Line, Window, batch_within_seen, fit_batches, line_through


def window(clients: int, batch: float, counted: bool, a: float = 0.004, b: float = 0.002, noise: float = 1.0) -> Window:
    """Return a window in which one batch of `batch` requests follows the other without a pause."""
    answered = 1000
    return Window(clients, answered, answered / batch * (a * batch + b) * noise, batch if counted else None)


def test_line_is_found_when_the_server_counts_its_batches() -> None:
    fit = fit_batches([window(n, max(n / 2, 1.0), counted=True) for n in (1, 2, 4, 8, 16, 32)])
    assert fit.counted
    assert fit.line.per_request_seconds == pytest.approx(0.004, rel=1e-6)
    assert fit.line.overhead_seconds == pytest.approx(0.002, rel=1e-6)


def test_one_client_does_not_count_when_the_server_idles_between_its_requests() -> None:
    idle = Window(1, 100, 10.0, 1.0)
    fit = fit_batches([idle, *(window(n, n / 2, counted=True) for n in (2, 4, 8))])
    assert fit.line.overhead_seconds == pytest.approx(0.002, rel=1e-6)


def test_overhead_is_at_most_double_when_batches_are_guessed() -> None:
    # A round of n clients: a batch of one, then one of the other n - 1.
    rounds = [Window(n, n, 0.004 * n + 0.002 * (1 if n == 1 else 2), None) for n in (1, 2, 4, 8, 16, 32)]
    fit = fit_batches(rounds)
    assert not fit.counted
    assert fit.line.per_request_seconds == pytest.approx(0.004, rel=0.1)
    assert 0.002 <= fit.line.overhead_seconds <= 0.004


def test_interval_holds_the_truth_when_windows_are_noisy() -> None:
    generator = np.random.default_rng(3)
    noisy = [
        window(n, n / 2, counted=True, noise=generator.normal(1.0, 0.03)) for n in (2, 4, 8, 16, 32) for _ in range(6)
    ]
    fit = fit_batches(noisy)
    low, high = fit.per_request_interval_seconds
    assert low < 0.004 < high
    assert high - low < 0.001


def test_fit_is_refused_when_all_windows_are_alike() -> None:
    with pytest.raises(ValueError, match="at least two numbers of clients"):
        fit_batches([window(4, 2.0, counted=True)] * 3)


@given(st.lists(st.tuples(st.floats(1.0, 64.0), st.floats(1e-4, 5.0)), min_size=2, max_size=12))
def test_both_numbers_are_possible_whatever_was_measured(points: list[tuple[float, float]]) -> None:
    sizes, times = np.array(points).T
    line = line_through(sizes, times)
    assert line.per_request_seconds > 0.0
    assert line.overhead_seconds >= 0.0


@pytest.mark.parametrize(
    ("seen_rps", "expected"),
    [
        (5779.0, 31),  # an H200's half precision behind one process of HTTP: 64 would promise 6,919
        (6919.0, 64),
        (9000.0, 64),
        (100.0, 1),
    ],
)
def test_no_more_is_promised_than_was_seen(seen_rps: float, expected: int) -> None:
    assert batch_within_seen(Line(0.000118, 0.0017), 64, seen_rps) == expected


@given(
    per_request=st.floats(1e-5, 0.1),
    overhead=st.floats(0.0, 0.1),
    seen=st.floats(1.0, 1e4),
    largest=st.integers(1, 128),
)
def test_a_batch_is_one_that_was_seen_and_grows_with_what_was_answered(
    per_request: float, overhead: float, seen: float, largest: int
) -> None:
    line = Line(per_request, overhead)
    found = batch_within_seen(line, largest, seen)
    assert 1 <= found <= largest
    assert found <= batch_within_seen(line, largest, 1.5 * seen)


def test_rate_is_as_uncertain_as_the_windows_are_noisy() -> None:
    errors = []
    for noise in (0.0, 0.01, 0.05):
        generator = np.random.default_rng(3)
        windows = [
            window(n, n / 2, counted=True, noise=generator.normal(1.0, noise)) for n in (2, 4, 8, 16) for _ in range(3)
        ]
        errors.append(fit_batches(windows).relative_error(16))
    assert errors[0] == pytest.approx(0.0, abs=1e-9)
    assert 0.001 < errors[1] < errors[2] < 0.1


def test_rate_is_surer_than_the_two_numbers_of_the_line_when_they_make_up_for_one_another() -> None:
    lines = tuple(Line(0.004 + shift, 0.002 - 8 * shift) for shift in np.linspace(-2e-4, 2e-4, 41))
    assert Fit(lines[20], (0.0, 0.0), (0.0, 0.0), counted=True, resampled=lines).relative_error(8) < 1e-9
