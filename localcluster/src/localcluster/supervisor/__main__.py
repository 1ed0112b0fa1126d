"""Run a supervisor: ``python -m localcluster.supervisor STATE_DIR [--owned]``."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from localcluster.binaries.search import find
from localcluster.errors import LocalClusterError
from localcluster.spec import CLUSTER_SPEC, ClusterSpec
from localcluster.state import StateDirectory
from localcluster.supervisor.run import ClusterRun


def main() -> int:
    """Run the cluster described in the state directory until told to stop."""
    arguments = _parse()
    files = StateDirectory(arguments.state_dir)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    spec = CLUSTER_SPEC.validate_json(files.spec.read_bytes())
    try:
        files.lock()
        asyncio.run(_run(spec, owned=arguments.owned))
    except LocalClusterError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="localcluster.supervisor")
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("--owned", action="store_true", help="end when standard input closes: the owner has died")
    return parser.parse_args()


async def _run(spec: ClusterSpec, *, owned: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if owned:
        loop.add_reader(sys.stdin.fileno(), _end_when_closed, stop)
    await ClusterRun(spec, _programs(spec)).until(stop)


def _end_when_closed(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


def _programs(spec: ClusterSpec) -> dict[str, Path]:
    """Return where the programs are; `up` has provided them before it started this process."""
    names = ["etcd", "kube-apiserver"]
    if not spec.api_only:
        names += ["kube-controller-manager", "kube-scheduler"]
    if spec.prometheus is not None:
        names.append("prometheus")
    found = {name: find(name) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise LocalClusterError(f"not found: {', '.join(missing)}; start the cluster with `localcluster up`")
    return {name: path for name, path in found.items() if path is not None}


if __name__ == "__main__":
    sys.exit(main())
