"""`modelserver benchmark`: what a request costs, in process, on one thread. The operator's capacity profile comes from it."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from modelserver.artifact import locate, read_model, variants
from modelserver.errors import LoadError
from modelserver.model import AnyModel, open_model
from modelserver.serving.protocol import encode_answer
from modelserver.timing import LinearCost, batch_cap, batch_seconds, fit_linear_cost

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


def _run_batch(model: AnyModel, name: str, variant: str, size: int) -> None:
    """Answer `size` requests as the server does, JSON of the answers included."""
    outputs = [spec.name for spec in model.outputs if not spec.optional]
    for answer in model.predict([model.example()] * size):
        encode_answer(name, variant, None, model.encode([answer], outputs))


def measure(model: AnyModel, name: str, variant: str) -> Entry:
    """Measure a loaded variant, for a few seconds."""

    def run(size: int) -> None:
        _run_batch(model, name, variant, size)

    run(max(SIZES))
    start = time.thread_time()
    run(max(SIZES))
    round_seconds = (time.thread_time() - start) * sum(SIZES) / max(SIZES)
    repeats = max(_MIN_REPEATS, min(_MAX_REPEATS, round(_BUDGET_SECONDS / round_seconds)))
    seconds = batch_seconds(run, SIZES, repeats)
    cost: LinearCost = fit_linear_cost(seconds)
    return Entry(variant, cost.per_request_seconds, cost.overhead_seconds, batch_cap(seconds), cost.r2)


def run_benchmark(uri: str, names: tuple[str, ...], json_path: Path | None) -> None:
    """Measure variants and print a table; write JSON too when a path is given.

    Args:
        uri: Where the model is.
        names: Variants; all the model has when empty.
        json_path: Where the JSON goes; None for nowhere.

    Raises:
        LoadError: When the model or a variant does not load, or the file cannot be written.
    """
    directory = locate(uri)
    model_name = read_model(directory).name
    entries = []
    print("variant   ms/request   ms/batch   max batch       r2   requests/s of one core")
    for variant in names or variants(directory):
        entry = measure(open_model(directory, variant), model_name, variant)
        entries.append(entry)
        full_batch = entry.overhead_seconds + entry.per_request_seconds * entry.max_batch
        print(
            f"{variant:9} {1e3 * entry.per_request_seconds:10.2f} {1e3 * entry.overhead_seconds:10.2f} "
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
