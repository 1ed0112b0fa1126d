"""A server, everything that is thrown at it, and how it is afterwards."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tqdm import tqdm

from modelscaler_benchmarks.fuzz.asking import TensorFuzzer
from modelscaler_benchmarks.fuzz.document import DocumentFuzzer
from modelscaler_benchmarks.fuzz.malformed import SlowClients, WireFuzzer, answers_rightly
from modelscaler_benchmarks.fuzz.served import Mixture
from modelscaler_benchmarks.fuzz.tally import Tally
from modelscaler_benchmarks.fuzz.wire_cases import GOOD_SUM
from modelscaler_benchmarks.serving_process import HOST, Command, ServingProcess, free_ports, is_ready

BODY_LIMIT_BYTES = 4 * 1024 * 1024
_WIRE_SHARE, _DOCUMENT_SHARE = 0.12, 0.03
_WARM_UP_SHARE = 0.1
"""Of the tensors' cases, after which memory counts as settled."""
_GROWTH_LIMIT_BYTES = 64 * 2**20
_TROUBLE = ("Traceback", " ERROR ", " CRITICAL ")


@dataclass(frozen=True)
class Aftermath:
    """How the server is after everything.

    Attributes:
        resident_bytes_before: Memory of all its processes once warm.
        resident_bytes_after: Ditto, at the end.
        problems: What is not as it should be.
    """

    resident_bytes_before: int
    resident_bytes_after: int
    problems: list[str]


def server_command(port: int, directory: Path) -> Command:
    """Return how the server under test is started."""
    model = f"python:{Mixture.__module__}:{Mixture.__qualname__}"
    arguments = [sys.executable, "-m", "modelserver", "serve", "--model", model, "--variant", "full"]
    arguments += ["--ladder", "full,int8", "--host", HOST, "--port", str(port), "--workers", "1"]
    arguments += ["--body-limit-bytes", str(BODY_LIMIT_BYTES), "--lame-duck-seconds", "0"]
    return Command(arguments, {}, directory, "/v2/health/ready", port)


@contextmanager
def _progress(cases: int) -> Iterator[Callable[[int], object]]:
    with tqdm(total=cases, unit="case", unit_scale=True, mininterval=1.0) as bar:
        yield bar.update


def run(cases: int, first_seed: int, directory: Path) -> tuple[Tally, Aftermath]:
    """Throw at least so many cases at a server.

    Args:
        cases: How many.
        first_seed: Of everything that is drawn.
        directory: For the server's log.
    """
    tally = Tally()
    (port,) = free_ports(1)
    with ServingProcess(server_command(port, directory)) as server, _progress(cases) as advance:
        slow = SlowClients(port, Random(first_seed))  # noqa: S311 - not for secrets
        tensors = TensorFuzzer(port, tally, BODY_LIMIT_BYTES, advance)
        wire, document = int(cases * _WIRE_SHARE), int(cases * _DOCUMENT_SHARE)
        tensors.run(int((cases - wire - document) * _WARM_UP_SHARE), first_seed)
        tensors.close()  # what follows takes longer than the server keeps idle connections
        before = server.resident_bytes()
        processes = _process_ids(server)
        WireFuzzer(port, tally, advance).run(wire, Random(first_seed))  # noqa: S311 - ditto
        DocumentFuzzer(server.command.url, tally, advance).run(document, first_seed)
        slow.judge(tally)
        tensors.run(max(0, cases - tally.cases), first_seed + cases)
        tensors.close()
        return tally, _aftermath(server, before, processes)


def _process_ids(server: ServingProcess) -> list[int]:
    return sorted(process.pid for process in server.processes())


def _aftermath(server: ServingProcess, before: int, processes: list[int]) -> Aftermath:
    url, port = server.command.url, server.command.port
    after = server.resident_bytes()
    problems = [
        f"{path} does not answer 200" for path in ("/v2/health/live", "/v2/health/ready") if not is_ready(url + path)
    ]
    wrong = answers_rightly(port, GOOD_SUM)
    if wrong is not None:
        problems.append(f"a right request is answered wrongly: {wrong}")
    if _process_ids(server) != processes:
        problems.append(f"processes {_process_ids(server)}, expected those of the beginning, {processes}")
    if after - before > _GROWTH_LIMIT_BYTES:
        problems.append(f"memory grew from {before} to {after} bytes, expected at most {_GROWTH_LIMIT_BYTES} more")
    log = (server.command.directory / "server.log").read_text(encoding="utf-8", errors="replace").splitlines()
    problems += [f"log: {line}" for line in [line for line in log if any(word in line for word in _TROUBLE)][:10]]
    return Aftermath(before, after, problems)
