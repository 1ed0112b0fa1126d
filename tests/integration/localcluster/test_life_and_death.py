"""How clusters begin and end: side by side, killed, interrupted, started over what a dead one left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localcluster.cluster import Cluster
from localcluster.errors import LocalClusterError
from localcluster.spec import ClusterSpec, NodeSpec
from pods import PYTHON_IMAGE, Namespace, eventually, pod, processes_mentioning, shell

pytestmark = pytest.mark.integration


def test_nothing_is_left_and_the_next_start_cleans_when_a_supervisor_is_killed(tmp_path: Path) -> None:
    state_dir = tmp_path / "killed"
    spec = ClusterSpec("killed", state_dir, nodes=(NodeSpec("only"),), images=(PYTHON_IMAGE,))
    with Cluster.start(spec) as first:
        corner = Namespace(first, "default")
        eventually(lambda: corner.items("serviceaccounts"))
        mark = f"mark-{tmp_path.name}"
        corner.apply(pod("runner", shell(f"(sleep 600 || echo {mark}) & sleep 600; echo {mark}")))
        eventually(lambda: "running" in corner.status_of("runner").get("state", {}))
        old_run = first.state.run_id
        assert processes_mentioning(mark)

        os.kill(first.state.supervisor.pid, signal.SIGKILL)
        eventually(
            lambda: not processes_mentioning(mark) and not processes_mentioning(str(state_dir)) and not first.running
        )

        with Cluster.start(spec) as second:
            assert second.state.run_id != old_run
            assert Namespace(second, "default").items("pods") == []
    assert not state_dir.exists()
    assert not list(Path("/sys/fs/cgroup").glob("*/modelscaler-killed-*"))


def test_second_start_is_refused_when_the_cluster_is_running(cluster: Cluster) -> None:
    spec = ClusterSpec("tests", cluster.files.root)
    with pytest.raises(LocalClusterError, match="running"):
        Cluster.start(spec)
    assert cluster.running


def test_foreground_cluster_ends_clean_when_it_is_interrupted(tmp_path: Path) -> None:
    state_dir = tmp_path / "interrupted"
    command = [sys.executable, "-m", "localcluster.cli", "--name", "ctrl-c", "--state-dir", str(state_dir)]
    with subprocess.Popen([*command, "up", "--foreground", "--api-only"], stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert "is ready" in up.stdout.readline()
        up.send_signal(signal.SIGINT)
        try:
            up.wait(20)
        finally:
            up.kill()
    assert processes_mentioning(str(state_dir)) == []
    assert not state_dir.exists()


def test_nothing_is_left_when_a_start_is_given_up(tmp_path: Path) -> None:
    state_dir = tmp_path / "given-up"
    command = [sys.executable, "-m", "localcluster.cli", "--name", "given-up", "--state-dir", str(state_dir), "up"]
    with subprocess.Popen([*command, "--api-only"], stdout=subprocess.DEVNULL) as up:
        eventually((state_dir / "logs" / "etcd.log").exists)
        up.send_signal(signal.SIGTERM)
        assert up.wait(20) != 0
    assert processes_mentioning(str(state_dir)) == []


def test_cluster_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    state_dir = tmp_path / "orphan"
    code = (
        "import pathlib, sys, time\nfrom localcluster.cluster import Cluster\nfrom localcluster.spec import ClusterSpec\n"
        "Cluster.start(ClusterSpec('orphan', pathlib.Path(sys.argv[1]), api_only=True))\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(state_dir)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        owner.kill()
    eventually(lambda: not processes_mentioning(str(state_dir)))


def test_start_fails_with_the_reason_when_a_program_will_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "assets"
    broken.mkdir()
    etcd = broken / "etcd"
    etcd.write_text("#!/bin/sh\necho I am broken\nexit 3\n")
    etcd.chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(broken))
    begun = time.monotonic()
    with pytest.raises(LocalClusterError, match=r"etcd ended by itself with code 3(.|\n)*I am broken"):
        Cluster.start(ClusterSpec("broken", tmp_path / "state", api_only=True))
    assert time.monotonic() - begun < 20
    assert processes_mentioning(str(tmp_path / "state")) == []
