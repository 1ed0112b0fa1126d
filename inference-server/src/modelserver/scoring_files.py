"""Files of rows and of answers for `modelserver score`: lines of JSON, or named arrays."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from zipfile import BadZipFile

import numpy as np
import orjson

from modelserver.errors import InvalidRequestError, LoadError
from modelserver.protocol.checks import check_rows, check_values, checked_shape
from modelserver.protocol.request import decode_request
from modelserver.tensors import DATATYPES, Array, Contract, InferRequest, Tensor, TensorSpec

JSON_LINES, ARRAYS = ".jsonl", ".npz"


class Source(Protocol):
    """Rows in a file.

    Attributes:
        rows: How many.
    """

    rows: int

    def request(self, start: int, end: int) -> InferRequest:
        """Return rows `start` to `end` as one request, checked.

        Raises:
            InvalidRequestError: When one of them breaks the contract, or they do not go together.
        """
        ...


class Sink(Protocol):
    """A file of answers, written in order."""

    def write(self, rows: int, answer: Sequence[Tensor] | Exception) -> None:
        """Write the answer to the next rows, or why there is none."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


def _spans(path: Path) -> Array:
    """Return where each line that is not blank starts and ends, int64 [lines, 2]."""
    spans: list[tuple[int, int]] = []
    position = 0
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                spans.append((position, position + len(line)))
            position += len(line)
    return np.array(spans, dtype=np.int64).reshape(-1, 2)


def _shape(value: object) -> list[int]:
    """Return the shape of nested lists, by their first elements."""
    shape: list[int] = []
    while isinstance(value, list) and value:
        shape.append(len(value))
        value = value[0]
    return shape


class JsonLines:
    """Rows as lines of JSON; only where they lie is kept in memory.

    Args:
        path: Of the file.
        contract: Of the model.
        outputs: To ask for.
    """

    def __init__(self, path: Path, contract: Contract, outputs: Sequence[str]) -> None:
        self._path = path
        self._contract = contract
        self._outputs = [{"name": name} for name in outputs]
        self._datatypes = {spec.name: spec.datatype for spec in contract.inputs}
        self._spans = _spans(path)
        self.rows = len(self._spans)

    def request(self, start: int, end: int) -> InferRequest:
        """Return lines as one request; see `Source.request`."""
        rows = list(self._read(start, end))
        names = list(rows[0])
        if any(list(row) != names for row in rows):
            raise InvalidRequestError(f"lines {start + 1} to {end}: names differ, expected the same inputs in each")
        inputs = [
            {
                "name": name,
                "datatype": self._datatypes.get(name, "BYTES"),
                "shape": [len(rows), *_shape(rows[0][name])],
                "data": [row[name] for row in rows],
            }
            for name in names
        ]
        body = orjson.dumps({"inputs": inputs, "outputs": self._outputs})
        return decode_request(body, None, replace(self._contract, max_rows=end - start))[0]

    def _read(self, start: int, end: int) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as file:
            for number in range(start, end):
                file.seek(self._spans[number, 0])
                line = file.read(self._spans[number, 1] - self._spans[number, 0])
                yield _object(line, number + 1)


def _object(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except ValueError as error:
        raise InvalidRequestError(f"line {number}: {line[:40]!r}, expected JSON, {error}") from error
    if not isinstance(row, dict) or not row:
        raise InvalidRequestError(f"line {number}: {line[:40]!r}, expected an object from input name to value")
    return row


class NamedArrays:
    """Rows as arrays, in memory.

    Args:
        path: Of the file.
        contract: Of the model.
        outputs: To ask for.

    Raises:
        LoadError: When it holds no arrays, or others than the model's inputs.
    """

    def __init__(self, path: Path, contract: Contract, outputs: Sequence[str]) -> None:
        specs = {spec.name: spec for spec in contract.inputs}
        self._outputs = tuple(outputs)
        self._specs = specs
        try:
            with np.load(path, allow_pickle=False) as file:
                self._tensors = {name: _input(file[name], specs[name]) for name in file.files}
            check_rows(self._tensors)
        except KeyError as error:
            raise LoadError(f"{path}: array {error}, expected some of {', '.join(specs)}") from error
        except (ValueError, OSError, BadZipFile, InvalidRequestError) as error:
            raise LoadError(f"{path}: expected arrays by input name, without objects, {error}") from error
        missing = [name for name, spec in specs.items() if not spec.optional and name not in self._tensors]
        if missing:
            raise LoadError(f"{path}: no array {missing[0]!r}, expected one for each input that is not optional")
        self.rows = next(iter(self._tensors.values())).shape[0]

    def request(self, start: int, end: int) -> InferRequest:
        """Return rows as one request; see `Source.request`."""
        inputs = {}
        for name, tensor in self._tensors.items():
            array = tensor.array[start:end]
            checked_shape(list(array.shape), self._specs[name], end - start)
            check_values(array, self._specs[name], exact=False)
            inputs[name] = Tensor(name, tensor.datatype, array)
        return InferRequest(inputs, self._outputs)


def _input(array: Array, spec: TensorSpec) -> Tensor:
    if array.ndim == 0:
        raise ValueError(f"array {spec.name!r}: a single number, expected one row or more")
    if spec.datatype == "BYTES":
        texts = [text.encode() if isinstance(text, str) else bytes(text) for text in array.ravel().tolist()]
        made: Array = np.empty(len(texts), dtype=np.object_)
        made[:] = texts
        return Tensor(spec.name, spec.datatype, made.reshape(array.shape))
    wanted = DATATYPES[spec.datatype]
    if array.dtype != wanted:
        raise ValueError(f"array {spec.name!r}: dtype {array.dtype}, expected {wanted}")
    return Tensor(spec.name, spec.datatype, np.ascontiguousarray(array))


class JsonLinesSink:
    """Answers as lines of JSON; {"error": ...} where there is none.

    Args:
        file: Open for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, rows: int, answer: Sequence[Tensor] | Exception) -> None:
        """Write a line per row; see `Sink.write`."""
        if isinstance(answer, Exception):
            self._file.write((orjson.dumps({"error": str(answer)}) + b"\n") * rows)
            return
        values = {tensor.name: _json_values(tensor) for tensor in answer}
        for row in range(rows):
            line = {name: value[row] for name, value in values.items()}
            self._file.write(orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n")

    def close(self) -> None:
        """Nothing is left."""


def _json_values(tensor: Tensor) -> Any:
    if tensor.datatype != "BYTES":
        return np.ascontiguousarray(tensor.array)
    texts = [text.decode(errors="replace") for text in tensor.array.ravel().tolist()]
    return np.array(texts, dtype=np.object_).reshape(tensor.shape).tolist()


class NamedArraysSink:
    """Answers as arrays.

    Args:
        file: Open for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._answers: dict[str, list[Array]] = {}
        self._written = 0

    def write(self, rows: int, answer: Sequence[Tensor] | Exception) -> None:
        """Keep an answer; see `Sink.write`.

        Raises:
            LoadError: When there is none: arrays have no place for an error.
        """
        if isinstance(answer, Exception):
            raise LoadError(f"row {self._written + 1}: {answer}; a {JSON_LINES} output goes on beyond such rows")
        for tensor in answer:
            array = tensor.array.astype(np.bytes_) if tensor.datatype == "BYTES" else tensor.array
            self._answers.setdefault(tensor.name, []).append(array)
        self._written += rows

    def close(self) -> None:
        """Write all of them.

        Raises:
            LoadError: When their shapes differ.
        """
        try:
            joined: Mapping[str, Array] = {name: np.concatenate(parts) for name, parts in self._answers.items()}
        except ValueError as error:
            raise LoadError(
                f"answers of different shapes do not go into one array, {error}; use {JSON_LINES}"
            ) from error
        np.savez(self._file, allow_pickle=False, **joined)


def open_source(path: Path, contract: Contract, outputs: Sequence[str]) -> Source:
    """Return the rows of a file.

    Raises:
        LoadError: When it is of no known kind or cannot be read.
    """
    kinds: dict[str, type[JsonLines] | type[NamedArrays]] = {JSON_LINES: JsonLines, ARRAYS: NamedArrays}
    kind = kinds.get(path.suffix)
    if kind is None:
        raise LoadError(f"--input {path}: expected a name that ends in {' or '.join(kinds)}")
    try:
        return kind(path, contract, outputs)
    except OSError as error:
        raise LoadError(f"--input {path}: cannot be read, {error}") from error


def sink_for(path: Path) -> type[JsonLinesSink] | type[NamedArraysSink]:
    """Return what writes answers of a file's kind.

    Raises:
        LoadError: When it is of no known kind.
    """
    kinds: dict[str, type[JsonLinesSink] | type[NamedArraysSink]] = {JSON_LINES: JsonLinesSink, ARRAYS: NamedArraysSink}
    if path.suffix not in kinds:
        raise LoadError(f"--output {path}: expected a name that ends in {' or '.join(kinds)}")
    return kinds[path.suffix]
