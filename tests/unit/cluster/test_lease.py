"""The lease against a hand-written API: who may take it, and what counts as not renewed."""

import json
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError

from modelscaler.cluster.lease import LeaderLease, LeaseTimes, Sighting, may_take, see

TIMES = LeaseTimes(duration_seconds=10, renew_deadline_seconds=6, retry_seconds=2)


class Answer:
    def __init__(self, body: dict[str, Any]) -> None:
        self.data = json.dumps(body).encode()


class FakeLeases:
    """One Lease with optimistic locking, as the API server keeps it."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.failure: Exception | None = None

    def read_namespaced_lease(self, name: str, namespace: str, **_: Any) -> Answer:
        if self.failure:
            raise self.failure
        if self.stored is None:
            raise ApiException(status=404, reason="Not Found")
        return Answer(self.stored)

    def create_namespaced_lease(self, namespace: str, body: dict[str, Any], **_: Any) -> Answer:
        return Answer(self._store(body))

    def replace_namespaced_lease(self, name: str, namespace: str, body: dict[str, Any], **_: Any) -> Answer:
        if self.failure:
            raise self.failure
        assert self.stored is not None
        if body["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
            raise ApiException(status=409, reason="Conflict")
        return Answer(self._store(body))

    def _store(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        meta = {**body["metadata"], "resourceVersion": str(self.version)}
        self.stored = {**body, "metadata": meta}
        return self.stored


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


def candidate(leases: FakeLeases, clock: Clock, identity: str) -> LeaderLease:
    lease = LeaderLease(client.ApiClient(), "ns", "modelscaler", identity, clock, TIMES)
    lease._api = leases
    return lease


def test_first_candidate_holds_when_there_is_no_lease(leases: FakeLeases, clock: Clock) -> None:
    lease = candidate(leases, clock, "a")
    assert lease.attempt() is None
    assert lease.holds
    assert leases.stored is not None
    assert leases.stored["spec"]["holderIdentity"] == "a"


def test_second_candidate_waits_when_the_holder_renews(leases: FakeLeases, clock: Clock) -> None:
    first, second = candidate(leases, clock, "a"), candidate(leases, clock, "b")
    first.attempt()
    for _ in range(20):
        clock.now += TIMES.retry_seconds
        assert first.attempt() is None
        assert second.attempt() == "held by a"
    assert not second.holds


def test_second_candidate_takes_over_only_after_the_duration_when_the_holder_is_silent(
    leases: FakeLeases, clock: Clock
) -> None:
    first, second = candidate(leases, clock, "a"), candidate(leases, clock, "b")
    first.attempt()
    second.attempt()
    clock.now += TIMES.duration_seconds
    assert second.attempt() == "held by a"
    clock.now += 0.1
    assert second.attempt() is None
    assert not first.holds, "the old holder must have stopped writing before anyone else may start"


@pytest.mark.parametrize(
    "failure",
    [
        ApiException(status=500, reason="boom"),
        MaxRetryError(None, "/", "refused"),  # type: ignore[arg-type]  # no pool is needed for a refused connection
        ConnectionResetError("reset"),
        TimeoutError("hung"),
    ],
)
def test_holder_stops_holding_when_it_cannot_renew(leases: FakeLeases, clock: Clock, failure: Exception) -> None:
    lease = candidate(leases, clock, "a")
    lease.attempt()
    leases.failure = failure
    clock.now += TIMES.renew_deadline_seconds - 0.1
    assert lease.attempt() is not None
    assert lease.holds
    clock.now += 0.2
    assert not lease.holds


def test_loser_does_not_hold_when_both_race_for_an_expired_lease(leases: FakeLeases, clock: Clock) -> None:
    holder, one, two = (candidate(leases, clock, name) for name in ("old", "one", "two"))
    holder.attempt()
    one.attempt()
    two.attempt()
    clock.now += TIMES.duration_seconds + 1
    assert one.attempt() is None
    assert two.attempt() == "held by one"


def test_standby_takes_over_at_once_when_the_holder_released(leases: FakeLeases, clock: Clock) -> None:
    first, second = candidate(leases, clock, "a"), candidate(leases, clock, "b")
    first.attempt()
    first.release()
    assert not first.holds
    assert second.attempt() is None


def test_lease_of_another_is_left_alone_when_it_was_taken_while_the_holder_slept(
    leases: FakeLeases, clock: Clock
) -> None:
    sleeper, other = candidate(leases, clock, "a"), candidate(leases, Clock(), "b")
    assert sleeper.attempt() is None
    assert leases.stored is not None
    leases.stored["spec"]["holderIdentity"] = ""
    assert other.attempt() is None  # by its own clock: the sleeper's stood still
    sleeper.release()
    assert leases.stored["spec"]["holderIdentity"] == "b"


def test_renewal_age_counts_from_the_start_of_the_request_when_the_server_is_slow(
    leases: FakeLeases, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = candidate(leases, clock, "a")
    read = leases.read_namespaced_lease

    def slow(*arguments: Any, **options: Any) -> Answer:
        clock.now += 1.5
        return read(*arguments, **options)

    monkeypatch.setattr(leases, "read_namespaced_lease", slow)
    lease.attempt()
    assert lease.renewal_age_seconds == pytest.approx(1.5)


def test_unchanged_version_keeps_its_first_sighting_when_read_again() -> None:
    body = {"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 10}}
    first = see(None, body, 100.0)
    assert see(first, body, 105.0).seen_at == 100.0
    assert not may_take(first, "b", 110.0)
    assert may_take(first, "b", 110.1)
    assert may_take(Sighting("7", "", 10, 109.0), "b", 110.0)
