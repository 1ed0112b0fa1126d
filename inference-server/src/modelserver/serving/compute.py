"""The one thread that computes: loads the model, warms it up, then runs whatever is queued when it is free.

There is no batching timer: under load the queue fills while a batch runs, and at rest nothing is gained by waiting.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Sequence

from modelserver.errors import InferenceFailedError, LoadError
from modelserver.model import AnyModel
from modelserver.serving.metrics import ServerMetrics
from modelserver.serving.queue import QueuedRow, RowQueue
from modelserver.timing import batch_cap, batch_seconds

_WARM_UP_SIZES = (1, 2, 4, 8)
_WARM_UP_REPEATS = 2

log = logging.getLogger("modelserver")


class ComputeThread:
    """Owns the model and all computation.

    Args:
        load: Loads the model; called on the thread.
        queue: Where rows come from.
        metrics: Told about batches and loading.
        max_batch: Rows per batch; None to find it at warm-up.

    Attributes:
        model: The model, once it is loaded and warm; None before.
        failure: Why there is no model, or why the thread ended; None while all is well.
    """

    def __init__(
        self, load: Callable[[], AnyModel], queue: RowQueue, metrics: ServerMetrics, max_batch: int | None
    ) -> None:
        self._load = load
        self._queue = queue
        self._metrics = metrics
        self._max_batch = max_batch
        self._busy_since: float | None = None
        # A daemon: a wedged computation must not keep a process alive that has been told to end.
        self._thread = threading.Thread(target=self._run, name="compute", daemon=True)
        self.model: AnyModel | None = None
        self.failure: Exception | None = None

    def start(self) -> None:
        """Start loading."""
        self._thread.start()

    def is_alive(self) -> bool:
        """Say whether the thread runs."""
        return self._thread.is_alive()

    def busy_seconds(self) -> float:
        """Return for how long the current batch has been running; 0 between batches."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        try:
            self._load_and_warm_up()
            self._serve()
        except Exception as error:  # whatever ends this thread must be told to health checks and to those waiting
            self.failure = error
            if not isinstance(error, LoadError):
                log.exception("the compute thread ended")
        finally:
            self._abandon_queue()

    def _load_and_warm_up(self) -> None:
        start = time.monotonic()
        # Loading (above all importing torch) allocates a great deal that lives as long as the process: collections while it
        # does so find nothing, and later ones need never look at it again.
        gc.disable()
        try:
            model = self._load()
            self._max_batch = self._max_batch or self._find_cap(model)
            gc.collect()
            gc.freeze()
        finally:
            gc.enable()
        seconds = time.monotonic() - start
        self._metrics.load_seconds.set(seconds)
        self.model = model
        log.info("ready after %.2f s of loading and warm-up, at most %d rows per batch", seconds, self._max_batch)

    def _find_cap(self, model: AnyModel) -> int:
        """Return the batch size beyond which a row gets no cheaper."""
        example = model.example()
        model.predict([example] * max(_WARM_UP_SIZES))
        return batch_cap(batch_seconds(lambda size: model.predict([example] * size), _WARM_UP_SIZES, _WARM_UP_REPEATS))

    def _serve(self) -> None:
        if self.model is None or self._max_batch is None:
            raise AssertionError("served before loaded")
        while batch := self._queue.take(self._max_batch):
            self._busy_since = start = time.monotonic()
            self._answer(self.model, batch)
            self._busy_since = None
            self._metrics.batch_seconds.observe(time.monotonic() - start)
            self._metrics.batch_size.observe(len(batch))

    def _answer(self, model: AnyModel, batch: Sequence[QueuedRow]) -> None:
        """Answer a batch; when it fails, each row on its own, so that a bad row fails nobody else."""
        try:
            answers = model.predict([queued.row for queued in batch])
            if len(answers) != len(batch):
                raise ValueError(f"{len(answers)} answers, expected {len(batch)}, one per row")
        except BaseException as error:  # SystemExit too: a model that calls exit() must not end the thread
            self._retry_singly(model, batch, error)
        else:
            for queued, answer in zip(batch, answers, strict=True):
                queued.request.settle(queued.index, answer)

    def _retry_singly(self, model: AnyModel, batch: Sequence[QueuedRow], error: BaseException) -> None:
        if len(batch) > 1:
            log.warning("a batch of %d failed (%r); retrying its rows singly", len(batch), error)
            for queued in batch:
                self._answer(model, [queued])
            return
        log.error("the model failed on a row", exc_info=error)
        failed = InferenceFailedError("the model failed on this input; see the server's log")
        batch[0].request.settle(batch[0].index, None, failed)

    def _abandon_queue(self) -> None:
        """Answer what nobody will compute any more."""
        self._queue.close()
        while batch := self._queue.take(1):
            batch[0].request.settle(batch[0].index, None, InferenceFailedError("the server's compute thread ended"))
