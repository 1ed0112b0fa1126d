"""Finding programs, and what is told about building them."""

from pathlib import Path

import pytest

from localcluster.binaries.gobuild import _follow
from localcluster.binaries.search import find
from localcluster.binaries.versions import cache_bin, version_flags


def _program(directory: Path, name: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_programs_are_found_in_order_when_several_places_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCALER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    assert find("etcd") is None
    cached = _program(cache_bin(), "etcd")
    assert find("etcd") == cached
    on_path = _program(tmp_path / "path", "etcd")
    assert find("etcd") == on_path
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    assert find("etcd") == on_path
    asset = _program(tmp_path / "assets", "etcd")
    assert find("etcd") == asset


def test_half_written_program_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCALER_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    _program(cache_bin(), "etcd").chmod(0o644)
    assert find("etcd") is None


def test_servers_are_told_the_pinned_version() -> None:
    flags = version_flags()
    version = cache_bin().parent.name.split("_")[0].removeprefix("kubernetes-")
    assert f"-X k8s.io/component-base/version.gitVersion=v{version}" in flags
    assert f"-X k8s.io/client-go/pkg/version.gitMinor={version.split('.')[1]}" in flags


def test_progress_counts_packages_and_not_downloads() -> None:
    seen: list[tuple[int, int]] = []

    class Recorder:
        def advance(self, done: int, total: int) -> None:
            seen.append((done, total))

    said = ["go: downloading x v1", "k8s.io/a", "k8s.io/b", "k8s.io/c"]
    assert list(_follow(said, Recorder(), 2)) == said
    assert seen == [(0, 2), (1, 2), (2, 2), (3, 3)]
