import asyncio
import threading
from collections.abc import Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelserver.errors import LoadError
from modelserver_fakes import EchoModel, Rig, ask, make_rig, numbers_body


async def loaded(rig: Rig) -> Rig:
    """Start the rig's compute thread and wait until its model is there."""
    rig.compute.start()
    while rig.compute.model is None:
        await asyncio.sleep(0)
    return rig


async def wait_for_queue(rig: Rig, requests: int) -> None:
    while rig.queue.requests_waiting() < requests:
        await asyncio.sleep(0)


async def wait_until_taken(rig: Rig) -> None:
    """Wait until the compute thread holds a batch and the queue is empty."""
    while rig.compute.busy_seconds() == 0.0 or rig.queue.requests_waiting():
        await asyncio.sleep(0)


def samples(rig: Rig) -> dict[str, float]:
    """Return the metrics by name and own labels."""
    families = text_string_to_metric_families(rig.metrics.render().decode())
    return {
        f"{sample.name}{{{sample.labels.get('outcome', '')}}}": sample.value
        for family in families
        for sample in family.samples
    }


async def test_request_is_answered_in_row_order_when_the_model_is_loaded() -> None:
    rig = await loaded(make_rig())
    reply = await rig.infer(3, 1, 2, id="x")
    assert reply.status == 200
    assert reply.json()["id"] == "x"
    assert reply.json()["model_version"] == "full"
    assert [output["data"] for output in reply.json()["outputs"]] == [[3, 1, 2]]


async def test_optional_output_comes_only_when_asked_for() -> None:
    rig = await loaded(make_rig())
    reply = await rig.infer(5, outputs=[{"name": "words"}])
    assert [output["name"] for output in reply.json()["outputs"]] == ["words"]


async def test_everything_queued_runs_as_one_batch_when_the_thread_frees_up() -> None:
    rig = await loaded(make_rig(max_batch=4))
    rig.model.gate.clear()
    first = asyncio.create_task(rig.infer(0))
    await wait_until_taken(rig)
    rest = [asyncio.create_task(rig.infer(number)) for number in range(1, 6)]
    await wait_for_queue(rig, 5)
    rig.model.gate.set()
    replies = await asyncio.gather(first, *rest)
    assert [reply.status for reply in replies] == [200] * 6
    assert rig.model.batches == [[0], [1, 2, 3, 4], [5]]


async def test_neighbours_are_answered_when_one_row_fails_the_batch() -> None:
    rig = await loaded(make_rig(EchoModel(poison=2)))
    rig.model.gate.clear()
    first = asyncio.create_task(rig.infer(0))
    await wait_until_taken(rig)
    rest = [asyncio.create_task(rig.infer(number)) for number in (1, 2, 3)]
    await wait_for_queue(rig, 3)
    rig.model.gate.set()
    replies = await asyncio.gather(first, *rest)
    assert [reply.status for reply in replies] == [200, 200, 500, 200]
    assert replies[3].json()["outputs"][0]["data"] == [3]
    assert samples(rig)["modelserver_requests_total{failed}"] == 1


async def test_invalid_request_never_reaches_the_queue() -> None:
    rig = await loaded(make_rig())
    reply = await rig.infer(-1)
    assert reply.status == 400
    assert "expected 0 or more" in reply.json()["error"]
    assert rig.model.batches == []
    assert samples(rig)["modelserver_requests_total{invalid}"] == 1


async def test_request_is_answered_429_with_retry_after_when_the_queue_is_full() -> None:
    rig = await loaded(make_rig(max_queue=2))
    rig.model.gate.clear()
    first = asyncio.create_task(rig.infer(0))
    await wait_until_taken(rig)
    waiting = [asyncio.create_task(rig.infer(number)) for number in (1, 2)]
    await wait_for_queue(rig, 2)
    refused = await rig.infer(3)
    assert refused.status == 429
    assert int(refused.headers[b"retry-after"]) >= 1
    rig.model.gate.set()
    assert [reply.status for reply in await asyncio.gather(first, *waiting)] == [200, 200, 200]
    counted = samples(rig)
    assert counted["modelserver_requests_offered_total{}"] == 4
    assert counted["modelserver_requests_total{rejected}"] == 1
    assert counted["modelserver_requests_total{ok}"] == 3
    assert counted["modelserver_inflight_requests{}"] == 0


async def test_body_is_refused_with_413_when_it_is_longer_than_the_limit() -> None:
    rig = await loaded(make_rig(body_limit_bytes=100))
    told = await ask(rig.application, "POST", "/v2/models/echo/infer", b"", [(b"content-length", b"101")])
    untold = await ask(rig.application, "POST", "/v2/models/echo/infer", numbers_body(*range(60)))
    assert (told.status, untold.status) == (413, 413)


@pytest.mark.parametrize("header", [(b"content-encoding", b"gzip"), (b"inference-header-content-length", b"10")])
async def test_body_is_refused_when_it_is_encoded_in_a_way_not_supported(header: tuple[bytes, bytes]) -> None:
    rig = await loaded(make_rig())
    reply = await ask(rig.application, "POST", "/v2/models/echo/infer", numbers_body(1), [header])
    assert reply.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/v2/", 200),
        ("GET", "/v2/health/live", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/echo", 200),
        ("GET", "/v2/models/echo/ready", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v2/models/other", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/models/echo/infer", 405),
        ("POST", "/v2/health/live", 405),
    ],
)
async def test_path_answers_as_the_protocol_says(method: str, path: str, status: int) -> None:
    rig = await loaded(make_rig())
    assert (await ask(rig.application, method, path)).status == status


async def test_server_is_live_but_not_ready_when_the_model_is_loading() -> None:
    released = threading.Event()

    def load() -> EchoModel:
        released.wait(timeout=10)
        return EchoModel()

    rig = make_rig(load=load)
    rig.compute.start()
    assert (await ask(rig.application, "GET", "/v2/health/live")).status == 200
    assert (await ask(rig.application, "GET", "/v2/health/ready")).status == 503
    assert (await ask(rig.application, "GET", "/v2/models/echo")).status == 503
    early = await rig.infer(1)
    assert early.status == 503
    assert b"retry-after" in early.headers
    released.set()


async def test_server_is_not_live_when_the_model_did_not_load() -> None:
    def load() -> EchoModel:
        raise LoadError("weights: expected some")

    rig = make_rig(load=load)
    rig.compute.start()
    while rig.compute.is_alive():
        await asyncio.sleep(0)
    reply = await ask(rig.application, "GET", "/v2/health/live")
    assert reply.status == 503
    assert "weights: expected some" in reply.json()["reason"]


async def test_server_is_not_live_when_a_batch_is_wedged() -> None:
    rig = await loaded(make_rig(wedged_after_seconds=0.0))
    rig.model.gate.clear()
    stuck = asyncio.create_task(rig.infer(1))
    await wait_until_taken(rig)
    assert (await ask(rig.application, "GET", "/v2/health/live")).status == 503
    rig.model.gate.set()
    assert (await stuck).status == 200


class Quitter(EchoModel):
    def predict(self, rows: Sequence[int]) -> list[int]:
        if 2 in rows:
            raise SystemExit("a model that calls exit()")
        return super().predict(rows)


class Miscounter(EchoModel):
    def predict(self, rows: Sequence[int]) -> list[int]:
        return super().predict(rows) if 2 not in rows else []


@pytest.mark.parametrize("model", [Quitter(), Miscounter()], ids=["exits", "answers too few rows"])
async def test_server_goes_on_when_the_model_breaks_its_contract(model: EchoModel) -> None:
    rig = await loaded(make_rig(model))
    assert (await asyncio.wait_for(rig.infer(2), timeout=5)).status == 500
    assert (await asyncio.wait_for(rig.infer(3), timeout=5)).status == 200
    assert (await ask(rig.application, "GET", "/v2/health/live")).status == 200


async def test_lame_duck_is_not_ready_but_serves_and_asks_for_other_connections() -> None:
    rig = await loaded(make_rig())
    rig.application.phase = "lame duck"
    assert (await ask(rig.application, "GET", "/v2/health/ready")).status == 503
    assert (await ask(rig.application, "GET", "/v2/health/live")).status == 200
    reply = await rig.infer(1)
    assert reply.status == 200
    assert reply.headers[b"connection"] == b"close"


async def test_request_is_answered_503_with_retry_after_when_the_server_drains() -> None:
    rig = await loaded(make_rig())
    rig.application.phase = "draining"
    reply = await rig.infer(1)
    assert reply.status == 503
    assert b"retry-after" in reply.headers


async def test_every_series_carries_the_operators_labels_when_it_gave_some() -> None:
    labels = {"modeldeployment_namespace": "shop", "modeldeployment": "ranker", "pool": "cpu-full"}
    rig = await loaded(make_rig(labels=labels))
    await rig.infer(1)
    page = (await ask(rig.application, "GET", "/metrics")).body.decode()
    found = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert found
    assert all(labels.items() <= sample.labels.items() for sample in found)


async def test_batch_cap_is_found_when_none_is_given() -> None:
    rig = await loaded(make_rig(max_batch=None))
    assert (await rig.infer(*range(8))).status == 200
