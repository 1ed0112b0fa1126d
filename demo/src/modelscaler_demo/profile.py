"""How fast a replica is on this machine: `modelscaler profile` of a server on one core, divided by a placement's CPU limit.

Measured over HTTP, with searches as the demo sends them: on a fast processor, taking a request and handing the answer back
costs as much as computing it.
"""

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import yaml

from modelscaler_demo.errors import DemoError
from modelscaler_demo.load.queries import infer_bodies

START_SECONDS = 120.0
PROFILE_SECONDS = 300.0
READY_SECONDS = 5.0
POLL_SECONDS = 0.1
SEARCHES = 64
MEASURING = ("--window", "0.5", "--inferences", "200", "--soak", "2")
"""Shorter than the command's own: a quarter of a minute for a variant."""


@dataclass(frozen=True, slots=True)
class VariantSpeed:
    """CPU time of a batch of n requests on one whole core: overhead + n x per request.

    `tail_seconds` is what one request in a hundred takes beyond a batch of one, alone.
    """

    variant: str
    per_request_seconds: float
    overhead_seconds: float
    tail_seconds: float
    max_batch: int

    @property
    def core_seconds(self) -> float:
        """CPU time of a request where batches are as large as they get."""
        return self.per_request_seconds + self.overhead_seconds / self.max_batch


@dataclass(frozen=True, slots=True)
class Programs:
    """What measures, and what is measured."""

    modelscaler: Path
    modelserver: Path


def measured_speeds(programs: Programs, model: Path, variants: Sequence[str], cache: Path) -> tuple[VariantSpeed, ...]:
    """Return the speed of variants, from the cache when this model was measured on this processor before.

    Raises:
        DemoError: A server does not start, or cannot be measured.
    """
    metadata = json.loads((model / "model.json").read_text())
    wanted = {
        "model": metadata,
        "processor": _processor(),
        "by": ["modelscaler profile", *MEASURING],
        "of": [*variants],
    }
    stored = json.loads(cache.read_text()) if cache.is_file() else {}
    if stored.get("of") != wanted:
        cache.parent.mkdir(parents=True, exist_ok=True)
        stored = {"of": wanted, "entries": [_measured(programs, model, metadata["name"], name) for name in variants]}
        cache.write_text(json.dumps(stored, indent=1))
    return tuple(_speed(row) for row in stored["entries"])


def entries(
    speeds: Sequence[VariantSpeed],
    pairs: Sequence[tuple[str, str]],
    cpu_limits: Mapping[str, Decimal],
    bursts_only: Set[tuple[str, str]] = frozenset(),
) -> list[dict[str, Any]]:
    """Return capacity entries as a profile ConfigMap holds them.

    Args:
        speeds: Of each variant, on one whole core.
        pairs: (placement, variant) to write entries for.
        cpu_limits: Cores that a replica may use, per placement; more than one core is no faster, a server has one thread.
        bursts_only: Those of the pairs that are never planned.
    """
    by_variant = {speed.variant: speed for speed in speeds}
    return [
        _entry(placement, by_variant[variant], min(cpu_limits[placement], Decimal(1)))
        | ({"reflexOnly": True} if (placement, variant) in bursts_only else {})
        for placement, variant in pairs
        if variant in by_variant
    ]


def cores(quantity: str) -> Decimal:
    """Return a CPU quantity in cores: "150m" is 0.15."""
    return Decimal(quantity[:-1]) / 1000 if quantity.endswith("m") else Decimal(quantity)


def _entry(placement: str, speed: VariantSpeed, cores_used: Decimal) -> dict[str, Any]:
    return {
        "placement": placement,
        "variant": speed.variant,
        "perRequestMilliseconds": _milliseconds(speed.per_request_seconds, cores_used),
        "overheadMilliseconds": _milliseconds(speed.overhead_seconds, cores_used),
        "tailMilliseconds": _milliseconds(speed.tail_seconds, Decimal(1)),
        "maxBatch": speed.max_batch,
    }


def _milliseconds(seconds: float, cores_used: Decimal) -> str:
    return f"{Decimal(seconds) * 1000 / cores_used:.3f}"


def _speed(row: Mapping[str, Any]) -> VariantSpeed:
    per_request, overhead, tail = (
        float(row[f"{name}Milliseconds"]) / 1000 for name in ("perRequest", "overhead", "tail")
    )
    return VariantSpeed(row["variant"], per_request, overhead, tail, row["maxBatch"])


def _measured(programs: Programs, model: Path, name: str, variant: str) -> dict[str, Any]:
    """Return a variant's entry of a profile, of a server that has one core."""
    with tempfile.TemporaryDirectory(prefix="modelscaler-demo-") as scratch:
        searches, out = Path(scratch) / "searches.jsonl", Path(scratch) / "profile.yaml"
        searches.write_bytes(b"\n".join(infer_bodies(SEARCHES, seed=0)) + b"\n")
        with _serving(programs.modelserver, model, variant, Path(scratch) / "server.log") as url:
            where = ["--model", name, "--placement", "core", "--variant", variant, "--request", str(searches)]
            command = [str(programs.modelscaler), "profile", url, *where, *MEASURING, "--output", str(out)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=PROFILE_SECONDS, check=False)
        if done.returncode:
            raise DemoError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-500:]}")
        (entry,) = json.loads(yaml.safe_load(out.read_text())["data"]["profile.json"])["entries"]
    return dict(entry)


@contextmanager
def _serving(modelserver: Path, model: Path, variant: str, log: Path) -> Iterator[str]:
    """Serve a variant on the first core that this process may use, and yield where."""
    port = _free_port()
    core = str(min(os.sched_getaffinity(0)))
    what = ["--model", model.as_uri(), "--variant", variant, "--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("w") as said,
        subprocess.Popen(
            ["taskset", "--cpu-list", core, str(modelserver), "serve", *what], stdout=said, stderr=said
        ) as server,
    ):
        try:
            _wait_until_ready(port, server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _wait_until_ready(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not _is_ready(port):
        if server.poll() is not None or time.monotonic() > until:
            raise DemoError(f"a server to be measured does not start: {log.read_text().strip()[-500:]}")
        time.sleep(POLL_SECONDS)


def _is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=READY_SECONDS)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
