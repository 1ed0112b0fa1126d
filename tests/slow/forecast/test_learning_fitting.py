from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from modelscaler.forecast.learning.checkpoints import Checkpoint
from modelscaler.forecast.learning.examples import Examples
from modelscaler.forecast.learning.fitting import Fitting, Plan, losses_of, masked, new_network, rate_at
from modelscaler.forecast.learning.hiding import FEATURES, Hiding
from modelscaler.forecast.learning.torch_network import QuantileNetwork, pinball_loss
from modelscaler.forecast.learning.weights import learning, serving
from modelscaler.forecast.network import load_network

PLAN = Plan(epochs=3, rate=2e-3, batch=64, hiding=Hiding(0.1, 0.1, 0.1))


def examples(rows: int = 640) -> Examples:
    """Return rows of which what came follows from the first feature."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, FEATURES)).astype(np.float16)
    features[rng.random(features.shape) < 0.1] = np.nan
    first = np.nan_to_num(features[:, :1]).astype(np.float32)
    came = first + 0.1 * rng.standard_normal((rows, 2)).astype(np.float32)
    return Examples(features, came.astype(np.float32), np.ones(rows, dtype=np.float32))


def fitted(plan: Plan = PLAN, seed: int = 0, clock: Callable[[], float] | None = None) -> Fitting:
    fitting = Fitting(new_network(FEATURES, 0, 0.1), examples(), plan, seed, clock or (lambda: 0.0))
    for _ in fitting.epochs():
        pass
    return fitting


def weights(module: QuantileNetwork) -> np.ndarray:
    return np.concatenate([tensor.flatten() for tensor in serving(module, {}).weights.values()])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_loss_falls_when_the_network_learns() -> None:
    before = losses_of(serving(new_network(FEATURES, 0, 0.1), {}), examples()).sum()

    after = losses_of(serving(fitted().module, {}), examples()).sum()

    assert after < 0.5 * before


def test_weights_are_the_same_when_the_seed_is_and_others_when_it_is_not() -> None:
    first = weights(fitted().module)

    np.testing.assert_allclose(first, weights(fitted().module), atol=1e-5)
    assert np.abs(first - weights(fitted(seed=1).module)).max() > 1e-3


def test_a_fit_goes_on_to_the_same_weights_when_it_was_killed_after_an_epoch(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "of this fit")
    killed = Fitting(new_network(FEATURES, 0, 0.1), examples(), PLAN, 0, lambda: 0.0)
    next(killed.epochs())
    checkpoint.save(killed)

    resumed = Fitting(new_network(FEATURES, 7, 0.1), examples(), PLAN, 0, lambda: 0.0)
    assert checkpoint.restore(resumed)
    epochs = [epoch.number for epoch in resumed.epochs()]

    assert epochs == [1, 2]
    np.testing.assert_allclose(weights(resumed.module), weights(fitted().module), atol=1e-5)


def test_a_checkpoint_is_passed_over_when_it_is_of_another_fit_or_broken(tmp_path: Path) -> None:
    fitting = fitted(Plan(epochs=1, rate=1e-3))
    Checkpoint(tmp_path, "of another fit").save(fitting)

    assert not Checkpoint(tmp_path, "of this fit").restore(fitting)
    next(tmp_path.iterdir()).write_bytes(b"broken")
    assert not Checkpoint(tmp_path, "of another fit").restore(fitting)


def test_a_fit_ends_early_and_gently_when_time_runs_out() -> None:
    seconds = count()
    plan = Plan(epochs=1_000, rate=2e-3, batch=64, seconds=20.0)

    fitting = fitted(plan, clock=lambda: float(next(seconds)))

    assert fitting.epochs_done < 5
    assert fitting.optimizer.param_groups[0]["lr"] < 0.05 * plan.rate


def test_the_rate_rises_and_falls_back_within_its_bounds() -> None:
    rates = np.array([rate_at(progress) for progress in np.linspace(0.0, 1.0, 101)])

    assert rates.argmax() == 10
    assert rates.max() == 1.0
    assert rates[0] == pytest.approx(1 / 25)
    assert 0.0 < rates[-1] < 1e-5
    assert (np.diff(rates[10:]) < 0.0).all()


def test_a_network_serves_what_it_has_learned_when_it_was_written_and_read(tmp_path: Path) -> None:
    module, some = fitted().module, examples(50)
    serving(module, {}).save(tmp_path / "weights.safetensors")

    read = load_network(tmp_path / "weights.safetensors", FEATURES)

    features = some.features.astype(np.float32)
    with torch.inference_mode():
        said = module(masked(torch.from_numpy(features))).numpy()
    np.testing.assert_allclose(read.quantiles(features), said, atol=1e-4)
    np.testing.assert_array_equal(weights(learning(read, 0.0)), weights(module))


def test_nothing_is_learned_from_what_is_unknown() -> None:
    quantiles = torch.zeros(2, 2, 5, requires_grad=True)
    came = torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan]])

    pinball_loss(quantiles, came, torch.ones(2)).backward()  # type: ignore[no-untyped-call]

    assert quantiles.grad is not None
    assert (quantiles.grad[0, 0] != 0.0).all()
    assert (quantiles.grad[0, 1] == 0.0).all()
    assert (quantiles.grad[1] == 0.0).all()
