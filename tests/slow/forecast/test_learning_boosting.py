from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.learning.boosting import OutOfTimeError, boosted, regressor_of, trees_of
from modelscaler.forecast.learning.examples import Examples
from modelscaler.forecast.network import Network, WeightsError, load_network
from modelscaler.forecast.panel import Floats32
from modelscaler.forecast.trees import Trees

FEATURES = 6
ITERATIONS = 6


def examples(rows: int = 1_500) -> Examples:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, FEATURES)).astype(np.float16)
    features[rng.random(features.shape) < 0.2] = np.nan
    came = np.nan_to_num(features[:, :1], nan=2.0).astype(np.float32) + 0.1 * rng.standard_normal((rows, TARGETS))
    return Examples(features, came.astype(np.float32), np.ones(rows, dtype=np.float32))


@cache
def trees() -> Trees:
    return boosted(examples(), 0, lambda: True, lambda _: None, ITERATIONS)


def rows() -> Floats32:
    return examples().features[:300].astype(np.float32)


def test_trees_say_what_the_library_that_grew_them_predicts() -> None:
    some = examples()
    features = some.features.astype(np.float32)
    with threadpool_limits(1):
        fitted = [
            regressor_of(level, 0, ITERATIONS).fit(features, some.came[:, target])
            for target in range(TARGETS)
            for level in QUANTILES
        ]

    said = trees_of(fitted, FEATURES).quantiles(features)

    predicted = np.stack([regressor.predict(features) for regressor in fitted], axis=1)
    expected = np.sort(predicted.reshape(len(features), TARGETS, -1), axis=-1)
    np.testing.assert_allclose(said, expected, rtol=1e-5, atol=1e-5)


def test_quantiles_follow_what_came_and_never_cross() -> None:
    said = trees().quantiles(rows())

    median = said[:, 0, 1]
    assert np.corrcoef(median, examples().came[:300, 0])[0, 1] > 0.7
    assert (np.diff(said, axis=-1) >= 0.0).all()


def test_trees_are_the_same_network_when_they_were_written_and_read(tmp_path: Path) -> None:
    ours = trees()
    ours.save(tmp_path / "tuned.safetensors")

    read = load_network(tmp_path / "tuned.safetensors", FEATURES)

    assert isinstance(read, Trees)
    assert read.features == FEATURES
    np.testing.assert_array_equal(read.quantiles(rows()), ours.quantiles(rows()))


def astray(tree: Trees) -> Network:
    return Trees({**tree.weights, "child": tree.weights["child"] + 10_000}, tree.facts)


def of_more_features(tree: Trees) -> Network:
    return Trees(tree.weights, {**tree.facts, "features": "7"})


def without_roots(tree: Trees) -> Network:
    return Trees({name: array for name, array in tree.weights.items() if name != "roots"}, tree.facts)


def not_finite(tree: Trees) -> Network:
    return Trees({**tree.weights, "bases": np.full_like(tree.weights["bases"], np.nan)}, tree.facts)


@pytest.mark.parametrize("spoilt", [astray, of_more_features, without_roots, not_finite])
def test_trees_are_refused_when_a_walk_in_them_could_go_astray(
    spoilt: Callable[[Trees], Network], tmp_path: Path
) -> None:
    spoilt(trees()).save(tmp_path / "tuned.safetensors")

    with pytest.raises(WeightsError, match="remove it"):
        load_network(tmp_path / "tuned.safetensors", FEATURES)


def test_boosting_ends_when_its_time_does() -> None:
    answers = iter([True, False])

    with pytest.raises(OutOfTimeError):
        boosted(examples(), 0, lambda: next(answers), lambda _: None, ITERATIONS)


def test_a_column_that_nobody_knows_does_not_matter() -> None:
    some = examples()
    some.features[:, 3] = np.nan

    said = boosted(some, 0, lambda: True, lambda _: None, ITERATIONS).quantiles(some.features.astype(np.float32))

    assert np.isfinite(said).all()
