"""`modelserver score`: a whole file through a model, offline. Reading and decoding run in parallel, the network in batches.

| file | rows | answers |
| --- | --- | --- |
| `.jsonl` | one object per line, input name -> one row's value: {"query": "black tent"} | likewise, output name -> value |
| `.npz` | one array per input, first dimensions agree | one array per output |

A row that the model refuses becomes {"error": "..."} in a .jsonl, and fails the command when it is done. An .npz has no place
for it: the command fails at once. The output appears when all of it is there, or not at all.
"""

import math
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from modelserver.compute.batching import PhaseSeconds, answer_together, decode
from modelserver.errors import LoadError, RequestError
from modelserver.model import Decoded, Model, Network
from modelserver.opening import open_model, set_up
from modelserver.scoring_files import Source, open_source, sink_for
from modelserver.tensors import Tensor

DEFAULT_BATCH_ROWS = 64


@dataclass(frozen=True)
class Job:
    """What to score.

    Attributes:
        uri: Of the model; see `opening.open_model`.
        variant: Of the model.
        source: File of rows.
        target: File of answers; replaced when it is there.
        outputs: Names; the contract's non-optional ones when empty.
        batch_rows: Rows at a time.
        workers: Processes that read and decode; 0 to do it in this one.
        device: `cpu` or a torch device such as `cuda:0`.
        executables: SHA-256 digests of executable artifacts that whoever runs this vouches for.
    """

    uri: str
    variant: str
    source: Path
    target: Path
    outputs: tuple[str, ...] = ()
    batch_rows: int = DEFAULT_BATCH_ROWS
    workers: int = 0
    device: str = "cpu"
    executables: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scored:
    """What came of it.

    Attributes:
        rows: Read.
        failed: Of them, those that the model refused or failed on.
    """

    rows: int
    failed: int


@dataclass(frozen=True)
class Part:
    """Rows that go through the network together: a whole batch, or one row where a batch has one that is refused.

    Attributes:
        rows: How many.
        decoded: What the model made of them, or why it refused.
    """

    rows: int
    decoded: Decoded | RequestError


class Batches:
    """The batches of a file as a torch dataset: each is read and decoded by whichever process takes it.

    Args:
        source: Rows.
        model: Set up.
        batch_rows: Rows at a time.
    """

    def __init__(self, source: Source, model: Model, batch_rows: int) -> None:
        self._source = source
        self._model = model
        self._batch_rows = batch_rows

    def __len__(self) -> int:
        return math.ceil(self._source.rows / self._batch_rows)

    def __getitem__(self, number: int) -> list[Part]:
        start = number * self._batch_rows
        end = min(start + self._batch_rows, self._source.rows)
        whole = self._part(start, end)
        if not isinstance(whole.decoded, RequestError):
            return [whole]
        return [self._part(row, row + 1) for row in range(start, end)]

    def _part(self, start: int, end: int) -> Part:
        try:
            request = self._source.request(start, end)
        except RequestError as error:
            return Part(end - start, error)
        return Part(end - start, decode(self._model, request))


def _as_it_is(batch: list[Part]) -> list[Part]:
    return batch


def _loaded(batches: Batches, workers: int) -> Iterable[list[Part]]:
    """Return the batches in order, read and decoded ahead of time."""
    from torch.utils.data import DataLoader  # noqa: PLC0415 - torch is paid for only when there is something to score

    cores = len(os.sched_getaffinity(0))
    loader: Iterable[list[Part]] = DataLoader(
        batches,  # type: ignore[arg-type]  # a map-style dataset by its methods; torch's types ask for a base class
        batch_size=None,
        num_workers=min(workers, cores, len(batches)),
        collate_fn=_as_it_is,
    )
    return loader


def _answer(model: Model, network: Network, part: Part, outputs: Sequence[str]) -> list[Tensor] | Exception:
    if isinstance(part.decoded, RequestError):
        return part.decoded
    try:
        (outcome,) = answer_together(model, network, [part.decoded], [outputs], PhaseSeconds())
    except Exception as error:  # a network may raise anything
        return error
    return outcome


@contextmanager
def _appearing(target: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `target` when all went well."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        written = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            written.chmod(0o644)
            written.replace(target)
        finally:
            written.unlink(missing_ok=True)
    except OSError as error:
        raise LoadError(f"--output {target}: cannot be written, {error}; nothing was left there") from error


def score(job: Job) -> Scored:
    """Score a file; progress goes to stderr.

    Raises:
        LoadError: When model or variant do not load, a file is not what it should be or cannot be written.
    """
    from tqdm import tqdm  # noqa: PLC0415 - only when there is something to score

    make_sink = sink_for(job.target)
    opened = open_model(job.uri)
    contract, model = set_up(opened, job.device, job.executables), opened.model
    outputs = job.outputs or tuple(spec.name for spec in contract.outputs if not spec.optional)
    _check_outputs(outputs, tuple(spec.name for spec in contract.outputs))
    source = open_source(job.source, contract, outputs)
    # Reading starts, and its processes fork, before the network is in memory: none of them needs it.
    batches = iter(_loaded(Batches(source, model, job.batch_rows), job.workers))
    network = model.load(job.variant)
    failed = 0
    bar: Any = tqdm(total=source.rows, desc=f"score {opened.name}", unit="row", file=sys.stderr)
    with bar, _appearing(job.target) as file:
        sink = make_sink(file)
        for part in (part for batch in batches for part in batch):
            answer = _answer(model, network, part, outputs)
            failed += part.rows if isinstance(answer, Exception) else 0
            sink.write(part.rows, answer)
            bar.update(part.rows)
        sink.close()
    return Scored(source.rows, failed)


def _check_outputs(asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise LoadError(f"--outputs {name!r}: expected some of {', '.join(known)}")


def run_score(job: Job) -> int:
    """Score a file and say what came of it; return the process's exit code.

    Raises:
        LoadError: See `score`.
    """
    scored = score(job)
    print(f"{scored.rows} rows scored to {job.target}, {scored.failed} of them failed")
    return 1 if scored.failed else 0
