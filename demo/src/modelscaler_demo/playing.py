"""Play the day: wait for the first replica, send the load, follow what happens."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelscaler_demo.client import Kube
from modelscaler_demo.errors import DemoError
from modelscaler_demo.installation import Installation
from modelscaler_demo.load.process import load_process
from modelscaler_demo.load.tally import Second
from modelscaler_demo.preparation import Prepared
from modelscaler_demo.scenario import FAILING_NODE, Scenario
from modelscaler_demo.snapshot import Snapshot, told_from
from modelscaler_demo.view.scene import View
from modelscaler_demo.watching import Deed, Watch

FIRST_REPLICA_SECONDS = 120.0
LAST_ANSWERS_SECONDS = 60.0
POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Started:
    """A cluster with the example applied; `began` is monotonic seconds, `midnight` epoch seconds."""

    prepared: Prepared
    scenario: Scenario
    installation: Installation
    began: float
    midnight: float


@dataclass(frozen=True, slots=True)
class Played:
    """What a day came to."""

    snapshots: Sequence[Snapshot]
    seconds: Sequence[Second]
    totals: Mapping[str, Any]


async def play(
    started: Started, scratch: Path, view: AbstractContextManager[View], say: Callable[[str], None]
) -> Played:
    """Play the day and return what came of it.

    Raises:
        DemoError: Nothing gets ready, or the load generator failed.
    """
    example, kubeconfig = started.prepared.example, str(started.installation.cluster.kubeconfig)
    async with await Kube.connect(kubeconfig) as kube:
        await _first_replica(kube, started, say)
        curve = scratch / "curve.json"
        before_midnight = write_curve(started.scenario, curve)
        watch = Watch(kube, example.namespace, example.name, started.midnight, deeds(started))
        arguments = (
            f"--kubeconfig={kubeconfig}",
            f"--namespace={example.namespace}",
            f"--service={example.name}",
            f"--curve={curve}",
            f"--began={started.midnight - before_midnight}",
            f"--seed={started.scenario.seed}",
        )
        with load_process(arguments) as load, view as shown:
            await watch.follow(load, shown.show)
            totals = await asyncio.to_thread(load.wait, LAST_ANSWERS_SECONDS)
    return Played(watch.snapshots, load.seconds, totals)


def write_curve(scenario: Scenario, path: Path) -> float:
    """Write yesterday's and today's load as `modelscaler-demo load --curve` reads it; return the seconds before midnight."""
    yesterday, day = scenario.earlier()[-1], scenario.today()
    rates = np.concatenate([yesterday.rates_rps, day.rates_rps])
    path.write_text(json.dumps({"step_seconds": day.shape.step_seconds, "rates_rps": rates.tolist()}))
    return yesterday.shape.seconds


def deeds(started: Started) -> list[Deed]:
    """Return what the demo does and when."""
    scenario, cluster = started.scenario, started.installation.cluster
    day_seconds = scenario.shape.seconds
    fails, returns = scenario.gpu_fails_at * day_seconds, scenario.gpu_returns_at * day_seconds
    return [
        Deed(fails, f"GPU node {FAILING_NODE} fails", lambda: cluster.fail_node(FAILING_NODE)),
        Deed(returns, f"GPU node {FAILING_NODE} is back", lambda: cluster.recover_node(FAILING_NODE)),
        *(Deed(seconds, text) for seconds, text in scenario.announcements()),
    ]


async def _first_replica(kube: Kube, started: Started, say: Callable[[str], None]) -> None:
    example = started.prepared.example
    forecast_seen = False
    try:
        async with asyncio.timeout(FIRST_REPLICA_SECONDS):
            while not await kube.ready_pods(example.namespace, example.name):
                told = told_from(await kube.model_deployment(example.namespace, example.name))
                if told.band and not forecast_seen:
                    forecast_seen = True
                    say(f"first forecast {time.monotonic() - started.began:.0f} s after the start: {told.message}")
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise DemoError(
            f"no replica is ready after {FIRST_REPLICA_SECONDS:.0f} s:\n{started.installation.whats_wrong(example)}"
        ) from error
    say("the first replica is ready; here comes the load")
