"""What can go wrong with a call to the API server, in the terms a caller acts on."""

import json
from collections.abc import Mapping
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

MAX_MESSAGE_CHARACTERS = 500


class ApiCallError(Exception):
    """A call failed. `retry_after_seconds` None: the server named no time."""

    def __init__(self, message: str, *, status: int = 0, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    @property
    def transient(self) -> bool:
        """Whether trying again may help: no answer, too many requests, conflicts and server errors."""
        return self.status in (0, 409, 429) or self.status >= 500

    @property
    def not_found(self) -> bool:
        """Whether the object is not there."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Whether somebody else wrote first, or it exists already."""
        return self.status == 409


class NotOursError(ApiCallError):
    """An object has the name that one of ours is to have."""

    def __init__(self, kind: str, name: Mapping[str, Any], label: str) -> None:
        super().__init__(
            f"{kind} {name['namespace']}/{name['name']} exists already and is not ours: it has not the label {label}; "
            "delete or rename it, rename the ModelDeployment, or set the label to hand it over",
            status=409,
        )

    @property
    def transient(self) -> bool:
        """Whether trying again may help: not soon, people have to decide."""
        return False


def translate(error: ApiException | HTTPError | OSError, doing: str) -> ApiCallError:
    """Turn a client library's exception into ours; `doing` names the call for people."""
    if not isinstance(error, ApiException):
        return ApiCallError(f"{doing}: no answer from the API server: {error}"[:MAX_MESSAGE_CHARACTERS])
    retry_after = (error.headers or {}).get("Retry-After", "")
    return ApiCallError(
        f"{doing}: {error.status} {_message(error)}"[:MAX_MESSAGE_CHARACTERS],
        status=int(error.status or 0),
        retry_after_seconds=float(retry_after) if retry_after.isdigit() else None,
    )


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "{}").get("message") or error.reason)
    except (ValueError, AttributeError, TypeError):
        return str(error.reason)
