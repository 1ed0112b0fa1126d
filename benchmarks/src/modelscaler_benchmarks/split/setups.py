"""The ways to serve the example: whole, split over processes, split over servers."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelscaler_benchmarks.joining import wait_for_workers
from modelscaler_benchmarks.serving_process import HOST, Command, ServingProcess, free_ports
from modelserver.engine.pipeline_plan import plan_pipeline


@dataclass(frozen=True)
class Setup:
    """One way to serve it.

    Attributes:
        name: In the table.
        processes: That decode, compute or encode.
        options: Of `modelserver serve`.
        elsewhere: Stages that servers of their own compute.
    """

    name: str
    processes: int
    options: Sequence[str] = ()
    elsewhere: Sequence[str] = ()


def setups(stages: Sequence[str], heaviest: str) -> list[Setup]:
    """Return what is compared.

    Args:
        stages: Of the model, first to last.
        heaviest: The stage that takes longest: it is the one that another server computes.
    """
    return [
        Setup("whole, 1 worker", 1, ("--workers", "1")),
        Setup("whole, 2 workers", 2, ("--workers", "2")),
        Setup(f"{len(stages)} stages, a process each", len(stages), ("--pipeline",)),
        Setup(f"stage {heaviest} in another server", len(plan_pipeline(stages, {heaviest: ""})), (), (heaviest,)),
    ]


def _server(directory: Path, folder: Path, name: str, options: Sequence[str]) -> ServingProcess:
    (port,) = free_ports(1)
    where = ["--model", str(directory), "--variant", "full", "--host", HOST, "--port", str(port)]
    quick_end = ["--lame-duck-seconds", "0", "--drain-seconds", "1"]
    arguments = [sys.executable, "-m", "modelserver", "serve", *where, *quick_end, *options]
    return ServingProcess(Command(arguments, {}, folder / name, "/v2/health/ready", port))


@contextmanager
def serving(setup: Setup, directory: Path, folder: Path) -> Iterator[list[ServingProcess]]:
    """Serve the example; yield the server that clients ask, then those that it asks.

    Args:
        setup: How.
        directory: Of the model.
        folder: For logs.
    """
    with ExitStack() as stack:
        others = {
            stage: stack.enter_context(_server(directory, folder, stage, ("--stage", stage, "--workers", "1")))
            for stage in setup.elsewhere
        }
        addresses = [
            option
            for stage, server in others.items()
            for option in ("--stage-address", f"{stage}={server.command.url}")
        ]
        front = stack.enter_context(_server(directory, folder, "front", (*setup.options, *addresses)))
        if "--workers" in setup.options:
            wait_for_workers(front, setup.processes)
        yield [front, *others.values()]
