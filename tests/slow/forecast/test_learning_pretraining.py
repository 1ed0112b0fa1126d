from pathlib import Path

import numpy as np
import pytest

from modelscaler.cli import main
from modelscaler.forecast.learning.command import pretrain
from modelscaler.forecast.learning.fitting import Plan
from modelscaler.forecast.learning.generation import Making, drawn, ensure_made, file_of, made
from modelscaler.forecast.learning.hiding import FEATURES
from modelscaler.forecast.learning.pretraining import Pretraining, pretrained, pretraining_of
from modelscaler.forecast.network import Network, load_network

TINY = Making(seed=3, panels=2, series=4, origins=10, horizons=2, longest=400)
SMALL = Pretraining(TINY, Plan(epochs=1, rate=1e-3))


class Steps:
    """Keeps what was told of the progress."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.told.append((what, done, total))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the examples of the tiny panels are, made by several processes."""
    kept = tmp_path_factory.mktemp("examples")
    ensure_made(TINY, kept, Steps())
    return kept


def network_of(folder: Path) -> Network:
    return pretrained(SMALL, folder, Steps())


def test_the_same_network_comes_of_the_same_seed(folder: Path, tmp_path: Path) -> None:
    first, second = network_of(folder), network_of(tmp_path)

    assert first.facts["rows"] == second.facts["rows"]
    for name, weight in first.weights.items():
        np.testing.assert_allclose(weight, second.weights[name], atol=1e-5)


def test_only_what_is_missing_is_made_when_a_run_goes_on(folder: Path) -> None:
    kept = file_of(folder, 0).stat().st_mtime_ns
    file_of(folder, 1).write_bytes(b"cut off")
    steps = Steps()

    ensure_made(TINY, folder, steps)

    assert steps.told == [("generated panels", 1, 2), ("generated panels", 2, 2)]
    assert file_of(folder, 0).stat().st_mtime_ns == kept


def test_a_panel_does_not_depend_on_how_many_there_are() -> None:
    more = Making(seed=3, panels=50, series=4, origins=10, horizons=2, longest=400)

    np.testing.assert_array_equal(made(TINY, 1).features, made(more, 1).features)
    assert not np.array_equal(drawn(TINY, 0).panel.fine.values, drawn(TINY, 1).panel.fine.values, equal_nan=True)


def test_the_network_says_what_it_comes_from_and_is_small(folder: Path, tmp_path: Path) -> None:
    network_of(folder).save(tmp_path / "weights.safetensors")

    network = load_network(tmp_path / "weights.safetensors", FEATURES)

    assert network.facts["seed"] == "3"
    assert {"rows", "versions", "validation_losses", "relative_losses"} <= set(network.facts)
    assert '"pretrained": 1.0' in network.facts["relative_losses"]
    assert '"anchor"' in network.facts["relative_losses"]
    assert (tmp_path / "weights.safetensors").stat().st_size < 2_000_000


def test_other_load_is_learned_from_when_it_is_given(folder: Path) -> None:
    extra = made(TINY, 0)

    network = pretrained(Pretraining(TINY, SMALL.plan, (extra,)), folder, Steps())

    assert network.facts["other_rows"] == str(extra.rows)


def test_more_is_made_when_there_is_more_time() -> None:
    assert pretraining_of(15.0, 0).making.panels > pretraining_of(5.0, 0).making.panels
    assert pretraining_of(0.01, 0).making.panels == 2


def test_the_command_refuses_before_it_works_when_it_cannot_write(tmp_path: Path) -> None:
    steps = Steps()

    with pytest.raises(OSError, match="nowhere"):
        pretrain(0.01, 0, tmp_path / "nowhere" / "weights.safetensors", None, [], steps)

    assert steps.told == []


def test_the_command_line_says_what_is_wrong_when_it_cannot_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("modelscaler.cli.forecast.set_up_logging", lambda *_: None)

    status = main(["forecast", "pretrain", "--out", str(tmp_path / "nowhere" / "weights.safetensors")])

    assert status == 1
    assert "give another one by --out" in capsys.readouterr().err


def test_recorded_load_becomes_examples_when_a_folder_of_traces_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{600 * row},{10 + row % 7}" for row in range(300)]
    (tmp_path / "some.csv").write_text("timestamp,requests_per_second\n" + "\n".join(lines) + "\n")
    wanted: list[Pretraining] = []

    def noted(pretraining: Pretraining, *_: object) -> Network:
        wanted.append(pretraining)
        return Network({}, {})

    monkeypatch.setattr("modelscaler.cli.forecast.set_up_logging", lambda *_: None)
    monkeypatch.setattr("modelscaler.forecast.learning.command.pretrained", noted)
    out = tmp_path / "weights.safetensors"

    status = main(["forecast", "pretrain", "--traces", str(tmp_path), "--out", str(out)])

    assert status == 0
    assert out.stat().st_mode & 0o777 == 0o644
    assert wanted[0].extra[0].rows > 500
