"""What a request says besides its tensors: its id and its parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelserver.errors import InvalidRequestError
from modelserver.protocol.numbers import as_whole
from modelserver.protocol.shown import shown
from modelserver.tensors import RequestOptions

_MICROSECONDS = 1_000_000
_UINT64_LIMIT = 1 << 64

_NO_PARAMETERS: Mapping[str, Any] = {}
_PLAIN = RequestOptions()


def parameters_of(given: Mapping[str, Any], whose: str) -> Mapping[str, Any]:
    """Return the parameters of a request, an input or an output; empty when it has none.

    Raises:
        InvalidRequestError: When they are not an object.
    """
    parameters = given.get("parameters")
    if parameters is None:
        return _NO_PARAMETERS
    if type(parameters) is not dict:
        raise InvalidRequestError(f"{whose}: parameters {shown(parameters)}, expected an object")
    return parameters


def boolean(parameters: Mapping[str, Any], name: str, whose: str, default: bool) -> bool:
    """Return a parameter that is true or false.

    Raises:
        InvalidRequestError: When it is something else.
    """
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise InvalidRequestError(f"{whose}: parameter {name} {shown(value)}, expected true or false")
    return value


def whole_number(parameters: Mapping[str, Any], name: str, whose: str) -> int:
    """Return a parameter that is a whole number from 0 to 2^64 - 1; 0 when it is not there.

    Raises:
        InvalidRequestError: When it is something else.
    """
    value = as_whole(parameters.get(name, 0))
    if type(value) is not int or not 0 <= value < _UINT64_LIMIT:
        raise InvalidRequestError(f"{whose}: parameter {name} {shown(value)}, expected a whole number, 0 or more")
    return int(value)


def decode_options(
    content: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], names: Sequence[str], path_variant: str | None
) -> RequestOptions:
    """Return the options of a request.

    Args:
        content: The request's JSON.
        outputs: What it says about the outputs, each an object with a name.
        names: Of the outputs that it gets.
        path_variant: The variant in the path; None for none.

    Raises:
        InvalidRequestError: When a parameter is not what it should be.
    """
    identifier = content.get("id")
    if identifier is not None and type(identifier) is not str:
        raise InvalidRequestError(f"id: {shown(identifier)}, expected a string")
    if not outputs and "parameters" not in content:
        return (
            _PLAIN if identifier is None and path_variant is None else RequestOptions(identifier, variant=path_variant)
        )
    parameters = parameters_of(content, "request")
    binary = _binary_outputs(parameters, outputs, names)
    if not parameters:
        return RequestOptions(identifier, variant=path_variant, binary_outputs=binary)
    timeout = whole_number(parameters, "timeout", "request")
    return RequestOptions(
        identifier=identifier,
        priority=whole_number(parameters, "priority", "request"),
        timeout_seconds=timeout / _MICROSECONDS if timeout else None,
        variant=_variant(parameters, path_variant),
        binary_outputs=binary,
    )


def _variant(parameters: Mapping[str, Any], path_variant: str | None) -> str | None:
    given = parameters.get("variant")
    if given is None:
        return path_variant
    if type(given) is not str or not given:
        raise InvalidRequestError(f"request: parameter variant {shown(given)}, expected the name of a variant")
    if path_variant not in (None, given):
        raise InvalidRequestError(
            f"request: parameter variant {shown(given)}, expected {shown(path_variant)} as in the path"
        )
    return given


def _binary_outputs(
    parameters: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> frozenset[str] | None:
    everything = boolean(parameters, "binary_data_output", "request", default=False)
    chosen = {output["name"]: _is_binary(output, everything) for output in outputs}
    if all(chosen.get(name, everything) for name in names):
        return None
    return frozenset(name for name in names if chosen.get(name, everything))


def _is_binary(output: Mapping[str, Any], default: bool) -> bool:
    whose = f"output {output['name']!r}"
    parameters = parameters_of(output, whose)
    for unsupported in ("classification", "shared_memory_region"):
        if unsupported in parameters:
            raise InvalidRequestError(f"{whose}: parameter {unsupported}, expected none of this extension")
    return boolean(parameters, "binary_data", whose, default)
