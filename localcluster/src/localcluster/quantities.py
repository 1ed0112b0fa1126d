"""Kubernetes resource quantities (``500m``, ``1Gi``), exactly."""

import math
import re
from decimal import Decimal

SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-z]{0,2})")


def parse_quantity(text: str) -> Decimal:
    """Return the number that a quantity stands for.

    Raises:
        ValueError: naming the text and what was expected.

    >>> parse_quantity("250m")
    Decimal('0.250')
    """
    found = QUANTITY.fullmatch(text.strip())
    if found is None or found.group(2) not in SUFFIXES:
        raise ValueError(f"quantity {text!r}: expected a number with one of the suffixes {' '.join(SUFFIXES)}")
    return Decimal(found.group(1)) * SUFFIXES[found.group(2)]


def divide_rounding_up(quantity: str, divisor: str) -> int:
    """Return how many whole ``divisor`` cover ``quantity``, as the downward API counts."""
    return math.ceil(parse_quantity(quantity) / (parse_quantity(divisor) or Decimal(1)))
