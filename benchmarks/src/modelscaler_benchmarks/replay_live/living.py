"""The live run: a local cluster with the operator on it, real servers, an open loop of requests, and somebody who watches."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import numpy as np

from localcluster.cluster import Cluster
from localcluster.paths import default_state_dir
from localcluster.spec import ClusterSpec, NodeSpec, PrometheusSpec
from modelscaler.domain import Floats
from modelscaler.profiling.measuring import Plan, measure
from modelscaler.profiling.report import entry
from modelscaler.profiling.server import Server
from modelscaler_benchmarks.replay_live.manifest import FAST, FULL, MODEL, NAME, NAMESPACE, PLACEMENT, measured_alone
from modelscaler_benchmarks.replay_live.manifest import scaled as scaled_by
from modelscaler_benchmarks.replay_live.sampling import Sample, sample_of, start_seconds_of
from modelscaler_benchmarks.replay_live.shape import PAST_STEP_SECONDS, STEP_SECONDS, Shape
from modelscaler_demo.client import Kube
from modelscaler_demo.history import labels_of, openmetrics, write_blocks
from modelscaler_demo.installation import FAST as DEMO_SETTINGS
from modelscaler_demo.installation import Installation, cluster_spec
from modelscaler_demo.load.process import LoadProcess, load_process
from modelscaler_demo.load.queries import infer_bodies
from modelscaler_demo.load.tally import Second
from modelscaler_demo.preparation import Prepared

SCRAPE_SECONDS: Final = 5.0
OPERATOR: Final = {
    "operator.intervalSeconds": 15,
    "operator.rateWindowSeconds": 30,
    "operator.historyStepSeconds": 60,
    "operator.staleAfterSeconds": 60,
    "operator.statusRefreshSeconds": 5,
}
"""The chart's own defaults, but that status is told more often: as the replay has them."""

READY_SECONDS: Final = 300.0
LAST_ANSWERS_SECONDS: Final = 60.0
EVERY_SECONDS: Final = 1.0
BODIES: Final = 64

Say = Callable[[str], None]


class LiveRunError(Exception):
    """The live run did not come about; the message says what was waited for."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a live run left.

    Attributes:
        manifest: What was scaled, with the speeds that were measured.
        began: When the load began, in seconds since 1970.
        seconds: What the load generator counted.
        totals: Its summary.
        samples: What was seen in the cluster.
        start_seconds: How long each replica took to start.
    """

    manifest: Mapping[str, Any]
    began: float
    seconds: tuple[Second, ...]
    totals: Mapping[str, Any]
    samples: tuple[Sample, ...]
    start_seconds: tuple[float, ...]


@contextmanager
def operated(prepared: Prepared, past: Floats, past_ended: datetime, scratch: Path, say: Say) -> Iterator[Installation]:
    """Run a local cluster with earlier load in its Prometheus, and the operator on it."""
    counter, labels = np.cumsum(past), labels_of(NAMESPACE, NAME)
    lines = openmetrics(counter, PAST_STEP_SECONDS, past_ended, past_ended + timedelta(seconds=1), labels)
    write_blocks(prepared.promtool, lines, scratch / "history")
    say("starting the local cluster")
    with Cluster.start(_cluster(prepared, scratch / "history")) as cluster:
        installation = Installation(cluster, prepared.checkout)
        say("helm install")
        installation.install_operator({**DEMO_SETTINGS, **OPERATOR})
        cluster.kubectl("create", "namespace", NAMESPACE)
        yield installation


def _cluster(prepared: Prepared, history: Path) -> ClusterSpec:
    name = f"replay-live-{os.getpid()}"
    return replace(
        cluster_spec(prepared.checkout, history),
        name=name,
        state_dir=default_state_dir(name),
        nodes=(NodeSpec("node-0"), NodeSpec("node-1")),
        prometheus=PrometheusSpec(scrape_interval_seconds=SCRAPE_SECONDS, data_dir=str(history)),
    )


async def live(
    installation: Installation, prepared: Prepared, shape: Shape, plan: Plan, seed: int, scratch: Path, say: Say
) -> Watched:
    """Measure the variants, apply what is scaled, send the load and watch.

    Args:
        installation: The cluster with the operator.
        prepared: Where programs and the model are.
        shape: The load.
        plan: How long to measure a variant.
        seed: Of arrivals and requests.
        scratch: For files.
        say: Is told what happens.

    Raises:
        LiveRunError: Nothing gets ready.
    """
    async with await Kube.connect(str(installation.cluster.kubeconfig)) as kube:
        say("measuring what a replica carries, by each variant")
        entries = await _measured(installation, kube, prepared.accuracies, plan)
        manifest = scaled_by(prepared.accuracies, entries)
        _apply(installation, manifest)
        await _ready(kube, NAME)
        say(f"the load: {shape.total_seconds:.0f} s")
        curve = scratch / "curve.json"
        curve.write_text(json.dumps({"step_seconds": STEP_SECONDS, "rates_rps": shape.rates_rps().tolist()}))
        with load_process(_load_arguments(installation, curve, seed)) as load:
            samples, starts = await _follow(kube, load)
            totals = await asyncio.to_thread(load.wait, LAST_ANSWERS_SECONDS)
    seconds = tuple(load.seconds)
    return Watched(manifest, seconds[0].at - 1.0, seconds, totals, tuple(samples), tuple(starts))


def _load_arguments(installation: Installation, curve: Path, seed: int) -> list[str]:
    return [
        f"--kubeconfig={installation.cluster.kubeconfig}",
        f"--namespace={NAMESPACE}",
        f"--service={NAME}",
        f"--model={MODEL}",
        f"--curve={curve}",
        f"--seed={seed}",
    ]


async def _measured(
    installation: Installation, kube: Kube, accuracies: Mapping[str, float], plan: Plan
) -> list[dict[str, Any]]:
    """Return a capacity entry of each variant, from a replica of its own with the same limits."""
    alone = {variant: measured_alone(variant, accuracies) for variant in (FULL, FAST)}
    for manifest in alone.values():
        _apply(installation, manifest)
    addresses = [await _ready(kube, manifest["metadata"]["name"]) for manifest in alone.values()]
    pairs = zip(addresses, alone, strict=True)
    found = await asyncio.gather(*(_profiled(address, variant, plan) for address, variant in pairs))
    for manifest in alone.values():
        installation.cluster.kubectl("-n", NAMESPACE, "delete", "mdep", manifest["metadata"]["name"])
    return list(found)


async def _profiled(url: str, variant: str, plan: Plan) -> dict[str, Any]:
    found = await asyncio.to_thread(measure, Server(url, MODEL), infer_bodies(BODIES, 0), plan, lambda *_: None)
    return entry(found, PLACEMENT, variant)


def _apply(installation: Installation, manifest: Mapping[str, Any]) -> None:
    installation.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(manifest))


async def _ready(kube: Kube, name: str) -> str:
    """Wait for the first ready replica and the operator's first word on it, and return the replica's address."""
    status: Mapping[str, Any] = {}
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                urls = await kube.ready_pods(NAMESPACE, name)
                status = ((await kube.model_deployment(NAMESPACE, name)) or {}).get("status") or {}
                if urls and "lastDecision" in status:
                    return urls[0]
                await asyncio.sleep(EVERY_SECONDS / 4)
    except TimeoutError as error:
        waited = f"{name}: no replica is ready, or the operator wrote no decision, after {READY_SECONDS:.0f} s"
        raise LiveRunError(f"{waited}; status: {dict(status)}") from error


async def _follow(kube: Kube, load: LoadProcess) -> tuple[list[Sample], list[float]]:
    """Look at the replicas every second until the load ends."""
    samples, starts = list[Sample](), dict[str, float]()
    while load.running:
        began = time.monotonic()
        try:
            pods = await kube.pods(NAMESPACE, f"modelscaler.dev/deployment={NAME}")
            resource = await kube.model_deployment(NAMESPACE, NAME)
        except (aiohttp.ClientError, TimeoutError, OSError):
            pods, resource = (), None  # a look that failed is one sample less
        if resource is not None:
            samples.append(sample_of(time.time(), pods, resource))
            known = {str(pod["metadata"]["uid"]): start_seconds_of(pod) for pod in pods}
            starts = {**{uid: seconds for uid, seconds in known.items() if seconds is not None}, **starts}
        await asyncio.sleep(max(EVERY_SECONDS - (time.monotonic() - began), 0.0))
    return samples, list(starts.values())
