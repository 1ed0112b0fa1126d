"""Clean up after a run: its processes, its cgroups, its files."""

import shutil

from localcluster.errors import LocalClusterError
from localcluster.node.cgroups import remove_tree
from localcluster.processes import ProcessRegistry
from localcluster.state import StateDirectory

# What outlives a run until `down`: the image table may be filled before `up`.
KEPT = frozenset({"images.json", "lock", "start.lock"})


def end_processes(files: StateDirectory) -> list[str]:
    """End whatever a dead run left running; return the names of what had to be killed.

    Raises:
        LocalClusterError: if the cluster there is alive.
    """
    if files.running():
        raise LocalClusterError(
            f"a cluster is running in {files.root}; use it, end it with `localcluster down`, or choose another --name"
        )
    killed = ProcessRegistry(files.processes).kill_all()
    state = files.read()
    if state is not None:
        remove_tree(f"modelscaler-{state.name}-{state.run_id}")
    return killed


def remove_run_files(files: StateDirectory) -> None:
    """Remove the files of a run that has ended, but not what was prepared for the next."""
    if not files.root.exists():
        return
    for entry in files.root.iterdir():
        if entry.name in KEPT:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
