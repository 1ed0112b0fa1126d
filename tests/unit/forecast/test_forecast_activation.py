import math

import numpy as np
import pytest

from modelscaler.forecast.activation import BLOCK, asinh, gelu, sinh


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, BLOCK + 7)])
def test_the_unit_is_what_its_definition_says_at_any_size(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(0.0, 3.0, shape).astype(np.float32)

    expected = [value * 0.5 * math.erfc(-value / math.sqrt(2.0)) for value in x.reshape(-1).tolist()]

    np.testing.assert_allclose(gelu(x).reshape(-1), expected, atol=1e-6)
    assert gelu(x).shape == shape


def test_extremes_are_kept_or_gone() -> None:
    np.testing.assert_array_equal(gelu(np.array([-50.0, 0.0, 50.0], dtype=np.float32)), [0.0, 0.0, 50.0])


def test_hyperbolic_sine_and_its_inverse_are_what_numpy_says() -> None:
    x = np.concatenate([[0.0], np.geomspace(1e-9, 40.0, 1_000)])
    both = np.concatenate([-x, x]).astype(np.float32)

    wanted = np.sinh(both.astype(np.float64))
    np.testing.assert_allclose(sinh(both), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(asinh(wanted.astype(np.float32)), np.arcsinh(wanted), atol=5e-6)


def test_the_inverse_hyperbolic_sine_stays_finite_and_keeps_what_is_unknown() -> None:
    found = asinh(np.array([np.nan, 3e38, -3e38], dtype=np.float32))

    assert np.isnan(found[0])
    assert np.isfinite(found[1:]).all()
    assert found[1] == -found[2] > 40.0
