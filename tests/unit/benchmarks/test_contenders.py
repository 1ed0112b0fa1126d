"""Peers' environments, commands and settings."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from modelscaler_benchmarks.server.contenders import (
    OURS,
    SWEEPS,
    Setting,
    Setup,
    Workshop,
    command,
    our_setups,
    peer_setup,
)
from modelscaler_benchmarks.server.environments import PEERS, InstallError, environment_of, find_uv, requirements
from modelscaler_benchmarks.server.running import chosen, key_of
from modelscaler_benchmarks.server.sweep import Trial, best, sweep
from modelscaler_benchmarks.server.workloads import Workload


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    rows = np.zeros((1, 1), dtype=np.float32)
    workloads = {name: Workload(name, tmp_path / f"{name}.safetensors", rows, rows) for name in ("mlp", "encoder")}
    return Workshop({peer: tmp_path / peer for peer in PEERS}, tmp_path / "work", workloads, tmp_path / "encoder.onnx")


def test_peers_share_our_torch_when_they_are_installed() -> None:
    for peer in PEERS.values():
        assert f"{peer.package}=={peer.version}" in requirements(peer)
        assert any(each.startswith("torch==") for each in requirements(peer))


def test_environments_lie_in_the_projects_cache_when_it_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MODELSCALER_CACHE", str(tmp_path))

    places = {environment_of(peer) for peer in PEERS.values()}

    assert len(places) == len(PEERS)
    assert all(place.parent == tmp_path / "benchmarks" for place in places)


def test_environment_is_another_when_its_requirements_change() -> None:
    peer = PEERS["mlserver"]

    assert environment_of(peer) != environment_of(type(peer)(peer.package, peer.version))


def test_installing_names_the_remedy_when_there_is_no_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MODELSCALER_CACHE", str(tmp_path))

    with pytest.raises(InstallError, match="make setup"):
        find_uv()


def test_uv_is_found_when_setup_put_it_into_our_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MODELSCALER_CACHE", str(tmp_path))
    program = tmp_path / "uv" / "bin" / "uv"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)

    assert find_uv() == str(program)


@pytest.mark.parametrize("server", sorted(PEERS))
def test_peer_is_started_from_its_own_environment_when_measured(server: str, workshop: Workshop) -> None:
    found = command(peer_setup(server, "encoder", SWEEPS[server].first[0]), workshop)

    assert found.arguments[0].startswith(str(workshop.environments[server]))
    assert found.environment["PYTHONPATH"] == str(workshop.import_path)


def test_settings_reach_mlserver_when_it_is_started(workshop: Workshop) -> None:
    found = command(peer_setup("mlserver", "mlp", {"max_batch_time_seconds": 0.01, "parallel_workers": 1}), workshop)

    server = json.loads((found.directory / "settings.json").read_text())
    model = json.loads((found.directory / "model-settings.json").read_text())
    assert (server["http_port"], server["parallel_workers"]) == (found.port, 1)
    assert (model["max_batch_size"], model["max_batch_time"]) == (32, 0.01)


def test_settings_reach_litserve_when_it_is_started(workshop: Workshop) -> None:
    settings: dict[str, Setting] = {"batch_timeout_seconds": 0.001, "fast_queue": True, "api_servers": 2}
    words = " ".join(command(peer_setup("litserve", "mlp", settings), workshop).arguments)

    assert "--batch-timeout-seconds 0.001" in words
    assert "--api-servers 2" in words
    assert "--fast-queue" in words


def test_ours_serves_the_quantized_file_when_asked_for_int8(workshop: Workshop) -> None:
    (int8,) = [setup for setup in our_setups("encoder") if setup.settings.get("variant") == "int8"]

    assert str(workshop.onnx_int8) in command(int8, workshop).arguments
    assert key_of(int8, "json").kind == "int8"


def test_ours_has_one_model_copy_when_compared_with_peers() -> None:
    kinds = {
        key_of(setup, dialect.name).kind: setup.settings["workers"]
        for setup in our_setups("mlp")
        for dialect in setup.dialects
    }

    assert kinds == {"json": 1, "binary": 1, "2 workers": 2}


def attempts(rates: Mapping[str, float]) -> list[Trial]:
    def attempt(settings: Mapping[str, Setting]) -> Trial:
        return Trial(settings, rates.get(Setup("x", "y", settings).label(), 1.0))

    return sweep("litserve", attempt)


def test_additions_are_tried_on_the_best_when_a_sweep_goes_on() -> None:
    trials = attempts({"x (batch_timeout_seconds=0.001)": 5.0})

    assert [dict(trial.settings) for trial in trials[3:]] == [
        {"batch_timeout_seconds": 0.001, "fast_queue": True},
        {"batch_timeout_seconds": 0.001, "api_servers": 2},
    ]
    assert best(trials).requests_per_second == 5.0


def test_best_is_the_addition_when_it_helps() -> None:
    trials = attempts({"x (batch_timeout_seconds=0.0, api_servers=2)": 9.0})

    assert dict(best(trials).settings) == {"batch_timeout_seconds": 0.0, "api_servers": 2}


def test_peers_are_refused_when_one_is_not_known() -> None:
    assert chosen("mlserver,", list(PEERS)) == ("mlserver",)
    with pytest.raises(ValueError, match="torchserve"):
        chosen("litserve,torchserve", list(PEERS))


def test_ours_is_not_a_peer_when_peers_are_listed() -> None:
    assert OURS not in PEERS
