"""What was measured, in words and as a stored profile. Pure."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import yaml

from modelscaler.profiling.measuring import Measured
from modelscaler.profiling.server import Asked, answered_rps
from modelscaler.workload.files import PROFILE_KEY

BUSY_SHARE = 0.9
"""Of the time: a client that computes for longer is what limits a closed loop."""


def report(measured: Measured) -> str:
    """Return the figures as text."""
    fit, timed = measured.fit, measured.timed
    low, high = (1e3 * value for value in fit.per_request_interval_seconds)
    fixed_low, fixed_high = (1e3 * value for value in fit.overhead_interval_seconds)
    how = "batch sizes as the server counted them" if fit.counted else "batches taken to hold all clients' requests"
    lines = [
        "clients   requests/s   p50 ms   p95 ms   p99 ms   failures",
        *(_row(str(clients), loops) for clients, loops in measured.by_clients),
        "",
        f"per request  {1e3 * fit.line.per_request_seconds:.3f} ms ({low:.3f} to {high:.3f}, 90 % interval)",
        f"per batch    {1e3 * fit.line.overhead_seconds:.3f} ms ({fixed_low:.3f} to {fixed_high:.3f}); {how}",
        f"tail         {1e3 * measured.tail_seconds:.3f} ms: so much longer than a batch of one took one in a hundred, alone",
        f"max batch    {measured.max_batch}; at most {fit.line.full_rps(measured.max_batch):.1f} requests/s with full batches, "
        f"give or take {100 * fit.relative_error(measured.max_batch):.1f} %",
        f"timed run    {len(timed.latencies_seconds):,} inferences one after the other in {timed.seconds:.2f} s",
        f"soak         {measured.soak[0].clients} clients, {sum(each.seconds for each in measured.soak):.0f} s: "
        + "requests/s by quarter "
        + ", ".join(f"{answered_rps([each]):.1f}" for each in measured.soak)
        + f"; {sum(each.failures for each in measured.soak)} failures",
        f"memory       {_memory(measured)}",
        *_too_slow(measured.loops),
    ]
    return "\n".join(lines)


def entry(measured: Measured, placement: str, variant: str) -> dict[str, Any]:
    """Return the capacity entry of a placement and a variant."""
    line = measured.fit.line
    return {
        "placement": placement,
        "variant": variant,
        "perRequestMilliseconds": f"{max(1e3 * line.per_request_seconds, 0.001):.3f}",
        "overheadMilliseconds": f"{1e3 * line.overhead_seconds:.3f}",
        "tailMilliseconds": f"{1e3 * measured.tail_seconds:.3f}",
        "relativeError": f"{measured.fit.relative_error(measured.max_batch):.4f}",
        "maxBatch": measured.max_batch,
    }


def merged(stored: str | None, added: dict[str, Any]) -> str:
    """Return a stored profile with one entry added, in place of that of the same placement and variant.

    Raises:
        ValueError: what is stored is no profile.
    """
    entries = _entries(stored)
    pair = (added["placement"], added["variant"])
    kept = [one for one in entries if (one.get("placement"), one.get("variant")) != pair]
    return json.dumps({"entries": [*kept, added]}, indent=1)


def config_map(name: str, namespace: str, profile: str) -> dict[str, Any]:
    """Return the ConfigMap that spec.capacityProfile names."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {PROFILE_KEY: profile}}


def as_yaml(*manifests: dict[str, Any]) -> str:
    """Return manifests as `kubectl apply -f` reads them."""
    return yaml.safe_dump_all(manifests, sort_keys=False)


def _entries(stored: str | None) -> list[dict[str, Any]]:
    if stored is None:
        return []
    found = json.loads(stored)
    entries = found.get("entries") if isinstance(found, dict) else None
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise ValueError(f'{stored[:80]!r}: expected a profile, {{"entries": [...]}}')
    return entries


def _row(name: str, loops: Sequence[Asked]) -> str:
    latencies = np.concatenate([loop.latencies_seconds for loop in loops])
    p50, p95, p99 = 1e3 * np.percentile(latencies, (50.0, 95.0, 99.0))
    failures = sum(loop.failures for loop in loops)
    return f"{name:>7} {answered_rps(loops):12.1f} {p50:8.1f} {p95:8.1f} {p99:8.1f} {failures:10}"


def _too_slow(loops: Sequence[Asked]) -> list[str]:
    """Return a warning where the clients, not the server, were what the loops measured."""
    busiest = max(loops, key=lambda loop: loop.busy_share)
    if busiest.busy_share < BUSY_SHARE:
        return []
    return [
        f"client       computing {busiest.busy_share:.0%} of the time with {busiest.clients} clients: the server may do more "
        "than was measured"
    ]


def _memory(measured: Measured) -> str:
    if measured.memory_bytes is None:
        return "not told by the server"
    before, after = (value / 2**20 for value in measured.memory_bytes)
    return f"{before:.0f} MiB before, {after:.0f} MiB after, all workers"
