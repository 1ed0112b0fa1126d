"""`modelserver benchmark`: what a request costs, in process, on one thread."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from modelserver.compute.batching import run_batch
from modelserver.compute.executor import Batch
from modelserver.compute.warmup import checked_example
from modelserver.errors import LoadError, RequestError
from modelserver.model import Model, Network
from modelserver.opening import open_model, set_up
from modelserver.protocol.answer import encode_answer
from modelserver.runtimes.loading import NotVouchedForError
from modelserver.tensors import InferRequest, RequestOptions
from modelserver.timing import LinearCost, batch_cap, batch_seconds, fit_linear_cost

_NAME_WIDTH = 14
SIZES = (1, 2, 3, 4, 6, 8)
_BUDGET_SECONDS = 4.0
"""CPU seconds to spend on a variant, beyond loading it."""
_MIN_REPEATS = 3
_MAX_REPEATS = 15


@dataclass(frozen=True)
class Entry:
    """What a variant costs: batch seconds = overhead_seconds + per_request_seconds * requests.

    Attributes:
        variant: Its name.
        per_request_seconds: CPU seconds per request of one row.
        overhead_seconds: CPU seconds per batch.
        max_batch: The batch size beyond which a row gets no cheaper.
        r2: Share of the variance that the line explains.
    """

    variant: str
    per_request_seconds: float
    overhead_seconds: float
    max_batch: int
    r2: float


def _answer(model: Model, network: Network, name: str, batch: Batch) -> None:
    """Answer requests as the server does: decode, predict, encode, JSON."""
    for outcome in run_batch(model, network, batch).outcomes:
        if isinstance(outcome, RequestError):
            raise LoadError(f"variant {batch.variant!r} of {name} fails on the model's example, {outcome}")
        encode_answer(name, batch.variant, None, outcome, RequestOptions(), degraded=False)


def measure(model: Model, name: str, variant: str) -> Entry:
    """Load and measure a variant, for a few seconds.

    Args:
        model: Set up.
        name: Of the model.
        variant: Of the model.

    Raises:
        LoadError: When the variant does not load or fails on the model's example.
    """
    network = model.load(variant)
    example: InferRequest = checked_example(model, network, variant)

    def run(size: int) -> None:
        _answer(model, network, name, Batch(variant, [example] * size))

    run(max(SIZES))
    start = time.thread_time()
    run(max(SIZES))
    round_seconds = (time.thread_time() - start) * sum(SIZES) / max(SIZES)
    repeats = max(_MIN_REPEATS, min(_MAX_REPEATS, round(_BUDGET_SECONDS / round_seconds)))
    seconds = batch_seconds(run, SIZES, repeats)
    cost: LinearCost = fit_linear_cost(seconds)
    return Entry(variant, cost.per_request_seconds, cost.overhead_seconds, batch_cap(seconds), cost.r2)


def run_benchmark(
    uri: str, names: tuple[str, ...], json_path: Path | None, executables: frozenset[str] = frozenset()
) -> None:
    """Measure variants and print a table; write JSON too when a path is given.

    Args:
        uri: Where the model is.
        names: Variants; when empty all that the model has, but those it may not load because nobody vouched for them.
        json_path: Where the JSON goes; None for nowhere.
        executables: SHA-256 digests of executable artifacts that whoever runs this vouches for.

    Raises:
        LoadError: When the model or a variant does not load, or the file cannot be written.
    """
    opened = open_model(uri)
    model = opened.model
    set_up(opened, executables=executables)
    entries = []
    print(f"{'variant':{_NAME_WIDTH}} ms/request   ms/batch   max batch       r2   requests/s of one core")
    for variant in names or model.variants():
        try:
            entry = measure(model, opened.name, variant)
        except NotVouchedForError as error:
            if names:
                raise
            print(f"{variant:{_NAME_WIDTH}} left out: {error}")
            continue
        entries.append(entry)
        full_batch = entry.overhead_seconds + entry.per_request_seconds * entry.max_batch
        print(
            f"{variant:{_NAME_WIDTH}} {1e3 * entry.per_request_seconds:10.2f} {1e3 * entry.overhead_seconds:10.2f} "
            f"{entry.max_batch:11} {entry.r2:8.4f} {entry.max_batch / full_batch:24.1f}",
            flush=True,
        )
    if json_path is not None:
        _write(json_path, {"model": uri, "entries": [asdict(entry) for entry in entries]})


def _write(path: Path, content: dict[str, object]) -> None:
    try:
        path.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as error:
        raise LoadError(f"--json {path}: cannot be written, {error}") from error
