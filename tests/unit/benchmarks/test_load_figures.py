"""What wrk prints, and when open-loop requests leave."""

import numpy as np
import pytest

from modelscaler_benchmarks.http_client import request_bytes
from modelscaler_benchmarks.open_loop import even_arrivals, poisson_arrivals
from modelscaler_benchmarks.wrk import SCRIPT, LoadGeneratorError, parse

FIGURES = '{"requests": 900, "microseconds": 3000000, "p50": 12500, "p99": 40000, "failures": 2}'
OUTPUT = f"Running 2s test\n  Requests/sec: 1\nfigures: {FIGURES}\n"


def test_figures_are_read_in_their_units_when_wrk_prints_them() -> None:
    figures = parse(OUTPUT)

    assert figures.requests_per_second == 300.0
    assert (figures.p50_milliseconds, figures.p99_milliseconds) == (12.5, 40.0)
    assert (figures.requests, figures.failures, figures.seconds) == (900, 2, 3.0)


def test_output_is_refused_when_it_has_no_figures() -> None:
    with pytest.raises(LoadGeneratorError, match="figures:"):
        parse("Running 2s test\n")


def test_script_counts_every_kind_of_error_when_it_closes() -> None:
    script = SCRIPT.read_text(encoding="utf-8")

    assert all(f"errors.{kind}" in script for kind in ("connect", "read", "write", "status", "timeout"))


def test_arrivals_are_a_poisson_process_when_drawn() -> None:
    arrivals = poisson_arrivals(2000.0, 10.0, np.random.default_rng(1))
    gaps = np.diff(arrivals)

    assert len(arrivals) == pytest.approx(20_000, rel=0.03)
    assert arrivals[0] >= 0.0
    assert arrivals[-1] < 10.0
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, rel=0.05)  # exponential gaps


def test_request_says_how_long_its_body_is_when_written() -> None:
    request = request_bytes(80, "/v2", b"abc", {"X-A": "1"})

    assert request.startswith(b"POST /v2 HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 3\r\n" in request
    assert request.endswith(b"X-A: 1\r\n\r\nabc")


def test_gaps_are_equal_when_arrivals_are_even() -> None:
    arrivals = even_arrivals(100.0, 2.0)

    assert len(arrivals) == 200
    assert np.diff(arrivals) == pytest.approx(0.01)
