"""Statistics of a run, its targets and its tables."""

import pytest

from modelscaler_benchmarks.http_client import Answer
from modelscaler_benchmarks.server.int8 import Parity
from modelscaler_benchmarks.server.neighbours import NeighbourFigures
from modelscaler_benchmarks.server.results import (
    Behaviour,
    Figures,
    Key,
    Results,
    of,
    ratio,
    rotated,
    spread,
    tail_ratio,
)
from modelscaler_benchmarks.server.tables import section
from modelscaler_benchmarks.server.targets import RATIO_TARGETS, TAIL_KEYS, lines, verdicts
from modelscaler_benchmarks.server.termination import TerminationFigures, is_lost
from modelscaler_benchmarks.verdicts import Verdict

OURS, LITSERVE, RAW = Key("mlp", "modelserver", "json"), Key("mlp", "litserve", "json"), Key("mlp", "raw", "1 thread")


def figures(rate: float, p50: float = 10.0, p99: float = 15.0) -> Figures:
    return Figures(rate, p50, p99, start_seconds=1.0, resident_mib=100.0)


def results(
    *rounds: dict[Key, Figures], failed: int = 0, lost: int = 0, parity: Parity | None = None, behaved: bool = True
) -> Results:
    behaviour = Behaviour(NeighbourFigures(300, failed, {400: 20}), TerminationFigures(100, 0, 16, lost))
    labels = {key: f"{key.server} (best)" for each in rounds for key in each}
    return Results(rounds, {"modelserver": behaviour} if behaved else {}, parity, labels)


def verdict(found: Results, words: str) -> Verdict:
    (only,) = [each for each in verdicts(found) if words in each.target]
    return only


def test_spread_is_middle_and_ends_when_there_are_values() -> None:
    found = spread([3.0, 1.0, 2.0])

    assert found is not None
    assert (found.median, found.least, found.most) == (2.0, 1.0, 3.0)
    assert spread([]) is None


def test_ratio_is_taken_within_a_round_when_rounds_differ() -> None:
    rounds = [
        {OURS: figures(4000), LITSERVE: figures(1000)},
        {OURS: figures(400), LITSERVE: figures(80)},
        {OURS: figures(1)},
    ]

    found = ratio(rounds, OURS, LITSERVE)

    assert found is not None
    assert (found.median, found.least, found.most) == (4.5, 4.0, 5.0)
    assert ratio(rounds, OURS, RAW) is None


def test_key_is_not_measured_when_it_failed_in_every_round() -> None:
    assert of([{OURS: figures(1)}], LITSERVE, "rows_per_second") is None
    assert tail_ratio([{OURS: figures(1)}], LITSERVE) is None


def test_everyone_begins_once_when_rounds_rotate() -> None:
    orders = [rotated(3, number) for number in range(3)]

    assert [order[0] for order in orders] == [0, 1, 2]
    assert all(sorted(order) == [0, 1, 2] for order in orders)


@pytest.mark.parametrize(("ours", "met"), [(4000.0, True), (3999.0, False)])
def test_ratio_target_is_met_when_the_median_reaches_its_bound(ours: float, met: bool) -> None:
    found = verdict(results({OURS: figures(ours), LITSERVE: figures(1000)}), "MLP, JSON ÷ LitServe")

    assert found.met is met


@pytest.mark.parametrize(("p99", "met"), [(20.0, True), (20.1, False)])
def test_tail_target_is_met_when_p99_is_within_twice_p50(p99: float, met: bool) -> None:
    assert verdict(results({OURS: figures(1, 10.0, p99)}), "mlp, json: p99").met is met


def test_target_is_neither_met_nor_missed_when_it_was_not_measured() -> None:
    found = verdicts(results({OURS: figures(1)}, behaved=False))

    unmeasured = [each for each in found if each.met is None]
    assert len(unmeasured) == len(RATIO_TARGETS) + len(TAIL_KEYS) - 1 + 4  # all but our own tail
    assert all(each.word() == "not measured" for each in unmeasured)


@pytest.mark.parametrize(
    ("failed", "lost", "met"), [(0, 0, (True, True)), (1, 0, (False, True)), (0, 1, (True, False))]
)
def test_bad_day_targets_are_missed_when_one_request_is_failed_or_lost(
    failed: int, lost: int, met: tuple[bool, bool]
) -> None:
    found = results({OURS: figures(1)}, failed=failed, lost=lost)

    assert (verdict(found, "bad neighbour").met, verdict(found, "SIGTERM").met) == met


@pytest.mark.parametrize(
    ("parity", "met"), [(Parity(0.9995, 1e-7), True), (Parity(0.9985, 1e-7), False), (Parity(1.0, 1e-3), False)]
)
def test_parity_target_is_missed_when_answers_differ_or_depend_on_the_batch(parity: Parity, met: bool) -> None:
    assert verdict(results({OURS: figures(1)}, parity=parity), "cosine").met is met


@pytest.mark.parametrize(("status", "lost"), [(200, False), (429, False), (503, True), (0, True)])
def test_request_is_lost_when_it_has_no_answer_or_a_server_error(status: int, lost: bool) -> None:
    assert is_lost(Answer(status)) is lost


def test_section_tells_losses_and_failures_when_there_are_some() -> None:
    found = results({OURS: figures(1000), LITSERVE: figures(2000), RAW: Figures(10_000)}, failed=3)

    text = section(found, verdicts(found), "How it was measured.", ["bentoml: not installed\nmore"])

    assert "| litserve (best) | 2,000 | 10.0 | 15.0 | 0.20 (0.20–0.20) | 0.50 (0.50–0.50) |" in text
    assert "**not met**" in text
    assert "| modelserver | 3 of 300 | 400 × 20 | 0 of 100 | 0 of 16 |" in text
    assert "- bentoml: not installed" in text
    assert text.index("torch") < text.index("**modelserver**, json")
    assert "not met" in lines(verdicts(found))
