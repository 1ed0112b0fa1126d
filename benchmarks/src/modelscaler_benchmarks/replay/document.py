"""What comparisons found, as a section of a document. Pure."""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from modelscaler.replay.comparison import Comparison, Judged
from modelscaler.replay.offered import ORACLE, OURS
from modelscaler.replay.tuning import VIOLATING_SHARE
from modelscaler_benchmarks.report import markdown_table

CHEAPEST: Final = ("cheapest rival that keeps 0.1 %: tuned before", "with hindsight")

WITH_RUNG: Final = (
    "trace",
    "start, s",
    "ours: cost",
    "violating",
    "degraded",
    "turns a day (HPA)",
    "least violating rival at our cost, hindsight",
    *CHEAPEST,
)

ONE_VARIANT: Final = (
    "trace",
    "start, s",
    "ours: cost",
    "violating",
    "turns a day (HPA)",
    "least violating reactive rival at our cost, hindsight",
    "predictive",
    *CHEAPEST,
)

AS_THEY_ARE: Final = (
    "trace",
    "start, s",
    "ours, with its rung: cost",
    "violating",
    "least violating rival at that cost",
)

PREDICTIVE: Final = frozenset({"predictive-hpa", "dynamo", "infadapter"})

NOTE: Final = (
    "± is half of a 95 % interval of the mean over the seeds (Student's t), which draw arrivals and starts on the same days; "
    "how much other days would differ it does not say. Fronts, and what rivals violate at our cost, are of the first seed's "
    "runs; settings with hindsight are chosen on those too, and then run under every seed."
)

MOST_FLIPS_A_DAY: Final = 4.0
"""Changes of the pool that serves: more is a burden on whoever runs it."""

WORTH_A_LINE: Final = 0.1 * VIOLATING_SHARE
"""Where both violate less than this, who violates less is no matter."""


def section(found: Sequence[Comparison], seconds: float, machine: str) -> str:
    """Return the section: how it was measured, a line for each comparison, who missed the objective, and where we lose."""
    said = [how(found, seconds, machine), *tables(found), NOTE, missed(found), losses(found)]
    return "\n\n".join(["![Fronts](images/bench-replay.png)", *said])


def how(found: Sequence[Comparison], seconds: float, machine: str) -> str:
    """Return how it was measured."""
    first, most = found[0].setting, max(len(tried) for one in found for tried in one.grids["test"].values())
    return (
        f"Comparisons: {len(found)}, on days: {first.test.days:g}, after days on which settings are chosen: "
        f"{first.tuning.days:g}, by the same rule for all, of up to {most} of each policy; seeds: {first.seeds}. "
        "Cost is a multiple of [the fewest replicas of the planned variant](replay.md#the-unit-of-cost) that carry the load at "
        "each tick, without a rung. A rival at our cost is the best point of any rival's settings on the test days themselves, "
        "at the mean cost of ours, among settings whose answers were accurate "
        f"enough. {seconds / 60:.0f} minutes. {machine}"
    )


def tables(found: Sequence[Comparison]) -> list[str]:
    """Return a table for each kind of comparison that there is, each after a sentence that says what it is."""
    laddered = [one for one in found if _has_rung(one)]
    single = {(one.setting.trace.name, one.setting.start_seconds): one for one in found if not _has_rung(one)}
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
        *_cheapest_cells(found),
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
        *_cheapest_cells(found),
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


def missed(found: Sequence[Comparison]) -> str:
    """Return how often the settings that were chosen before miss the objective on the days judged: ours, then each rival's."""
    tuned = [one for each in found for one in each.judged if not one.hindsight and one.policy != ORACLE]
    times = {name: [_misses(one) for one in tuned if one.policy == name] for name in {one.policy for one in tuned}}
    ranked = sorted(times, key=lambda name: (name != OURS, _mean(times[name]), name))
    said = [f"{'ours' if name == OURS else name} {sum(times[name])} of {len(times[name])}" for name in ranked]
    return f"Missed out of sample (more than 0.1 % violating with the settings chosen before): {', '.join(said)}."


def losses(found: Sequence[Comparison]) -> str:
    """Return where a rival did better, or we not well enough, in sentences."""
    lost = [f"- {_where(one)}: {what}" for one in found for what in (*_lost_to_rivals(one), *_fallen_short(one))]
    return "Where we lose:\n\n" + ("\n".join(lost) or "- nowhere in these runs")


def _lost_to_rivals(found: Comparison) -> Iterator[str]:
    ours = _tuned(found, OURS)
    name, share = best_rival(found, ours.cost)
    if share < ours.violating_share and ours.violating_share >= WORTH_A_LINE:
        yield f"{name} violates {share:.3%} at our cost, ours {ours.violating_share:.3%}"
    if cheaper := [one for one in _cheapest(found, max(ours.violating_share, VIOLATING_SHARE)) if one.cost < ours.cost]:
        yield f"{' and '.join(_priced(one) for one in cheaper)} where ours cost {ours.cost:.2f}"
    hpa = _tuned_hpa(found)
    if hpa is not None and _turns(ours) > _turns(hpa):
        yield f"ours turns {_turns(ours):.0f} times a day, HPA {_turns(hpa):.0f} times"


def _fallen_short(found: Comparison) -> Iterator[str]:
    ours = _tuned(found, OURS)
    flips = _mean([o.flips / o.days for o in ours.outcomes])
    if flips > MOST_FLIPS_A_DAY:
        yield f"ours changes the pool that serves {flips:.1f} times a day"
    if _misses(ours):
        yield f"the settings chosen before miss the objective, {ours.violating_share:.3%}"
    floor, accuracy = found.setting.workload.objective.min_mean_accuracy, _mean_accuracy(ours)
    if floor is not None and accuracy < floor:
        yield f"answers are {accuracy:.4f} accurate on average, {floor:.4f} is asked for"


def rivals_of(found: Comparison) -> list[Judged]:
    """Return all that was judged but ours and the clairvoyant."""
    return [one for one in found.judged if one.policy not in (OURS, ORACLE)]


def _has_rung(found: Comparison) -> bool:
    return found.setting.variants == "rung"


def _where(found: Comparison) -> str:
    variants = "" if _has_rung(found) else ", one variant"
    return f"{found.setting.trace.name}, {found.setting.start_seconds:g} s{variants}"


def _head(found: Comparison, ours: Judged) -> list[str]:
    cost, share = f"{ours.cost:.2f}", f"{ours.violating_share:.3%}"
    if len(ours.outcomes) > 1:
        cost += f" ± {_half_interval(ours, 'mean_hourly_cost') / ours.unit:.2f}"
        share += f" ± {_half_interval(ours, 'violating_share'):.3%}"
    if _misses(ours):
        share += " **missed**"
    return [found.setting.trace.name, f"{found.setting.start_seconds:g}", cost, share]


def _half_interval(one: Judged, name: str) -> float:
    least, most = one.interval(name)
    return (most - least) / 2.0


def _misses(one: Judged) -> bool:
    return one.violating_share > VIOLATING_SHARE


def _turns_beside(found: Comparison) -> str:
    ours, hpa = _turns(_tuned(found, OURS)), _tuned_hpa(found)
    return f"{ours:.0f} ({_turns(hpa):.0f})" if hpa else f"{ours:.0f}"


def _rival(found: Comparison, cost: float, names: Collection[str] | None = None) -> str:
    name, share = best_rival(found, cost, names)
    return "none at that cost" if math.isnan(share) else f"{name} {share:.3%}"


def _tuned(found: Comparison, policy: str) -> Judged:
    return next(one for one in found.judged if one.policy == policy and not one.hindsight)


def _tuned_hpa(found: Comparison) -> Judged | None:
    return next((one for one in rivals_of(found) if one.policy == "hpa" and not one.hindsight), None)


def _mean_accuracy(one: Judged) -> float:
    return _mean([o.mean_accuracy for o in one.outcomes])


def _turns(one: Judged) -> float:
    return _mean([o.direction_changes / o.days for o in one.outcomes])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _priced(one: Judged) -> str:
    return f"{one.policy} {'with hindsight' if one.hindsight else 'tuned before'} costs {one.cost:.2f}"


def _cheapest(found: Comparison, most_violating: float) -> list[Judged]:
    """Return the cheapest rival that violates no more, tuned before and with hindsight, as far as there is one."""
    able = [one for one in rivals_of(found) if one.violating_share <= most_violating]
    kinds = ([one for one in able if one.hindsight == hindsight] for hindsight in (False, True))
    return [min(kind, key=lambda one: one.cost) for kind in kinds if kind]


def _cheapest_cells(found: Comparison) -> list[str]:
    said = {one.hindsight: f"{one.policy} {one.cost:.2f}" for one in _cheapest(found, VIOLATING_SHARE)}
    return [said.get(hindsight, "none") for hindsight in (False, True)]
