"""Makes a variant warm and measures what a batch costs: wall time, decode and encode included."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelserver.compute.batching import PhaseSeconds, answer_together, run_batch
from modelserver.compute.executor import Batch
from modelserver.errors import LoadError, RequestError
from modelserver.model import Model, Network
from modelserver.protocol.checks import checked_shape
from modelserver.protocol.tensors import tensor_bytes
from modelserver.tensors import DATATYPES, InferRequest, Tensor, TensorSpec
from modelserver.timing import CAP_TOLERANCE, LinearCost, batch_cap, fit_linear_cost, run_queue_seconds

SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Rows per batch that are tried, until a row gets no cheaper."""
_REPEATS = 3
_FRUITLESS_SIZES = 2
"""After so many sizes in a row that bring nothing, larger ones are not tried."""
_LEAST_SECONDS = 1e-9
BUDGET_SECONDS = 0.3
"""Seconds of measured runs after which no larger size is tried: a cold start waits for this, and a third more."""
HAND_OVER_SECONDS = 3e-4
"""What a batch costs besides when a worker process computes it: two messages and two wake-ups, 160 to 420 microseconds."""
LONGEST_BATCH_SECONDS = 0.25
"""Larger batches than take this long are not tried: whoever waits for them would wait too long."""


@dataclass(frozen=True)
class WarmUp:
    """What warming up found.

    Attributes:
        cost: Wall seconds of a batch by rows.
        max_batch_rows: Rows beyond which a row gets no cheaper.
        seconds: It took.
    """

    cost: LinearCost
    max_batch_rows: int
    seconds: float


def warm_up(
    model: Model,
    network: Network,
    variant: str,
    hand_over_seconds: float = 0.0,
    budget_seconds: float = BUDGET_SECONDS,
    clock: Callable[[], float] = time.perf_counter,
    hindered: Callable[[], float] = run_queue_seconds,
) -> WarmUp:
    """Warm a variant up and measure it on the model's own example.

    Args:
        model: Set up.
        network: Of the variant.
        variant: Its name.
        hand_over_seconds: That a batch costs besides, whatever its size: with it a tiny network is worth larger batches.
        budget_seconds: Of measured runs, after which no larger batch is tried.
        clock: Wall seconds.
        hindered: Seconds of them in which others had the cores; they do not count, as workers often start all at once.

    Raises:
        LoadError: When it fails on the example.
    """
    stopwatch = _Stopwatch(clock, hindered)
    example = checked_example(model, network, variant)
    seconds: dict[int, float] = {}
    with_hand_over: dict[int, float] = {}
    measured_seconds = 0.0
    for size in SIZES:
        taken = _measured_seconds(model, network, Batch(variant, [example] * size), clock, hindered)
        measured_seconds += sum(taken)
        # The least of them: whatever disturbs a run only adds to it.
        seconds[size] = max(min(taken), _LEAST_SECONDS)
        with_hand_over[size] = seconds[size] + hand_over_seconds
        is_over = measured_seconds >= budget_seconds or seconds[size] >= LONGEST_BATCH_SECONDS
        if len(seconds) > 1 and (is_over or _is_fruitless(with_hand_over)):
            break
    cap = batch_cap(with_hand_over)
    cost = fit_linear_cost({size: taken for size, taken in seconds.items() if size <= max(cap, SIZES[1])})
    return WarmUp(cost, cap, stopwatch.wall_seconds())


def checked_example(model: Model, network: Network, variant: str) -> InferRequest:
    """Return the model's example, once the variant has answered it.

    Raises:
        LoadError: When it does not.
    """
    try:
        example = model.example()
        _check_request(model, example)
        (outcome,) = answer_together(model, network, [model.decode(example)], [example.outputs], PhaseSeconds())
    except BaseException as error:  # SystemExit too: whatever it is, the variant cannot be served
        raise LoadError(f"variant {variant!r} fails on the model's example, {type(error).__name__}: {error}") from error
    if isinstance(outcome, Exception):
        raise LoadError(f"variant {variant!r} fails on the model's example, {outcome}")
    _check_answer(model, variant, example, outcome)
    return example


def _check_request(model: Model, example: InferRequest) -> None:
    """Refuse an example that a client could not send."""
    declared, asked = {spec.name: spec for spec in model.inputs}, {spec.name for spec in model.outputs}
    for name, tensor in example.inputs.items():
        if name not in declared or tensor.array.dtype != DATATYPES[declared[name].datatype]:
            expected = ", ".join(f"{spec.name!r} of {spec.datatype}" for spec in model.inputs)
            raise ValueError(f"input {name!r} of {tensor.array.dtype}, expected {expected}")
        checked_shape(list(tensor.array.shape), declared[name], model.max_rows)
    if not example.outputs or not asked.issuperset(example.outputs):
        raise ValueError(f"outputs {list(example.outputs)}, expected some of {', '.join(sorted(asked))}")


def _check_answer(model: Model, variant: str, example: InferRequest, outcome: Sequence[Tensor]) -> None:
    """Refuse a variant whose answers are not those that the model declares: all of them would be errors."""
    declared = {spec.name: spec for spec in model.outputs}
    try:
        for name, tensor in zip(example.outputs, outcome, strict=True):
            _check_tensor(declared[name], tensor)
    except (RequestError, AttributeError, TypeError, KeyError, ValueError) as error:
        raise LoadError(f"variant {variant!r} answers the model's example wrongly, {error}") from error


def _check_tensor(spec: TensorSpec, tensor: Tensor) -> None:
    if (tensor.name, tensor.datatype) != (spec.name, spec.datatype):
        raise ValueError(f"tensor {tensor.name!r} of {tensor.datatype}, expected {spec.name!r} of {spec.datatype}")
    tensor_bytes(tensor)
    shape = tensor.array.shape
    if len(shape) != len(spec.shape) or any(
        wanted not in (-1, size) for size, wanted in zip(shape, spec.shape, strict=True)
    ):
        raise ValueError(f"tensor {tensor.name!r}: shape {list(shape)}, expected {list(spec.shape)}, -1 for any")


class _Stopwatch:
    """Runs from when it is made.

    Hold-ups are read within the time they are taken from: one between the two readings may lengthen a measurement, but never
    shorten it. A container that has used up its CPU is held up anywhere; a variant that seems to take no time is never run.
    """

    def __init__(self, clock: Callable[[], float], hindered: Callable[[], float]) -> None:
        self._clock, self._hindered = clock, hindered
        self._start = clock()
        self._hindered_before = hindered()

    def wall_seconds(self) -> float:
        return self._clock() - self._start

    def seconds(self) -> float:
        hindered_seconds = self._hindered() - self._hindered_before
        return self.wall_seconds() - hindered_seconds


def _measured_seconds(
    model: Model, network: Network, batch: Batch, clock: Callable[[], float], hindered: Callable[[], float]
) -> list[float]:
    """Return what runs of a batch take, after one that does not count: an accelerator loads kernels for it, seconds maybe."""
    run_batch(model, network, batch)
    taken = []
    for _ in range(_REPEATS):
        stopwatch = _Stopwatch(clock, hindered)
        run_batch(model, network, batch)
        taken.append(stopwatch.seconds())
    return taken


def _is_fruitless(seconds: dict[int, float]) -> bool:
    """Say whether the last sizes are no cheaper per row than a smaller one was."""
    per_row = [taken / size for size, taken in seconds.items()]
    earlier, last = per_row[:-_FRUITLESS_SIZES], per_row[-_FRUITLESS_SIZES:]
    return bool(earlier) and CAP_TOLERANCE * min(last) >= min(earlier)
