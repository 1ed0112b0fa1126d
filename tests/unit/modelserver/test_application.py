import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from modelserver.errors import LoadError
from modelserver.serving.connection import GONE, Hangup
from modelserver_fakes import EchoModel
from serving_rig import INFER, Rig, make_rig, numbers_body, until


@pytest_asyncio.fixture
async def rigs() -> AsyncIterator[Any]:
    """Make rigs, start them, and end their engines."""
    made: list[Rig] = []

    async def make(model: EchoModel | None = None, **options: Any) -> Rig:
        made.append(make_rig(model, **options))
        return await made[-1].start()

    yield make
    for rig in made:
        await rig.engine.stop()


async def test_request_is_answered_in_row_order_when_the_model_is_loaded(rigs: Any) -> None:
    reply = await (await rigs()).infer(3, 1, 2, id="x")
    assert reply.status == 200
    assert reply.json()["id"] == "x"
    assert reply.json()["model_version"] == "full"
    assert reply.json()["parameters"] == {"degraded": False}
    assert [output["data"] for output in reply.json()["outputs"]] == [[3, 1, 2]]


async def test_optional_output_comes_only_when_asked_for(rigs: Any) -> None:
    reply = await (await rigs()).infer(5, outputs=[{"name": "words"}])
    assert [output["name"] for output in reply.json()["outputs"]] == ["words"]


async def test_everything_queued_runs_as_one_batch_when_a_worker_frees_up(rigs: Any) -> None:
    rig = await rigs(max_batch_rows=4)
    rig.block()
    first = asyncio.create_task(rig.infer(0))
    await rig.until_computing()
    rest = [asyncio.create_task(rig.infer(number)) for number in range(1, 6)]
    await rig.until_waiting(5)
    rig.unblock()
    replies = await asyncio.gather(first, *rest)
    assert [reply.status for reply in replies] == [200] * 6
    assert rig.computed() == [[0], [1, 2, 3, 4], [5]]


async def test_neighbours_are_answered_when_one_request_fails_the_batch(rigs: Any) -> None:
    rig = await rigs(EchoModel(poison=2))
    rig.block()
    first = asyncio.create_task(rig.infer(0))
    await rig.until_computing()
    rest = [asyncio.create_task(rig.infer(number)) for number in (1, 2, 3)]
    await rig.until_waiting(3)
    rig.unblock()
    replies = await asyncio.gather(first, *rest)
    assert [reply.status for reply in replies] == [200, 200, 500, 200]
    assert replies[3].json()["outputs"][0]["data"] == [3]
    assert (await rig.samples())["modelserver_requests_total{failed,full}"] == 1


async def test_invalid_request_never_reaches_the_queue(rigs: Any) -> None:
    rig = await rigs()
    reply = await rig.ask("POST", INFER, numbers_body(1).replace(b"INT64", b"FP32"))
    assert reply.status == 400
    assert "datatype 'FP32', expected 'INT64'" in reply.error
    assert rig.computed() == []
    assert (await rig.samples())["modelserver_requests_total{invalid,full}"] == 1


async def test_model_may_refuse_a_request_that_fits_the_contract(rigs: Any) -> None:
    reply = await (await rigs()).infer(-1)
    assert reply.status == 400
    assert "expected 0 or more" in reply.error


async def test_request_is_answered_429_with_retry_after_when_the_queue_is_full(rigs: Any) -> None:
    rig = await rigs(max_queue=2)
    rig.block()
    first = asyncio.create_task(rig.infer(0))
    await rig.until_computing()
    waiting = [asyncio.create_task(rig.infer(number)) for number in (1, 2)]
    await rig.until_waiting(2)
    refused = await rig.infer(3)
    assert refused.status == 429
    assert int(refused.headers[b"retry-after"]) >= 1
    rig.unblock()
    assert [reply.status for reply in await asyncio.gather(first, *waiting)] == [200, 200, 200]
    counted = await rig.samples()
    assert counted["modelserver_requests_offered_total{}"] == 4
    assert counted["modelserver_requests_total{rejected,full}"] == 1
    assert counted["modelserver_requests_total{ok,full}"] == 3
    assert counted["modelserver_inflight_requests{}"] == 0
    assert counted["modelserver_rows_total{full}"] == 3


@pytest.mark.parametrize(
    ("attempt", "retried"), [(None, 0), (b"1", 0), (b"2", 1), (b"11", 1), (b"", 0), (b"-2", 0), (b"two", 0)]
)
async def test_request_counts_as_sent_again_only_when_its_attempt_is_above_one(
    rigs: Any, attempt: bytes | None, retried: int
) -> None:
    rig = await rigs()
    headers = [] if attempt is None else [(b"x-envoy-attempt-count", attempt)]
    assert (await rig.ask("POST", INFER, numbers_body(1), headers=headers)).status == 200
    counted = await rig.samples()
    assert counted["modelserver_requests_offered_total{}"] == 1
    assert counted["modelserver_requests_retried_total{}"] == retried


async def test_row_is_never_computed_when_its_client_hangs_up(rigs: Any) -> None:
    rig, hangup = await rigs(), Hangup()
    rig.block()
    first = asyncio.create_task(rig.infer(0))
    await rig.until_computing()
    left, stays = asyncio.create_task(rig.infer(1, hangup=hangup)), asyncio.create_task(rig.infer(2))
    await rig.until_waiting(2)
    hangup.set()
    rig.unblock()
    assert [reply.status for reply in await asyncio.gather(first, stays)] == [200, 200]
    await left
    assert rig.computed() == [[0], [2]]
    assert (await rig.samples())["modelserver_requests_total{cancelled,full}"] == 1


async def test_request_is_answered_504_and_not_computed_when_its_timeout_is_over(rigs: Any) -> None:
    rig = await rigs()
    rig.block()
    first = asyncio.create_task(rig.infer(0))
    await rig.until_computing()
    late = asyncio.create_task(rig.infer(1, parameters={"timeout": 5000}))
    await rig.until_waiting(1)
    rig.clock.advance(0.006)
    rig.unblock()
    assert (await first).status == 200
    assert (await late).status == 504
    assert rig.computed() == [[0]]
    assert (await rig.samples())["modelserver_requests_total{expired,full}"] == 1


async def test_lower_priority_number_is_computed_first(rigs: Any) -> None:
    rig = await rigs(max_batch_rows=1)
    rig.block()
    first = asyncio.create_task(rig.infer(0))
    await rig.until_computing()
    rest = [asyncio.create_task(rig.infer(priority, parameters={"priority": priority})) for priority in (2, 1)]
    await rig.until_waiting(2)
    rig.unblock()
    await asyncio.gather(first, *rest)
    assert rig.computed() == [[0], [1], [2]]


@pytest.mark.parametrize("by", ["parameter", "path"])
async def test_insisted_variant_answers(rigs: Any, by: str) -> None:
    rig = await rigs(variants=("full", "int8"))
    if by == "parameter":
        reply = await rig.infer(1, parameters={"variant": "int8"})
    else:
        reply = await rig.infer(1, path="/v2/models/echo/versions/int8/infer")
    assert reply.json()["model_version"] == "int8"
    assert reply.json()["parameters"]["degraded"] is False
    assert rig.executors[0].ran[-1].variant == "int8"
    assert (await rig.samples())["modelserver_requests_total{ok,int8}"] == 1


@pytest.mark.parametrize(
    ("path", "more", "known"),
    [
        ("/v2/models/other/infer", {}, "'echo'"),
        ("/v2/models/echo/versions/bf16/infer", {}, "full, int8"),
        (INFER, {"parameters": {"variant": "bf16"}}, "full, int8"),
    ],
)
async def test_unknown_name_is_answered_404_with_the_known_ones(
    rigs: Any, path: str, more: dict[str, Any], known: str
) -> None:
    reply = await (await rigs(variants=("full", "int8"))).infer(1, path=path, **more)
    assert reply.status == 404
    assert known in reply.error


async def test_body_is_refused_with_413_when_it_is_longer_than_the_limit(rigs: Any) -> None:
    rig = await rigs(body_limit_bytes=100)
    told = await rig.ask("POST", INFER, b"", headers=[(b"content-length", b"101")])
    untold = await rig.ask("POST", INFER, numbers_body(*range(60)))
    assert (told.status, untold.status) == (413, 413)


@pytest.mark.parametrize("size", [100_000, 50_000_000])
async def test_body_is_refused_with_413_when_it_is_too_long_decompressed(rigs: Any, size: int) -> None:
    rig = await rigs(body_limit_bytes=60_000)
    bomb = gzip.compress(b" " * size)
    reply = await rig.ask("POST", INFER, bomb, headers=[(b"content-encoding", b"gzip")])
    assert reply.status == 413
    assert "decompressed" in reply.error


async def test_request_is_answered_503_when_bodies_together_take_too_much(rigs: Any) -> None:
    rig = await rigs(bodies_limit_bytes=200)
    rig.block()
    length = (b"content-length", b"150")
    first = asyncio.create_task(rig.ask("POST", INFER, numbers_body(1), headers=[length]))
    await rig.until_computing()
    refused = await rig.ask("POST", INFER, numbers_body(2), headers=[length])
    assert refused.status == 503
    assert b"retry-after" in refused.headers
    rig.unblock()
    assert (await first).status == 200
    assert (await rig.ask("POST", INFER, numbers_body(2), headers=[length])).status == 200


@pytest.mark.parametrize("header", [(b"content-length", b"4096"), (b"content-encoding", b"gzip"), None])
async def test_bodies_that_were_only_promised_leave_room_for_others(
    rigs: Any, header: tuple[bytes, bytes] | None
) -> None:
    rig, never = await rigs(bodies_limit_bytes=4096), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await never.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None: ...

    scope = {"path": INFER, "method": "POST", "headers": [] if header is None else [header], GONE: Hangup()}
    promises = [asyncio.create_task(rig.front.application(scope, receive, send)) for _ in range(3)]
    await until(lambda: rig.front.application.inflight == 3)
    assert (await rig.infer(1)).status == 200
    never.set()
    await asyncio.gather(*promises)


async def test_compressed_body_is_read(rigs: Any) -> None:
    body = gzip.compress(numbers_body(4, 5))
    reply = await (await rigs()).ask("POST", INFER, body, headers=[(b"content-encoding", b"gzip")])
    assert reply.json()["outputs"][0]["data"] == [4, 5]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"content-encoding", b"br"), 415),
        ((b"content-encoding", b"gzip"), 400),
        ((b"inference-header-content-length", b"1000000"), 400),
        ((b"inference-header-content-length", b"ten"), 400),
        ((b"content-length", b"-1"), 400),
    ],
)
async def test_body_is_refused_when_its_headers_are_wrong(rigs: Any, header: tuple[bytes, bytes], status: int) -> None:
    reply = await (await rigs()).ask("POST", INFER, numbers_body(1), headers=[header])
    assert reply.status == status
    assert reply.error


async def test_binary_tensors_go_both_ways(rigs: Any) -> None:
    raw = (7).to_bytes(8, "little")
    tensor = b'{"name":"numbers","datatype":"INT64","shape":[1],"parameters":{"binary_data_size":8}}'
    header = b'{"inputs":[' + tensor + b'],"parameters":{"binary_data_output":true}}'
    length = (b"inference-header-content-length", str(len(header)).encode())
    reply = await (await rigs()).ask("POST", INFER, header + raw, headers=[length])
    assert reply.headers[b"content-type"] == b"application/octet-stream"
    assert reply.body[int(reply.headers[b"inference-header-content-length"]) :] == raw


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/v2/", 200),
        ("HEAD", "/v2", 200),
        ("GET", "/v2/health/live", 200),
        ("HEAD", "/v2/health/ready", 200),
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/echo", 200),
        ("GET", "/v2/models/echo/ready", 200),
        ("GET", "/v2/models/echo/versions/full", 200),
        ("GET", "/v2/models/echo/versions/full/ready", 200),
        ("GET", "/metrics", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/debug/bottleneck", 503),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/echo/versions/bf16/ready", 404),
        ("GET", "/v2/models/echo/nonsense", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("GET", "/v2/models/echo/infer", 405),
        ("POST", "/v2/health/live", 405),
        ("GET", "/", 404),
    ],
)
async def test_path_answers_as_the_protocol_says(rigs: Any, method: str, path: str, status: int) -> None:
    reply = await (await rigs()).ask(method, path)
    assert reply.status == status


async def test_server_is_live_but_not_ready_when_the_model_is_loading(rigs: Any) -> None:
    rig = make_rig()
    assert (await rig.get("/v2/health/live")).status == 200
    assert (await rig.get("/v2/health/ready")).status == 503
    assert (await rig.get("/v2/models/echo")).status == 503
    early = await rig.infer(1)
    assert early.status == 503
    assert b"retry-after" in early.headers
    await rig.start()
    assert (await rig.get("/v2/health/ready")).status == 200
    await rig.engine.stop()


async def test_server_is_not_live_when_the_model_did_not_load(rigs: Any) -> None:
    rig = await rigs(start_errors=[LoadError("weights: expected some")])
    assert isinstance(rig.front.failure, LoadError)
    reply = await rig.get("/v2/health/live")
    assert reply.status == 503
    assert "weights: expected some" in reply.json()["reason"]


async def test_server_is_not_live_when_nothing_moves_though_something_is_queued(rigs: Any) -> None:
    rig = await rigs(wedged_after_seconds=30.0)
    rig.block()
    stuck = asyncio.create_task(rig.infer(1))
    await rig.until_computing()
    rig.clock.advance(29.0)
    rig.front.tick(0.0)
    assert (await rig.get("/v2/health/live")).status == 200
    rig.clock.advance(4.0)
    assert (await rig.get("/v2/health/live")).status == 503
    assert (await rig.get("/v2/health/ready")).status == 503
    rig.unblock()
    assert (await stuck).status == 200
    assert (await rig.get("/v2/health/live")).status == 200


async def test_server_stays_live_when_it_has_been_idle_for_long(rigs: Any) -> None:
    rig = await rigs(wedged_after_seconds=30.0)
    rig.clock.advance(1000.0)
    rig.front.tick(0.0)
    rig.block()
    fresh = asyncio.create_task(rig.infer(1))
    await rig.until_computing()
    assert (await rig.get("/v2/health/live")).status == 200
    rig.unblock()
    assert (await fresh).status == 200


async def test_only_what_a_lost_worker_held_is_refused_and_readiness_says_so_until_it_is_back(rigs: Any) -> None:
    rig = await rigs()
    (executor,) = rig.executors
    rig.block()
    held = asyncio.create_task(rig.infer(1))
    await rig.until_computing()
    waits = asyncio.create_task(rig.infer(2))
    await rig.until_waiting(1)
    executor.start_errors = [LoadError("not yet")]
    executor.lose("crash")
    lost = await held
    assert lost.status == 503
    assert b"retry-after" in lost.headers
    assert (await rig.get("/v2/health/ready")).status == 503
    assert (await rig.get("/v2/health/live")).status == 200
    rig.unblock()
    assert (await asyncio.wait_for(waits, 10)).status == 200
    assert (await rig.get("/v2/health/ready")).status == 200
    counted = await rig.samples()
    assert counted["modelserver_worker_restarts_total{crash}"] >= 1
    assert counted["modelserver_workers_ready{}"] == 1
    assert counted["modelserver_requests_total{failed,full}"] == 1


class Quitter(EchoModel):
    def predict(self, batch: Any) -> Any:
        if 2 in batch["numbers"]:
            raise SystemExit("a model that calls exit()")
        return super().predict(batch)


class Miscounter(EchoModel):
    def predict(self, batch: Any) -> Any:
        return super().predict(batch) if 2 not in batch["numbers"] else {"numbers": batch["numbers"][:0]}


@pytest.mark.parametrize("model", [Quitter(), Miscounter()], ids=["exits", "answers too few rows"])
async def test_server_goes_on_when_the_model_breaks_its_contract(rigs: Any, model: EchoModel) -> None:
    rig = await rigs(model)
    assert (await asyncio.wait_for(rig.infer(2), timeout=5)).status == 500
    assert (await asyncio.wait_for(rig.infer(3), timeout=5)).status == 200
    assert (await rig.get("/v2/health/live")).status == 200


async def test_mistake_of_the_server_is_answered_500_as_json(rigs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = await rigs()

    def broken(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(rig.engine, "submit", broken)
    reply = await rig.infer(1)
    assert reply.status == 500
    assert "see its log" in reply.error


async def test_lame_duck_is_not_ready_but_serves_and_asks_for_other_connections(rigs: Any) -> None:
    rig = await rigs()
    rig.front.begin("lame duck")
    assert (await rig.get("/v2/health/ready")).status == 503
    assert (await rig.get("/v2/health/live")).status == 200
    reply = await rig.infer(1)
    assert reply.status == 200
    assert reply.headers[b"connection"] == b"close"


async def test_request_is_answered_503_with_retry_after_when_the_server_drains(rigs: Any) -> None:
    rig = await rigs()
    rig.front.begin("draining")
    reply = await rig.infer(1)
    assert reply.status == 503
    assert b"retry-after" in reply.headers


async def test_every_series_carries_the_operators_labels_when_it_gave_some(rigs: Any) -> None:
    labels = {"modeldeployment_namespace": "shop", "modeldeployment": "ranker", "pool": "cpu-full"}
    rig = await rigs(labels=labels)
    await rig.infer(1)
    page = (await rig.get("/metrics")).body.decode()
    found = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    assert found
    assert all(labels.items() <= sample.labels.items() for sample in found)


async def test_answer_comes_from_the_cache_when_it_was_given_before(rigs: Any) -> None:
    rig = await rigs(cache_bytes=1 << 20)
    first = await rig.infer(1)
    await until(lambda: len(rig.engine.cache) == 1)
    assert (await rig.infer(1)).json()["outputs"] == first.json()["outputs"]
    assert rig.computed() == [[1]]
    counted = await rig.samples()
    assert counted["modelserver_cache_hits_total{}"] == 1
    assert counted["modelserver_cache_misses_total{}"] == 1
    assert counted["modelserver_cache_bytes{}"] > 0


async def test_bottleneck_is_named_when_a_window_is_over(rigs: Any) -> None:
    rig = await rigs()
    await rig.infer(1)
    rig.clock.advance(6.0)
    rig.front.tick(0.0)
    reply = await rig.get("/debug/bottleneck")
    assert reply.status == 200
    assert reply.json()["bottleneck"] is None
    assert reply.json()["facts"]["requests"] == 1
    assert "modelserver_bottleneck{compute}" in await rig.samples()
