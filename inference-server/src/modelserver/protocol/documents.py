"""What the server says of itself and its model, as v2 has it."""

from collections.abc import Sequence
from typing import Any

from modelserver.tensors import Contract, TensorSpec

EXTENSIONS = ("binary_tensor_data", "schedule_policy")
"""Of v2, that the server has: https://github.com/triton-inference-server/server/tree/main/docs/protocol."""
PLATFORM = "modelserver"


def server_metadata(version: str) -> dict[str, Any]:
    """Return the body of `/v2`.

    Args:
        version: Of the server.
    """
    return {"name": "modelserver", "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(contract: Contract, variants: Sequence[str]) -> dict[str, Any]:
    """Return the body of `/v2/models/NAME`, and of one of its versions.

    Args:
        contract: Of the model.
        variants: Its versions, most accurate first; the one alone that was asked for.
    """
    return {
        "name": contract.name,
        "versions": list(variants),
        "platform": PLATFORM,
        "inputs": [_described(spec) for spec in contract.inputs],
        "outputs": [_described(spec) for spec in contract.outputs],
    }


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}


def liveness(reason: str | None) -> dict[str, Any]:
    """Return the body of `/v2/health/live`.

    Args:
        reason: Why the process is not live; None when it is.
    """
    return _probe("live", reason)


def readiness(reason: str | None) -> dict[str, Any]:
    """Return the body of `/v2/health/ready` and of a model's `/ready`.

    Args:
        reason: Why it is not ready; None when it is.
    """
    return _probe("ready", reason)


def _probe(what: str, reason: str | None) -> dict[str, Any]:
    return {what: True} if reason is None else {what: False, "reason": reason}
