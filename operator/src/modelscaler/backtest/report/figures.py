"""A backtest as JSON: every figure, with what it was made with."""

import importlib.metadata
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from modelscaler.backtest.bootstrap import BOUNDS, RESAMPLES
from modelscaler.backtest.cases import TEST_SHARE, Case
from modelscaler.backtest.report.summary import long_enough, mean_ratios
from modelscaler.backtest.running import Backtest
from modelscaler.backtest.scoring import CellScore, MethodScore
from modelscaler.domain import Floats
from modelscaler.forecast.base import QUANTILES

SCHEMA: Final = "modelscaler.backtest/1"
PACKAGES: Final = ("modelscaler", "numpy", "scikit-learn", "lightgbm", "statsforecast", "torch")


def figures(found: Backtest, horizons_seconds: Sequence[float], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything there is to know about a backtest but the forecasts themselves.

    Args:
        found: The backtest.
        horizons_seconds: What horizons the means are taken at.
        settings: What else was chosen, by name.
    """
    means = mean_ratios(found, horizons_seconds)
    return {
        "schema": SCHEMA,
        "settings": {
            "quantiles": list(QUANTILES),
            "testShare": TEST_SHARE,
            "horizonsSeconds": list(horizons_seconds),
            "methods": list(found.methods),
            "seed": found.seed,
            "bootstrap": {"resamples": RESAMPLES, "bounds": list(BOUNDS), "block": "one day"},
            **settings,
        },
        "versions": {"python": platform.python_version(), **installed(PACKAGES)},
        "traces": [_trace(case) for case in found.cases],
        "scores": [row for cell in found.scores for row in _cell(cell)],
        "leftOut": [
            {**_where(cell), "method": name, "why": why} for cell in found.scores for name, why in cell.left_out.items()
        ],
        "geometricMeans": [
            {
                "horizonSeconds": mean.horizon_seconds,
                "fineTraces": mean.fine,
                "target": mean.target,
                "method": mean.method,
                "traces": list(mean.traces),
                "ratio": by_quantile(mean.ratio),
            }
            for mean in means
        ],
    }


def installed(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    return {name: importlib.metadata.version(name) for name in packages if _is_installed(name)}


def by_quantile(values: Iterable[float] | Floats) -> dict[str, float | None]:
    """Return figures by quantile; None for what is no finite number."""
    return {
        f"{level:g}": finite(value) for level, value in zip(QUANTILES, (float(each) for each in values), strict=True)
    }


def finite(value: float) -> float | None:
    """Return a number that JSON has, with as many digits as it deserves."""
    return float(f"{value:.7g}") if math.isfinite(value) else None


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _trace(case: Case) -> dict[str, Any]:
    trace = case.trace
    return {
        "trace": trace.name,
        "stepSeconds": trace.step_seconds,
        "points": len(trace.rps),
        "missing": int((~np.isfinite(trace.rps)).sum()),
        "days": finite(trace.days),
        "testBegins": trace.stamp(case.split),
        "origins": len(case.origins),
        "everyOrigin": case.every,
        "inMeans": long_enough(case),
        "horizonsSeconds": [case.seconds(ahead) for ahead in case.horizons],
    }


def _where(cell: CellScore) -> dict[str, Any]:
    return {"trace": cell.trace, "horizonSeconds": cell.horizon_seconds, "steps": cell.ahead, "target": cell.target}


def _cell(cell: CellScore) -> list[dict[str, Any]]:
    best = dict(zip((f"{level:g}" for level in QUANTILES), cell.best_naive, strict=True)) if cell.best_naive else {}
    counts = {"origins": cell.origins, "possible": cell.possible}
    return [
        {**_where(cell), "method": name, **counts, **_method(found), "bestNaive": best}
        for name, found in cell.methods.items()
    ]


def _method(found: MethodScore) -> dict[str, Any]:
    days = zip(found.by_day.dates, found.by_day.counts, found.by_day.shares, strict=True)
    return {
        "loss": by_quantile(found.loss),
        "ratio": by_quantile(found.ratio),
        "interval": {
            f"{level:g}": [finite(low), finite(high)]
            for level, (low, high) in zip(QUANTILES, found.interval, strict=True)
        },
        "coverage": by_quantile(found.coverage),
        "coverageFarthestDay": by_quantile(found.by_day.farthest(np.array(QUANTILES))),
        "coverageByDay": [
            {"day": day, "origins": int(count), "coverage": by_quantile(shares)} for day, count, shares in days
        ],
    }
