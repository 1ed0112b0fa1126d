"""Find each peer's best settings, so that nobody is compared with what its own documentation would not recommend."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelscaler_benchmarks.server.contenders import SWEEPS, Setting


@dataclass(frozen=True)
class Trial:
    """One combination of settings.

    Attributes:
        settings: What was tried.
        requests_per_second: What it did; 0.0 when it failed.
        failure: Why it failed; empty when it did not.
    """

    settings: Mapping[str, Setting]
    requests_per_second: float
    failure: str = ""


def sweep(server: str, attempt: Callable[[Mapping[str, Setting]], Trial]) -> list[Trial]:
    """Try a peer's settings: first one by one, then each addition on top of the best so far.

    Args:
        server: A key of SWEEPS.
        attempt: Measures one combination.
    """
    trials = [attempt(settings) for settings in SWEEPS[server].first]
    settings = best(trials).settings
    return trials + [attempt({**settings, **addition}) for addition in SWEEPS[server].then]


def best(trials: list[Trial]) -> Trial:
    """Return the trial with the highest throughput; the earlier one of equals."""
    return max(trials, key=lambda trial: trial.requests_per_second)
