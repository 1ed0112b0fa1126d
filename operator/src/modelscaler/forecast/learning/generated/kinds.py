"""The kinds of load there are, and how often each is generated."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from modelscaler.forecast.learning.generated import (
    bursts,
    counting,
    level,
    limits,
    noise,
    schedules,
    seasons,
    switches,
    unforeseeable,
)
from modelscaler.forecast.learning.generated.recipe import Recipe, requests_between, rps_between

TENANTS: Final = "tenants"
"""Two loads of other kinds, added."""

REPLACED: Final = "replaced"
"""A load of one kind that another kind takes over from, at one moment."""

PAIRED_SHARES: Final[Mapping[str, float]] = MappingProxyType({TENANTS: 4.0, REPLACED: 2.0})
"""How often each of those is generated, in the unit of `Recipe.share`."""

COUNTED: Final = (
    (counting.poisson, 0.35),
    (counting.clumped, 0.25),
    (counting.lastingly_clumped, 0.12),
    (counting.weighted, 0.08),
    (counting.averaged, 0.2),
)
MOSTLY_SMOOTH: Final = ((counting.unnoticed, 0.5), (counting.poisson, 0.3), (counting.averaged, 0.2))
SMOOTH: Final = ((counting.unnoticed, 1.0),)
NOISE: Final = (
    (noise.faint, 0.4),
    (noise.rough, 0.15),
    (noise.heavy, 0.12),
    (noise.volatile, 0.1),
    (noise.lingering, 0.25),
)
BENT: Final = ((limits.saturated, 0.06), (limits.rounded, 0.08), (limits.outlying, 0.05))
SLOW: Final = (
    (level.trend, 0.3),
    (level.wander, 0.4),
    (level.shifts, 0.12),
    (level.ramps, 0.08),
    (level.campaigns, 0.06),
)

KINDS: Final[Mapping[str, Recipe]] = MappingProxyType(
    {
        "seasonal": Recipe(
            11.0,
            rps_between(0.3, 5000.0),
            (
                (seasons.strong_daily, 1.0),
                (seasons.weekly, 0.85),
                (seasons.odd_days, 0.5),
                (noise.faint, 0.7),
                (noise.lingering, 0.35),
                (level.trend, 0.5),
                (level.wander, 0.4),
            ),
            ((schedules.daily_window, 0.1), (bursts.bursts, 0.08)),
            MOSTLY_SMOOTH,
            BENT,
        ),
        "web": Recipe(
            11.0,
            rps_between(0.03, 30.0),
            (
                (seasons.strong_daily, 0.6),
                (seasons.mild_daily, 0.6),
                (seasons.weekly, 0.8),
                (seasons.odd_days, 0.3),
                (level.restless, 0.3),
                *SLOW,
                (noise.lingering, 0.4),
            ),
            ((bursts.bursts, 0.25), (bursts.flickers, 0.2), (schedules.cron_jobs, 0.1)),
            COUNTED,
            BENT,
        ),
        "bursty": Recipe(
            9.0,
            rps_between(0.02, 500.0),
            (
                (seasons.mild_daily, 0.7),
                (seasons.strong_daily, 0.25),
                (seasons.weekly, 0.6),
                (level.restless, 0.2),
                *SLOW,
                *NOISE,
            ),
            ((bursts.bursts, 0.7), (bursts.cascades, 0.35), (bursts.flickers, 0.3), (bursts.eruptions, 0.1)),
            COUNTED,
            BENT,
        ),
        "eruptive": Recipe(
            5.0,
            rps_between(0.01, 50.0),
            ((seasons.mild_daily, 0.6), (seasons.weekly, 0.4), *SLOW, (noise.lingering, 0.3)),
            ((bursts.eruptions, 0.8), (bursts.cascades, 0.5), (bursts.bursts, 0.4)),
            COUNTED,
        ),
        "sparse": Recipe(
            8.0,
            requests_between(0.004, 1.5),
            (
                (seasons.strong_daily, 0.4),
                (seasons.mild_daily, 0.3),
                (seasons.weekly, 0.4),
                (level.wander, 0.4),
                (level.revert, 0.3),
                (level.shifts, 0.2),
            ),
            ((bursts.bursts, 0.25), (bursts.eruptions, 0.25), (bursts.cascades, 0.25), (schedules.cron_jobs, 0.15)),
            COUNTED[:-1],
        ),
        "scheduled": Recipe(
            12.0,
            rps_between(0.05, 2000.0),
            (
                (seasons.mild_daily, 0.7),
                (seasons.strong_daily, 0.25),
                (seasons.weekly, 0.5),
                *SLOW,
                (noise.faint, 0.5),
                (noise.lingering, 0.25),
                (noise.rough, 0.08),
            ),
            (
                (schedules.cron_jobs, 0.65),
                (schedules.irregular_jobs, 0.55),
                (schedules.daily_window, 0.15),
                (bursts.bursts, 0.15),
            ),
            (*MOSTLY_SMOOTH, (counting.clumped, 0.2)),
            BENT,
        ),
        "shifting": Recipe(
            9.0,
            rps_between(0.5, 5000.0),
            (
                (level.shifts, 0.7),
                (level.revert, 0.8),
                (level.swell, 0.35),
                (level.ramps, 0.35),
                (level.wander, 0.4),
                (level.campaigns, 0.15),
                (seasons.mild_daily, 0.55),
                (seasons.weekly, 0.3),
                *NOISE,
            ),
            ((bursts.bursts, 0.35), (schedules.cron_jobs, 0.05)),
            (*MOSTLY_SMOOTH, (counting.clumped, 0.2)),
            BENT,
        ),
        "usage": Recipe(
            7.0,
            rps_between(0.003, 3.0),
            (
                (seasons.strong_daily, 0.8),
                (seasons.weekly, 0.7),
                (level.revert, 0.6),
                (level.swell, 0.3),
                (level.shifts, 0.2),
                (level.wander, 0.3),
            ),
            ((bursts.bursts, 0.4), (bursts.flickers, 0.4), (bursts.cascades, 0.3)),
            (
                (counting.weighted, 0.4),
                (counting.clumped, 0.25),
                (counting.lastingly_clumped, 0.25),
                (counting.poisson, 0.1),
            ),
        ),
        "office": Recipe(
            4.0,
            rps_between(0.02, 1000.0),
            ((switches.office_hours, 1.0), (seasons.odd_days, 0.5), *SLOW, *NOISE),
            ((bursts.bursts, 0.2), (schedules.cron_jobs, 0.2), (schedules.daily_window, 0.15)),
            COUNTED,
            BENT,
        ),
        "batch": Recipe(
            4.0,
            rps_between(0.05, 2000.0),
            ((switches.square_wave, 0.7), (switches.random_switch, 0.45), (level.shifts, 0.2), *NOISE),
            ((schedules.daily_window, 0.2),),
            (*MOSTLY_SMOOTH, (counting.clumped, 0.2)),
            BENT,
        ),
        "cyclic": Recipe(
            3.0,
            rps_between(0.1, 2000.0),
            ((switches.cycle, 1.0), (seasons.mild_daily, 0.4), (level.wander, 0.4), (level.shifts, 0.15), *NOISE),
            ((bursts.bursts, 0.1),),
            (*MOSTLY_SMOOTH, (counting.clumped, 0.2)),
            BENT,
        ),
        "swelling": Recipe(
            5.0,
            rps_between(0.1, 2000.0),
            (
                (level.swell, 1.0),
                (level.revert, 0.3),
                (seasons.mild_daily, 0.3),
                (level.trend, 0.2),
                (noise.faint, 0.5),
            ),
            ((bursts.flickers, 0.15),),
            (*COUNTED, (counting.unnoticed, 0.3)),
            BENT,
        ),
        "clients": Recipe(
            3.0,
            rps_between(0.5, 3000.0),
            (
                (seasons.strong_daily, 0.5),
                (level.revert, 0.5),
                (level.shifts, 0.3),
                (level.wander, 0.4),
                (noise.faint, 0.3),
            ),
            (),
            SMOOTH,
            ((limits.stepped, 1.0), (limits.outlying, 0.1)),
        ),
        "steady": Recipe(
            6.0,
            rps_between(0.0005, 5000.0),
            (
                (level.wander, 0.4),
                (level.revert, 0.3),
                (level.restless, 0.2),
                (level.trend, 0.3),
                (seasons.mild_daily, 0.2),
                *NOISE,
            ),
            ((bursts.flickers, 0.15),),
            (*COUNTED, (counting.unnoticed, 0.3)),
            BENT,
        ),
        "timers": Recipe(
            3.0,
            rps_between(0.01, 300.0),
            ((switches.quiet, 1.0), (level.shifts, 0.1)),
            ((schedules.cron_jobs, 1.0), (schedules.irregular_jobs, 0.3), (schedules.cron_jobs, 0.5)),
            (*MOSTLY_SMOOTH, (counting.clumped, 0.2)),
            ((limits.outlying, 0.05),),
        ),
        "random walk": Recipe(
            5.0,
            rps_between(0.05, 5000.0),
            ((unforeseeable.random_walk, 1.0),),
            (),
            ((counting.unnoticed, 0.8), (counting.poisson, 0.2)),
        ),
        "noise": Recipe(
            5.0,
            rps_between(0.0005, 5000.0),
            ((unforeseeable.independent, 1.0),),
            (),
            ((counting.unnoticed, 0.5), (counting.poisson, 0.5)),
        ),
        "constant": Recipe(0.7, rps_between(0.0005, 5000.0), ((unforeseeable.constant, 1.0),), (), SMOOTH),
        "idle": Recipe(0.5, rps_between(0.0005, 1.0), ((unforeseeable.nothing, 1.0),), (), SMOOTH),
        "anything": Recipe(
            8.0,
            rps_between(0.0005, 5000.0),
            (
                (seasons.strong_daily, 0.3),
                (seasons.mild_daily, 0.3),
                (seasons.weekly, 0.45),
                (seasons.odd_days, 0.2),
                (level.revert, 0.25),
                (level.swell, 0.2),
                (switches.square_wave, 0.06),
                (switches.random_switch, 0.06),
                (switches.cycle, 0.08),
                (switches.office_hours, 0.08),
                *SLOW,
                *NOISE,
            ),
            (
                (bursts.bursts, 0.25),
                (bursts.flickers, 0.15),
                (bursts.eruptions, 0.07),
                (bursts.cascades, 0.12),
                (schedules.cron_jobs, 0.2),
                (schedules.irregular_jobs, 0.15),
                (schedules.daily_window, 0.1),
            ),
            (*COUNTED, (counting.unnoticed, 0.3)),
            (*BENT, (limits.stepped, 0.03)),
        ),
    }
)
"""Every kind but those made of two, by name."""
