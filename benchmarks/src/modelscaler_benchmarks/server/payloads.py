"""One row in each server's own words, and the answer out of them. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = NDArray[Any]

JSON_HEADERS = {"Content-Type": "application/json"}
HEADER_LENGTH = "Inference-Header-Content-Length"
DATATYPES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}


@dataclass(frozen=True)
class Dialect:
    """How one server is spoken to.

    Attributes:
        name: `json` or `binary`.
        path: Where to post; `{network}` stands for the network's name.
        encode: A row, [size], to a body and the headers that go with it.
        decode: An answer's headers (lower case) and body to that row's output.
    """

    name: str
    path: str
    encode: Callable[[Row], tuple[bytes, dict[str, str]]]
    decode: Callable[[Mapping[str, str], bytes], Row]


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _plain(row: Row) -> list[Any]:
    """Return the numbers in their shortest form: 0.1, not 0.10000000149."""
    return [float(str(each)) for each in row] if row.dtype.kind == "f" else row.tolist()


def _tensor(row: Row) -> dict[str, Any]:
    return {"name": "input", "datatype": DATATYPES[row.dtype], "shape": [1, len(row)]}


def encode_litserve(row: Row) -> tuple[bytes, dict[str, str]]:
    """Return the body that our LitServe service reads."""
    return _compact({"input": _plain(row)}), JSON_HEADERS


def decode_litserve(_: Mapping[str, str], body: bytes) -> Row:
    """Return the output of a LitServe answer."""
    return np.asarray(json.loads(body)["output"], dtype=np.float32)


def encode_bentoml(row: Row) -> tuple[bytes, dict[str, str]]:
    """Return the body that our BentoML service reads."""
    return _compact({"rows": [_plain(row)]}), JSON_HEADERS


def decode_bentoml(_: Mapping[str, str], body: bytes) -> Row:
    """Return the output of a BentoML answer."""
    return np.asarray(json.loads(body)[0], dtype=np.float32)


def encode_v2(row: Row) -> tuple[bytes, dict[str, str]]:
    """Return an Open Inference Protocol v2 request in JSON."""
    return _compact({"inputs": [{**_tensor(row), "data": _plain(row)}]}), JSON_HEADERS


def decode_v2(_: Mapping[str, str], body: bytes) -> Row:
    """Return the output of a v2 answer in JSON."""
    return np.asarray(json.loads(body)["outputs"][0]["data"], dtype=np.float32)


def encode_v2_binary(row: Row) -> tuple[bytes, dict[str, str]]:
    """Return a v2 request with the binary tensor extension, which asks for a binary answer."""
    tensor = {**_tensor(row), "parameters": {"binary_data_size": row.nbytes}}
    outputs = [{"name": "output", "parameters": {"binary_data": True}}]
    header = _compact({"inputs": [tensor], "outputs": outputs})
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
    return header + row.tobytes(), headers


def decode_v2_binary(headers: Mapping[str, str], body: bytes) -> Row:
    """Return the output of a v2 answer with the binary tensor extension."""
    return np.frombuffer(body[int(headers[HEADER_LENGTH.lower()]) :], dtype=np.float32)


LITSERVE = Dialect("json", "/predict", encode_litserve, decode_litserve)
BENTOML = Dialect("json", "/predict", encode_bentoml, decode_bentoml)
V2 = Dialect("json", "/v2/models/{network}/infer", encode_v2, decode_v2)
V2_BINARY = Dialect("binary", "/v2/models/{network}/infer", encode_v2_binary, decode_v2_binary)


@dataclass(frozen=True)
class Payload:
    """Requests ready to be sent.

    Attributes:
        path: Where to post them.
        headers: The same for all.
        bodies: One row each.
        decode: See Dialect.
        expected: The outputs, [count, width], that plain torch gives.
    """

    path: str
    headers: dict[str, str]
    bodies: tuple[bytes, ...]
    decode: Callable[[Mapping[str, str], bytes], Row]
    expected: Row = field(repr=False)


def payload(dialect: Dialect, network: str, rows: Row, expected: Row) -> Payload:
    """Return requests for rows [count, size], whose outputs are [count, width]."""
    encoded = [dialect.encode(row) for row in rows]
    headers = encoded[0][1]
    if any(each != headers for _, each in encoded):
        raise ValueError(f"headers of {network}: expected the same for every body, as one generator sends them all")
    return Payload(
        dialect.path.format(network=network), headers, tuple(body for body, _ in encoded), dialect.decode, expected
    )
