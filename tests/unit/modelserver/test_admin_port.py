import json
import os
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio

from modelserver.engine.ladder import Ladder
from modelserver.errors import LoadError
from modelserver.serving.admin import TOKEN_VARIABLE, Admin, token_from_environment
from modelserver.serving.ladder_file import LadderFile
from modelserver.serving.place import Place
from modelserver_fakes import EchoModel
from serving_rig import Reply, Rig, ask, make_rig, until

TOKEN = "secret"
LADDER = {"variants": ["full", "int8"], "minMeanAccuracy": "0.98", "latencyMilliseconds": 300}


@pytest_asyncio.fixture
async def rig() -> AsyncIterator[Rig]:
    made = await make_rig().start()
    yield made
    await made.engine.stop()


async def call(
    rig: Rig, method: str, document: object = None, token: str | None = TOKEN, path: str = "/admin/ladder"
) -> Reply:
    admin = Admin(TOKEN, lambda: rig.front.ladder, rig.front.change_ladder)
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    return await ask(admin, method, path, b"" if document is None else json.dumps(document).encode(), headers)


async def test_ladder_is_changed_and_told_with_its_hash(rig: Rig) -> None:
    put = await call(rig, "PUT", LADDER)
    assert put.status == 200
    assert put.json()["variants"] == ["full", "int8"]
    assert put.json() == (await call(rig, "GET")).json()
    assert rig.engine.variants == ["full", "int8"]
    page = (await rig.get("/metrics")).body.decode()
    assert f'modelserver_ladder_info{{hash="{put.json()["hash"]}",variants="full,int8"}} 1.0' in page


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x"])
async def test_request_without_the_token_is_answered_401_and_changes_nothing(rig: Rig, token: str | None) -> None:
    assert (await call(rig, "PUT", LADDER, token)).status == 401
    assert rig.engine.variants == ["full"]


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({**LADDER, "variants": []}, "variants"),
        ({**LADDER, "minMeanAccuracy": "2"}, "minMeanAccuracy"),
        ({**LADDER, "minMeanAccuracy": "0.995"}, "minMeanAccuracy"),
        ({**LADDER, "latencyMilliseconds": 0}, "latencyMilliseconds"),
        ({**LADDER, "latency": 5}, "latency"),
        ([], "ladder"),
    ],
)
async def test_invalid_ladder_is_answered_400_and_names_the_field(rig: Rig, document: object, names: str) -> None:
    reply = await call(rig, "PUT", document)
    assert reply.status == 400
    assert names in reply.error
    assert rig.front.ladder.variants == ("full",)


async def test_body_that_is_not_json_is_answered_400(rig: Rig) -> None:
    admin = Admin(TOKEN, lambda: rig.front.ladder, rig.front.change_ladder)
    reply = await ask(admin, "PUT", "/admin/ladder", b"{", [(b"authorization", b"Bearer secret")])
    assert reply.status == 400


async def test_variant_that_does_not_load_is_answered_409_with_the_reason(rig: Rig) -> None:
    reply = await call(rig, "PUT", {"variants": ["full", "bf16"]})
    assert reply.status == 409
    assert "variant 'bf16': expected one of full, int8" in reply.error
    assert rig.front.ladder.variants == ("full",)


async def test_other_paths_and_methods_are_refused(rig: Rig) -> None:
    assert (await call(rig, "GET", path="/v2")).status == 404
    assert (await call(rig, "DELETE")).status == 405


def test_port_is_not_opened_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "")
    with pytest.raises(LoadError, match=TOKEN_VARIABLE):
        token_from_environment()


async def test_other_fronts_follow_when_one_is_told_a_ladder(tmp_path: Path) -> None:
    fronts = [
        await make_rig(
            EchoModel(), place=Place(index, 2, tmp_path), ladder_file=LadderFile(tmp_path / "ladder.json")
        ).start()
        for index in range(2)
    ]
    asked, follower = fronts
    assert (await call(asked, "PUT", LADDER)).status == 200
    follower.clock.advance(0.3)
    follower.front.tick(0.0)
    await until(lambda: follower.engine.variants == ["full", "int8"])
    assert follower.front.ladder.hash == asked.front.ladder.hash
    restarted = LadderFile(tmp_path / "ladder.json").changed()
    assert restarted == asked.front.ladder
    for rig in fronts:
        await rig.engine.stop()


async def test_other_fronts_follow_later_when_a_worker_of_theirs_is_starting(tmp_path: Path) -> None:
    asked, follower = [
        make_rig(
            EchoModel(), place=Place(index, 2, tmp_path), ladder_file=LadderFile(tmp_path / "ladder.json"), workers=2
        )
        for index in range(2)
    ]
    starting = follower.executors[1].may_start
    starting.clear()
    for rig in (asked, follower):
        await rig.start()
        await until(lambda: asked.engine.workers_ready == 2)
    assert (await call(asked, "PUT", LADDER)).status == 200
    follower.clock.advance(0.3)
    follower.front.tick(0.0)
    await until(lambda: not follower.front._changes)
    assert follower.engine.variants == ["full"]

    starting.set()
    await until(lambda: follower.engine.workers_ready == 2)
    follower.clock.advance(0.3)
    follower.front.tick(0.0)
    await until(lambda: follower.engine.variants == ["full", "int8"])
    for rig in (asked, follower):
        await rig.engine.stop()


async def follower_of(tmp_path: Path, document: object) -> Rig:
    """Return a front that follows a file which states a ladder once the front has started."""
    path = tmp_path / "told.json"
    rig = await make_rig(EchoModel(), ladder_file=LadderFile(path)).start()
    path.write_text(json.dumps(document))
    rig.clock.advance(0.3)
    rig.front.tick(0.0)
    await until(lambda: not rig.front._changes)
    await rig.engine.stop()
    return rig


async def test_file_is_followed_when_whoever_runs_the_server_writes_it(tmp_path: Path) -> None:
    rig = await follower_of(tmp_path, LADDER)
    assert rig.engine.variants == ["full", "int8"]
    assert rig.front.ladder.document() == LADDER


async def test_floor_and_objective_of_a_file_count_when_one_of_its_variants_does_not_load(tmp_path: Path) -> None:
    rig = await follower_of(tmp_path, {**LADDER, "variants": ["full", "bf16"]})
    assert rig.front.ladder.document() == {**LADDER, "variants": ["full"]}


async def test_file_changes_nothing_when_none_of_its_variants_loads(tmp_path: Path) -> None:
    rig = await follower_of(tmp_path, {"variants": ["bf16"]})
    assert rig.front.ladder.document() == {"variants": ["full"]}


async def test_admin_port_changes_nothing_when_a_file_states_the_ladder(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    rig = await make_rig(EchoModel(), told_by=path).start()
    reply = await call(rig, "PUT", LADDER)
    assert (reply.status, rig.front.ladder.variants) == (409, ("full",))
    assert f"--ladder-file {path}" in reply.error
    assert (await call(rig, "GET")).status == 200
    await rig.engine.stop()


def test_ladder_of_a_newer_writer_is_followed_without_what_is_not_known_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ladder.json"
    path.write_text('{"variants": ["full", "int8"], "minMeanAccuracy": "0.9", "someday": {"deep": 1}}')
    with caplog.at_level("WARNING"):
        assert LadderFile(path).changed() == Ladder(("full", "int8"), Decimal("0.9"))
    assert "not known here are passed over: someday" in caplog.text


def test_damaged_ladder_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "ladder.json").write_text('{"variants": 3}')
    file = LadderFile(tmp_path / "ladder.json")
    assert file.changed() is None
    assert file.changed() is None


async def test_whoever_changes_the_ladder_is_told_when_the_other_fronts_cannot_be(tmp_path: Path) -> None:
    taken = tmp_path / "shared" / "ladder.json"
    taken.mkdir(parents=True)
    rig = await make_rig(EchoModel(), place=Place(0, 2, tmp_path), ladder_file=LadderFile(taken)).start()
    put = await call(rig, "PUT", LADDER)
    await rig.engine.stop()
    assert put.status == 409
    assert "in force in this front alone, the others cannot be told" in put.json()["error"]
    assert os.listdir(taken.parent) == [taken.name]
