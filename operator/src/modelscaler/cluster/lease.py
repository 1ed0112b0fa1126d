"""Leader election by a Lease, safe against what the shipped elector gets wrong.

A refused connection, a hung server or any exception counts as "not renewed"; ages are judged on the monotonic clock; who
cannot renew within `renew_deadline_seconds` must end, which is earlier than anyone else may take over
(`duration_seconds`). The rules are those of client-go's leaderelection; the times 10/6/2 were measured to give a new
leader 10 to 11 s after a kill.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

REQUEST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds a lease lasts, within which it must be renewed, and between attempts."""

    duration_seconds: float = 10.0
    renew_deadline_seconds: float = 6.0
    retry_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A lease as seen: its version, its holder ("" for none), and when this version was first seen (monotonic seconds)."""

    version: str
    holder: str
    duration_seconds: float
    seen_at: float


def may_take(sighting: Sighting, identity: str, now: float) -> bool:
    """Tell whether a lease may be taken or renewed: ours, nobody's, or unchanged for its whole duration."""
    return sighting.holder in ("", identity) or now - sighting.seen_at > sighting.duration_seconds


def see(previous: Sighting | None, body: dict[str, Any], now: float) -> Sighting:
    """Fold one reading of the lease into what was seen: an unchanged version keeps the time it was first seen."""
    version = body["metadata"]["resourceVersion"]
    if previous is not None and previous.version == version:
        return previous
    spec = body.get("spec") or {}
    return Sighting(version, spec.get("holderIdentity") or "", float(spec.get("leaseDurationSeconds") or 0), now)


class LeaderLease:
    """One candidate for one Lease. `attempt` is blocking, bounded in time, and never raises for a server's fault."""

    def __init__(
        self,
        api: client.ApiClient,
        namespace: str,
        name: str,
        identity: str,
        monotonic: Callable[[], float],
        times: LeaseTimes = LeaseTimes(),
    ) -> None:
        self.identity = identity
        self.times = times
        self._api: Any = client.CoordinationV1Api(api)  # Any: raw answers, not model objects
        self._namespace = namespace
        self._name = name
        self._monotonic = monotonic
        self._sighting: Sighting | None = None
        self._renewed_at: float | None = None

    @property
    def renewal_age_seconds(self) -> float:
        """Seconds since the start of the last successful renewal; inf when the lease was never held."""
        return float("inf") if self._renewed_at is None else self._monotonic() - self._renewed_at

    @property
    def holds(self) -> bool:
        """Whether the lease is held and fresh enough to write."""
        return self.renewal_age_seconds < self.times.renew_deadline_seconds

    def attempt(self) -> str | None:
        """Try once to take or renew the lease; return None when it is held now, else why not."""
        started_at = self._monotonic()
        try:
            body = self._read_or_create(started_at)
            self._sighting = see(self._sighting, body, self._monotonic())
            if not may_take(self._sighting, self.identity, self._monotonic()):
                return f"held by {self._sighting.holder}"
            self._sighting = see(None, self._write(body, self.identity), self._monotonic())
        except (ApiException, HTTPError, OSError, ValueError, KeyError) as error:
            return f"not renewed: {getattr(error, 'reason', None) or error}"
        self._renewed_at = started_at
        return None

    def release(self) -> None:
        """Give the lease up so that a standby need not wait; best effort, on the way out. That of another is left alone."""
        if not self.holds:
            return
        self._renewed_at = None
        try:
            body = self._read()
            if body["spec"]["holderIdentity"] == self.identity:
                self._write(body, "")
        except (ApiException, HTTPError, OSError, ValueError, KeyError):
            return

    def _read(self) -> dict[str, Any]:
        answer = self._api.read_namespaced_lease(self._name, self._namespace, **_RAW)
        body: dict[str, Any] = json.loads(answer.data)
        return body

    def _read_or_create(self, now: float) -> dict[str, Any]:
        try:
            return self._read()
        except ApiException as error:
            if error.status != 404:
                raise
        body = {"metadata": {"name": self._name, "namespace": self._namespace}, "spec": {"holderIdentity": ""}}
        answer = self._api.create_namespaced_lease(self._namespace, body, **_RAW)
        created: dict[str, Any] = json.loads(answer.data)
        self._sighting = see(None, created, now)
        return created

    def _write(self, body: dict[str, Any], holder: str) -> dict[str, Any]:
        old = body.get("spec") or {}
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        changed = old.get("holderIdentity") != holder
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(int(self.times.duration_seconds), 1) if holder else 1,
            "acquireTime": moment if changed else old.get("acquireTime"),
            "renewTime": moment,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + int(changed),
        }
        wanted = {**body, "spec": spec}
        answer = self._api.replace_namespaced_lease(self._name, self._namespace, wanted, **_RAW)
        written: dict[str, Any] = json.loads(answer.data)
        return written


_RAW: dict[str, Any] = {"_preload_content": False, "_request_timeout": REQUEST_SECONDS}
