"""Requests with tensors: right ones, and right ones with something wrong. Bytes, ready to send.

Hypothesis draws an `Example`: elements, wrong values and a seed. A dozen requests are built from each, because drawing takes
ten times as long as answering.
"""

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import orjson
from hypothesis import strategies as st

from modelscaler_benchmarks.fuzz.served import COLUMNS, MAX_ROWS, Mixture
from modelserver.protocol.tensors import tensor_bytes
from modelserver.tensors import DATATYPES, Array, Tensor, TensorSpec

_BOMB = gzip.compress(bytes(20_000_000), 9)
"""20 kB that are 20 MB."""
_WORDS: tuple[Any, ...] = (
    *DATATYPES,
    "BF16",
    "x",
    "text",
    "sum",
    "",
    "data",
    -1,
    0,
    5,
    2**63,
    1e300,
    "1",
    None,
    True,
    [],
    {},
)


@dataclass(frozen=True)
class Body:
    """A request's body.

    Attributes:
        content: The bytes.
        header_length: Value of Inference-Header-Content-Length; None for no such header.
        encoding: Value of Content-Encoding; None for no such header.
    """

    content: bytes
    header_length: int | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class Example:
    """What requests are built from.

    Attributes:
        seed: Of the choices of structure.
        material: Bytes that become elements: every bit pattern comes up.
        wrong: JSON values to put where they do not belong.
    """

    seed: int
    material: bytes
    wrong: Sequence[Any]


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
EXAMPLES = st.builds(
    Example,
    seed=st.integers(0, 2**63 - 1),
    material=st.binary(min_size=1, max_size=200),
    wrong=st.lists(_JSON, min_size=2, max_size=3),
)


def _bytes(random: Random, material: bytes, size: int) -> bytes:
    start = random.randrange(len(material))
    return (material[start:] + material * (size // len(material) + 1))[:size]


def _array(random: Random, spec: TensorSpec, shape: tuple[int, ...], material: bytes, exact: bool) -> Array:
    """Return elements that keep the contract.

    Args:
        random: For where in the material they begin.
        spec: Of the input.
        shape: Of the array.
        material: What they are made of.
        exact: Whether they must be such that JSON can carry them.
    """
    size = int(np.prod(shape))
    if spec.datatype == "BYTES":
        texts = np.empty(size, dtype=np.object_)
        pieces = [_bytes(random, material, random.randrange(16)) for _ in range(size)]
        texts[:] = [piece.decode("latin-1").encode() for piece in pieces] if exact else pieces
        return texts.reshape(shape)
    dtype = DATATYPES[spec.datatype]
    raw = np.frombuffer(_bytes(random, material, size * dtype.itemsize), np.uint8)
    if spec.datatype == "BOOL":
        return (raw & 1).astype(np.bool_).reshape(shape)
    numbers = raw.view(dtype).reshape(shape)
    if spec.minimum is not None and spec.maximum is not None:
        numbers = np.clip(np.nan_to_num(numbers), spec.minimum, spec.maximum).astype(dtype)
    return np.nan_to_num(numbers) if exact and dtype.kind == "f" else numbers


def _input(random: Random, spec: TensorSpec, rows: int, material: bytes) -> tuple[dict[str, Any], bytes]:
    """Return a right input: its object, and its binary data."""
    shape = (rows, *spec.shape[1:])
    binary = random.random() < 0.5
    array = _array(random, spec, shape, material, exact=not binary)
    part: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(shape)}
    if binary:
        piece = bytes(tensor_bytes(Tensor(spec.name, spec.datatype, array)))
        return {**part, "parameters": {"binary_data_size": len(piece)}}, piece
    data = array if random.random() < 0.5 else array.reshape(-1)
    if spec.datatype == "BYTES":
        return {**part, "data": [element.decode() for element in data.tolist()]}, b""
    return {**part, "data": data.tolist()}, b""


def _envelope(random: Random) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if random.random() < 0.3:
        content["id"] = random.choice(["", "a", "é\u2028", "\u0000"])
    if random.random() < 0.5:
        names = random.sample([spec.name for spec in Mixture.outputs], random.randint(0, len(Mixture.outputs)))
        content["outputs"] = [
            {"name": name, **random.choice([{}, {"parameters": {"binary_data": random.random() < 0.7}}])}
            for name in names
        ]
    if random.random() < 0.5:
        content["parameters"] = random.choice(
            [
                {"priority": random.randrange(4)},
                {"timeout": random.choice([0, 30_000_000, 2**63])},
                {"variant": random.choice(Mixture().variants())},
                {"binary_data_output": random.random() < 0.7},
                {"binary_data_output": True, "unknown": {"to": "us"}},
            ]
        )
    return content


def _parts(random: Random, material: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return a right request: its JSON, and the binary data of its inputs."""
    rows = random.randint(1, MAX_ROWS)
    chosen = [spec for spec in Mixture.inputs if not spec.optional or random.random() < 0.4]
    random.shuffle(chosen)
    inputs = [_input(random, spec, rows, material) for spec in chosen]
    return {**_envelope(random), "inputs": [part for part, _ in inputs]}, [piece for _, piece in inputs]


def _body(content: object, pieces: Sequence[bytes]) -> Body:
    header = orjson.dumps(content)
    binary = b"".join(pieces)
    return Body(header + binary, len(header) if binary else None)


def right_body(random: Random, example: Example) -> Body:
    """Return a request that keeps the contract; some are compressed."""
    body = _body(*_parts(random, example.material))
    encoding = random.choice([None, None, None, "gzip", "deflate", "identity"])
    compress: dict[str | None, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}
    return Body(compress.get(encoding, bytes)(body.content), body.header_length, encoding)


def _places(content: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to everything in a JSON value but itself."""
    children: list[tuple[Any, object]] = []
    if isinstance(content, dict):
        children = list(content.items())
    elif isinstance(content, list):
        children = list(enumerate(content))
    return [each for key, child in children for each in [(*path, key), *_places(child, (*path, key))]]


def _replaced(content: Any, path: tuple[Any, ...], value: object, remove: bool) -> Any:
    """Return a JSON value with another value in one place, or with nothing there."""
    copy = content.copy()
    if len(path) > 1:
        copy[path[0]] = _replaced(content[path[0]], path[1:], value, remove)
    elif remove:
        del copy[path[0]]
    else:
        copy[path[0]] = value
    return copy


def _changed(random: Random, example: Example) -> Body:
    """Return a right request with one or two places of its JSON changed."""
    content, pieces = _parts(random, example.material)
    for _ in range(random.randint(1, 2)):
        places = _places(content)
        if not places:
            break
        value = random.choice([random.choice(_WORDS), random.choice(example.wrong)])
        content = _replaced(content, random.choice(places), value, random.random() < 0.2)
    return _body(content, pieces)


def _mangled(random: Random, example: Example) -> Body:
    """Return a right request with its bytes, or the length of its JSON, changed."""
    right = right_body(random, example)
    start = random.randrange(len(right.content))
    end = start + random.randrange(9)
    content = right.content[:start] + _bytes(random, example.material, random.randrange(9)) + right.content[end:]
    wrong_length = random.choice([None, 0, random.randrange(len(content) + 3)])
    return Body(content, random.choice([right.header_length, wrong_length]), right.encoding)


def _misnamed(random: Random, example: Example) -> Body:
    """Return a right request whose Content-Encoding is not its own, or a body that is far larger than it looks."""
    if random.random() < 0.1:
        return Body(_BOMB, None, "gzip")
    right = right_body(random, example)
    return Body(right.content, right.header_length, random.choice(["gzip", "deflate", "br", "zstd", "gzip, gzip", ""]))


def _deep(random: Random, _: Example) -> Body:
    opening, closing = random.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"[", b"")])
    depth = random.choice([10, 900, 1030, 20_000])
    return Body(b'{"inputs":' + opening * depth + closing * depth + b"}")


def _large(random: Random, _: Example) -> Body:
    rows = random.randint(MAX_ROWS + 1, 2000)
    x = {"name": "x", "datatype": "FP32", "shape": [rows, COLUMNS], "data": [1] * (rows * COLUMNS)}
    return Body(orjson.dumps({"inputs": [x]}))


def _noise(random: Random, example: Example) -> Body:
    return Body(_bytes(random, example.material, random.randrange(80)), random.choice([None, random.randrange(80)]))


def _other_json(random: Random, example: Example) -> Body:
    wrong = random.choice(example.wrong)
    return Body(orjson.dumps(random.choice([wrong, {"inputs": wrong}, {"inputs": [wrong]}])))


_KINDS: dict[Callable[[Random, Example], Body], int] = {
    _changed: 50,
    _mangled: 25,
    _misnamed: 8,
    _deep: 2,
    _large: 1,
    _noise: 7,
    _other_json: 7,
}


def wrong_body(random: Random, example: Example) -> Body:
    """Return a request that most often breaks the protocol or the contract."""
    (make,) = random.choices(list(_KINDS), list(_KINDS.values()))
    return make(random, example)
