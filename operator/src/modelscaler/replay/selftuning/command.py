"""`modelscaler replay --tune`: what self-tuning in the operator would recommend for a recorded load, by the same code."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.backtest.champion import Tuner
from modelscaler.backtest.trace import DAY_SECONDS, Trace
from modelscaler.capacity.measured import carried, corrected
from modelscaler.domain import Workload
from modelscaler.forecast.network import Network
from modelscaler.replay.case import usual_pool
from modelscaler.replay.load import Arrivals
from modelscaler.replay.offered import thinned
from modelscaler.replay.selftuning.jobs import Recommendation, TuningRefused, as_json
from modelscaler.replay.selftuning.parts import USUAL_EXTENT, Extent
from modelscaler.replay.selftuning.recommend import recommend
from modelscaler.replay.tuning import grid_for
from modelscaler.status import measured_from
from modelscaler.status.tuning import policy_from
from modelscaler.workload.files import read_statuses

NO_LIMIT: Final = float("inf")


def as_known(workload: Workload, file: Path) -> Workload:
    """Return a workload as the operator plans for it: with the measured speeds and settings that a status in the file has.

    Args:
        workload: As `read_workload` read it from the file.
        file: A manifest, or what `kubectl get -o yaml` printed.
    """
    ((_, status),) = read_statuses(file.read_text(encoding="utf-8"), str(file))
    return with_status(workload, status)


def with_status(workload: Workload, status: ModelDeploymentStatus) -> Workload:
    """Return a workload with the measured speeds and the settings in use that a status has."""
    counted_on = carried(workload, measured_from(status.capacity))
    return replace(corrected(workload, counted_on), policy=policy_from(status.tuning).within(workload.stated))


def tuned(
    trace: Trace,
    workload: Workload,
    arrivals: Arrivals,
    shipped: Network | None,
    tuner: Tuner | None,
    days: float | None,
    until_day: float | None,
    most_settings: int,
) -> Recommendation | TuningRefused:
    """Return what a trace recommends.

    Args:
        trace: The recorded load.
        workload: What is scaled; its `policy` are the settings in use.
        arrivals: How requests are drawn.
        shipped: The network that ships with the package.
        tuner: Who learns from what came before either part; None: nobody.
        days: Of either part. None: as in the operator, as many as there are from one to three and a half.
        until_day: Where the newer part ends; None: at the trace's end.
        most_settings: Of the grid only so many are tried, evenly spread over it.
    """
    steps = len(trace.rps) if until_day is None else round(until_day * DAY_SECONDS / trace.step_seconds)
    extent = USUAL_EXTENT if days is None else Extent(2.0 * days, 2.0 * days)
    cut = replace(trace, rps=trace.rps[:steps])
    grid = thinned(grid_for(workload), most_settings)
    return recommend(workload, cut, arrivals, shipped, tuner, lambda: NO_LIMIT, extent, grid)


def told(trace: Trace, workload: Workload, outcome: Recommendation | TuningRefused) -> str:
    """Return what was recommended, in one sentence."""
    start_seconds = workload.placement(usual_pool(workload).placement).start_seconds
    return f"{trace.name}, {start_seconds:g} s to start: {outcome.reason}: {outcome.message}"


def figures_of(trace: Trace, workload: Workload, outcome: Recommendation | TuningRefused) -> dict[str, Any]:
    """Return what was recommended, as JSON can hold it."""
    start_seconds = workload.placement(usual_pool(workload).placement).start_seconds
    return {"trace": trace.name, "startSeconds": start_seconds, **as_json(outcome)}
