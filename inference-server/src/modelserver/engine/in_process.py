"""The engine inside somebody's own program: from a model to an engine, for event loops and for threads."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Literal, TypeAlias, TypeVar

from numpy.typing import ArrayLike

from modelserver.compute.executor import Executor
from modelserver.engine.answers import Answered
from modelserver.engine.engine import Engine, EngineSettings
from modelserver.engine.ladder import Ladder
from modelserver.errors import LoadError
from modelserver.model import Model
from modelserver.opening import Opened, open_model, opened_code
from modelserver.tensors import Contract

_LAST_SECONDS = 5.0

Isolation: TypeAlias = Literal["process", "thread"]
Result = TypeVar("Result")


def make_executors(
    model: str | Model, variants: Sequence[str], isolation: Isolation, workers: int, device: str
) -> list[Executor]:
    """Return executors for a model, not started; see `Engine.open` for the arguments.

    Raises:
        LoadError: When there is no such model, or it cannot be computed that way.
    """
    if isolation == "thread":
        return [_thread(model, variants, device) for _ in range(_checked_workers(model, workers))]
    if isolation != "process":
        raise LoadError(f"isolation {isolation!r}: expected process or thread")
    if not isinstance(model, str):
        raise LoadError("isolation 'process': a model object, expected a URI, such as python:package.module:Class")
    from modelserver.engine.process_executor import ProcessExecutor  # noqa: PLC0415 - only what is used is imported

    return [ProcessExecutor(model, variants, device=device) for _ in range(workers)]


def _checked_workers(model: str | Model, workers: int) -> int:
    if workers > 1 and isinstance(model, Model):
        raise LoadError(f"workers {workers}: expected 1, a model object is used by one thread at a time")
    return workers


def _thread(model: str | Model, variants: Sequence[str], device: str) -> Executor:
    from modelserver.engine.thread_executor import ThreadExecutor  # noqa: PLC0415 - see above

    opened: Opened = open_model(model) if isinstance(model, str) else opened_code(model)
    return ThreadExecutor(opened, variants, device)


async def _others_end() -> None:
    """Wait for the other tasks of the loop; not for long, should one of them never end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=_LAST_SECONDS)


class BlockingEngine:
    """An engine for threads: it lives on an event loop in a thread of its own. Use `open_engine`.

    Args:
        engine: Not started.
    """

    def __init__(self, engine: Callable[[], AbstractAsyncContextManager[Engine]]) -> None:
        self._make = engine
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="modelserver-engine", daemon=True)
        self._context: AbstractAsyncContextManager[Engine] | None = None
        self._engine: Engine | None = None
        self._asking = threading.Lock()

    @property
    def contract(self) -> Contract:
        """Return what requests look like."""
        with self._asking:
            return self._started().contract

    def ask(
        self,
        inputs: Mapping[str, ArrayLike],
        *,
        outputs: Sequence[str] = (),
        variant: str | None = None,
        timeout_seconds: float | None = None,
        priority: int = 0,
    ) -> Answered:
        """Answer a request; see `Engine.ask`. Any thread may call this; calls at the same time share batches."""
        with self._asking:
            asked = self._started().ask(
                inputs, outputs=outputs, variant=variant, timeout_seconds=timeout_seconds, priority=priority
            )
            answer = asyncio.run_coroutine_threadsafe(asked, self._loop)
        return answer.result()

    def set_ladder(self, ladder: Ladder) -> None:
        """Change the ladder; see `Engine.set_ladder`."""
        with self._asking:
            changed = asyncio.run_coroutine_threadsafe(self._started().set_ladder(ladder), self._loop)
        changed.result()

    def open(self) -> None:
        """Start; see `Engine.start`."""
        self._thread.start()
        try:
            self._engine = asyncio.run_coroutine_threadsafe(self._enter(), self._loop).result()
        except BaseException:
            self._end_loop()
            raise

    def close(self) -> None:
        """Answer what was taken, and end."""
        try:
            asyncio.run_coroutine_threadsafe(self._exit(), self._loop).result()
        finally:
            self._end_loop()

    async def _enter(self) -> Engine:
        self._context = self._make()
        return await self._context.__aenter__()

    async def _exit(self) -> None:
        if self._context is not None:
            await self._context.__aexit__(None, None, None)

    def _end_loop(self) -> None:
        with self._asking:  # nobody asks any more; those who just did are told so before the loop ends
            self._engine = None
        asyncio.run_coroutine_threadsafe(_others_end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _started(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("the engine is not open: use `with open_engine(...) as engine`")
        return self._engine


@contextmanager
def open_engine(
    model: str | Model,
    variants: Sequence[str] = (),
    *,
    isolation: Isolation = "process",
    workers: int = 1,
    device: str = "auto",
    settings: EngineSettings | None = None,
) -> Iterator[BlockingEngine]:
    """Serve a model inside this program, for threads. The arguments are those of `Engine.open`.

    Example:
        with modelserver.open_engine("builtin://search-ranker", ("full", "int8")) as engine:
            answer = engine.ask({"query": ["red shoes"]}, timeout_seconds=0.1)
            print(answer.variant, answer["items"])
    """
    engine = BlockingEngine(
        lambda: Engine.open(model, variants, isolation=isolation, workers=workers, device=device, settings=settings)
    )
    engine.open()
    try:
        yield engine
    finally:
        engine.close()
