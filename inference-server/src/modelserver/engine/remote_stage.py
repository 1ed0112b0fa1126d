"""A stage of a split model in another pod, asked by the same protocol as any model, binary both ways."""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import aiohttp
import numpy as np
import orjson

from modelserver.engine.stage_worker import BatchHeldError
from modelserver.errors import InferenceFailedError, LoadError, WorkerHungError, WorkerLostError
from modelserver.protocol.tensors import tensor_bytes, tensor_from
from modelserver.tensors import Arrays, Tensor
from modelserver.worker.transfer import datatype_of

MAX_REQUEST_BYTES = 3 << 20
"""A larger batch is asked for in pieces, side by side: servers bound bodies and queues, and batch what comes together."""
MAX_REQUEST_ROWS = 64
_HEADER_LENGTH = "Inference-Header-Content-Length"
_POLL_SECONDS = 0.25
_AGAIN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.BAD_GATEWAY})


def write_request(arrays: Arrays) -> tuple[bytes, int]:
    """Return a v2 request with binary tensors, and the length of its JSON.

    Args:
        arrays: The inputs, by name.

    Raises:
        InferenceFailedError: When an array's elements are not of a type that the protocol has.
    """
    inputs, contents = [], []
    for name, array in arrays.items():
        tensor = Tensor(name, datatype_of(name, array), array)
        content = tensor_bytes(tensor)
        size = {"binary_data_size": len(content)}
        inputs.append({"name": name, "datatype": tensor.datatype, "shape": array.shape, "parameters": size})
        contents.append(content)
    header = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
    return b"".join((header, *contents)), len(header)


def read_answer(body: bytes, header_length: int) -> Arrays:
    """Return the outputs of a v2 answer with binary tensors.

    Raises:
        InferenceFailedError: When it is not one.
    """
    try:
        outputs: list[dict[str, Any]] = orjson.loads(body[:header_length])["outputs"]
        view, offset, arrays = memoryview(body), header_length, {}
        for output in outputs:
            end = offset + output["parameters"]["binary_data_size"]
            content = view[offset:end]
            arrays[output["name"]] = tensor_from(output["name"], output["datatype"], output["shape"], content).array
            offset = end
    except Exception as error:  # another pod's answer may be anything
        raise InferenceFailedError(f"answer of a stage: expected v2 with binary tensors, {error!r}") from error
    return arrays


def pieces(arrays: Arrays) -> list[Arrays]:
    """Cut a batch into requests of bounded size, along the first dimension."""
    rows = next(iter(arrays.values())).shape[0]
    row_bytes = max(1, sum(array.nbytes for array in arrays.values()) // max(1, rows))
    step = max(1, min(MAX_REQUEST_ROWS, MAX_REQUEST_BYTES // row_bytes))
    return [{name: array[at : at + step] for name, array in arrays.items()} for at in range(0, max(1, rows), step)]


def join_pieces(answers: Sequence[Arrays]) -> Arrays:
    """Put the answers to `pieces` together again."""
    if len(answers) == 1:
        return answers[0]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


class RemoteStage:
    """Asks another pod for a stage.

    Args:
        address: Of the pod, `http://HOST:PORT`.
        model: Name of the stage there: MODEL-STAGE.
        within_seconds: Longest time for an answer.
    """

    def __init__(self, address: str, model: str, within_seconds: float) -> None:
        self._url = f"{address.rstrip('/')}/v2/models/{model}"
        # Not the connector's default of 100 connections: as many as there are pieces, kept open.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60.0),
            timeout=aiohttp.ClientTimeout(total=within_seconds),
            auto_decompress=False,
        )

    async def wait_until_ready(self, within_seconds: float) -> None:
        """Wait for the pod.

        Raises:
            LoadError: When it is not ready in time.
        """
        deadline = time.monotonic() + within_seconds
        while True:
            problem = await self._problem()
            if problem is None:
                return
            if time.monotonic() > deadline:
                raise LoadError(f"stage at {self._url}: not ready within {within_seconds:g} s, {problem}")
            await asyncio.sleep(_POLL_SECONDS)

    async def _problem(self) -> str | None:
        try:
            async with self._session.get(f"{self._url}/ready") as response:
                return None if response.status == HTTPStatus.OK else f"status {response.status}"
        except (aiohttp.ClientError, TimeoutError) as error:
            return repr(error)

    async def compute(self, variant: str, arrays: Arrays) -> Arrays:
        """Compute a batch.

        Args:
            variant: That must answer.
            arrays: By name.

        Raises:
            BatchHeldError: When the pod is not there, is too busy or does not answer in time.
            InferenceFailedError: When it cannot answer this.
        """
        return join_pieces(await asyncio.gather(*(self._ask(variant, piece) for piece in pieces(arrays))))

    async def _ask(self, variant: str, arrays: Arrays) -> Arrays:
        body, header_length = write_request(arrays)
        headers = {_HEADER_LENGTH: str(header_length), "Content-Type": "application/octet-stream"}
        url = f"{self._url}/versions/{variant}/infer"
        try:
            async with self._session.post(url, data=body, headers=headers) as response:
                answer = await response.read()
        except TimeoutError as error:
            raise BatchHeldError(WorkerHungError(f"stage at {url}: no answer in time")) from error
        except aiohttp.ClientError as error:
            raise BatchHeldError(WorkerLostError(f"stage at {url}: {error!r}")) from error
        if response.status in _AGAIN:
            raise BatchHeldError(WorkerLostError(f"stage at {url}: status {response.status}"))
        if response.status != HTTPStatus.OK:
            raise InferenceFailedError(f"stage at {url}: status {response.status}, {answer[:200]!r}")
        return read_answer(answer, int(response.headers.get(_HEADER_LENGTH, len(answer))))

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()
