"""No replica where nobody asks, and nobody who asks is refused."""

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from forwarder import Forwarder
from modelscaler_demo.load.queries import infer_bodies
from stage import Stage, model_deployment, scaling

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ASKED_AT_ONCE = 12
HELD_SECONDS = 90.0


def test_nobody_asks_and_no_replica_runs_then_somebody_asks_and_is_answered(stage: Stage, forwarder: Forwarder) -> None:
    idle = scaling(minReplicas=0, scaleToZero={"afterSeconds": 30, "holdSeconds": 90})
    name = forwarder.service = stage.apply(model_deployment("zero", scaling=idle))
    stage.until_serving(name, "cpu-int8")
    assert _answers(forwarder, 3) == [200] * 3

    stage.until(lambda: stage.serving(name) == "activator", "the activator takes requests", 120)
    stage.until(lambda: not _pods(stage, f"{name}-cpu-int8"), "no replica is left", 60)
    assert stage.status(name)["active"]["replicas"] == 0
    ready = stage.condition(name, "Ready")
    assert (ready["status"], ready["reason"]) == ("True", "Idle")
    assert "nobody has asked for 30 s" in stage.status(name)["lastDecision"]["message"]

    asked_at = time.monotonic()
    assert _answers(forwarder, ASKED_AT_ONCE) == [200] * ASKED_AT_ONCE
    print(f"answered {time.monotonic() - asked_at:.1f} s after they were asked, with no replica at first")
    assert f"shop/{name}: its activator holds" in stage.operator_logs(), "it was heard of before the next tick"
    stage.until_serving(name, "cpu-int8", seconds=30)
    assert _answers(forwarder, 3) == [200] * 3
    assert stage.condition(name, "Ready")["reason"] == "EnoughReplicasReady"
    stage.delete(name)


def _answers(forwarder: Forwarder, count: int) -> list[int]:
    """Send requests all at once, each over a connection of its own and only once; return their statuses."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda body: _answer(forwarder.port, body), infer_bodies(count, seed=0)))


def _answer(port: int, body: bytes) -> int:
    url = f"http://127.0.0.1:{port}/v2/models/search-ranker/infer"
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=HELD_SECONDS) as answer:
        assert json.load(answer)["outputs"]
        return int(answer.status)


def _pods(stage: Stage, deployment: str) -> list[str]:
    return [child for child in stage.children("zero") if child.startswith(f"pod/{deployment}")]
