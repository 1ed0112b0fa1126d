"""From the JSON that Prometheus answers to typed numbers. Pure; nothing here trusts what came over the wire.

An answer is a list of series, `{"metric": {label: value}, "value": [time, "number"]}` now or `"values": [[time, "number"], …]`
over time. One bad number spoils its own ModelDeployment's reading, a bad shape the whole answer.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from modelscaler.domain import SourceError, WorkloadKey
from modelscaler.metrics.queries import BOUND_LABEL, NAME_LABEL, NAMESPACE_LABEL

LONGEST_SHOWN_CHARACTERS: Final = 80


class Unreadable(ValueError):  # noqa: N818 - never leaves metrics/: it becomes a SourceError
    """Something that Prometheus does not answer; the message says what came and what was expected."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A finite number, as a rule not below zero, and when Prometheus evaluated it, in its own epoch seconds."""

    number: float
    evaluated_at: float


Samples: TypeAlias = dict[WorkloadKey, Sample | SourceError]
Buckets: TypeAlias = tuple[tuple[float, float], ...]
Histograms: TypeAlias = dict[WorkloadKey, Buckets | SourceError]
Labelled: TypeAlias = dict[tuple[str, ...], float]
ByLabels: TypeAlias = dict[WorkloadKey, Labelled | SourceError]


def samples(answer: object, query: str) -> Samples | SourceError:
    """Read one number per ModelDeployment from the answer to `query`."""
    found: Samples = {}
    try:
        for key, row in rows(answer):
            found[key] = (
                SourceError(f"{query} of {key}: two series, expected one") if key in found else _of(key, row, query)
            )
    except Unreadable as error:
        return SourceError(f"{query}: {error}")
    return found


def histograms(answer: object, query: str) -> Histograms | SourceError:
    """Read one histogram per ModelDeployment; series whose bounds only differ in writing ("1", "1.0") are added up."""
    counts: dict[WorkloadKey, dict[float, float]] = {}
    broken: dict[WorkloadKey, Buckets | SourceError] = {}
    try:
        for key, row in rows(answer):
            try:
                bound, count = _bound(row), _sample(row).number
            except Unreadable as error:
                broken[key] = SourceError(f"{query} of {key}: {error}")
                continue
            mine = counts.setdefault(key, {})
            mine[bound] = mine.get(bound, 0.0) + count
    except Unreadable as error:
        return SourceError(f"{query}: {error}")
    return {key: tuple(sorted(mine.items())) for key, mine in counts.items()} | broken


def by_labels(answer: object, query: str, *labels: str, least: float = 0.0) -> ByLabels | SourceError:
    """Read one number, not below `least`, per ModelDeployment and values of these labels."""
    numbers: dict[WorkloadKey, Labelled] = {}
    broken: ByLabels = {}
    try:
        for key, row in rows(answer):
            try:
                values = tuple(str(row["metric"].get(label)) for label in labels)
                numbers.setdefault(key, {})[values] = _sample(row, least).number
            except Unreadable as error:
                broken[key] = SourceError(f"{query} of {key}: {error}")
    except Unreadable as error:
        return SourceError(f"{query}: {error}")
    return {**numbers, **broken}


def rows(answer: object) -> Iterator[tuple[WorkloadKey, Mapping[str, Any]]]:
    """Yield the series of an answer that carry our labels; others are somebody else's.

    Raises:
        Unreadable: it is no list of series.
    """
    if not isinstance(answer, list):
        raise Unreadable(f"got {shown(answer)}, expected a list of series")
    for row in answer:
        labels = row.get("metric") if isinstance(row, dict) else None
        if not isinstance(labels, dict):
            raise Unreadable(f"got {shown(row)}, expected a series with labels")
        namespace, name = labels.get(NAMESPACE_LABEL), labels.get(NAME_LABEL)
        if isinstance(namespace, str) and isinstance(name, str) and namespace and name:
            yield WorkloadKey(namespace, name), row


def number(text: object) -> float:
    """Read a sample's number, NaN and infinities included.

    Raises:
        Unreadable: it is no number.
    """
    try:
        if isinstance(text, str | int | float):
            return float(text)
    except (ValueError, OverflowError):
        pass  # said below, in the words that serve both cases
    raise Unreadable(f"got {shown(text)}, expected a number")


def shown(found: object) -> str:
    """Show what came, cut to a length that fits a condition's message."""
    text = repr(found)
    return text if len(text) <= LONGEST_SHOWN_CHARACTERS else f"{text[: LONGEST_SHOWN_CHARACTERS - 1]}…"


def _of(key: WorkloadKey, row: Mapping[str, Any], query: str) -> Sample | SourceError:
    try:
        return _sample(row)
    except Unreadable as error:
        return SourceError(f"{query} of {key}: {error}")


def _sample(row: Mapping[str, Any], least: float = 0.0) -> Sample:
    pair = row.get("value")
    if not isinstance(pair, list) or len(pair) != 2:
        raise Unreadable(f"got {shown(pair)}, expected a time and a number")
    evaluated_at, value = number(pair[0]), number(pair[1])
    if not math.isfinite(evaluated_at):
        raise Unreadable(f"got the time {evaluated_at:g}, expected a finite one")
    if not math.isfinite(value) or value < least:
        raise Unreadable(f"got {value:g}, expected a finite number{' that is not negative' * (least == 0.0)}")
    return Sample(value, evaluated_at)


def _bound(row: Mapping[str, Any]) -> float:
    text = row["metric"].get(BOUND_LABEL)
    bound = number(text)
    if math.isnan(bound):
        raise Unreadable(f"got the bucket bound {shown(text)}, expected a number or +Inf")
    return bound
