"""HTTPRoutes as the operator sees them, and why there may be none."""

import asyncio
from typing import Any

import pytest

from modelscaler.api.words import ConditionReason
from modelscaler.cluster.calls import Listing
from modelscaler.cluster.errors import ApiCallError
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.routes import Routes
from modelscaler.controller.summaries import observe_route, route_from, service_from
from modelscaler.domain import PoolKey, RouteObservation, WorkloadKey

KEY = WorkloadKey("shop", "ranker")
CPU = PoolKey("cpu", "full")
LABELS = {"modelscaler.dev/deployment": "ranker"}
META = {"namespace": "shop", "uid": "u", "resourceVersion": "7", "labels": LABELS}
SERVICE = {"metadata": {**META, "name": "ranker-beside"}, "spec": {"selector": {"modelscaler.dev/pool": "cpu-full"}}}


def answer(gateway: str, status: str, generation: int | None, **where: str) -> Any:
    condition = {"type": "Accepted", "status": status, "observedGeneration": generation}
    return {"parentRef": {"name": gateway, **where}, "conditions": [condition]}


def route(accepted_generation: int | None = 3, weights: tuple[int, ...] = (750, 250), answers: Any = ()) -> Any:
    parents = [answer("inner", "False", 3), answer("edge", "True", accepted_generation, namespace="gateways")]
    backends = [{"name": n, "weight": w} for n, w in zip(("ranker", "ranker-beside"), weights, strict=False)]
    return {
        "metadata": {**META, "name": "ranker", "generation": 3},
        "spec": {
            "parentRefs": [{"name": "edge", "namespace": "gateways"}, {"name": "inner"}],
            "rules": [{"backendRefs": backends}],
        },
        "status": {"parents": [*answers, *parents] if accepted_generation else [*answers]},
    }


def seen(body: Any, service: Any = SERVICE) -> RouteObservation | None:
    return observe_route(route_from(body), service_from(service) if service else None, "ranker-beside")


class Calls:
    """Answers one listing, or fails."""

    def __init__(self, answer: Listing | ApiCallError) -> None:
        self.answer = answer

    def list(self, kind: str, selector: str) -> Listing:
        assert kind == "HTTPRoute"
        if isinstance(self.answer, ApiCallError):
            raise self.answer
        return self.answer


def refreshed(*answers: Listing | ApiCallError) -> tuple[Routes, Mirror]:
    mirror = Mirror(lambda _: None)
    calls: Any = Calls(answers[0])
    routes = Routes(calls, mirror, "")
    for answer in answers:
        calls.answer = answer
        asyncio.run(routes.refresh())
    return routes, mirror


def test_share_is_that_of_the_weights_when_the_service_selects_a_pool() -> None:
    assert seen(route()) == RouteObservation(accepted=True, side=CPU, side_share=0.25)


def test_nothing_is_shared_when_only_one_service_is_behind_the_route() -> None:
    assert seen(route(weights=(1000,))) == RouteObservation(accepted=True, side=CPU, side_share=0.0)
    assert seen(route(), service=None) == RouteObservation(accepted=True)


@pytest.mark.parametrize(
    ("generation", "accepted", "current"), [(None, False, True), (2, True, False), (3, True, True)]
)
def test_route_is_current_when_a_gateway_has_seen_its_newest_generation(
    generation: int | None, accepted: bool, current: bool
) -> None:
    found = seen(route(generation))
    assert found is not None
    assert (found.accepted, found.current) == (accepted, current)


@pytest.mark.parametrize(
    "old", [answer("old", "True", 2), answer("edge", "True", 2, namespace="shop"), answer("edge", "True", 2)], ids=str
)
def test_gateway_is_not_heard_when_the_route_names_it_no_more(old: Any) -> None:
    assert seen(route(answers=[old])) == RouteObservation(accepted=True, side=CPU, side_share=0.25)
    assert seen(route(None, answers=[old])) == RouteObservation(accepted=False, side=CPU, side_share=0.25)


@pytest.mark.parametrize("where", [{}, {"namespace": "shop"}], ids=str)
def test_route_is_not_current_when_any_gateway_that_it_names_and_that_took_it_up_is_behind(
    where: dict[str, str],
) -> None:
    found = seen(route(answers=[answer("inner", "True", 2, **where)]))

    assert found == RouteObservation(accepted=True, side=CPU, side_share=0.25, current=False)


def test_routes_are_known_when_they_were_listed() -> None:
    routes, mirror = refreshed(Listing((route(),), 9))

    assert routes.trouble is None
    assert mirror.route(KEY) is not None


@pytest.mark.parametrize(
    ("status", "reason", "kept"),
    [(404, ConditionReason.ROUTES_NOT_SERVED, False), (403, ConditionReason.ROUTES_FORBIDDEN, True)],
)
def test_reason_is_told_when_routes_cannot_be_listed(status: int, reason: ConditionReason, kept: bool) -> None:
    routes, mirror = refreshed(Listing((route(),), 9), ApiCallError("no", status=status))

    assert routes.trouble is not None
    assert routes.trouble.reason is reason
    assert (mirror.route(KEY) is not None) is kept


def test_what_was_known_stays_when_nobody_answers() -> None:
    routes, mirror = refreshed(Listing((route(),), 9))
    silent: Any = Calls(ApiCallError("timeout", status=0))
    with pytest.raises(ApiCallError):
        asyncio.run(Routes(silent, mirror, "").refresh())

    assert routes.trouble is None
    assert mirror.route(KEY) is not None
