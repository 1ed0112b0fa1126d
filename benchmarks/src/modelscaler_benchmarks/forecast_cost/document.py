"""What forecasts cost, in words. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelscaler.forecast.base import QUANTILES
from modelscaler_benchmarks.forecast_cost.retuning import Retuned
from modelscaler_benchmarks.report import markdown_table
from modelscaler_benchmarks.verdicts import Verdict, verdict_table

MOST_SECONDS = 1.5
MOST_MEBIBYTES = 500.0
MOST_RETUNING_SECONDS = 300.0


@dataclass(frozen=True)
class Cost:
    """What was measured.

    Attributes:
        series: How many are forecast.
        steps: How far ahead, of a minute each.
        seconds: Of each tick, at least one.
        warming: Seconds of each tick after a restart; none: none was measured.
        warmed: How many series were given their state in those, in all.
        parts: Seconds of each part of a tick on one core, by name.
        mebibytes: Resident memory by moment: loaded, after, peak.
        retuning: None: it was not measured.
    """

    series: int
    steps: int
    seconds: Sequence[float]
    warming: Sequence[float]
    warmed: int
    parts: Mapping[str, float]
    mebibytes: Mapping[str, float]
    retuning: Retuned | None


def verdicts(cost: Cost) -> list[Verdict]:
    """Return every target with its verdict."""
    tick, peak = statistics.median(cost.seconds), cost.mebibytes["peak"]
    fleet = f"{cost.series:,} series × {cost.steps} steps × {len(QUANTILES)} quantiles"
    took = f"{tick:.2f} s ({min(cost.seconds):.2f}–{max(cost.seconds):.2f})"
    return [
        Verdict(f"a tick of {fleet}, median ≤ {MOST_SECONDS:g} s", took, tick <= MOST_SECONDS),
        Verdict(f"memory at most ≤ {MOST_MEBIBYTES:g} MiB", f"{peak:.0f} MiB", peak <= MOST_MEBIBYTES),
        _retuning(cost.retuning),
    ]


def _retuning(found: Retuned | None) -> Verdict:
    target = f"retuning on two weeks of minutes ≤ {MOST_RETUNING_SECONDS / 60:g} min"
    if found is None:
        return Verdict(target, "", None)
    words = f"{found.series} series: {found.seconds:.0f} s{'' if found.whole else ', its fits cut short'}"
    return Verdict(target, words, found.seconds <= MOST_RETUNING_SECONDS)


def report(cost: Cost) -> str:
    """Return the figures as text."""
    took = [[name, f"{value:.2f}"] for name, value in cost.parts.items()]
    memory = cost.mebibytes
    sentences = [
        f"Memory: {memory['loaded']:.0f} MiB with the history, {memory['after']:.0f} MiB at the end, "
        f"{memory['peak']:.0f} MiB at most, everything that the process holds included.",
        *([_after_restart(cost)] if cost.warming else []),
        *([_retuned(cost.retuning)] if cost.retuning else []),
    ]
    return "\n\n".join(
        [verdict_table(verdicts(cost)), " ".join(sentences), markdown_table(["part of a tick, on one core", "s"], took)]
    )


def section(cost: Cost, machine: str) -> str:
    """Return the section of the document: the figures, and the machine that they are of."""
    return f"Medians over {len(cost.seconds)} ticks, in brackets least and most. {machine}\n\n{report(cost)}"


def _after_restart(cost: Cost) -> str:
    median, each = statistics.median(cost.warming), cost.warmed / len(cost.warming)
    return f"A tick after a restart: {median:.2f} s, in which the state of {each:.0f} series is made anew."


def _retuned(found: Retuned) -> str:
    return (
        f"The network learned from {found.rows:,} rows of {found.series} series: {len(found.copy_seconds)} copies of up to "
        f"{max(found.copy_seconds):.0f} s, which are cut short after {found.most_copy_seconds:.0f} s. On the newest tenth, "
        f"before it learned from that, it loses {found.relative_loss:.3f} of what the shipped one loses."
    )
