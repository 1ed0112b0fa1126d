"""Requests and answers to shared memory and back."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from modelserver import errors
from modelserver.compute.executor import Outcome
from modelserver.errors import InferenceFailedError, RequestError
from modelserver.protocol.tensors import tensor_bytes, tensor_from
from modelserver.tensors import DATATYPES, Array, Arrays, InferRequest, Tensor
from modelserver.worker.arena import Arena
from modelserver.worker.messages import OutcomePlaces, Place, RequestPlaces

_ERRORS: Mapping[str, type[RequestError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, RequestError)
}
"""Errors that cross, by name. Others arrive as InferenceFailedError: who reads never makes a class that is named to it."""
_MESSAGE_CHARACTERS = 4096
"""Of an error's message."""
log = logging.getLogger("modelserver.worker")
_DATATYPE_OF = {dtype: name for name, dtype in DATATYPES.items()}


def write_tensor(arena: Arena, tensor: Tensor) -> Place:
    """Copy a tensor into the arena.

    Raises:
        InferenceFailedError: When its array is not of its datatype.
    """
    content = tensor_bytes(tensor)
    return tensor.name, tensor.datatype, tensor.array.shape, arena.write(content), len(content)


def read_tensor(arena: Arena, place: Place) -> Tensor:
    """Return a tensor in place: its array is valid until the writer starts over. BYTES are copies."""
    name, datatype, shape, offset, length = place
    if datatype == "BYTES":
        return tensor_from(name, datatype, shape, arena.read(offset, length))
    return Tensor(name, datatype, arena.array(DATATYPES[datatype], shape, offset, length))


def write_requests(arena: Arena, requests: Sequence[InferRequest]) -> list[RequestPlaces]:
    """Copy the requests of a batch into the arena."""
    return [
        ([write_tensor(arena, tensor) for tensor in request.inputs.values()], request.outputs) for request in requests
    ]


def read_requests(arena: Arena, places: Sequence[RequestPlaces]) -> list[InferRequest]:
    """Return the requests of a batch in place; see `read_tensor`."""
    return [
        InferRequest({place[0]: read_tensor(arena, place) for place in inputs}, tuple(outputs))
        for inputs, outputs in places
    ]


def write_outcomes(arena: Arena, outcomes: Sequence[Outcome]) -> list[OutcomePlaces]:
    """Copy what came of a batch into the arena."""
    return [_write_outcome(arena, outcome) for outcome in outcomes]


def _write_outcome(arena: Arena, outcome: Outcome) -> OutcomePlaces:
    if isinstance(outcome, RequestError):
        return write_error(outcome)
    try:
        return [write_tensor(arena, tensor) for tensor in outcome]
    except RequestError as error:
        return write_error(error)
    except Exception as error:  # a model may have made anything of its outputs
        log.error("the model's answer is not tensors", exc_info=error)
        return write_error(InferenceFailedError("the model failed on this input; see the server's log"))


def read_outcomes(arena: Arena, places: Sequence[OutcomePlaces]) -> list[Outcome]:
    """Return what came of a batch, in one copy of it: answers outlive the batch."""
    answers = [place for place in places if not isinstance(place, dict)]
    end = max((offset + length for answer in answers for *_, offset, length in answer), default=0)
    copy = bytes(arena.read(0, end))
    return [read_error(place) if isinstance(place, dict) else [_tensor(copy, one) for one in place] for place in places]


def _tensor(copy: bytes, place: Place) -> Tensor:
    name, datatype, shape, offset, length = place
    if offset < 0:  # numpy would read what is before the copy
        raise ValueError(f"offset {offset}: expected 0 or more")
    if datatype == "BYTES":
        return tensor_from(name, datatype, shape, copy[offset : offset + length])
    return Tensor(name, datatype, np.ndarray(shape, DATATYPES[datatype], copy, offset))


def write_error(error: RequestError) -> dict[str, str]:
    """Return an error as it goes over the socket: whatever a model's code says, in UTF-8 and not too long."""
    message = str(error)[:_MESSAGE_CHARACTERS].encode("utf-8", "backslashreplace").decode()
    return {"error": type(error).__name__, "message": message}


def read_error(written: Mapping[str, str]) -> RequestError:
    """Return the error that was written."""
    return _ERRORS.get(written["error"], InferenceFailedError)(written["message"])


def write_arrays(arena: Arena, arrays: Arrays) -> list[Place]:
    """Copy named arrays into the arena.

    Raises:
        InferenceFailedError: When an array's elements are not of a type that the protocol has.
    """
    return [write_tensor(arena, Tensor(name, datatype_of(name, array), array)) for name, array in arrays.items()]


def read_arrays(arena: Arena, places: Sequence[Place]) -> Arrays:
    """Return named arrays in place; see `read_tensor`."""
    return {place[0]: read_tensor(arena, place).array for place in places}


def datatype_of(name: str, array: Array) -> str:
    """Return the protocol's name of an array's element type.

    Raises:
        InferenceFailedError: When it has none.
    """
    datatype = _DATATYPE_OF.get(array.dtype)
    if datatype is None:
        raise InferenceFailedError(f"array {name!r}: {array.dtype}, expected one of {', '.join(DATATYPES)}")
    return datatype
