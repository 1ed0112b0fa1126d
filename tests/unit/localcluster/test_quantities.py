"""Resource quantities."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.quantities import divide_rounding_up, parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        ("250m", "0.25"),
        ("1Gi", str(2**30)),
        ("1.5Ki", "1536"),
        ("2e3", "2000"),
        ("1E", "1e18"),
        (".5", "0.5"),
    ],
)
def test_quantity_is_exact_when_it_is_well_formed(text: str, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1KB", "--1", "1,5"])
def test_quantity_is_refused_by_name_when_it_is_malformed(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number with one of the suffixes"):
        parse_quantity(text)


@given(st.integers(1, 10**6), st.sampled_from(["1m", "1", "1Ki", "1Mi"]))
def test_division_covers_the_quantity_with_no_unit_to_spare(amount: int, divisor: str) -> None:
    units = divide_rounding_up(f"{amount}m", divisor)
    size = parse_quantity(divisor)
    assert (units - 1) * size < parse_quantity(f"{amount}m") <= units * size
