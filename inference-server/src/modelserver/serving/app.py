"""The ASGI application: Open Inference Protocol v2, health and metrics. No framework on the hot path."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from modelserver import __version__
from modelserver.errors import MethodNotAllowedError, NotFoundError, RequestError, UnavailableError
from modelserver.model import AnyModel
from modelserver.serving.compute import ComputeThread
from modelserver.serving.health import Facts, Phase, why_not_accepting, why_not_live, why_not_ready
from modelserver.serving.http import (
    PROMETHEUS_TEXT,
    Receive,
    Response,
    Scope,
    Send,
    error_response,
    read_body,
    send_response,
)
from modelserver.serving.metrics import ServerMetrics
from modelserver.serving.protocol import decode_request, encode_answer
from modelserver.serving.queue import PendingRequest, RowQueue
from modelserver.serving.settings import ServeSettings
from modelserver.tensors import TensorSpec

_OUTCOME_OF_STATUS = {
    HTTPStatus.TOO_MANY_REQUESTS: "rejected",
    HTTPStatus.SERVICE_UNAVAILABLE: "rejected",
    HTTPStatus.INTERNAL_SERVER_ERROR: "failed",
}
"""Any other error status is the client's: `invalid`."""


def _json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(status, json.dumps(content).encode())


def _described(specs: tuple[TensorSpec, ...]) -> list[dict[str, object]]:
    return [{"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)} for spec in specs]


class Application:
    """Answers requests for one variant of one model.

    Args:
        model_name: As in the paths.
        settings: Of this server.
        compute: Where answers come from.
        queue: The way there.
        metrics: Told about every request.

    Attributes:
        phase: Set by the server as it shuts down.
        idle: Set while no infer request is arrived and unanswered.
    """

    def __init__(
        self, model_name: str, settings: ServeSettings, compute: ComputeThread, queue: RowQueue, metrics: ServerMetrics
    ) -> None:
        self._model_name = model_name
        self._settings = settings
        self._compute = compute
        self._queue = queue
        self._metrics = metrics
        self._inflight = 0
        self.phase: Phase = "serving"
        self.idle = asyncio.Event()
        self.idle.set()
        model_path = f"/v2/models/{model_name}"
        self._gets: dict[str, Callable[[], Response]] = {
            "/v2": self._server_metadata,
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            model_path: self._model_metadata,
            f"{model_path}/ready": self._ready,
            "/metrics": self._render_metrics,
        }
        self._posts: dict[str, Callable[[Scope, Receive], Awaitable[Response]]] = {f"{model_path}/infer": self._infer}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        path, method = scope["path"].rstrip("/"), scope["method"]
        infer = self._posts.get(path)
        if infer is not None and method == "POST":
            await self._counted_infer(scope, receive, send, infer)
            return
        try:
            response = self._answer_get(path, method)
        except RequestError as error:
            response = error_response(error)
        await send_response(send, response, close=self.phase != "serving")

    def _answer_get(self, path: str, method: str) -> Response:
        handler = self._gets.get(path)
        if handler is None and path not in self._posts:
            raise NotFoundError(f"path {path!r}: expected one of {', '.join([*self._gets, *self._posts])}")
        if handler is None or method not in ("GET", "HEAD"):
            raise MethodNotAllowedError(f"method {method} of {path}: expected {'POST' if handler is None else 'GET'}")
        return handler()

    async def _counted_infer(
        self, scope: Scope, receive: Receive, send: Send, infer: Callable[[Scope, Receive], Awaitable[Response]]
    ) -> None:
        start = time.perf_counter()
        self._metrics.offered.inc()
        self._metrics.inflight.inc()
        self._inflight += 1
        self.idle.clear()
        outcome = "failed"
        try:
            response = await infer(scope, receive)
            outcome = "ok"
        except RequestError as error:
            response = error_response(error)
            outcome = _OUTCOME_OF_STATUS.get(error.status, "invalid")
        finally:
            self._metrics.requests[outcome].inc()
        try:
            await send_response(send, response, close=self.phase != "serving")
        finally:
            self._metrics.inflight.dec()
            self._inflight -= 1
            if self._inflight == 0:
                self.idle.set()
        if outcome == "ok":
            self._metrics.request_seconds.observe(time.perf_counter() - start)

    async def _infer(self, scope: Scope, receive: Receive) -> Response:
        settings = self._settings
        body = await read_body(scope, receive, settings.body_limit_bytes, settings.body_timeout_seconds)
        model = self._model_or_refusal()
        request = decode_request(body, model.inputs, model.outputs)
        answered = await self._compute_rows(model.decode(request))
        names = request.outputs or [spec.name for spec in model.outputs if not spec.optional]
        outputs = model.encode(answered, names)
        return Response(HTTPStatus.OK, encode_answer(self._model_name, settings.variant, request.identifier, outputs))

    def _model_or_refusal(self) -> AnyModel:
        reason = why_not_accepting(self._facts())
        model = self._compute.model
        if reason is not None or model is None:
            raise UnavailableError(f"not serving: {reason}; send the request elsewhere or later")
        return model

    async def _compute_rows(self, rows: Sequence[object]) -> list[object]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[object]] = loop.create_future()

        def deliver(request: PendingRequest) -> None:
            if done.done():
                return
            if request.error is not None:
                done.set_exception(request.error)
            else:
                done.set_result(request.answers)

        self._queue.put(PendingRequest(rows, lambda request: loop.call_soon_threadsafe(deliver, request)))
        return await done

    def _facts(self) -> Facts:
        compute = self._compute
        return Facts(
            phase=self.phase,
            loaded=compute.model is not None,
            thread_alive=compute.is_alive(),
            failure=compute.failure,
            busy_seconds=compute.busy_seconds(),
            wedged_after_seconds=self._settings.wedged_after_seconds,
        )

    def _live(self) -> Response:
        return self._probe("live", why_not_live(self._facts()))

    def _ready(self) -> Response:
        return self._probe("ready", why_not_ready(self._facts()))

    def _probe(self, what: str, reason: str | None) -> Response:
        if reason is None:
            return _json({what: True})
        return _json({what: False, "reason": reason}, HTTPStatus.SERVICE_UNAVAILABLE)

    def _server_metadata(self) -> Response:
        return _json({"name": "modelserver", "version": __version__, "extensions": []})

    def _model_metadata(self) -> Response:
        model = self._compute.model
        if model is None:
            raise UnavailableError("not serving: loading the model; try again later")
        return _json(
            {
                "name": self._model_name,
                "versions": [self._settings.variant],
                "platform": "modelserver",
                "inputs": _described(model.inputs),
                "outputs": _described(model.outputs),
            }
        )

    def _render_metrics(self) -> Response:
        self._metrics.queue_depth.set(self._queue.requests_waiting())
        return Response(HTTPStatus.OK, self._metrics.render(), PROMETHEUS_TEXT)
