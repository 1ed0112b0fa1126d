"""`modelscaler-demo load`: send load at a rate or along a curve, and report what came of it."""

import argparse
import asyncio
import json
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np

from modelscaler_demo.errors import DemoError
from modelscaler_demo.load.arrivals import Floats, arrival_seconds, steady
from modelscaler_demo.load.gateway import Gateway, new_session
from modelscaler_demo.load.generator import LoadSettings, generate
from modelscaler_demo.load.process import line_of, line_of_summary
from modelscaler_demo.load.queries import infer_bodies
from modelscaler_demo.load.replicas import Replicas
from modelscaler_demo.load.tally import Second, Totals, percentile

BODIES = 512
STEP_SECONDS = 0.25


def add_load_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the `load` command."""
    command = commands.add_parser("load", help="send search requests and count what comes of them")
    where = command.add_argument_group("where to")
    where.add_argument("--url", help="base URL of a server or an ingress, instead of a cluster")
    where.add_argument("--kubeconfig", help="kubeconfig of the cluster (default: KUBECONFIG or ~/.kube/config)")
    where.add_argument("--context", help="context within the kubeconfig")
    where.add_argument("--namespace", default="shop", help="namespace of the Service (default: %(default)s)")
    where.add_argument("--service", default="search-ranker", help="name of the Service (default: %(default)s)")
    where.add_argument(
        "--through", choices=("pods", "apiserver"), default="pods",
        help="straight to the Service's ready pods, or through the API server's proxy when pods are out of reach",
    )  # fmt: skip
    what = command.add_argument_group("what")
    what.add_argument("--model", default="search-ranker", help="name of the model (default: %(default)s)")
    what.add_argument("--rate", type=float, default=20.0, help="requests per second (default: %(default)s)")
    what.add_argument("--seconds", type=float, default=30.0, help="how long (default: %(default)s)")
    what.add_argument("--curve", type=Path, help='rates instead: a file {"step_seconds": S, "rates_rps": [...]}')
    what.add_argument(
        "--began", type=float, metavar="EPOCH",
        help="when the curve began, in seconds since 1970: what lies before now is left out, so a slow start delays nothing",
    )  # fmt: skip
    what.add_argument("--seed", type=int, default=0, help="seed of arrivals and queries (default: %(default)s)")
    what.add_argument("--deadline", type=float, default=20.0, help="seconds for a request with all its retries")
    command.add_argument("--json", type=Path, help="write totals and seconds to this file")
    command.add_argument("--stream", action="store_true", help="a JSON line per second; ends when stdin closes")
    command.set_defaults(run=lambda arguments: asyncio.run(_run(arguments)))


def curve_of(arguments: argparse.Namespace) -> tuple[Floats, float]:
    """Return the rate curve and its step in seconds.

    Raises:
        DemoError: The curve file cannot be read, or a rate or time is negative.
    """
    if not arguments.curve:
        if arguments.rate < 0 or arguments.seconds <= 0:
            raise DemoError(f"--rate {arguments.rate} and --seconds {arguments.seconds}: expected both above zero")
        return steady(arguments.rate, arguments.seconds, STEP_SECONDS), STEP_SECONDS
    try:
        curve = json.loads(arguments.curve.read_text())
        rates, step = np.asarray(curve["rates_rps"], dtype=np.float64), float(curve["step_seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DemoError(f"--curve {arguments.curve}: {error}; expected step_seconds and rates_rps") from error
    if rates.ndim != 1 or not np.isfinite(rates).all() or (rates < 0).any() or step <= 0:
        raise DemoError(f"--curve {arguments.curve}: expected finite rates, none negative, and a positive step")
    return rates, step


async def _run(arguments: argparse.Namespace) -> int:
    rates, step = curve_of(arguments)
    arrivals = arrival_seconds(rates, step, np.random.default_rng(arguments.seed))
    bodies = infer_bodies(BODIES, arguments.seed)
    stopped = _stop_event(arguments.stream)
    async with _gateway(arguments) as gateway:
        past = max(time.time() - arguments.began, 0.0) if arguments.began else 0.0
        settings = LoadSettings(arrivals[arrivals >= past] - past, len(rates) * step - past, bodies)
        totals = await generate(settings, gateway, stopped, _printer(arguments.stream))
    if arguments.json:
        seconds = [json.loads(line_of(second))["second"] for second in totals.seconds]
        arguments.json.write_text(json.dumps({"summary": totals.summary(), "seconds": seconds}, indent=1))
    print(line_of_summary(totals.summary()) if arguments.stream else _sentence(totals), flush=True)
    return 0


@asynccontextmanager
async def _gateway(arguments: argparse.Namespace) -> AsyncIterator[Gateway]:
    replicas = Replicas()
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(await _session(arguments, replicas, stack))
        yield Gateway(session, replicas, f"/v2/models/{arguments.model}/infer", arguments.deadline)


async def _session(arguments: argparse.Namespace, replicas: Replicas, stack: AsyncExitStack) -> aiohttp.ClientSession:
    """Fill `replicas`, keep them up to date where they can change, and return a session that may talk to them."""
    if arguments.url:
        replicas.replace([arguments.url.rstrip("/")])
        return new_session({}, True)
    from modelscaler_demo.client import Kube, follow  # noqa: PLC0415 - takes over a second, and --url needs none of it

    kube = await stack.enter_async_context(await Kube.connect(arguments.kubeconfig, arguments.context))
    if arguments.through == "apiserver":
        door = await kube.door(arguments.namespace, arguments.service)
        replicas.replace([door.base_url])
        return new_session(door.headers, door.tls)
    following = asyncio.create_task(follow(kube, arguments.namespace, arguments.service, replicas))
    stack.callback(following.cancel)
    return new_session({}, True)


def _stop_event(until_stdin_closes: bool) -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if until_stdin_closes and stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):

        def on_input() -> None:
            if not os.read(sys.stdin.fileno(), 4096):
                loop.remove_reader(sys.stdin)
                stopped.set()

        loop.add_reader(sys.stdin, on_input)
    return stopped


def _printer(stream: bool) -> Callable[[Second], None]:
    def show(second: Second) -> None:
        p99_ms = percentile(second.latencies_ms, 99)
        print(
            f"{second.second:4d} s  {second.offered:4d} offered  {second.ok:4d} ok  {second.lost} lost  "
            f"{second.retried} retried  p99 {p99_ms or 0:6.1f} ms  {second.replicas} replicas",
            flush=True,
        )

    return (lambda second: print(line_of(second), flush=True)) if stream else show


def _sentence(totals: Totals) -> str:
    told = totals.summary()
    p50_ms, p99_ms = (f"{told[name]:.1f}" if told[name] is not None else "-" for name in ("p50_ms", "p99_ms"))
    reasons = f" ({', '.join(f'{why}: {n}' for why, n in told['lost_reasons'].items())})" if told["lost"] else ""
    return (
        f"{told['offered']} requests: {told['ok']} ok, {told['lost']} lost{reasons}; {told['retried']} retried, "
        f"{told['rejections']} rejections, {told['refused']} refused connections, {told['resets']} resets; "
        f"p50 {p50_ms} ms, p99 {p99_ms} ms at the client"
    )
