"""What comparisons found, as a section of a document. Pure."""

import math
from collections.abc import Collection, Sequence
from typing import Final

from modelscaler.replay.comparison import Comparison, Judged
from modelscaler.replay.offered import ORACLE, OURS
from modelscaler.replay.tuning import VIOLATING_SHARE
from modelscaler_benchmarks.report import markdown_table

WITH_RUNG: Final = (
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

ONE_VARIANT: Final = (
    "trace",
    "start, s",
    "ours: cost",
    "violating",
    "turns a day (HPA)",
    "least violating reactive rival at our cost, hindsight",
    "predictive",
    "cheapest rival that keeps 0.1 %, hindsight",
)

AS_THEY_ARE: Final = (
    "trace",
    "start, s",
    "ours, with its rung: cost",
    "violating",
    "least violating rival at that cost",
)

PREDICTIVE: Final = frozenset({"predictive-hpa", "dynamo", "infadapter"})


def section(found: Sequence[Comparison], seconds: float, machine: str) -> str:
    """Return the section: how it was measured, one line for each comparison, and where we lose."""
    first, most = found[0].setting, max(len(tried) for one in found for tried in one.grids["test"].values())
    how = (
        f"Comparisons: {len(found)}, on days: {first.test.days:g}, after days on which settings are chosen: "
        f"{first.tuning.days:g}, by the same rule for all, of up to {most} of each policy; seeds: {first.seeds}. "
        "Cost is a multiple of the fewest replicas that carry the load at each tick. A rival at our cost is the best point "
        "of any rival's settings on the test days themselves, at the mean cost of ours, among settings whose answers were "
        f"accurate enough. {seconds / 60:.0f} minutes. {machine}"
    )
    return "\n\n".join(["![Fronts](images/bench-replay.png)", how, *tables(found), losses(found)])


def tables(found: Sequence[Comparison]) -> list[str]:
    """Return a table for each kind of comparison that there is, each after a sentence that says what it is."""
    laddered = [one for one in found if one.setting.workload.reflex]
    single = {
        (one.setting.trace.name, one.setting.start_seconds): one for one in found if not one.setting.workload.reflex
    }
    beside = [(one, single.get((one.setting.trace.name, one.setting.start_seconds))) for one in laddered]
    parts = (
        (
            "Everybody's replicas hold a rung 2.5 times as fast, at most 2 % of answers by it:",
            WITH_RUNG,
            map(line, laddered),
        ),
        ("Ours with that rung beside rivals as they are, without:", AS_THEY_ARE, (bare(a, b) for a, b in beside if b)),
        ("One variant for all:", ONE_VARIANT, map(single_line, single.values())),
    )
    written = [(what, header, list(rows)) for what, header, rows in parts]
    return [f"{what}\n\n{markdown_table(header, rows)}" for what, header, rows in written if rows]


def line(found: Comparison) -> list[str]:
    """Return the line of a comparison in which everybody has the rung."""
    ours = _tuned(found, OURS)
    return [
        *_head(found, ours),
        f"{_mean([o.degraded_share for o in ours.outcomes]):.1%}",
        _turns_beside(found),
        _rival(found, ours.cost),
        _cheapest([one for one in rivals_of(found) if not one.hindsight and one.violating_share <= VIOLATING_SHARE]),
        _cheapest([one for one in rivals_of(found) if one.hindsight and one.violating_share <= VIOLATING_SHARE]),
    ]


def single_line(found: Comparison) -> list[str]:
    """Return the line of a comparison with one variant."""
    ours = _tuned(found, OURS)
    names = {one.policy for one in rivals_of(found)}
    return [
        *_head(found, ours),
        _turns_beside(found),
        _rival(found, ours.cost, names - PREDICTIVE),
        _rival(found, ours.cost, names & PREDICTIVE),
        _cheapest([one for one in rivals_of(found) if one.hindsight and one.violating_share <= VIOLATING_SHARE]),
    ]


def bare(laddered: Comparison, single: Comparison) -> list[str]:
    """Return the line of ours with the rung beside rivals without one, on the same load."""
    ours = _tuned(laddered, OURS)
    return [*_head(laddered, ours), _rival(single, ours.cost)]


def best_rival(found: Comparison, cost: float, names: Collection[str] | None = None) -> tuple[str, float]:
    """Return which rival violates least at a cost, and how much; NaN where none costs so little.

    Args:
        found: The comparison.
        cost: As a multiple of the clairvoyant minimum.
        names: Of the rivals that count; None: all of them.
    """
    counting = [one.policy for one in rivals_of(found) if names is None or one.policy in names]
    shares = {name: found.violating_at(name, cost) for name in dict.fromkeys(counting)}
    able = {name: share for name, share in shares.items() if not math.isnan(share)}
    return min(able.items(), key=lambda pair: pair[1]) if able else ("", float("nan"))


def losses(found: Sequence[Comparison]) -> str:
    """Return where a rival did better, in sentences."""
    lost = []
    for one in found:
        ours = _tuned(one, OURS)
        name, share = best_rival(one, ours.cost)
        variants = "" if one.setting.workload.reflex else ", one variant"
        where = f"{one.setting.trace.name}, {one.setting.start_seconds:g} s{variants}"
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
        floor, accuracy = one.setting.workload.objective.min_mean_accuracy, _mean_accuracy(ours)
        if floor is not None and accuracy < floor:
            lost.append(f"{where}: answers are {accuracy:.4f} accurate on average, {floor:.4f} is asked for")
    return "Where we lose:\n\n" + ("\n".join(f"- {each}" for each in lost) if lost else "- nowhere in these runs")


def rivals_of(found: Comparison) -> list[Judged]:
    """Return all that was judged but ours and the clairvoyant."""
    return [one for one in found.judged if one.policy not in (OURS, ORACLE)]


def _head(found: Comparison, ours: Judged) -> list[str]:
    missed = "" if ours.violating_share <= VIOLATING_SHARE else " **missed**"
    setting = found.setting
    return [
        setting.trace.name,
        f"{setting.start_seconds:g}",
        f"{ours.cost:.2f}",
        f"{ours.violating_share:.3%}{missed}",
    ]


def _turns_beside(found: Comparison) -> str:
    ours = _turns(_tuned(found, OURS))
    hpa = next((one for one in rivals_of(found) if one.policy == "hpa" and not one.hindsight), None)
    return f"{ours:.0f} ({_turns(hpa):.0f})" if hpa else f"{ours:.0f}"


def _rival(found: Comparison, cost: float, names: Collection[str] | None = None) -> str:
    name, share = best_rival(found, cost, names)
    return "none at that cost" if math.isnan(share) else f"{name} {share:.3%}"


def _tuned(found: Comparison, policy: str) -> Judged:
    return next(one for one in found.judged if one.policy == policy and not one.hindsight)


def _mean_accuracy(one: Judged) -> float:
    return _mean([o.mean_accuracy for o in one.outcomes])


def _turns(one: Judged) -> float:
    return _mean([o.direction_changes / o.days for o in one.outcomes])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _cheapest(able: Sequence[Judged]) -> str:
    best = min(able, key=lambda one: one.cost, default=None)
    return "none" if best is None else f"{best.policy} {best.cost:.2f}"
