"""The servers that are measured, and what they are asked."""

import json
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelscaler_benchmarks.http_client import request_bytes
from modelscaler_benchmarks.reflex.ladders import Pair
from modelscaler_benchmarks.serving_process import HOST, Command, free_ports
from modelserver.artifact import locate, read_model

MAX_BATCH_ROWS = 4
"""The same for every server: where the time per row hardly depends on the batch, warm-ups find 1, 2 or 4, as noise has it."""
BODIES = 256
_PATIENT_SECONDS = 60.0
_WORDS = """
red blue green black white small large warm light soft dark wide long short new old round flat
shoes lamp sofa table chair shirt jacket boots rug desk mirror clock kettle towel pillow basket
for with and in the kitchen garden office bedroom kids summer winter travel running reading
"""


@dataclass(frozen=True)
class Served:
    """How the model is served.

    Attributes:
        model: URI.
        pair: Its two variants.
        objective_milliseconds: In which answers are to come.
        floor: Mean accuracy that the ladder must keep.
        device: That it computes on.
    """

    model: str
    pair: Pair
    objective_milliseconds: int
    floor: float
    device: str = "cpu"

    def command(self, directory: Path, ladder: bool, variant: str | None = None) -> Command:
        """Return how a server is started, on a port that is free now.

        Args:
            directory: For its log.
            ladder: Whether it holds both variants.
            variant: Its first, or only, variant; None for the full one.
        """
        (port,) = free_ports(1)
        arguments = [sys.executable, "-m", "modelserver", "serve", "--model", self.model]
        arguments += ["--variant", variant or self.pair.full, "--host", HOST, "--port", str(port), "--workers", "1"]
        arguments += ["--max-batch", str(MAX_BATCH_ROWS), "--lame-duck-seconds", "0", "--device", self.device]
        if ladder:
            arguments += ["--ladder", self.pair.fast, "--min-mean-accuracy", f"{self.floor:.4f}"]
            arguments += ["--latency-objective-milliseconds", str(self.objective_milliseconds)]
        return Command(arguments, {}, directory, "/v2/health/ready", port)


@dataclass(frozen=True)
class Asked:
    """What a server is asked, and how.

    Attributes:
        path: Of the infer requests.
        hurried: Bodies whose timeout is the objective.
        patient: The same with a timeout that nothing violates.
    """

    path: str
    hurried: Sequence[bytes]
    patient: Sequence[bytes]

    def requests(self, port: int) -> list[bytes]:
        """Return the hurried requests as they go over the wire."""
        return [request_bytes(port, self.path, body, {"Content-Type": "application/json"}) for body in self.hurried]


def asked(model: str, command: Command, objective_milliseconds: int, seed: int) -> Asked:
    """Return requests for the model that a server serves: a short text each, as its first input.

    Args:
        model: URI of it.
        command: Of the server, running.
        objective_milliseconds: Timeout of the hurried ones.
        seed: Of the texts.
    """
    name = read_model(locate(model)).name
    with urllib.request.urlopen(f"{command.url}/v2/models/{name}", timeout=10) as answer:  # noqa: S310 - always http://127.0.0.1
        (first, *_) = json.load(answer)["inputs"]
    texts = _texts(np.random.default_rng(seed))
    return Asked(
        f"/v2/models/{name}/infer",
        [_body(first["name"], text, objective_milliseconds / 1e3) for text in texts],
        [_body(first["name"], text, _PATIENT_SECONDS) for text in texts],
    )


def _texts(generator: np.random.Generator) -> list[str]:
    words = _WORDS.split()
    return [" ".join(generator.choice(words, size=generator.integers(2, 9))) for _ in range(BODIES)]


def _body(name: str, text: str, timeout_seconds: float) -> bytes:
    inputs = [{"name": name, "datatype": "BYTES", "shape": [1], "data": [text]}]
    return json.dumps({"parameters": {"timeout": round(1e6 * timeout_seconds)}, "inputs": inputs}).encode()
