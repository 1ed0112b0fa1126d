"""How fast a replica is on this machine: measured once by `modelserver benchmark`, divided by a placement's CPU limit."""

import json
import subprocess
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from modelscaler_demo.errors import DemoError

BENCHMARK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class VariantSpeed:
    """CPU time of a batch of n requests on one whole core: overhead + n x per request."""

    variant: str
    per_request_seconds: float
    overhead_seconds: float
    max_batch: int


def measured_speeds(modelserver: Path, model: Path, cache: Path) -> tuple[VariantSpeed, ...]:
    """Return the speed of every variant, from the cache when this model was measured on this processor before.

    Raises:
        DemoError: The benchmark failed.
    """
    wanted = {"model": json.loads((model / "model.json").read_text()), "processor": _processor()}
    stored = json.loads(cache.read_text()) if cache.is_file() else {}
    if stored.get("of") != wanted:
        cache.parent.mkdir(parents=True, exist_ok=True)
        stored = {"of": wanted, "entries": _benchmark(modelserver, model, cache.with_suffix(".new"))}
        cache.write_text(json.dumps(stored, indent=1))
    return tuple(
        VariantSpeed(row["variant"], row["per_request_seconds"], row["overhead_seconds"], row["max_batch"])
        for row in stored["entries"]
    )


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
        "maxBatch": speed.max_batch,
    }


def _milliseconds(seconds: float, cores_used: Decimal) -> str:
    return f"{Decimal(seconds) * 1000 / cores_used:.3f}"


def _benchmark(modelserver: Path, model: Path, out: Path) -> list[dict[str, Any]]:
    command = [str(modelserver), "benchmark", "--model", model.as_uri(), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BENCHMARK_SECONDS, check=False)
    if done.returncode:
        raise DemoError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-500:]}")
    measured: list[dict[str, Any]] = json.loads(out.read_text())["entries"]
    out.unlink()
    return measured


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
