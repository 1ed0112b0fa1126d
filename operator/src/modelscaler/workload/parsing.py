"""Parse resources, statuses and stored profiles; whatever is wrong becomes an InvalidSpec."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

from modelscaler.api.v1alpha1 import ApiModel, CapacityEntry, ModelDeployment, ModelDeploymentStatus
from modelscaler.workload.invalid import InvalidSpec, invalid_from

LARGEST_PROFILE_BYTES: Final = 256 * 1024
LARGEST_PROFILE_ENTRIES: Final = 1024


class StoredProfile(ApiModel):
    """The document under a profile ConfigMap's key `profile.json`."""

    entries: Annotated[tuple[CapacityEntry, ...], Field(max_length=LARGEST_PROFILE_ENTRIES)]


_PROFILE: Final = TypeAdapter(StoredProfile)


def parse_resource(body: Mapping[str, Any]) -> ModelDeployment:
    """Validate a ModelDeployment as the API server gave it.

    An unreadable status is no fault of the spec, so it is read leniently (`parse_status`).

    Raises:
        InvalidSpec: the first thing wrong with it.
    """
    try:
        return ModelDeployment.model_validate({**body, "status": parse_status(body.get("status"))})
    except ValidationError as error:
        raise invalid_from(error)[0] from None


def parse_status(body: Mapping[str, Any] | None) -> ModelDeploymentStatus:
    """Read a status; fields that this version does not understand are left out, the others are kept."""
    if not isinstance(body, Mapping):
        return ModelDeploymentStatus()
    readable = dict(body)
    while True:
        try:
            return ModelDeploymentStatus.model_validate(readable)
        except ValidationError as error:
            wrong = {str(details["loc"][0]) for details in error.errors(include_url=False, include_context=False)}
            readable = {name: value for name, value in readable.items() if str(name) not in wrong}


def parse_profile(text: str) -> tuple[CapacityEntry, ...]:
    """Parse a stored profile: `{"entries": [{"placement": …, "variant": …, "perRequestMilliseconds": …}]}`.

    Numbers may be written as numbers or as decimal strings.

    Raises:
        InvalidSpec: it is too large, no JSON, or not of that shape.
    """
    size_bytes = len(text.encode())
    if size_bytes > LARGEST_PROFILE_BYTES:
        raise InvalidSpec("profile.json", f"{size_bytes} bytes", f"at most {LARGEST_PROFILE_BYTES} bytes")
    try:
        found = json.loads(text, parse_float=str, parse_int=_kept_integer)
    except (ValueError, RecursionError):
        raise InvalidSpec("profile.json", text, 'JSON of the form {"entries": [...]}') from None
    try:
        return _PROFILE.validate_python(_decimals_as_text(found)).entries
    except ValidationError as error:
        raise invalid_from(error, "profile.json")[0] from None


def _kept_integer(text: str) -> int | str:
    return int(text) if len(text) <= 16 else text


def _decimals_as_text(found: Any) -> Any:
    """Return the document with whole numbers as text: `8` is as good as `"8"`."""
    if not isinstance(found, dict) or not isinstance(found.get("entries"), list):
        return found
    decimals = ("perRequestMilliseconds", "overheadMilliseconds", "tailMilliseconds", "relativeError")
    entries = [
        {k: str(v) if k in decimals and type(v) is int else v for k, v in entry.items()}
        if isinstance(entry, dict)
        else entry
        for entry in found["entries"]
    ]
    return {**found, "entries": entries}
