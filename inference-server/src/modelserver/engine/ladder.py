"""Which variants may answer, and how accurate answers must be on average. Changes while the server runs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from modelserver.errors import InvalidRequestError

_FIELDS = ("variants", "minMeanAccuracy", "latencyMilliseconds", "accuracies", "overdraft")
MOST_OVERDRAFT = 100
"""More than who keeps the account of all servers ever allows."""

_LEAST = Decimal("1e-18")
"""A number with a million zeros is short in scientific notation; written out, as it is reported, it is not."""


@dataclass(frozen=True)
class Ladder:
    """Settings of the reflex.

    Attributes:
        variants: Most accurate first; the first is what everyone gets while there is time.
        min_mean_accuracy: What the mean accuracy of the rows that the reflex decides on is kept at, 0 to 1; None for no floor.
        latency_milliseconds: Objective for requests that state no timeout: within it the reflex tries to answer them, they
            do not expire. None for none: they get the first variant.
        accuracies: Variant -> accuracy, 0 to 1, where the model's own figure is to be overruled or is missing.
        overdraft: By how many times its size the budget of accuracy may be overdrawn, up to MOST_OVERDRAFT: what others have
            saved. None: not at all, so that the server's own answers alone keep the floor. Ladders that differ in it alone
            have one hash.
    """

    variants: tuple[str, ...]
    min_mean_accuracy: Decimal | None = None
    latency_milliseconds: int | None = None
    accuracies: Mapping[str, Decimal] = field(default_factory=dict)
    overdraft: Decimal | None = None

    @property
    def latency_seconds(self) -> float | None:
        """Return the objective in seconds."""
        return None if self.latency_milliseconds is None else self.latency_milliseconds / 1000

    def document(self) -> dict[str, Any]:
        """Return the settings as the admin port reads and writes them; what is not set is left out."""
        document: dict[str, Any] = {"variants": list(self.variants)}
        if self.min_mean_accuracy is not None:
            document["minMeanAccuracy"] = _plain(self.min_mean_accuracy)
        if self.latency_milliseconds is not None:
            document["latencyMilliseconds"] = self.latency_milliseconds
        if self.accuracies:
            document["accuracies"] = {variant: _plain(value) for variant, value in self.accuracies.items()}
        if self.overdraft is not None:
            document["overdraft"] = _plain(self.overdraft)
        return document

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the settings as JSON without spaces, keys sorted, decimals without trailing zeros.

        The overdraft, which goes up and down with what others save, is left out.
        """
        compared = {name: value for name, value in self.document().items() if name != "overdraft"}
        canonical = json.dumps(compared, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def without_unknown(document: object) -> tuple[object, tuple[str, ...]]:
    """Return a document without the fields that only a newer version knows, and the names of those."""
    if not isinstance(document, dict):
        return document, ()
    unknown = tuple(str(name) for name in document if name not in _FIELDS)
    return {name: value for name, value in document.items() if name in _FIELDS}, unknown


def parse_ladder(document: object) -> Ladder:
    """Return the settings that a JSON document states.

    Args:
        document: As from `json.loads`; accuracies are decimals in strings, as Kubernetes writes them, or numbers.

    Raises:
        InvalidRequestError: When a field is unknown, missing or out of bounds.
    """
    if not isinstance(document, dict):
        raise InvalidRequestError(f"ladder: {_shown(document)}, expected an object with {', '.join(_FIELDS)}")
    for name in document:
        if name not in _FIELDS:
            raise InvalidRequestError(f"field {_shown(name)}: unknown, expected one of {', '.join(_FIELDS)}")
    variants = _parse_variants(document.get("variants"))
    return Ladder(
        variants,
        _share("minMeanAccuracy", document.get("minMeanAccuracy")),
        _parse_latency(document.get("latencyMilliseconds")),
        _parse_accuracies(document.get("accuracies"), variants),
        _share("overdraft", document.get("overdraft"), MOST_OVERDRAFT),
    )


def _shown(value: object) -> str:
    return repr(value)[:64]


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _parse_variants(value: object) -> tuple[str, ...]:
    is_list = isinstance(value, list) and value and all(isinstance(name, str) and name for name in value)
    if not is_list or not isinstance(value, list) or len(set(value)) != len(value):
        raise InvalidRequestError(f"field 'variants': {_shown(value)}, expected a list of distinct names, at least one")
    return tuple(value)


def _parse_latency(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError(f"field 'latencyMilliseconds': {_shown(value)}, expected a whole number, 1 or more")
    return value


def _share(name: str, value: object, most: int = 1) -> Decimal | None:
    if value is None:
        return None
    try:
        accuracy = Decimal(str(value)) if isinstance(value, str | int | float) else Decimal("NaN")
    except InvalidOperation:
        accuracy = Decimal("NaN")
    if not accuracy.is_finite() or not 0 <= accuracy <= most:
        raise InvalidRequestError(f"field {name!r}: {_shown(value)}, expected a decimal number from 0 to {most}")
    if 0 < accuracy < _LEAST:
        raise InvalidRequestError(f"field {name!r}: {_shown(value)}, expected 0 or at least {_LEAST}")
    return accuracy


def _parse_accuracies(value: object, variants: tuple[str, ...]) -> dict[str, Decimal]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequestError(f"field 'accuracies': {_shown(value)}, expected an object, variant to accuracy")
    accuracies = {}
    for variant, stated in value.items():
        if variant not in variants:
            raise InvalidRequestError(f"field 'accuracies': {_shown(variant)}, expected one of {', '.join(variants)}")
        accuracy = _share(f"accuracies.{variant}", stated)
        if accuracy is not None:
            accuracies[variant] = accuracy
    return accuracies
