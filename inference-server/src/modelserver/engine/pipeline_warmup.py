"""Warms up a pipeline as a whole: a stage alone has no example, and what counts is the way through all of them."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from modelserver.compute.executor import Batch, LoadedVariant, Outcome
from modelserver.compute.warmup import BUDGET_SECONDS, LONGEST_BATCH_SECONDS, SIZES
from modelserver.errors import LoadError, RequestError
from modelserver.tensors import InferRequest
from modelserver.timing import batch_cap, fit_linear_cost

_REPEATS = 3


async def warm_up_pipeline(
    run: Callable[[Batch], Awaitable[Sequence[Outcome]]], example: InferRequest, loaded: LoadedVariant
) -> LoadedVariant:
    """Run batches of the example through all stages and measure them.

    Args:
        run: Sends a batch through.
        example: The model's.
        loaded: The variant as its first stage loaded it.

    Returns:
        The variant with its cost and cap. The cost is that of a batch alone: the way through all stages.

    Raises:
        LoadError: When a stage fails on the example.
    """
    start = time.perf_counter()
    seconds: dict[int, float] = {}
    for size in SIZES:
        batch = Batch(loaded.variant, [example] * size)
        await _check(run, batch)
        seconds[size] = min([await _seconds(run, batch) for _ in range(_REPEATS)])
        enough = time.perf_counter() - start > BUDGET_SECONDS or seconds[size] > LONGEST_BATCH_SECONDS
        if enough and len(seconds) > 1:
            break
    warm_up_seconds = time.perf_counter() - start
    return replace(
        loaded,
        cost=fit_linear_cost(seconds),
        max_batch_rows=batch_cap(seconds),
        warm_up_seconds=warm_up_seconds,
    )


async def _seconds(run: Callable[[Batch], Awaitable[Sequence[Outcome]]], batch: Batch) -> float:
    start = time.perf_counter()
    await run(batch)
    return time.perf_counter() - start


async def _check(run: Callable[[Batch], Awaitable[Sequence[Outcome]]], batch: Batch) -> None:
    for outcome in await run(batch):
        if isinstance(outcome, RequestError):
            raise LoadError(f"variant {batch.variant!r} fails on the model's example, {outcome}")
