"""Self-tuning as a pod of the operator does it: days that Prometheus remembers, a child that replays them, and status."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from children import until
from kubectl import Kubectl
from localcluster.binaries.provide import provide_prometheus
from manifests import model_deployment
from modelscaler.api.words import TuningReason
from modelscaler.domain import PolicySettings
from modelscaler.status.tuning import digest_of, tuning_status
from modelscaler.workload import parse_resource, workload_from
from modelscaler_demo.history import labels_of, openmetrics, write_blocks
from modelserver_metrics import Fleet
from operator_process import SHOP, Machine, event_types

pytestmark = pytest.mark.integration

MINUTE_SECONDS, STEP_SECONDS = 60.0, 300.0
DAYS = 2.1
QUICK = {
    "intervalSeconds": 1,
    "rateWindowSeconds": 2,
    "staleAfterSeconds": 4,
    "statusRefreshSeconds": 1,
    "historyStepSeconds": STEP_SECONDS,
}
ENOUGH_SECONDS = (60.0, 400.0)
"""For a dozen settings where nothing else runs; where more does, the child stands back for it, and more time is given."""
TOO_LITTLE_TIME = {"TuningOutOfTime", "TuningFailed"}
CUT_SHORT = "the time ended after"
QUIET_RPS, PEAK_RPS = 20.0, 300.0
HUMP, EVERY = timedelta(minutes=5), timedelta(minutes=15)

KEEPS_LONG = model_deployment(
    {
        "metadata.name": "tuned",
        "metadata.namespace": SHOP,
        "spec.variants": [{"name": "full", "accuracy": "0.9"}],
        "spec.slo": {"latency": {"percentile": 95, "targetMilliseconds": 1000}},
        "spec.placements.0.startSeconds": 15,
        "spec.capacity": [{"placement": "cpu", "variant": "full", "perRequestMilliseconds": "20"}],
        "spec.scaling": {"maxReplicas": 20},
    }
)
"""By default it keeps the larger size for five minutes; less does for this load."""


@pytest.fixture
def past(tmp_path: Path) -> None:
    """Days with a short rise every quarter of an hour."""
    end = datetime.now(UTC)
    minutes = np.arange(round(DAYS * 1440))
    risen = minutes % (EVERY.total_seconds() / MINUTE_SECONDS) < HUMP.total_seconds() / MINUTE_SECONDS
    rate = np.where(risen, PEAK_RPS, QUIET_RPS)
    counter = np.cumsum(rate * MINUTE_SECONDS)
    lines = openmetrics(counter, MINUTE_SECONDS, end, end, labels_of(SHOP, "tuned"))
    write_blocks(provide_prometheus()["promtool"], lines, tmp_path / "data")


def judged(*reasons: str) -> Callable[[dict[str, Any]], bool]:
    """Return what tells whether status says that settings were judged, with one of these reasons."""
    return lambda status: (status.get("tuning") or {}).get("reason") in reasons


def settings_of(tuning: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a tuning, without when and why."""
    names = ("quantile", "recourseQuantile", "headroom", "forecaster", "scaleDownSeconds")
    return {name: tuning.get(name) for name in names}


def child_of(operator: psutil.Process) -> psutil.Process | None:
    """Return the process that tunes; None when there is none."""
    return next((child for child in operator.children() if tunes(child)), None)


def tunes(child: psutil.Process) -> bool:
    """Say whether a process tunes; not, when it ends as it is asked."""
    try:
        return "modelscaler.replay.selftuning" in child.cmdline()
    except psutil.NoSuchProcess:
        return False


def assert_waited_for(operator: psutil.Process) -> None:
    """Assert that the process that tuned is gone, and nothing is left that ended without anybody asking how."""
    assert child_of(operator) is None
    assert all(child.status() != psutil.STATUS_ZOMBIE for child in operator.children())


def apply(kubectl: Kubectl, fleet: Fleet) -> None:
    fleet.serve("tuned", "cpu-full", QUIET_RPS, 0.02)
    kubectl("apply", "-f", "-", stdin=json.dumps(KEEPS_LONG))


def had_too_little_time(found: dict[str, Any]) -> bool:
    """Tell whether the child came to nothing for want of time; of two settings neither may be better than what there is."""
    return found["reason"] in TOO_LITTLE_TIME or (found["reason"] == "SettingsKept" and CUT_SHORT in found["message"])


@pytest.mark.timeout(900)
def test_cheaper_settings_are_adopted_explained_and_kept_through_a_restart(
    machine: Machine, kubectl: Kubectl, fleet: Fleet, prometheus_url: str
) -> None:
    apply(kubectl, fleet)
    for seconds in ENOUGH_SECONDS:
        with machine.operator(prometheus_url, tuningSeconds=seconds, **QUICK) as operator:
            found = machine.until("tuned", lambda status: "tuning" in status, seconds + 60.0)["tuning"]
            assert_waited_for(operator)
        if not had_too_little_time(found):
            break
        forgotten = '{"status":{"tuning":null}}'
        kubectl("-n", SHOP, "patch", "mdep", "tuned", "--subresource=status", "--type=merge", "-p", forgotten)

    assert (found["reason"], found.get("scaleDownSeconds")) == ("CheaperSettings", 60), found["message"]
    assert float(found["costRatio"]) < 0.97
    assert float(found["days"]) >= 2.0
    until(lambda: event_types(kubectl, "tuned", "CheaperSettings") == ["Normal"])

    kubectl("-n", SHOP, "patch", "mdep", "tuned", "--type=merge", "-p", '{"spec":{"scaling":{"maxReplicas":10}}}')
    with machine.operator(prometheus_url, **QUICK):
        after = machine.until("tuned", lambda status: status.get("observedGeneration") == 2, 60.0)
    assert after["tuning"] == found

    for name in found:
        described = kubectl("explain", f"modeldeployments.status.tuning.{name}")
        assert "DESCRIPTION" in described
        assert "<empty>" not in described


def test_failure_is_told_and_the_settings_stay_when_the_child_dies(
    machine: Machine, kubectl: Kubectl, fleet: Fleet, prometheus_url: str
) -> None:
    """Settings that were adopted two days ago are due again; what replays them is killed."""
    apply(kubectl, fleet)
    adopted = tuning_status(
        PolicySettings(headroom=0.35, forecaster="Reactive", scale_down_seconds=60.0),
        datetime.now(UTC) - timedelta(days=2),
        TuningReason.CHEAPER,
        "cheaper",
        digest_of(workload_from(parse_resource(KEEPS_LONG), None)),
    )
    before = adopted.model_dump(mode="json", by_alias=True, exclude_none=True)
    status = json.dumps({"status": {"tuning": before}})
    kubectl("-n", SHOP, "patch", "mdep", "tuned", "--subresource=status", "--type=merge", "-p", status)

    with machine.operator(prometheus_url, **QUICK) as operator:
        until(lambda: child_of(operator))
        child = child_of(operator)
        assert child is not None
        child.kill()
        found = machine.until("tuned", judged("TuningFailed"), 30.0)["tuning"]
        until(lambda: event_types(kubectl, "tuned", "TuningFailed") == ["Warning"])
        assert_waited_for(operator)

    assert found["message"] == "the tuning process ended by signal 9"
    assert settings_of(found) == settings_of(before)
