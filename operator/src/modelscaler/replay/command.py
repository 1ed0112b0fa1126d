"""`modelscaler replay`: compare policies on recorded load."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from modelscaler.backtest.champion import Tuner, learner_from
from modelscaler.backtest.progress import progress_bar
from modelscaler.backtest.reading import TraceError, read_traces
from modelscaler.backtest.report.pictures import PlottingUnavailableError, png
from modelscaler.backtest.trace import DAY_SECONDS, Trace
from modelscaler.capacity.latency import sustainable_rps
from modelscaler.domain import PlacementOption, PoolKey, Workload, WorkloadKey
from modelscaler.forecast.network import Network
from modelscaler.forecast.networks import shipped_network
from modelscaler.replay.case import Cluster, NoPoolError, capacity_of, usual_pool
from modelscaler.replay.comparison import Comparison, Setting, choices
from modelscaler.replay.incidents import shown
from modelscaler.replay.load import Arrivals, Part
from modelscaler.replay.nodes import NodePool
from modelscaler.replay.offered import Foresights, UnknownPolicyError, chosen_names, foresights_of, grids_for
from modelscaler.replay.options import DEFAULT_DAYS, DEFAULT_MOST_SETTINGS, DEFAULT_STARTS, MOST_SETTINGS
from modelscaler.replay.report.figures import figures
from modelscaler.replay.report.rows import told, write_timelines
from modelscaler.replay.report.table import text
from modelscaler.replay.running import compare, timeline_of
from modelscaler.replay.selftuning import command as selftuning
from modelscaler.replay.standard import POOL, USUAL_REPLICAS, standard_workload
from modelscaler.replay.timeline import Timeline
from modelscaler.replay.tuning import goal_of
from modelscaler.workload import InvalidSpec
from modelscaler.workload.files import FileError, read_workload

LEAST_DAYS_BEFORE: Final = 1.0
"""Of a trace before the older part: forecasts need some history."""


class ReplayError(ValueError):
    """What was asked for cannot be replayed: the message names what, its value, and what was expected."""


REFUSALS: Final = (
    TraceError,
    UnknownPolicyError,
    ReplayError,
    NoPoolError,
    FileError,
    InvalidSpec,
    PlottingUnavailableError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where what was found is written; None: nowhere."""

    json: Path | None = None
    timeline: Path | None = None
    plot: Path | None = None
    html: Path | None = None


def command(arguments: argparse.Namespace, recorded: Callable[[WorkloadKey], Trace] | None = None) -> int:
    """Run the command; return its exit status: 0 fine, 1 refused.

    Args:
        arguments: What was given.
        recorded: Reads the load of a ModelDeployment from where it is remembered; None: the load is in the files given.
    """
    try:
        if arguments.tune:
            tune(arguments, recorded)
            return 0
        names = chosen_names(arguments.policies)
        found = [
            compared(setting, names, foresights(setting, names, arguments), arguments)
            for trace in traces_of(arguments, recorded)
            for setting in settings_for(trace, arguments)
        ]
        write(found, Outputs(arguments.json, arguments.timeline, arguments.plot, arguments.html), given(arguments))
    except REFUSALS as error:
        print(f"modelscaler: {error}", file=sys.stderr)
        return 1
    return 0


def tune(arguments: argparse.Namespace, recorded: Callable[[WorkloadKey], Trace] | None) -> None:
    """Print what the days recommend, and write it as JSON where that is wanted.

    Raises:
        ReplayError: Something else is to be written, or nodes are to start, which self-tuning does not know of.
    """
    if arguments.node_start:
        raise ReplayError(f"--node-start with --tune: got {arguments.node_start[0]}, expected none, as in the operator")
    for name in ("timeline", "plot", "html"):
        if getattr(arguments, name):
            raise ReplayError(f"--{name} with --tune: got {getattr(arguments, name)}, expected --json alone")
    found, shipped = [], shipped_network()
    tuner = _tuner(arguments, shipped)
    for trace in traces_of(arguments, recorded):
        for stated, pool in workloads(
            arguments.modeldeployment, arguments.profile, arguments.cold_start, arguments.one_variant
        ):
            workload = selftuning.as_known(stated, arguments.modeldeployment) if arguments.modeldeployment else stated
            arrivals, most = arrivals_for(stated, pool, arguments), arguments.most_settings or MOST_SETTINGS
            days = arguments.days, arguments.until_day
            outcome = selftuning.tuned(trace, workload, arrivals, shipped, tuner, *days, most)
            print(selftuning.told(trace, workload, outcome), flush=True)
            found.append(selftuning.figures_of(trace, workload, outcome))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        document = {"settings": given(arguments), "tunings": found}
        arguments.json.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def traces_of(arguments: argparse.Namespace, recorded: Callable[[WorkloadKey], Trace] | None) -> list[Trace]:
    """Return the loads to replay: those of the files given, or that of the ModelDeployment where it is remembered.

    Raises:
        ReplayError: There is neither, or both.
    """
    if recorded is None:
        if not arguments.sources:
            raise ReplayError("got no trace, expected one at least, or --prometheus URL and --modeldeployment FILE")
        return read_traces([Path(each) for each in arguments.sources])
    if arguments.modeldeployment is None or arguments.sources:
        raise ReplayError(
            f"--prometheus: got {len(arguments.sources)} traces and {arguments.modeldeployment or 'no --modeldeployment'}, "
            "expected no trace, and --modeldeployment FILE, whose load is read"
        )
    return [recorded(read_workload(arguments.modeldeployment, arguments.profile).key)]


def settings_for(trace: Trace, arguments: argparse.Namespace) -> list[Setting]:
    """Return what is compared on a trace: one setting per cold start.

    Raises:
        ReplayError: The trace is too short for what was asked.
    """
    last = trace.days if arguments.until_day is None else min(arguments.until_day, trace.days)
    days = min(arguments.days or DEFAULT_DAYS, (last - LEAST_DAYS_BEFORE) / 2.0)
    if days <= 0.0:
        raise ReplayError(
            f"{trace.name}: spans {trace.days:g} days, and {last:g} of them may be used; expected more than "
            f"{LEAST_DAYS_BEFORE:g}, which are there to forecast from, and then days to choose settings on and to judge them on"
        )
    tuning, test = Part(last - 2.0 * days, last - days), Part(last - days, last)
    return [
        _setting(trace, workload, pool, tuning, test, arguments)
        for workload, pool in workloads(
            arguments.modeldeployment, arguments.profile, arguments.cold_start, arguments.one_variant
        )
    ]


def workloads(
    file: Path | None, profile: Path | None, starts: Sequence[float], one_variant: bool
) -> list[tuple[Workload, PoolKey]]:
    """Return what is scaled, once for each cold start, and the pool that those scale that choose replicas only."""
    if file is None:
        return [(standard_workload(seconds, not one_variant), POOL) for seconds in starts or DEFAULT_STARTS]
    workload = read_workload(file, profile)
    pool = usual_pool(workload)
    if not starts:
        return [(workload, pool)]
    return [(replace(workload, placements=_started(workload, seconds)), pool) for seconds in starts]


def _started(workload: Workload, seconds: float) -> tuple[PlacementOption, ...]:
    return tuple(replace(placement, start_seconds=seconds) for placement in workload.placements)


def _setting(
    trace: Trace, workload: Workload, pool: PoolKey, tuning: Part, test: Part, arguments: argparse.Namespace
) -> Setting:
    arrivals = arrivals_for(workload, pool, arguments)
    cluster = Cluster(nodes=_node_pools(arguments.node_start, workload))
    found = Setting(
        trace,
        workload,
        pool,
        tuning,
        test,
        arrivals,
        arguments.seeds,
        cluster,
        tuple(arguments.stock_out),
        tuple(arguments.flash_crowd),
        tuple(arguments.metrics_outage),
    )
    _check(found)
    return found


def arrivals_for(workload: Workload, pool: PoolKey, arguments: argparse.Namespace) -> Arrivals:
    """Return how requests are drawn: scaled to the standard workload where none is named."""
    usual_rps = USUAL_REPLICAS * sustainable_rps(capacity_of(workload, pool), workload.objective)
    mean_rps = arguments.mean_rps or (usual_rps if arguments.modeldeployment is None else None)
    return Arrivals(arguments.seed, mean_rps, arguments.burstiness)


def _check(setting: Setting) -> None:
    """Refuse what would happen to nothing.

    Raises:
        ReplayError: There is no such placement, or it begins after the newer part is over.
    """
    for out in setting.stock_outs:
        _check_placement("stock-out", out.placement, setting.workload)
    seconds = setting.test.days * DAY_SECONDS
    outs, outages = (each.from_seconds for each in setting.stock_outs), (each.from_seconds for each in setting.outages)
    for begins in (*outs, *outages, *(crowd.at_seconds for crowd in setting.crowds)):
        if begins >= seconds:
            raise ReplayError(f"got {shown(begins)}, expected a time within the newer part's {shown(seconds)}")


def _node_pools(pools: Sequence[NodePool], workload: Workload) -> tuple[NodePool, ...]:
    """Return nodes as they were given.

    Raises:
        ReplayError: There is no such placement, or one was given twice.
    """
    for place, pool in enumerate(pools):
        _check_placement("node-start", pool.placement, workload)
        if pool.placement in [before.placement for before in pools[:place]]:
            raise ReplayError(f"node-start: got placement {pool.placement!r} again, expected each once at most")
    return tuple(pools)


def _check_placement(option: str, placement: str, workload: Workload) -> None:
    names = [each.name for each in workload.placements]
    if placement not in names:
        raise ReplayError(f"{option}: got placement {placement!r}, expected one of {', '.join(names)}")


def foresights(setting: Setting, names: Sequence[str], arguments: argparse.Namespace) -> Foresights:
    """Return what ours forecasts in a comparison, and in any other of the same load and start."""
    shipped = shipped_network()
    return foresights_of(setting, names, shipped, _tuner(arguments, shipped))


def compared(setting: Setting, names: Sequence[str], foreseen: Foresights, arguments: argparse.Namespace) -> Comparison:
    """Run one comparison, show how far it has come, and print what it found."""
    progress = progress_bar()
    try:
        grids = grids_for(setting, names, foreseen, arguments.most_settings or DEFAULT_MOST_SETTINGS)
        found = compare(setting, grids, progress, arguments.processes)
    finally:
        progress.close()
    print(text(found), flush=True)
    return found


def _tuner(arguments: argparse.Namespace, shipped: Network | None) -> Tuner | None:
    return None if arguments.no_retuning else learner_from(shipped)


def write(found: Sequence[Comparison], outputs: Outputs, settings: dict[str, Any]) -> None:
    """Write what was found to where it is wanted."""
    if outputs.json:
        outputs.json.parent.mkdir(parents=True, exist_ok=True)
        outputs.json.write_text(
            json.dumps(figures(found, settings), indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )
    if outputs.timeline:
        write_timelines(outputs.timeline, timelines(found))
    if outputs.plot or outputs.html:
        from modelscaler.replay.report import page, pictures  # noqa: PLC0415 - matplotlib

        if outputs.plot:
            outputs.plot.parent.mkdir(parents=True, exist_ok=True)
            outputs.plot.write_bytes(png(pictures.fronts(found)))
        if outputs.html:
            outputs.html.parent.mkdir(parents=True, exist_ok=True)
            outputs.html.write_text(page.page(found), encoding="utf-8")


def timelines(found: Sequence[Comparison]) -> Iterator[tuple[tuple[object, ...], Timeline]]:
    """Run the chosen settings of every policy once more, under every seed, and return all that happened.

    Where hindsight chooses what was chosen before, that stands there once, as chosen before.
    """
    for one in found:
        setting, seen = one.setting, set[tuple[str, int]]()
        for choice in choices(one.tried, goal_of(setting.workload.objective)):
            if (choice.policy, choice.place) in seen:
                continue
            seen.add((choice.policy, choice.place))
            chosen = told(dict(one.grids["test"][choice.policy][choice.place].settings))
            load = (setting.trace.name, f"{setting.start_seconds:g}", setting.variants)
            for job in choice.jobs(setting.seeds):
                begins = (*load, choice.policy, chosen, int(choice.hindsight), setting.arrivals.seed + job.number)
                yield begins, timeline_of(setting, one.grids, job)


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for, as JSON can hold it; what the parser put in for itself is left out."""
    return {name: _plain(value) for name, value in vars(arguments).items() if name != "handler" and not callable(value)}


def _plain(value: object) -> object:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)
