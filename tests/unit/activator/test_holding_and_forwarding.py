"""What a client sees, over real connections on loopback: held while nobody is there, then answered as a replica answers."""

import asyncio
import gzip

import aiohttp
import pytest
from aiohttp import web

from activator_rig import INFER, Answering, Received, activator, raw, replica, service, until
from modelscaler.activator.holding import Limits


async def test_request_is_held_until_a_replica_is_ready() -> None:
    async with replica() as server, activator(server.port) as rig:
        server.ready = False
        asking = asyncio.create_task(rig.ask(body=b"[1]"))
        await rig.until_held(1)
        await until(lambda: len(server.probes) >= 3)
        assert not server.received
        server.ready = True
        assert await asking == (200, b"[1]")
        assert rig.house.waiting == 0
    assert 'modelserver_queue_depth{modeldeployment="m",pool="activator"} 0.0' in rig.exposed()
    assert "modelscaler_activator_forwarded_total 1.0" in rig.exposed()
    assert 'modelserver_requests_offered_total{modeldeployment="m",pool="activator"} 0.0' in rig.exposed()


async def test_request_is_held_while_nobody_listens() -> None:
    async with service() as front, replica() as server, activator(front.port) as rig:
        asking = asyncio.create_task(rig.ask())
        await rig.until_held(1)
        front.endpoints = [server.port]
        assert (await asking)[0] == 200


async def test_request_is_held_while_the_service_selects_the_activator_itself() -> None:
    async with service() as front, replica() as server, activator(front.port) as rig:
        front.endpoints = [rig.port]
        asking = asyncio.create_task(rig.ask())
        await rig.until_held(1)
        await until(lambda: front.connections >= 3)
        assert rig.house.requests == 1
        front.endpoints = [server.port]
        assert (await asking)[0] == 200
    assert len(server.received) == 1


async def test_every_request_arrives_once_when_the_service_selects_the_activator_now_and_then() -> None:
    async with service() as front, replica() as server, activator(front.port) as rig:
        front.endpoints = [server.port, rig.port]
        answers = await asyncio.gather(*(rig.ask(body=b"%d" % n) for n in range(40)))
        assert answers == [(200, b"%d" % n) for n in range(40)]
    assert len(server.received) == 40
    assert "modelscaler_activator_forwarded_total 40.0" in rig.exposed()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/metrics", b'modelserver_queue_depth{modeldeployment="m",pool="activator"} 0.0'),
        ("/v2/health/live", b'"live": true'),
        ("/v2/health/ready", b'"ready": true'),
    ],
)
async def test_who_looks_after_pods_is_answered_at_once_and_counts_as_nobody(path: str, said: bytes) -> None:
    async with service() as front, activator(front.port) as rig:
        status, body = await rig.ask("GET", path)
        assert status == 200
        assert said in body
        assert "modelscaler_activator_abandoned_total 0.0" in rig.exposed()


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v2"), ("GET", "/v2/models/m/ready"), ("HEAD", "/"), ("POST", "/v2/repository/index")]
)
async def test_what_is_no_load_to_servers_wakes_nobody_but_is_forwarded_to_who_is_there(method: str, path: str) -> None:
    async with replica() as server, activator(server.port) as rig:
        server.ready = False
        assert (await rig.ask(method, path))[0] == 503
        assert "modelscaler_activator_held_seconds_count 0.0" in rig.exposed()
        assert 'modelserver_requests_offered_total{modeldeployment="m",pool="activator"} 0.0' in rig.exposed()
        server.ready = True
        assert (await rig.ask(method, path))[0] == 200


async def test_headers_are_bounded_together() -> None:
    async with replica() as server, activator(server.port) as rig:
        large = {f"x-{number}": "y" * 8_000 for number in range(5)}
        async with rig.client.post(rig.url(INFER), data=b"{}", headers=large) as answer:
            assert answer.status == 431
            assert "send 32768 at most" in await answer.text()
        assert not server.received


async def test_who_was_held_is_asked_again_while_replicas_are_full_and_says_so() -> None:
    async def full_at_first(_: web.BaseRequest, body: bytes) -> web.StreamResponse:
        return web.Response(status=429 if len(server.received) < 3 else 200, body=body)

    async with replica(answer=full_at_first) as server, activator(server.port) as rig:
        server.ready = False
        asking = asyncio.create_task(rig.ask(body=b"[1]"))
        await rig.until_held(1)
        await asyncio.sleep(1.05)
        server.ready = True
        assert await asking == (200, b"[1]")
        assert [got.headers.get("x-envoy-attempt-count") for got in server.received] == [None, "2", "3"]


async def test_who_was_not_held_is_told_that_replicas_are_full() -> None:
    async def full(_: web.BaseRequest, body: bytes) -> web.StreamResponse:
        return web.Response(status=429)

    async with replica(answer=full) as server, activator(server.port) as rig:
        assert (await rig.ask())[0] == 429
        assert len(server.received) == 1


@pytest.mark.parametrize("word", ["probe", "forwarded"])
async def test_other_activators_are_told_at_once_that_no_replica_is_here(word: str) -> None:
    async with replica() as server, activator(server.port, Limits(most_held=1)) as rig:
        server.ready = False
        asking = asyncio.create_task(rig.ask())
        await rig.until_held(1)
        async with rig.client.post(rig.url(), data=b"x", headers={"modelscaler-activator": word}) as answer:
            assert (answer.status, answer.headers["modelscaler-activator"]) == (503, "holding")
        asking.cancel()
        await until(lambda: rig.house.requests == 0)


async def test_requests_are_forwarded_in_the_order_they_came() -> None:
    async with replica() as server, activator(server.port) as rig:
        server.ready = False
        rig.turns._free = 1
        asking = []
        for n in range(5):
            asking.append(asyncio.create_task(rig.ask(body=b"%d" % n)))
            await rig.until_held(n + 1)
        server.ready = True
        await asyncio.gather(*asking)
    assert [received.body for received in server.received] == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v2/models/m", None),
        ("DELETE", "/a%2Fb/%7Ec/..%2f?q=a%20b&q=+&e", None),
        ("PUT", "//x/./y?u=http://z/", b"abc"),
        ("PATCH", "/", b"\x00\xff" * 300_000),
        ("GET", "/with-a-body", b"abc"),
        ("OPTIONS", "/o", None),
    ],
)
async def test_request_arrives_as_it_was_sent(method: str, path: str, body: bytes | None) -> None:
    async with replica() as server, activator(server.port) as rig:
        headers = {"Host": "m.example:81", "Content-Type": "x/y", "Cookie": "a=b; c", "X-Name": "é", "Accept": "q"}
        headers["Accept-Encoding"] = headers["User-Agent"] = "mine"
        async with rig.client.request(method, rig.url(path), data=body, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (200, body or b"")
    (got,) = server.received
    assert (got.method, got.target, got.body) == (method, path, body or b"")
    assert {name: got.headers.getall(name) for name in headers} == {name: [value] for name, value in headers.items()}
    assert got.headers["modelscaler-activator"] == "forwarded"
    assert set(got.headers) <= {*headers, "modelscaler-activator", "Connection", "Content-Length"}


async def test_compressed_body_stays_as_it_is() -> None:
    packed = gzip.compress(b"text")

    async def answer(_: web.BaseRequest, body: bytes) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    headers = {"Content-Encoding": "gzip"}
    async with (
        replica(answer) as server,
        activator(server.port) as rig,
        rig.client.post(rig.url(), data=packed, headers=headers) as got,
    ):
        assert (await got.read(), got.headers["Content-Encoding"]) == (packed, "gzip")
    assert server.received[0].body == packed


async def test_chunked_body_is_forwarded_with_its_length() -> None:
    async with replica() as server, activator(server.port) as rig, raw(rig.port) as (reader, writer):
        head = f"POST {INFER} HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
        writer.write(head.encode() + b"3\r\nabc\r\n")
        await asyncio.sleep(0.01)
        writer.write(b"2\r\nde\r\n0\r\nX: 1\r\n\r\n")
        assert (await reader.read()).endswith(b"abcde")
    assert server.received[0].headers["Content-Length"] == "5"
    assert "Transfer-Encoding" not in server.received[0].headers


async def test_client_is_told_to_go_on_when_it_asks_before_it_sends_the_body() -> None:
    async with replica() as server, activator(server.port) as rig, raw(rig.port) as (reader, writer):
        writer.write(b"POST /x HTTP/1.1\r\nHost: m\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await reader.read()).endswith(b"abc")
    assert "Expect" not in server.received[0].headers


async def test_head_has_the_length_and_no_body() -> None:
    async def answer(_: web.BaseRequest, __: bytes) -> web.StreamResponse:
        return web.Response(headers={"Content-Length": "77"})

    async with replica(answer) as server, activator(server.port) as rig, raw(rig.port) as (reader, writer):
        writer.write(b"HEAD /x HTTP/1.1\r\nHost: m\r\n\r\n")
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    assert b"Content-Length: 77" in head
    assert rest == b""


@pytest.mark.parametrize("status", [200, 204, 301, 400, 429, 500, 503])
async def test_answer_is_passed_on_as_it_is(status: int) -> None:
    async def answer(_: web.BaseRequest, __: bytes) -> web.StreamResponse:
        body = b"" if status == 204 else b"said"
        return web.Response(status=status, reason="Why", body=body, headers={"Retry-After": "9", "Location": "/y"})

    async with (
        replica(answer) as server,
        activator(server.port) as rig,
        rig.client.post(rig.url(), data=b"x", allow_redirects=False) as got,
    ):
        assert (got.status, got.reason, got.headers["Retry-After"]) == (status, "Why", "9")
        assert got.headers["Connection"] == "close"
        assert got.headers["Location"] == "/y"
        assert await got.read() == (b"" if status == 204 else b"said")
    assert len(server.received) == 1


async def test_cookies_of_one_client_are_not_sent_for_another() -> None:
    async def answer(_: web.BaseRequest, __: bytes) -> web.StreamResponse:
        return web.Response(headers={"Set-Cookie": "session=mine"})

    async with replica(answer) as server, activator(server.port) as rig:
        for _ in range(2):
            async with raw(rig.port) as (reader, writer):
                writer.write(b"GET /x HTTP/1.1\r\nHost: m\r\n\r\n")
                assert b"session=mine" in await reader.read()
    assert all("Cookie" not in received.headers for received in server.received)


async def test_answer_is_passed_on_piece_by_piece() -> None:
    go_on = asyncio.Event()

    async def answer(request: web.BaseRequest, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        await go_on.wait()
        await response.write(b"second")
        return response

    async with replica(answer) as server, activator(server.port) as rig, rig.client.post(rig.url(), data=b"x") as got:
        assert await got.content.readany() == b"first"
        assert rig.house.body_bytes == 0
        go_on.set()
        assert await got.read() == b"second"


@pytest.mark.parametrize("length", [None, 1000])
async def test_clients_connection_breaks_when_the_answer_breaks_off(length: int | None) -> None:
    async def answer(request: web.BaseRequest, _: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={} if length is None else {"Content-Length": str(length)})
        await response.prepare(request)
        await response.write(b"first")
        assert request.transport is not None
        request.transport.close()
        return response

    async with replica(answer) as server, activator(server.port) as rig:
        async with rig.client.post(rig.url(), data=b"x") as got:
            with pytest.raises(aiohttp.ClientError):
                await got.read()
        await until(lambda: rig.house.requests == 0)


async def test_every_probe_and_every_request_has_a_connection_of_its_own() -> None:
    async with replica() as server, activator(server.port) as rig:
        server.ready = False
        asking = asyncio.create_task(rig.ask())
        await until(lambda: len(server.probes) >= 3)
        server.ready = True
        await asking
        await asyncio.gather(*(rig.ask() for _ in range(5)))
    received: list[Received] = [*server.probes, *server.received]
    assert len({got.peer for got in received}) == len(received)


async def test_no_probe_is_sent_when_nothing_is_held() -> None:
    async with replica() as server, activator(server.port) as rig:
        await rig.ask()
        probed = len(server.probes)
        await rig.ask()  # a replica was seen a moment ago
        await asyncio.sleep(0.1)
        assert len(server.probes) == probed


async def test_server_learns_that_the_client_went_away() -> None:
    left = asyncio.Event()

    async def answer(_: web.BaseRequest, __: bytes) -> web.StreamResponse:
        try:
            await asyncio.sleep(60.0)
        except asyncio.CancelledError:
            left.set()
            raise
        return web.Response()

    async with replica(answer) as server, activator(server.port) as rig:
        asking = asyncio.create_task(rig.ask())
        await until(lambda: len(server.received) == 1)
        asking.cancel()
        await asyncio.wait_for(left.wait(), 5.0)
        await until(lambda: rig.house.requests == 0)


def broken_at_first(times: int) -> Answering:
    broken = 0

    async def answer(request: web.BaseRequest, _: bytes) -> web.StreamResponse:
        nonlocal broken
        if broken < times:
            broken += 1
            assert request.transport is not None
            request.transport.close()
        return web.Response(body=b"ok")

    return answer


async def test_request_is_not_repeated_when_it_may_have_been_acted_on() -> None:
    async with replica(broken_at_first(1)) as server, activator(server.port) as rig:
        status, body = await rig.ask("POST")
        assert (status, len(server.received)) == (502, 1)
        assert b"may have acted on the request" in body
    assert 'modelscaler_activator_refused_total{reason="UpstreamBrokeOff"} 1.0' in rig.exposed()


async def test_request_is_repeated_when_that_does_no_harm() -> None:
    async with replica(broken_at_first(1)) as server, activator(server.port) as rig:
        assert await rig.ask("GET", body=None) == (200, b"ok")
    assert len(server.received) == 2


async def test_request_is_given_up_when_it_breaks_off_again_and_again() -> None:
    async with replica(broken_at_first(99)) as server, activator(server.port) as rig:
        assert (await rig.ask("GET", body=None))[0] == 502
    assert 2 <= len(server.received) <= 4
