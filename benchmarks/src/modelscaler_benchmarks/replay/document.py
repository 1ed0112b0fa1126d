"""What comparisons found, as a section of a document. Pure."""

import math
from collections.abc import Sequence
from typing import Final

from modelscaler.replay.comparison import Comparison, Judged
from modelscaler.replay.offered import ORACLE, OURS
from modelscaler.replay.tuning import VIOLATING_SHARE
from modelscaler_benchmarks.report import markdown_table

HEADER: Final = (
    "trace",
    "start, s",
    "ours: cost",
    "violating",
    "degraded",
    "turns a day (HPA)",
    "least violating rival at our cost, hindsight",
    "cheapest rival that keeps 0.1 %: tuned before",
    "with hindsight",
)


def section(found: Sequence[Comparison], seconds: float, machine: str) -> str:
    """Return the section: how it was measured, one line for each comparison, and where we lose."""
    first = found[0].setting
    rung = (
        "replicas hold a rung 2.5 times as fast, at most 2 % of answers by it"
        if first.workload.reflex
        else "one variant"
    )
    how = (
        f"Comparisons: {len(found)}, on days: {first.test.days:g}, after days on which settings are chosen: "
        f"{first.tuning.days:g}, by the same rule for all; seeds: {first.seeds}; {rung}. Cost is a multiple of the fewest "
        "replicas that carry the load at each tick. The rival at our cost is the best point of any rival's settings on the "
        "test days themselves, at the mean cost of ours, among settings whose answers were accurate enough. "
        f"{seconds / 60:.0f} minutes. {machine}"
    )
    table = markdown_table(HEADER, [line(one) for one in found])
    return f"![Fronts](images/bench-replay.png)\n\n{how}\n\n{table}\n\n{losses(found)}"


def line(found: Comparison) -> list[str]:
    """Return the line of one comparison."""
    ours, rivals = _tuned(found, OURS), rivals_of(found)
    hpa = next((one for one in rivals if one.policy == "hpa" and not one.hindsight), None)
    name, share = best_rival(found)
    before = [one for one in rivals if not one.hindsight and one.violating_share <= VIOLATING_SHARE]
    after = [one for one in rivals if one.hindsight and one.violating_share <= VIOLATING_SHARE]
    return [
        found.setting.trace.name,
        f"{found.setting.start_seconds:g}",
        f"{ours.cost:.2f}",
        f"{ours.violating_share:.3%}{'' if ours.violating_share <= VIOLATING_SHARE else ' **missed**'}",
        f"{_mean([o.degraded_share for o in ours.outcomes]):.1%}",
        f"{_turns(ours):.0f} ({_turns(hpa):.0f})" if hpa else f"{_turns(ours):.0f}",
        "none is accurate at that cost" if math.isnan(share) else f"{name} {share:.3%}",
        _cheapest(before),
        _cheapest(after),
    ]


def best_rival(found: Comparison) -> tuple[str, float]:
    """Return which rival violates least at the cost of our tuned settings, and how much; NaN where none costs so little."""
    cost = _tuned(found, OURS).cost
    shares = {name: found.violating_at(name, cost) for name in dict.fromkeys(one.policy for one in rivals_of(found))}
    able = {name: share for name, share in shares.items() if not math.isnan(share)}
    return min(able.items(), key=lambda pair: pair[1]) if able else ("", float("nan"))


def losses(found: Sequence[Comparison]) -> str:
    """Return where a rival did better, in sentences."""
    lost = []
    for one in found:
        ours, (name, share) = _tuned(one, OURS), best_rival(one)
        where = f"{one.setting.trace.name}, {one.setting.start_seconds:g} s"
        if share < ours.violating_share:
            lost.append(f"{where}: {name} violates {share:.3%} at our cost, ours {ours.violating_share:.3%}")
        enough = max(ours.violating_share, VIOLATING_SHARE)
        able = [rival for rival in rivals_of(one) if rival.hindsight and rival.violating_share <= enough]
        cheaper = [rival for rival in able if rival.cost < ours.cost]
        if cheaper:
            best = min(cheaper, key=lambda rival: rival.cost)
            lost.append(f"{where}: {best.policy} with hindsight costs {best.cost:.2f} where ours cost {ours.cost:.2f}")
        hpa = next((rival for rival in rivals_of(one) if rival.policy == "hpa" and not rival.hindsight), None)
        if hpa is not None and _turns(ours) > _turns(hpa):
            lost.append(f"{where}: ours turns {_turns(ours):.0f} times a day, HPA {_turns(hpa):.0f} times")
        if ours.violating_share > VIOLATING_SHARE:
            lost.append(f"{where}: the settings chosen before miss the objective, {ours.violating_share:.3%}")
    return "Where we lose:\n\n" + ("\n".join(f"- {each}" for each in lost) if lost else "- nowhere in these runs")


def rivals_of(found: Comparison) -> list[Judged]:
    """Return all that was judged but ours and the clairvoyant."""
    return [one for one in found.judged if one.policy not in (OURS, ORACLE)]


def _tuned(found: Comparison, policy: str) -> Judged:
    return next(one for one in found.judged if one.policy == policy and not one.hindsight)


def _turns(one: Judged) -> float:
    return _mean([o.direction_changes / o.days for o in one.outcomes])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _cheapest(able: Sequence[Judged]) -> str:
    best = min(able, key=lambda one: one.cost, default=None)
    return "none" if best is None else f"{best.policy} {best.cost:.2f}"
