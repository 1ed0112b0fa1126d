"""One batch through a model: decode each request, compute all at once, encode each. Whoever computes uses this."""

import logging
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelserver.compute.executor import Batch, BatchResult, Outcome
from modelserver.errors import InferenceFailedError, RequestError
from modelserver.model import Decoded, Model, Network
from modelserver.tensors import Array, Arrays, InferRequest, Tensor

log = logging.getLogger("modelserver")


@dataclass
class PhaseSeconds:
    """Where a batch's time went, so far."""

    preprocess: float = 0.0
    compute: float = 0.0
    postprocess: float = 0.0


def decode(model: Model, request: InferRequest) -> Decoded | RequestError:
    """Return what the model makes of a request, or why it refuses it."""
    try:
        decoded = model.decode(request)
        _length(decoded.arrays)
    except RequestError as error:
        return error
    except BaseException as error:  # SystemExit too: a model that calls exit() must not end its worker
        return _failed(error)
    return decoded


def encode(model: Model, answer: Arrays, memo: object, outputs: Sequence[str]) -> Outcome:
    """Return a request's outputs, or why there are none."""
    try:
        return _encoded(model, answer, memo, outputs)
    except RequestError as error:
        return error
    except BaseException as error:
        return _failed(error)


def join(parts: Sequence[Arrays]) -> tuple[Arrays, list[int]]:
    """Concatenate requests' arrays along the first dimension.

    Args:
        parts: By request; the same names, trailing dimensions and element types.

    Returns:
        The arrays, and each request's share of their first dimension.
    """
    lengths = [_length(arrays) for arrays in parts]
    first = parts[0]
    if len(parts) == 1:
        return first, lengths
    return {name: np.concatenate([arrays[name] for arrays in parts]) for name in first}, lengths


def split(arrays: Arrays, lengths: Sequence[int]) -> list[Arrays]:
    """Cut a batch's arrays into the requests' shares: views, nothing is copied.

    Raises:
        ValueError: When an array's first dimension is not the sum of the lengths.
    """
    total = sum(lengths)
    for name, array in arrays.items():
        if not array.shape or array.shape[0] != total:
            raise ValueError(f"output {name!r} of shape {array.shape}: expected {total} in the first dimension")
    if len(lengths) == 1:
        return [arrays]
    shares: list[Arrays] = []
    start = 0
    for length in lengths:
        end = start + length
        shares.append({name: array[start:end] for name, array in arrays.items()})
        start = end
    return shares


def compute(network: Network, arrays: Arrays) -> Arrays:
    """Run a network and check that what it gives is named arrays.

    Raises:
        TypeError: When it is not.
    """
    answer = network(arrays)
    if not isinstance(answer, Mapping):
        raise TypeError(f"answer of type {type(answer).__name__}: expected a mapping from names to arrays")
    for name, array in answer.items():
        if not isinstance(array, np.ndarray):
            raise TypeError(f"output {name!r} of type {type(array).__name__}: expected a numpy array")
    return answer


def groups(decoded: Sequence[Decoded | RequestError]) -> list[list[int]]:
    """Return the indices of the requests whose arrays can be concatenated, group by group; refused ones are in none."""
    by_signature: dict[Hashable, list[int]] = {}
    for index, one in enumerate(decoded):
        if not isinstance(one, RequestError):
            by_signature.setdefault(_signature(one.arrays), []).append(index)
    return list(by_signature.values())


def answer_together(
    model: Model, network: Network, decoded: Sequence[Decoded], outputs: Sequence[Sequence[str]], phases: PhaseSeconds
) -> list[Outcome]:
    """Answer requests that can be concatenated; raise whatever the network raises.

    Args:
        model: For `encode`.
        network: Computes.
        decoded: By request.
        outputs: By request, the outputs that it wants.
        phases: Gets what compute and encode take.
    """
    start = time.perf_counter()
    try:
        arrays, lengths = join([one.arrays for one in decoded])
        answers = split(compute(network, arrays), lengths)
    finally:
        computed = time.perf_counter()
        phases.compute += computed - start
    outcomes = [
        encode(model, answer, one.memo, wanted) for answer, one, wanted in zip(answers, decoded, outputs, strict=True)
    ]
    phases.postprocess += time.perf_counter() - computed
    return outcomes


def run_batch(model: Model, network: Network, batch: Batch) -> BatchResult:
    """Answer a batch. What fails as a whole is tried request by request, so that a bad one fails nobody else.

    Args:
        model: For `decode` and `encode`.
        network: Of the batch's variant.
        batch: The requests.
    """
    phases = PhaseSeconds()
    start = time.perf_counter()
    decoded = [decode(model, request) for request in batch.requests]
    outcomes: list[Outcome | None] = [one if isinstance(one, RequestError) else None for one in decoded]
    together = groups(decoded)
    phases.preprocess = time.perf_counter() - start
    for indices in together:
        members = [one for one in map(decoded.__getitem__, indices) if isinstance(one, Decoded)]
        wanted = [batch.requests[index].outputs for index in indices]
        for index, outcome in zip(indices, _answers(model, network, members, wanted, phases), strict=True):
            outcomes[index] = outcome
    return BatchResult(
        outcomes=[outcome for outcome in outcomes if outcome is not None],
        preprocess_seconds=phases.preprocess,
        compute_seconds=phases.compute,
        postprocess_seconds=phases.postprocess,
    )


def _answers(
    model: Model, network: Network, decoded: Sequence[Decoded], outputs: Sequence[Sequence[str]], phases: PhaseSeconds
) -> list[Outcome]:
    try:
        return answer_together(model, network, decoded, outputs, phases)
    except BaseException as error:
        if len(decoded) == 1:
            return [error if isinstance(error, RequestError) else _failed(error)]
        log.warning("a batch of %d failed (%r); retrying its requests singly", len(decoded), error)
    return [_answers(model, network, [one], [wanted], phases)[0] for one, wanted in zip(decoded, outputs, strict=True)]


def _encoded(model: Model, answer: Arrays, memo: object, outputs: Sequence[str]) -> list[Tensor]:
    tensors = model.encode(answer, memo, outputs)
    if len(tensors) != len(outputs):
        raise ValueError(f"{len(tensors)} outputs, expected {len(outputs)}: {', '.join(outputs)}")
    return tensors


def _length(arrays: Arrays) -> int:
    lengths = {array.shape[0] for array in arrays.values()}
    if len(lengths) != 1:
        raise ValueError(f"first dimensions {sorted(lengths)}: expected the same in all of a request's arrays")
    return int(next(iter(lengths)))


def _signature(arrays: Arrays) -> Hashable:
    return tuple((name, _trailing(array), array.dtype) for name, array in arrays.items())


def _trailing(array: Array) -> tuple[int, ...]:
    return array.shape[1:]


def _failed(error: BaseException) -> InferenceFailedError:
    log.error("the model failed on a request", exc_info=error)
    return InferenceFailedError("the model failed on this input; see the server's log")
