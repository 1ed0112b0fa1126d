"""The ASGI application: Open Inference Protocol v2, health, metrics and diagnosis. No framework on the hot path."""

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from modelserver import __version__
from modelserver.engine.engine import Engine
from modelserver.errors import (
    ClientGoneError,
    DeadlineExceededError,
    InferenceFailedError,
    MethodNotAllowedError,
    NotFoundError,
    QueueFullError,
    RequestError,
    UnavailableError,
    WorkerHungError,
    WorkerLostError,
)
from modelserver.protocol import documents
from modelserver.protocol.openapi import openapi_document
from modelserver.serving.bottleneck import Verdict
from modelserver.serving.health import Facts, why_not_live, why_not_ready
from modelserver.serving.http import (
    Receive,
    Response,
    Scope,
    Send,
    error_response,
    is_sent_again,
    json_response,
    send_response,
)
from modelserver.serving.inference import Inference
from modelserver.serving.metrics import ServerMetrics
from modelserver.serving.routes import PATHS, Route, Subject, parse_path
from modelserver.serving.window import Window

PROMETHEUS_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
_OUTCOMES: dict[type[RequestError], str] = {
    QueueFullError: "rejected",
    UnavailableError: "rejected",
    DeadlineExceededError: "expired",
    ClientGoneError: "cancelled",
    InferenceFailedError: "failed",
    WorkerLostError: "failed",
    WorkerHungError: "failed",
}
"""Any other error is the client's: `invalid`."""

log = logging.getLogger("modelserver")


class Application:
    """Answers requests to one model.

    Args:
        engine: Computes.
        facts: Returns what health follows from.
        metrics: Told about every request.
        window: Ditto.
        refresh: Brings the metrics' gauges up to date; called before they are rendered.
        body_limit_bytes: Longest body of a request.
        bodies_limit_bytes: Of all requests' bodies together.

    Attributes:
        closing: Whether clients are asked to use another connection next time.
        refusal: Why no infer request is taken; None while they are.
        verdict: What holds the server back; None before the first window is over.
        inflight: Infer requests arrived and not yet answered.
        idle: Set while there is none.
    """

    def __init__(
        self,
        engine: Engine,
        facts: Callable[[], Facts],
        metrics: ServerMetrics,
        window: Window,
        refresh: Callable[[], None],
        body_limit_bytes: int,
        bodies_limit_bytes: int,
    ) -> None:
        self._engine = engine
        self._facts = facts
        self._metrics = metrics
        self._window = window
        self._refresh = refresh
        self._inference = Inference(engine, window, body_limit_bytes, bodies_limit_bytes)
        self._routes: dict[str, Route] = {}
        self.closing = False
        self.refusal: str | None = None
        self.verdict: Verdict | None = None
        self.inflight = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._gets: dict[Subject, Callable[[Route], Response]] = {
            "server": self._server,
            "live": self._live,
            "ready": self._ready,
            "model": self._model,
            "model ready": self._model_ready,
            "openapi": self._openapi,
            "metrics": self._render_metrics,
            "bottleneck": self._bottleneck,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        path: str = scope["path"]
        route = self._routes.get(path) or parse_path(path)
        if route is not None and route.subject == "infer" and scope["method"] == "POST":
            await self._counted_infer(scope, receive, send, route)
            return
        try:
            response = self._answer_get(route, path, scope["method"])
        except RequestError as error:
            response = error_response(error)
        await send_response(send, response, self.closing)

    def _answer_get(self, route: Route | None, path: str, method: str) -> Response:
        if route is None:
            raise NotFoundError(f"path {path[:100]!r}: expected one of {', '.join(PATHS)}")
        answer = self._gets.get(route.subject)
        if answer is None or method not in ("GET", "HEAD"):
            expected = "POST" if answer is None else "GET"
            raise MethodNotAllowedError(f"method {method} of {path[:100]}: expected {expected}")
        self._check_model(route)
        return answer(route)

    async def _counted_infer(self, scope: Scope, receive: Receive, send: Send, route: Route) -> None:
        start = time.perf_counter()
        self._metrics.offered.pending += 1
        if is_sent_again(scope["headers"]):
            self._metrics.retried.pending += 1
        self.inflight += 1
        self.idle.clear()
        try:
            response, outcome, variant = await self._infer(scope, receive, route)
            self._metrics.ended(outcome, variant)
            before = time.perf_counter()
            await send_response(send, response, self.closing)
            self._note(start, before, outcome, variant)
        finally:
            self.inflight -= 1
            if self.inflight == 0:
                self.idle.set()

    async def _infer(self, scope: Scope, receive: Receive, route: Route) -> tuple[Response, str, str | None]:
        """Return the answer, how the request ended and the variant that answered it."""
        try:
            if self.refusal is not None:
                raise UnavailableError(f"not serving: {self.refusal}; send the request elsewhere or later")
            if scope["path"] not in self._routes:
                self._learn_route(scope["path"], route)
            response, variant = await self._inference.answer(scope, receive, route.variant)
        except RequestError as error:
            return error_response(error), _OUTCOMES.get(type(error), "invalid"), None
        except Exception:  # a mistake of ours must not end the connection without an answer
            log.exception("a request failed")
            failed = InferenceFailedError("the server failed on this request; see its log")
            return error_response(failed), "failed", None
        return response, "ok", variant

    def _note(self, start: float, before: float, outcome: str, variant: str | None) -> None:
        now = time.perf_counter()
        sums = self._window.requests
        if variant is not None:
            self._metrics.answered(variant, now - start)
            sums.requests += 1
            sums.request_seconds += now - start
            sums.send_seconds += now - before
        elif outcome == "rejected":
            sums.refused += 1

    def _learn_route(self, path: str, route: Route) -> None:
        """Check a path; remember it when it can be answered for as long as the process lives."""
        self._check_model(route)
        if route.variant is None:
            self._routes[path] = route

    def _check_model(self, route: Route) -> None:
        """Check model and variant in a path.

        Raises:
            NotFoundError: When they are not ours.
            UnavailableError: When it is not known yet.
        """
        if route.model is None:
            return
        name = self._engine.contract.name
        if route.model != name:
            raise NotFoundError(f"model {route.model[:60]!r}: expected {name!r}")
        if route.variant is not None:
            self._inference.check_variant(route.variant)

    def _live(self, _: Route) -> Response:
        reason = why_not_live(self._facts())
        return _probe(documents.liveness(reason), reason)

    def _ready(self, _: Route) -> Response:
        reason = why_not_ready(self._facts())
        return _probe(documents.readiness(reason), reason)

    def _model_ready(self, route: Route) -> Response:
        return self._ready(route)

    def _server(self, _: Route) -> Response:
        return json_response(documents.server_metadata(__version__))

    def _model(self, route: Route) -> Response:
        variants = self._engine.variants if route.variant is None else [route.variant]
        return json_response(documents.model_metadata(self._engine.contract, variants))

    def _openapi(self, _: Route) -> Response:
        return json_response(openapi_document(self._engine.contract, tuple(self._engine.variants), __version__))

    def _render_metrics(self, _: Route) -> Response:
        self._refresh()
        return Response(HTTPStatus.OK, self._metrics.render(), PROMETHEUS_TEXT)

    def _bottleneck(self, _: Route) -> Response:
        if self.verdict is None:
            raise UnavailableError("bottleneck: the first window is not over yet; try again in some seconds")
        return json_response(self.verdict.as_json())


def _probe(content: dict[str, object], reason: str | None) -> Response:
    return json_response(content, HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE)
