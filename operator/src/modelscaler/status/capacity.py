"""What a replica carries, written down for people, and what was measured of it, read back after a restart."""

import math
from collections.abc import Mapping, Sequence

from modelscaler.api.v1alpha1 import CapacityStatus
from modelscaler.capacity.measured import Carried, Measured, Measurement, factor_of, step_of
from modelscaler.capacity.refine import LARGEST_FACTOR, SMALLEST_FACTOR, recalled
from modelscaler.domain import PoolKey
from modelscaler.status.wording import decimal, moment, optional_share, to_the_second


def capacity_status(counted_on: Sequence[Carried], starts: Mapping[PoolKey, int]) -> list[CapacityStatus]:
    """Write down what a plan counts on, and how many seconds replicas took to start where that was measured."""
    return [_written(each, starts.get(each.capacity.pool)) for each in counted_on]


def measured_from(entries: Sequence[CapacityStatus]) -> Measured:
    """Read back what loaded windows had shown; what cannot be read (edited by hand) is forgotten."""
    return Measured(tuple(found for entry in entries if (found := _read(entry))))


def _written(each: Carried, start_seconds: int | None) -> CapacityStatus:
    capacity, own = each.capacity, each.measurement
    corrected = each.step is not None
    return CapacityStatus(
        placement=capacity.pool.placement,
        variant=capacity.pool.variant,
        sustainable_rps=decimal(each.rps),
        source=capacity.source,
        reflex_only=True if capacity.reflex_only else None,
        stated_rps=decimal(each.stated_rps) if corrected else None,
        speed_factor=decimal(factor_of(each.step)) if each.step is not None else None,
        speed_uncertainty=_uncertainty(each),
        measured_time=to_the_second(own.at) if own and corrected else None,
        seen_briefly=True if own and corrected and own.known.is_brief else None,
        measured_against=own.against if own and corrected else None,
        measured_start_seconds=start_seconds,
    )


def _uncertainty(each: Carried) -> str | None:
    if each.step is None:
        return optional_share(each.capacity.relative_error)
    return f"{each.measurement.uncertainty:.2f}" if each.measurement else None


def _read(entry: CapacityStatus) -> Measurement | None:
    factor, uncertainty = _number(entry.speed_factor), _number(entry.speed_uncertainty)
    at = moment(entry.measured_time) if entry.measured_time else None
    if factor is None or uncertainty is None or at is None or entry.measured_against is None:
        return None
    if not SMALLEST_FACTOR / 1.01 <= factor <= LARGEST_FACTOR or not 0.0 <= uncertainty <= 1.0:
        return None
    known = recalled(factor, uncertainty, is_brief=entry.seen_briefly is True)
    return Measurement(
        PoolKey(entry.placement, entry.variant), entry.measured_against, known, step_of(factor), uncertainty, at
    )


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None  # edited by hand
    return number if math.isfinite(number) else None
