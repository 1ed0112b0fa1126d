"""The requests that will come most: answered, and their answers kept, before the server is ready."""

from pathlib import Path

from modelserver.engine.engine import Engine
from modelserver.errors import LoadError, RequestError
from modelserver.protocol.request import decode_request
from modelserver.tensors import InferRequest


def _requests(path: Path, engine: Engine) -> list[InferRequest]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise LoadError(f"--hot-items {path}: cannot be read, {error}") from error
    requests = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            requests.append(decode_request(line, None, engine.contract)[0])
        except RequestError as error:
            raise LoadError(f"--hot-items {path}, line {number}: {error}") from error
    return requests


async def warm_cache(engine: Engine, path: Path) -> int:
    """Have the engine's cache answer what a file holds.

    Args:
        engine: Started.
        path: JSON lines, each the body of a v2 request.

    Returns:
        How many answers are kept.

    Raises:
        LoadError: When the file cannot be read or a line is not a request to this model.
    """
    return await engine.warm_cache(_requests(path, engine))
