import math

import numpy as np
import pytest

from modelscaler.forecast.activation import BLOCK, gelu


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, BLOCK + 7)])
def test_the_unit_is_what_its_definition_says_at_any_size(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(0.0, 3.0, shape).astype(np.float32)

    expected = [value * 0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x.reshape(-1).tolist()]

    np.testing.assert_allclose(gelu(x).reshape(-1), expected, atol=1e-6)
    assert gelu(x).shape == shape


def test_extremes_are_kept_or_gone() -> None:
    np.testing.assert_array_equal(gelu(np.array([-50.0, 0.0, 50.0], dtype=np.float32)), [0.0, 0.0, 50.0])
