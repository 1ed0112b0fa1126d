"""What the end-to-end scenarios do on the cluster: apply, load, wait, look."""

import json
import math
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from localcluster.cluster import Cluster
from modelscaler_demo.load.process import LoadProcess, load_process

REPOSITORY = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
MODELS = Path.home() / ".cache" / "modelscaler" / "models"
NAMESPACE = "shop"
OPERATOR = "modelscaler-system"
POLL_SECONDS = 0.25


RISE, PEAK = 0.4, 0.55


@dataclass(frozen=True)
class Ramp:
    """A load that repeats every season: quiet, a rise from phase RISE to a peak at phase PEAK, quiet again at 0.8."""

    name: str = "ramp"
    season_seconds: float = 80.0
    step_seconds: float = 2.0
    seasons: int = 14
    quiet_rps: float = 4.0
    peak_rps: float = 56.0

    def rate_rps(self, phase: float) -> float:
        """Return the rate at a phase of the season, from 0 to 1."""
        if not RISE <= phase < 0.8:
            return self.quiet_rps
        return self.quiet_rps + (self.peak_rps - self.quiet_rps) * min((phase - RISE) / (PEAK - RISE), 1.0)

    def rates_rps(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Return the rates of one season, a value per step."""
        steps = int(self.season_seconds / self.step_seconds)
        return np.array([self.rate_rps(step / steps) for step in range(steps)])

    def phase(self, now: datetime) -> float:
        """Return how far the running season is, from 0 to 1."""
        return (now - self.season_start(now)).total_seconds() / self.season_seconds

    def season_start(self, now: datetime) -> datetime:
        """Return when the running season began: seasons are counted from the epoch."""
        return datetime.fromtimestamp(math.floor(now.timestamp() / self.season_seconds) * self.season_seconds, UTC)


RAMP = Ramp()


def model_deployment(name: str, **changes: Any) -> dict[str, Any]:
    """Build a ModelDeployment of the search ranker; `changes` replace whole sections of the spec."""
    spec: dict[str, Any] = {
        "model": {"uri": "builtin://search-ranker"},
        "variants": [{"name": "int8", "accuracy": "0.9"}],
        "placements": [cpu()],
        "slo": {"latency": {"percentile": 95, "targetMilliseconds": 500}, "minAccuracy": "0.5"},
        "capacity": [capacity("cpu", "int8")],
        "scaling": scaling(),
        "serving": {"terminationGracePeriodSeconds": 20, "startDeadlineSeconds": 40},
    }
    return {
        "apiVersion": "modelscaler.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec | changes,
    }


def cpu(**changes: Any) -> dict[str, Any]:
    """Build a placement without an accelerator."""
    limits = {"cpu": "400m", "memory": "1Gi"}
    return {
        "name": "cpu",
        "hourlyCost": "1",
        "startSeconds": 8,
        "resources": {"requests": limits, "limits": limits},
    } | changes


def gpu(**changes: Any) -> dict[str, Any]:
    """Build a placement with an accelerator, cheaper than the other so that it is preferred."""
    accelerator = {"resourceName": "nvidia.com/gpu", "count": 1}
    return cpu(name="gpu", hourlyCost="0.5", accelerator=accelerator) | changes


def capacity(placement: str, variant: str, per_request_ms: str = "30") -> dict[str, Any]:
    """Build a capacity entry."""
    return {"placement": placement, "variant": variant, "perRequestMilliseconds": per_request_ms, "maxBatch": 4}


def scaling(**changes: Any) -> dict[str, Any]:
    """Build the scaling section: quick to come down, so that scenarios are short; speeds as stated, since pods share cores."""
    quick = {"scaleDown": {"stabilizationWindowSeconds": 6}}
    fixed = {"minReplicas": 1, "maxReplicas": 4, "behavior": quick, "capacityRefinement": "Off"}
    return fixed | {"forecast": {"lookbackSeconds": 1200}} | changes


@dataclass
class Stage:
    """The cluster with the operator on it."""

    cluster: Cluster
    applied: list[str] = field(default_factory=list)

    def apply(self, manifest: dict[str, Any]) -> str:
        """Apply a manifest and return its name."""
        name: str = manifest["metadata"]["name"]
        self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
        self.applied.append(name)
        return name

    def delete(self, name: str) -> None:
        """Delete a ModelDeployment and wait until nothing of it is left."""
        self.cluster.kubectl("-n", NAMESPACE, "delete", "mdep", name, "--ignore-not-found")
        self.until(lambda: not self.children(name), f"nothing of {name} is left", 90)

    def delete_all(self) -> None:
        """Delete what scenarios left behind."""
        for name in set(self.applied):
            self.cluster.kubectl("-n", NAMESPACE, "delete", "mdep", name, "--ignore-not-found", check=False)

    def children(self, name: str) -> list[str]:
        """Return every child object of a ModelDeployment."""
        selector = f"modelscaler.dev/deployment={name}"
        listed = self.cluster.kubectl("-n", NAMESPACE, "get", "deploy,rs,pods,svc", "-l", selector, "-o", "name")
        return listed.split()

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> dict[str, Any]:
        """Return an object; an empty one when there is none."""
        text = self.cluster.kubectl("-n", namespace, "get", kind, name, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] = json.loads(text) if text.strip() else {}
        return found

    def status(self, name: str) -> dict[str, Any]:
        """Return the status of a ModelDeployment."""
        found: dict[str, Any] = self.get("mdep", name).get("status", {})
        return found

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """Return a condition of a ModelDeployment; an empty one when there is none."""
        return next((c for c in self.status(name).get("conditions", ()) if c["type"] == kind), {})

    def serving(self, name: str) -> str:
        """Return the pool that the Service selects; "" when there is none."""
        selector = self.get("svc", name).get("spec", {}).get("selector", {})
        return str(selector.get("modelscaler.dev/pool", ""))

    def ready(self, name: str) -> int:
        """Return the ready replicas of the serving pool as its Deployment has them."""
        deployment = self.get("deploy", f"{name}-{self.serving(name)}")
        return int(deployment.get("status", {}).get("readyReplicas", 0))

    def asked(self, name: str) -> int:
        """Return the replicas asked for in the serving pool."""
        return int(self.get("deploy", f"{name}-{self.serving(name)}").get("spec", {}).get("replicas", 0))

    def until(self, holds: Callable[[], object], what: str, seconds: float) -> float:
        """Wait until something holds and return how long that took, in seconds."""
        started = time.monotonic()
        if not self.holds_within(holds, seconds):
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        return time.monotonic() - started

    def holds_within(self, holds: Callable[[], object], seconds: float) -> bool:
        """Wait until something holds, for so long at most, and say whether it does."""
        started = time.monotonic()
        while not (found := bool(holds())) and time.monotonic() - started <= seconds:
            time.sleep(POLL_SECONDS)
        return found

    def until_serving(self, name: str, pool: str, replicas: int = 1, seconds: float = 60.0) -> float:
        """Wait until a pool serves with that many ready replicas."""
        return self.until(
            lambda: self.serving(name) == pool and self.ready(name) >= replicas,
            f"{name} serves from {pool} x {replicas}",
            seconds,
        )

    @contextmanager
    def load(self, name: str, rate_rps: float, *more: str, seconds: float = 300.0) -> Iterator[LoadProcess]:
        """Send load to a ModelDeployment's Service while the block runs."""
        where = ["--kubeconfig", str(self.cluster.kubeconfig), "--namespace", NAMESPACE, "--service", name]
        with load_process([*where, "--rate", str(rate_rps), "--seconds", str(seconds), *more]) as running:
            yield running

    def operator_pods(self) -> list[str]:
        """Return the names of the operator's pods."""
        return self.cluster.kubectl("-n", OPERATOR, "get", "pods", "-o", "name").split()

    def leader(self) -> str:
        """Return the pod that holds the lease."""
        return str(self.get("lease", "modelscaler", OPERATOR).get("spec", {}).get("holderIdentity", ""))

    def operator_metrics(self) -> dict[str, float]:
        """Return the leader's own metrics, name with labels → value."""
        ip = self.get("pod", self.leader(), OPERATOR)["status"]["podIP"]
        with urllib.request.urlopen(f"http://{ip}:8080/metrics", timeout=5) as answer:
            lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
        return {name: float(value.split()[0]) for name, _, value in (line.rpartition(" ") for line in lines)}

    def operator_logs(self, lines: int = 80) -> str:
        """Return the last lines of every operator pod."""
        logs = [
            self.cluster.kubectl("-n", OPERATOR, "logs", pod, f"--tail={lines}", check=False)
            for pod in self.operator_pods()
        ]
        return "\n".join(logs)

    def post_mortem(self) -> str:
        """Return what helps to understand a failure."""
        commands: Sequence[Sequence[str]] = (
            ("get", "mdep,deploy,pods,svc", "-n", NAMESPACE, "-o", "wide"),
            ("describe", "mdep", "-n", NAMESPACE),
            ("get", "cm", "-n", NAMESPACE, "-o", "yaml"),
            ("logs", "-n", NAMESPACE, "-l", "modelscaler.dev/deployment", "--prefix", "--tail=20"),
            ("get", "events", "-n", NAMESPACE, "--sort-by=.lastTimestamp"),
        )
        return "\n".join([*(self.cluster.kubectl(*command, check=False) for command in commands), self.operator_logs()])


def wait_for_phase(ramp: Ramp, phase: float) -> None:
    """Sleep until the season reaches a phase."""
    now = datetime.now(UTC)
    due = ramp.season_start(now) + timedelta(seconds=phase * ramp.season_seconds)
    if due < now:
        due += timedelta(seconds=ramp.season_seconds)
    time.sleep((due - now).total_seconds())


def beats(seconds: float, step_seconds: float = 0.5) -> Iterator[float]:
    """Yield now and then for a while."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        yield now
        time.sleep(step_seconds)
