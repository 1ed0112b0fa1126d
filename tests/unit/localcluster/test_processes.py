"""Processes that cannot be mistaken for later ones."""

import os
import subprocess
from pathlib import Path

from localcluster.processes import ProcessIdentity, ProcessRegistry


def test_identity_is_of_this_very_process() -> None:
    me = ProcessIdentity.of(os.getpid())
    assert me is not None
    assert me.alive()
    assert not ProcessIdentity(me.pid, me.start_ticks + 1, me.boot_id).alive()
    assert not ProcessIdentity(me.pid, me.start_ticks, "another boot").alive()


def test_registered_process_is_ended_and_a_stranger_with_its_pid_is_not(tmp_path: Path) -> None:
    registry = ProcessRegistry(tmp_path / "processes")
    with subprocess.Popen(["sleep", "60"]) as ours, subprocess.Popen(["sleep", "60"]) as stranger:
        registry.add(ours.pid, "ours")
        registry.add(stranger.pid, "stranger")
        stolen = tmp_path / "processes" / str(stranger.pid)
        stolen.write_text(stolen.read_text().replace(" ", "9 ", 1))
        assert registry.kill_all() == ["ours"]
        assert ours.wait(5) == -9
        assert stranger.poll() is None
        stranger.kill()
