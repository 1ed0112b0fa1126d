"""Requests made by schemathesis from the OpenAPI document, right and wrong; it judges the answers by the document too."""

from collections.abc import Callable
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode

from modelscaler_benchmarks.fuzz.tally import Tally

_TIMEOUT_SECONDS = 30.0
_OVERLOADED = frozenset({429, 503, 504})
"""Right answers to right requests that come too fast or have no time; schemathesis takes them for failures."""
_BEYOND_A_SCHEMA = b"bytes, expected at most"
"""In the refusal of text that is too long: JSON Schema counts characters, the contract bytes."""
_GIVEN_UP = 0
_SHOWN_CHARACTERS = 1500


class DocumentFuzzer:
    """Sends what the document describes.

    Args:
        url: Of the server's root.
        tally: Told what comes of the cases.
        advance: Called with the number of cases done since the last call.
    """

    def __init__(self, url: str, tally: Tally, advance: Callable[[int], object]) -> None:
        self._schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        self._tally = tally
        self._advance = advance

    def run(self, cases: int, first_seed: int) -> None:
        """Run about so many cases, most of them on the paths that take a body."""
        operations = [found.ok() for found in self._schema.get_all_operations() if isinstance(found, Ok)]
        with_body = [operation for operation in operations if operation.body]
        per_mode = max(1, cases // (2 * len(with_body) + 1))
        for operation in operations:
            for mode in GenerationMode:
                share = per_mode if operation.body else max(1, per_mode // (2 * len(operations)))
                self._run_one(operation, mode, share, first_seed)

    def _run_one(self, operation: Any, mode: GenerationMode, cases: int, run_seed: int) -> None:
        kind = f"document, {mode.value}"
        with requests.Session() as session:

            @seed(run_seed)
            @settings(
                max_examples=cases,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def send(case: Any) -> None:
                self._one(case, session, kind)

            try:
                send()
            except Unsatisfiable:  # a path without parameters or body cannot be asked wrongly
                return

    def _one(self, case: Any, session: requests.Session, kind: str) -> None:
        try:
            response = case.call(session=session, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            self._tally.note(kind, _GIVEN_UP)
            self._tally.fail(kind, f"{case!r}: {error}"[:_SHOWN_CHARACTERS])
            return
        self._tally.note(kind, response.status_code)
        self._advance(1)
        if response.status_code in _OVERLOADED or _BEYOND_A_SCHEMA in response.content:
            return
        try:
            case.validate_response(response)
        except FailureGroup as failures:
            self._tally.fail(kind, str(failures)[:_SHOWN_CHARACTERS])
