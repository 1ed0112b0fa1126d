import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import generate_latest

from modelscaler.activator.app import status_application
from modelscaler.activator.holding import Holding, Limits
from modelscaler.activator.labels import LabelsError, parse_labels
from modelscaler.activator.metrics import ActivatorMetrics
from modelscaler.activator.words import RefusalReason

LABELS = {"modeldeployment_namespace": "ns", "modeldeployment": "m", "pool": "activator"}
SHOWN = '{modeldeployment="m",modeldeployment_namespace="ns",pool="activator"}'


def lines(metrics: ActivatorMetrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


def test_labels_are_read_when_well_formed() -> None:
    assert parse_labels("") == {}
    assert parse_labels("a=1,b_c=x.y-z,d=") == {"a": "1", "b_c": "x.y-z", "d": ""}


@pytest.mark.parametrize("text", ["a", "1a=2", "a-b=2", "reason=x", "le=1", "__name__=x", "a=1,b"])
def test_labels_are_refused_when_malformed_or_taken(text: str) -> None:
    with pytest.raises(LabelsError, match=r"MODELSERVER_METRIC_LABELS: .*, expected name=value"):
        parse_labels(text)


def test_every_series_is_there_from_the_start() -> None:
    found = lines(ActivatorMetrics(LABELS, lambda: 0.0))
    assert f"modelserver_queue_depth{SHOWN} 0.0" in found
    assert f"modelserver_requests_offered_total{SHOWN} 0.0" in found
    assert "modelscaler_activator_forwarded_total 0.0" in found
    assert all(f'modelscaler_activator_refused_total{{reason="{reason}"}} 0.0' in found for reason in RefusalReason)
    assert 'modelscaler_activator_held_seconds_bucket{le="1200.0"} 0.0' in found


def test_request_is_offered_here_only_when_no_server_gets_it() -> None:
    metrics = ActivatorMetrics(LABELS, lambda: 3.0)
    metrics.forwarded(2.0)
    metrics.refused(RefusalReason.TOO_MANY, 0.0)
    metrics.abandoned(700.0)
    found = lines(metrics)
    assert f"modelserver_requests_offered_total{SHOWN} 2.0" in found
    assert f"modelserver_queue_depth{SHOWN} 3.0" in found
    assert "modelscaler_activator_forwarded_total 1.0" in found
    assert "modelscaler_activator_abandoned_total 1.0" in found
    assert 'modelscaler_activator_refused_total{reason="TooManyHeld"} 1.0' in found
    assert 'modelscaler_activator_held_seconds_bucket{le="600.0"} 2.0' in found


def test_series_have_no_labels_when_none_are_given() -> None:
    assert "modelserver_requests_offered_total 0.0" in lines(ActivatorMetrics({}, lambda: 0.0))


@pytest.mark.parametrize(("draining", "status"), [(False, 200), (True, 503)])
async def test_status_port_says_whether_it_accepts(draining: bool, status: int) -> None:
    application: web.Application = status_application(lambda: draining, Holding(Limits()))
    async with TestClient(TestServer(application)) as client:
        assert (await client.get("/readyz")).status == status
        assert (await client.get("/healthz")).status == 200
