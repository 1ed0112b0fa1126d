"""The network that serves: the same numbers as the one that learned, and files that cannot be used are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from modelscaler.forecast.network import SCHEMA, Network, WeightsError, load_network, shapes

FEATURES, WIDTH, BLOCKS = 7, 12, 2


def network(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    weights = {n: rng.normal(0.0, 0.3, s).astype(np.float32) for n, s in shapes(FEATURES, WIDTH, BLOCKS).items()}
    return Network(weights, {})


def saved(path: Path, of: Network, schema: str = str(SCHEMA)) -> Path:
    save_file(dict(of.weights), path, metadata={"schema": schema})
    return path


def test_numpy_says_what_torch_says() -> None:
    torch = pytest.importorskip("torch")
    from modelscaler.forecast.learning.torch_network import QuantileNetwork

    of = network()
    module = QuantileNetwork(FEATURES, WIDTH, BLOCKS, dropout=0.0)
    module.load_state_dict({name: torch.from_numpy(weight) for name, weight in of.weights.items()})
    module.eval()
    rows = np.random.default_rng(1).normal(size=(50, FEATURES)).astype(np.float32)
    rows[::3, 2] = np.nan
    rows[:, 5] = np.nan
    known = np.isfinite(rows)
    masked = np.concatenate([np.where(known, rows, 0.0), ~known], axis=-1, dtype=np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(masked)).numpy()

    np.testing.assert_allclose(of.quantiles(rows), expected, atol=1e-5)


def test_quantiles_do_not_cross_whatever_the_weights() -> None:
    rows = np.random.default_rng(2).normal(0.0, 5.0, (200, FEATURES)).astype(np.float32)
    assert (np.diff(network(3).quantiles(rows), axis=-1) >= 0.0).all()


def test_weights_come_back_when_they_were_saved(tmp_path: Path) -> None:
    of = Network(network().weights, {"seed": json.dumps(3)})
    of.save(tmp_path / "w.safetensors")
    found = load_network(tmp_path / "w.safetensors", FEATURES)
    assert found.facts["seed"] == "3"
    assert found.weights.keys() == of.weights.keys()
    assert all((found.weights[name] == weight).all() for name, weight in of.weights.items())


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"", "cannot be read"), (b"\x00" * 100, "cannot be read"), (b"{}", "cannot be read")]
)
def test_corrupt_file_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=complaint):
        load_network(path, FEATURES)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        load_network(tmp_path / "nothing.safetensors", FEATURES)


def test_newer_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", network(), schema=str(SCHEMA + 1))
    with pytest.raises(WeightsError, match=f"schema {SCHEMA + 1}, expected {SCHEMA}"):
        load_network(path, FEATURES)


def test_file_for_other_features_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", network())
    with pytest.raises(WeightsError, match="other features"):
        load_network(path, FEATURES + 1)


def test_file_with_numbers_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    of = network()
    of.weights["exit.bias"][0] = np.nan
    with pytest.raises(WeightsError, match="not finite"):
        load_network(saved(tmp_path / "w.safetensors", of), FEATURES)


def test_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelscaler.forecast.network.MOST_FILE_BYTES", 100)
    with pytest.raises(WeightsError, match="at most 100"):
        load_network(saved(tmp_path / "w.safetensors", network()), FEATURES)
