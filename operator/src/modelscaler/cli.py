"""The command line: run | validate | explain | backtest | replay | profile | forecast | crd."""

import argparse
import asyncio
import json
import logging
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelscaler import __version__

if TYPE_CHECKING:
    from modelscaler.api.v1alpha1 import ModelDeploymentStatus
    from modelscaler.backtest.trace import Trace
    from modelscaler.domain import WorkloadKey

REPLAY_STEP_SECONDS: Final = 60.0
"""Of a history that is replayed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 fine, 1 refused, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    status: int = arguments.handler(arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelscaler", description="Forecast-driven scaling of model servers.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="run the operator"))
    _add_validate(commands.add_parser("validate", help="check ModelDeployment files without a cluster"))
    _add_explain(commands.add_parser("explain", help="say what a ModelDeployment's last decision was, and why"))
    _add_backtest(commands.add_parser("backtest", help="score forecasts on recorded load"))
    _add_replay(commands.add_parser("replay", help="compare policies on recorded load"))
    _add_profile(commands.add_parser("profile", help="measure a server and store its speed"))
    _add_forecast(commands.add_parser("forecast", help="make the network that forecasts"))
    _add_crd(commands.add_parser("crd", help="print the CustomResourceDefinition"))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(handler=_run)
    parser.add_argument(
        "--prometheus-url", required=True, help="base address of Prometheus, e.g. http://prometheus:9090"
    )
    parser.add_argument(
        "--prometheus-token-file",
        type=Path,
        metavar="FILE",
        help="bearer token for Prometheus, read for each query (none)",
    )
    parser.add_argument(
        "--prometheus-ca-file", type=Path, metavar="FILE", help="certificates to trust Prometheus by (the system's)"
    )
    parser.add_argument("--interval", type=_positive, default=15.0, metavar="SECONDS", help="between ticks (15)")
    parser.add_argument("--rate-window", type=_positive, default=60.0, metavar="SECONDS", help="of rate() (60)")
    parser.add_argument(
        "--history-step", type=_positive, default=60.0, metavar="SECONDS", help="of the load history (60)"
    )
    parser.add_argument(
        "--stale-after", type=_positive, default=60.0, metavar="SECONDS", help="a sample older than this is stale (60)"
    )
    parser.add_argument(
        "--status-refresh",
        type=_positive,
        default=30.0,
        metavar="SECONDS",
        help="least time between refreshes of figures in status (30)",
    )
    parser.add_argument(
        "--state-directory", type=Path, default=None, metavar="DIR", help="keep the tuned network there (not kept)"
    )
    parser.add_argument(
        "--tuning-seconds",
        type=_not_negative,
        default=1800.0,
        metavar="SECONDS",
        help="for one self-tuning of one ModelDeployment, about once a day, in a process behind all others; 0: none (1800)",
    )
    parser.add_argument("--server-image", default="modelscaler/modelserver:" + __version__, help="image of the servers")
    parser.add_argument("--bind", default="0.0.0.0", help="address for health (8081) and metrics (8080)")  # noqa: S104 - a pod's own
    parser.add_argument("--namespace", default=None, help="manage only this namespace")
    parser.add_argument(
        "--accelerator-supply",
        choices=("Existing", "OnDemand"),
        default="Existing",
        help="share out the accelerators of the nodes that exist, or reckon that an autoscaler adds nodes (Existing)",
    )
    parser.add_argument(
        "--lease-namespace", default=None, help="namespace of the leader lease (the pod's own, else default)"
    )
    parser.add_argument("--lease-name", default="modelscaler", help="name of the leader lease")
    parser.add_argument("--kubeconfig", default=None, help="kubeconfig, when not in a pod")
    parser.add_argument("--context", default=None, help="context in the kubeconfig")
    parser.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(handler=_validate)
    parser.add_argument("files", nargs="+", type=Path, help="YAML files; documents of other kinds are passed over")


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(handler=_explain)
    parser.add_argument("name", nargs="?", help="name of the ModelDeployment")
    parser.add_argument(
        "--file",
        "-f",
        metavar="FILE",
        help="read what `kubectl get mdep -o yaml` printed instead of asking a cluster; -: stdin",
    )
    parser.add_argument("--namespace", "-n", default="default")
    parser.add_argument("--kubeconfig", default=None)
    parser.add_argument("--context", default=None)


def _add_backtest(parser: argparse.ArgumentParser) -> None:
    from modelscaler.backtest.options import add_arguments  # noqa: PLC0415 - keep `validate` fast

    parser.set_defaults(handler=_backtest)
    add_arguments(parser)
    parser.add_argument("--prometheus-url", help="read ModelDeployments' load from this Prometheus instead of files")
    parser.add_argument("--namespace", "-n", default="default", help="of the ModelDeployments (default)")
    parser.add_argument("--days", type=_positive, default=14.0, help="how far back to read (14)")
    parser.add_argument("--step", type=_positive, default=60.0, metavar="SECONDS", help="of that history (60)")


def _add_replay(parser: argparse.ArgumentParser) -> None:
    from modelscaler.replay.options import add_arguments  # noqa: PLC0415 - keep `validate` fast

    parser.set_defaults(handler=_replay)
    add_arguments(parser)
    parser.add_argument(
        "--prometheus", metavar="URL", help="replay the ModelDeployment's own load, as this Prometheus remembers it"
    )
    parser.add_argument(
        "--lookback",
        type=_positive,
        default=14.0,
        metavar="DAYS",
        help="how far back to read that, at a step of 60 s (14)",
    )


def _add_profile(parser: argparse.ArgumentParser) -> None:
    from modelscaler.profiling.command import add_arguments  # noqa: PLC0415 - keep `validate` fast

    parser.set_defaults(handler=_profile)
    add_arguments(parser)


def _add_forecast(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    pretrain = commands.add_parser("pretrain", help="make the network that ships with the package, from generated load")
    pretrain.set_defaults(handler=_pretrain)
    pretrain.add_argument(
        "--minutes", type=_positive, default=15.0, help="about how much work, in minutes of two cores (15)"
    )
    pretrain.add_argument("--seed", type=int, default=0, help="what everything random follows from (0)")
    pretrain.add_argument("--out", type=Path, default=None, metavar="FILE", help="the weights (into the package)")
    pretrain.add_argument("--traces", type=Path, default=None, metavar="DIR", help="learn from these CSV files as well")
    pretrain.add_argument(
        "--examples", type=Path, default=None, metavar="DIR", help="keep what is generated, to go on from (not kept)"
    )


def _add_crd(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(handler=_crd)


def _run(arguments: argparse.Namespace) -> int:
    from modelscaler.cluster.connection import ConnectionSettingsError  # noqa: PLC0415 - keep `validate` fast
    from modelscaler.controller.run import SettingsError  # noqa: PLC0415

    _log(arguments.log_level, arguments.log_format)
    try:
        asyncio.run(_operate(arguments))
    except (ConnectionSettingsError, SettingsError) as error:
        return _refuse(str(error))
    return 0


async def _operate(arguments: argparse.Namespace) -> None:
    from modelscaler.controller.accelerators import NodeSupply  # noqa: PLC0415
    from modelscaler.controller.run import Operator, RunSettings, identity, own_namespace  # noqa: PLC0415

    await Operator(
        RunSettings(
            prometheus_url=arguments.prometheus_url,
            interval_seconds=arguments.interval,
            rate_window_seconds=arguments.rate_window,
            history_step_seconds=arguments.history_step,
            stale_after_seconds=arguments.stale_after,
            state_directory=arguments.state_directory,
            status_refresh_seconds=arguments.status_refresh,
            server_image=arguments.server_image,
            bind=arguments.bind,
            namespace=arguments.namespace,
            lease_namespace=arguments.lease_namespace or own_namespace(),
            lease_name=arguments.lease_name,
            identity=identity(),
            kubeconfig=arguments.kubeconfig,
            context=arguments.context,
            accelerator_supply=NodeSupply(arguments.accelerator_supply),
            tuning_seconds=arguments.tuning_seconds,
            prometheus_token_file=arguments.prometheus_token_file,
            prometheus_ca_file=arguments.prometheus_ca_file,
        )
    ).run()


def _validate(arguments: argparse.Namespace) -> int:
    complaints = [complaint for path in arguments.files for complaint in _complaints(path)]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if not complaints:
        print(f"{len(arguments.files)} file(s): fine")
    return 1 if complaints else 0


def _complaints(path: Path) -> list[str]:
    from modelscaler.workload import check_file  # noqa: PLC0415

    try:
        return check_file(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        return [f"{path}: cannot be read: {error}"]


def _explain(arguments: argparse.Namespace) -> int:
    from modelscaler.cluster.connection import ConnectionSettingsError  # noqa: PLC0415
    from modelscaler.cluster.errors import ApiCallError  # noqa: PLC0415
    from modelscaler.explain import explain  # noqa: PLC0415
    from modelscaler.workload.files import FileError  # noqa: PLC0415

    try:
        statuses = _statuses_in_file(arguments) if arguments.file else _status_in_cluster(arguments)
    except (ApiCallError, ConnectionSettingsError, FileError, OSError) as error:
        return _refuse(str(error))
    except UnicodeDecodeError as error:
        return _refuse(f"{arguments.file}: cannot be read: {error}")
    print("\n\n".join(explain(name, status) for name, status in statuses))
    return 0


def _statuses_in_file(arguments: argparse.Namespace) -> "list[tuple[str, ModelDeploymentStatus]]":
    from modelscaler.workload.files import read_statuses  # noqa: PLC0415

    if arguments.file == "-":
        return read_statuses(sys.stdin.read(), "stdin", arguments.name)
    return read_statuses(Path(arguments.file).read_text(encoding="utf-8"), arguments.file, arguments.name)


def _status_in_cluster(arguments: argparse.Namespace) -> "list[tuple[str, ModelDeploymentStatus]]":
    from modelscaler.cluster.calls import ClusterCalls  # noqa: PLC0415
    from modelscaler.cluster.connection import connect  # noqa: PLC0415
    from modelscaler.workload import parse_status  # noqa: PLC0415
    from modelscaler.workload.files import FileError  # noqa: PLC0415

    if arguments.name is None:
        raise FileError("explain: got no name, expected that of a ModelDeployment, or --file FILE")
    calls = ClusterCalls(connect(arguments.kubeconfig, arguments.context))
    body = calls.model_deployment(arguments.namespace, arguments.name)
    return [(f"{arguments.namespace}/{arguments.name}", parse_status(body.get("status")))]


def _replay(arguments: argparse.Namespace) -> int:
    from modelscaler.replay.command import command  # noqa: PLC0415

    return command(arguments, partial(_own_trace, arguments) if arguments.prometheus else None)


def _own_trace(arguments: argparse.Namespace, key: "WorkloadKey") -> "Trace":
    return _recorded(arguments.prometheus, [key], arguments.lookback, REPLAY_STEP_SECONDS)[0]


def _profile(arguments: argparse.Namespace) -> int:
    from modelscaler.profiling.command import profile  # noqa: PLC0415

    return profile(arguments)


def _backtest(arguments: argparse.Namespace) -> int:
    from modelscaler.backtest.command import backtest  # noqa: PLC0415

    return backtest(arguments, partial(_live_traces, arguments) if arguments.prometheus_url else None)


def _pretrain(arguments: argparse.Namespace) -> int:
    try:
        from modelscaler.forecast.learning.command import pretrain  # noqa: PLC0415
    except ModuleNotFoundError as error:
        return _refuse(f"{error}: training needs torch; install modelscaler[learning]")
    from modelscaler.backtest.progress import progress_bar  # noqa: PLC0415
    from modelscaler.backtest.reading import TraceError, read_traces  # noqa: PLC0415

    _log("info", "text")
    try:
        traces = read_traces([arguments.traces]) if arguments.traces else []
        recorded = [(trace.rps, trace.step_seconds, trace.start) for trace in traces]
        pretrain(arguments.minutes, arguments.seed, arguments.out, arguments.examples, recorded, progress_bar())
    except (TraceError, OSError) as error:
        return _refuse(str(error))
    return 0


def _live_traces(arguments: argparse.Namespace) -> "list[Trace]":
    from modelscaler.domain import WorkloadKey  # noqa: PLC0415

    keys = [WorkloadKey(arguments.namespace, name) for name in arguments.sources]
    return _recorded(arguments.prometheus_url, keys, arguments.days, max(arguments.step, 1.0))


def _recorded(url: str, keys: "Sequence[WorkloadKey]", days: float, step_seconds: float) -> "list[Trace]":
    from modelscaler.backtest.live import live_traces  # noqa: PLC0415
    from modelscaler.backtest.reading import TraceError  # noqa: PLC0415
    from modelscaler.metrics.prometheus import PrometheusSettings, PrometheusSource  # noqa: PLC0415

    try:
        settings = PrometheusSettings(url, rate_window_seconds=step_seconds, stale_after_seconds=60.0)
    except ValueError as error:
        raise TraceError(str(error)) from None
    end = datetime.fromtimestamp(time.time() // step_seconds * step_seconds, UTC)
    read = PrometheusSource(settings).history(end - timedelta(days=days), end, step_seconds, keys)
    return live_traces(keys, read.windows, read.error)


def _crd(_: argparse.Namespace) -> int:
    from modelscaler.api.crd import crd_yaml  # noqa: PLC0415

    print(crd_yaml(), end="")
    return 0


def _refuse(message: str) -> int:
    print(f"modelscaler: {message}", file=sys.stderr)
    return 1


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of seconds above 0")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of seconds, 0 or more")
    return value


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": self.formatTime(record), "level": record.levelname, "logger": record.name}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps({**fields, "message": record.getMessage()})


def _log(level: str, style: str) -> None:
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if style == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
