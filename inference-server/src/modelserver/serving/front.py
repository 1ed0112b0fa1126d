"""One front: an engine, the application over it, and what has to be seen to now and then."""

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from modelserver.cgroups import cpu_use, memory_limit_bytes, memory_pressure
from modelserver.compute.executor import Loaded
from modelserver.engine.engine import Engine
from modelserver.engine.ladder import Ladder
from modelserver.errors import LoadError, UnavailableError
from modelserver.serving.application import Application
from modelserver.serving.bottleneck import diagnose
from modelserver.serving.health import Facts, Phase, why_not_accepting
from modelserver.serving.hot_items import warm_cache
from modelserver.serving.ladder_file import LadderFile
from modelserver.serving.metrics import ServerMetrics, State
from modelserver.serving.movement import Movement
from modelserver.serving.place import Place
from modelserver.serving.settings import ServeSettings
from modelserver.serving.watchers import Watchers
from modelserver.serving.window import Surroundings, Window
from modelserver.worker.memory import ResidentMemory

WINDOW_SECONDS = 5.0
"""Over which the bottleneck is looked for."""
_SHOW_SECONDS = 1.0
_LADDER_SECONDS = 0.25
_STALL_GRACE_SECONDS = 2.0
"""Beyond the limit of a batch: the worker that exceeds it is killed then, and that is a movement."""

log = logging.getLogger("modelserver")


class Front:
    """Sees to an engine and its application. Its methods run on the event loop.

    Args:
        settings: Its share.
        place: Among its siblings.
        engine: Not started, watched by `watchers`.
        watchers: Told what the engine does.
        metrics: Of this front.
        ladder_file: Where siblings look, or whoever runs the server writes; None when nobody does.
        clock: Monotonic seconds.

    Attributes:
        application: What answers requests.
        phase: Set by the server as it shuts down.
        failure: Why the model cannot be served; None while all is well.
        is_started: Whether everything is loaded and warm.
    """

    def __init__(
        self,
        settings: ServeSettings,
        place: Place,
        engine: Engine,
        watchers: Watchers,
        metrics: ServerMetrics,
        ladder_file: LadderFile | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._place = place
        self._engine = engine
        self._metrics = metrics
        self._ladder_file = ladder_file
        self._clock = clock
        self._memory_limit_bytes = memory_limit_bytes()
        self._resident = ResidentMemory()
        self._began = clock()
        self._movement = Movement(clock)
        self._window = Window(clock(), self._surroundings(), settings.max_batch)
        watchers.others += [metrics, self._window, self._movement]
        self.application = Application(
            engine,
            self.facts,
            metrics,
            self._window,
            self.show_metrics,
            settings.body_limit_bytes,
            settings.bodies_limit_bytes,
        )
        self._siblings_waited_for = place.count - 1
        self._due = {"show": 0.0, "ladder": 0.0, "window": clock() + WINDOW_SECONDS}
        self._changes: set[asyncio.Task[None]] = set()
        self.phase: Phase = "serving"
        self.failure: Exception | None = None
        self.is_started = False
        self.application.refusal = why_not_accepting(self.facts())

    async def start(self, started: "asyncio.Task[Loaded]") -> None:
        """Wait until everything is loaded and warm; keep the reason when it does not get there.

        Args:
            started: The engine's start.
        """
        # What is there now stays as long as the process: collections, which were off meanwhile, need never look at it. It
        # takes a while, in which the worker loads.
        gc.collect()
        gc.freeze()
        gc.enable()
        try:
            loaded = await started
            if self._settings.hot_items is not None:
                kept = await warm_cache(self._engine, self._settings.hot_items)
                log.info("%d answers to hot items kept", kept)
        except Exception as error:
            self.failure = error
            if not isinstance(error, LoadError):
                log.exception("the engine did not start")
            return
        self._movement.note()
        self.is_started = True
        self.application.refusal = why_not_accepting(self.facts())
        self._place.tell_ready()
        for variant, why in loaded.left_out.items():
            log.warning("variant %r is left out: %s", variant, why)
        log.info("ready after %.2f s, variants %s", self._clock() - self._began, ", ".join(self._engine.variants))

    @property
    def ladder(self) -> Ladder:
        """Return the ladder in force."""
        return self._engine.ladder

    async def change_ladder(self, ladder: Ladder) -> None:
        """Put a ladder in force here and in the other fronts.

        Raises:
            LoadError: When a variant does not load, or a file states the ladder; the ladder stays as it was. Or when the
                other fronts cannot be told.
            RequestError: When it cannot be kept; ditto.
        """
        if self._settings.ladder_file is not None:
            raise LoadError(f"--ladder-file {self._settings.ladder_file}: expected the ladder to be changed there")
        await self._engine.set_ladder(ladder)
        if self._ladder_file is None:
            return
        try:
            self._ladder_file.write(ladder)
        except OSError as error:
            raise LoadError(f"ladder: in force in this front alone, the others cannot be told, {error}") from error

    def begin(self, phase: Phase) -> None:
        """Begin a phase of the end."""
        self.phase = phase
        self.application.closing = True
        self.application.refusal = why_not_accepting(self.facts())

    def facts(self) -> Facts:
        """Return what health follows from."""
        return Facts(
            phase=self.phase,
            started=self.is_started,
            workers_ready=self._engine.workers_ready,
            failure=self.failure or self._engine.failure,
            stalled_seconds=self._movement.stalled_seconds() if self._has_work() else 0.0,
            stalled_limit_seconds=self._settings.wedged_after_seconds + _STALL_GRACE_SECONDS,
            siblings_waited_for=self._siblings_waited_for,
        )

    def tick(self, late_seconds: float) -> None:
        """See to what has to be seen to; called some times a second.

        Args:
            late_seconds: By which this call is late.
        """
        if not self._has_work():
            self._movement.note()
        self.application.refusal = why_not_accepting(self.facts())
        idle = self._engine.workers_ready if self._engine.oldest_batch_seconds == 0.0 else 0
        self._window.tick(late_seconds, self._engine.queued_rows, idle)
        if self._siblings_waited_for:
            self._siblings_waited_for = self._place.siblings_waited_for()
        self._when_due("ladder", _LADDER_SECONDS, self._follow_ladder)
        self._when_due("show", _SHOW_SECONDS, self.show_metrics)
        self._when_due("window", WINDOW_SECONDS, self._diagnose)

    def show_metrics(self) -> None:
        """Bring the metrics up to date."""
        engine = self._engine
        cache, ladder = engine.cache, engine.ladder
        self._metrics.show(
            State(
                requests_waiting=engine.queued_requests,
                rows_waiting=engine.queued_rows,
                inflight=self.application.inflight,
                workers_ready=engine.workers_ready if self.is_started else 0,
                cache_bytes=0 if cache is None else cache.held_bytes,
                budget=engine.budget_share,
                pressure=engine.pressure,
                mean_accuracy=engine.mean_accuracy,
                ladder_hash=ladder.hash,
                ladder_variants=tuple(engine.variants) if self.is_started else ladder.variants,
                memory_bytes=dict(enumerate(engine.worker_memory_bytes)),
            )
        )

    def _has_work(self) -> bool:
        return self._engine.queued_rows > 0 or self._engine.oldest_batch_seconds > 0.0

    def _when_due(self, what: str, every_seconds: float, act: Callable[[], None]) -> None:
        now = self._clock()
        if now >= self._due[what]:
            self._due[what] = now + every_seconds
            act()

    def _diagnose(self) -> None:
        facts = self._window.close(self._clock(), self._surroundings(), self._engine.workers_ready)
        self.application.verdict = verdict = diagnose(facts)
        self._metrics.show_bottleneck(verdict)

    def _surroundings(self) -> Surroundings:
        limit = self._memory_limit_bytes
        resident = self._resident.read() + sum(self._engine.worker_memory_bytes)
        share = 0.0 if limit is None else resident * self._place.count / limit
        return Surroundings(cpu_use(), time.process_time(), min(1.0, share), memory_pressure())

    def _follow_ladder(self) -> None:
        """Put the ladder in force that is on disk."""
        if self._ladder_file is None or not self.is_started:
            return
        ladder = self._ladder_file.changed()
        if ladder is None or ladder == self.ladder:
            return
        change = asyncio.get_running_loop().create_task(self._follow(ladder, self._ladder_file))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)

    async def _follow(self, ladder: Ladder, file: LadderFile) -> None:
        try:
            await self._set_what_loads(ladder)
        except UnavailableError as error:  # a worker is starting
            log.info("the ladder on disk waits: %s", error)
            file.forget()
        except Exception:
            log.exception("the ladder on disk cannot be put in force")

    async def _set_what_loads(self, ladder: Ladder) -> None:
        """Put a ladder in force; without the variants that are not here yet when one of them does not load."""
        try:
            await self._engine.set_ladder(ladder)
        except LoadError as error:
            here = tuple(variant for variant in ladder.variants if variant in self._engine.variants)
            if not here or here == ladder.variants:
                raise
            log.warning("of the ladder on disk only %s: %s", ", ".join(here), error)
            await self._engine.set_ladder(replace(ladder, variants=here))
