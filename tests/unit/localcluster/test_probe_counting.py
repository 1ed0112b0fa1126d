"""What follows from a probe's answers."""

import pytest

from localcluster.node.probes import ProbeSettings, ProbeTracker, resolve_port


def _verdicts(tracker: ProbeTracker, answers: str) -> list[bool | None]:
    verdicts = []
    for answer in answers:
        tracker = tracker.after(answer == "+")
        verdicts.append(tracker.verdict)
    return verdicts


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ("+", [True]),
        ("--+", [False, False, True]),
        ("+--", [True, True, True]),
        ("+---", [True, True, True, False]),
        ("+--+--", [True] * 6),
    ],
)
def test_readiness_changes_when_a_streak_reaches_its_threshold(answers: str, expected: list[bool]) -> None:
    assert _verdicts(ProbeTracker(ProbeSettings(), False), answers) == expected


def test_success_is_believed_only_when_it_repeats_enough() -> None:
    tracker = ProbeTracker(ProbeSettings(success_threshold=2), False)
    assert _verdicts(tracker, "+-++") == [False, False, False, True]


def test_startup_is_undecided_until_a_threshold_is_reached() -> None:
    tracker = ProbeTracker(ProbeSettings(failure_threshold=2), None)
    assert _verdicts(tracker, "--") == [None, False]


def test_settings_are_the_apis_defaults_when_nothing_is_set() -> None:
    assert ProbeSettings.of({}) == ProbeSettings(0.0, 10.0, 1.0, 1, 3)


def test_port_is_resolved_by_number_or_name() -> None:
    assert [resolve_port(port, {"http": 8080}) for port in (81, "82", "http")] == [81, 82, 8080]
    with pytest.raises(ValueError, match="'grpc'"):
        resolve_port("grpc", {"http": 8080})
