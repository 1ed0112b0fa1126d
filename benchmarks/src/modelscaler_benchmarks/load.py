"""Closed-loop load on a server of this machine: wrk where it can be had, our own generator elsewhere."""

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelscaler_benchmarks import closed_loop, wrk
from modelscaler_benchmarks.http_client import request_bytes
from modelscaler_benchmarks.serving_process import HOST
from modelscaler_benchmarks.wrk import LoadFigures


@dataclass(frozen=True)
class LoadGenerator:
    """How load is offered.

    Attributes:
        program: Path of wrk; None for our own generator.
    """

    program: str | None

    @property
    def name(self) -> str:
        """Return what to call it in a report."""
        return (
            "wrk -t1"
            if self.program
            else "asyncio (wrk could not be had; takes a share of the cores, so figures are lower)"
        )

    def offer(
        self,
        port: int,
        path: str,
        bodies: Sequence[bytes],
        headers: Mapping[str, str],
        *,
        connections: int,
        seconds: float,
    ) -> LoadFigures:
        """Offer the bodies in turn for some seconds.

        Raises:
            LoadGeneratorError: When that fails.
        """
        if self.program is None:
            requests = [request_bytes(port, path, body, headers) for body in bodies]
            return asyncio.run(closed_loop.offer(port, requests, connections=connections, seconds=seconds))
        with tempfile.TemporaryDirectory() as folder:
            wrk.write_bodies(Path(folder), bodies)
            url, count = f"http://{HOST}:{port}{path}", len(bodies)
            return wrk.offer(
                self.program, url, Path(folder), headers, count=count, connections=connections, seconds=seconds
            )


def load_generator() -> LoadGenerator:
    """Return the best load generator that can be had here; says so when it is not wrk."""
    program = wrk.installed_wrk()
    if program is None:
        print(
            "wrk: not on PATH and not installable here (Debian, Ubuntu: apt-get install wrk); using our own generator",
            file=sys.stderr,
        )
    return LoadGenerator(program)
