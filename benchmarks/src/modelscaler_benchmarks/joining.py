"""Wait until all workers of our server have joined: it is ready with the first, and measured with all."""

import re
import time
import urllib.request

from modelscaler_benchmarks.serving_process import ServingProcess, StartError

POLL_SECONDS = 0.1  # each look costs the front some of the time that may be measured
LIMIT_SECONDS = 120.0


def wait_for_workers(server: ServingProcess, workers: int) -> None:
    """Wait until so many workers are ready.

    Raises:
        StartError: They are not within LIMIT_SECONDS of the server's start.
    """
    while (ready := workers_ready(_metrics(server.command.url))) < workers:
        if server.age_seconds > LIMIT_SECONDS:
            raise StartError(
                f"{ready} of {workers} workers were ready within {LIMIT_SECONDS:g} s:\n{server.log_tail()}"
            )
        time.sleep(POLL_SECONDS)


def workers_ready(metrics: str) -> int:
    """Return how many workers a server says are ready.

    Args:
        metrics: As it answers on /metrics.
    """
    found = re.search(r"^modelserver_workers_ready(?:{.*})? (\S+)$", metrics, re.MULTILINE)
    return 0 if found is None else int(float(found[1]))


def _metrics(url: str) -> str:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10.0) as answer:  # noqa: S310 - always http://127.0.0.1
        text: str = answer.read().decode()
        return text
