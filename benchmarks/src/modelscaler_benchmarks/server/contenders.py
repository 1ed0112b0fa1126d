"""Who is measured, how each is started, and the settings among which its best are looked for."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelscaler_benchmarks.server.payloads import BENTOML, LITSERVE, V2, V2_BINARY, Dialect
from modelscaler_benchmarks.server.served.networks import MAX_BATCH
from modelscaler_benchmarks.server.workloads import Workload
from modelscaler_benchmarks.serving_process import HOST, Command, free_ports

SERVED = "modelscaler_benchmarks.server.served"
OURS = "modelserver"
OUR_CLASSES = {
    "mlp": "Perceptron",
    "encoder": "Encoder",
    "medium-encoder": "MediumEncoder",
    "large-encoder": "LargeEncoder",
}
PEER_NAMES = ("litserve", "mlserver", "bentoml")

Setting = str | int | float | bool


@dataclass(frozen=True)
class Setup:
    """A server as it is started for one network.

    Attributes:
        server: `modelserver`, `litserve`, `mlserver` or `bentoml`.
        network: `mlp`, or an encoder.
        settings: What is not its default, by name.
        dialects: How it is spoken to, one measurement each.
    """

    server: str
    network: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    dialects: tuple[Dialect, ...] = ()

    def label(self) -> str:
        """Return server and settings as one word or more."""
        shown = ", ".join(f"{name}={value}" for name, value in self.settings.items())
        return f"{self.server} ({shown})" if shown else self.server


@dataclass(frozen=True)
class Workshop:
    """What is needed to start servers.

    Attributes:
        environments: Each installed peer's environment, by server.
        directory: For working directories and logs.
        workloads: By network.
        onnx_int8: The quantized encoder.
    """

    environments: Mapping[str, Path]
    directory: Path
    workloads: Mapping[str, Workload]
    onnx_int8: Path

    @property
    def import_path(self) -> Path:
        """Return a directory with these benchmarks alone, where the peers' interpreters find the networks."""
        directory = self.directory / "import"
        directory.mkdir(parents=True, exist_ok=True)
        link = directory / "modelscaler_benchmarks"
        if not link.is_symlink():
            link.symlink_to(Path(__file__).resolve().parents[1])
        return directory


@dataclass(frozen=True)
class Sweep:
    """The settings among which a peer's best are looked for.

    Attributes:
        first: Each is tried; the first of them is what a quick run takes.
        then: Each is tried on top of the best of those.
    """

    first: tuple[Mapping[str, Setting], ...]
    then: tuple[Mapping[str, Setting], ...] = ()


SWEEPS = {
    "litserve": Sweep(
        first=tuple({"batch_timeout_seconds": timeout} for timeout in (0.0, 0.001, 0.01)),
        then=({"fast_queue": True}, {"api_servers": 2}),
    ),
    "mlserver": Sweep(
        first=tuple({"max_batch_time_seconds": timeout, "parallel_workers": 0} for timeout in (0.001, 0.01, 0.1)),
        then=({"parallel_workers": 1},),
    ),
    "bentoml": Sweep(first=({"max_latency_milliseconds": 60_000}, {"max_latency_milliseconds": 1_000})),
}

PEER_DIALECTS = {"litserve": LITSERVE, "mlserver": V2, "bentoml": BENTOML}


def peer_setup(server: str, network: str, settings: Mapping[str, Setting]) -> Setup:
    """Return a peer with some settings."""
    return Setup(server, network, settings, (PEER_DIALECTS[server],))


def our_setups(network: str) -> list[Setup]:
    """Return ours: with one model copy, as the peers have, and with two; the encoder in int8 too."""
    one_worker = Setup(OURS, network, {"workers": 1}, (V2, V2_BINARY))
    two_workers = Setup(OURS, network, {"workers": 2}, (V2,))
    int8 = Setup(OURS, network, {"workers": 1, "variant": "int8"}, (V2,))
    return [one_worker, two_workers, int8] if network == "encoder" else [one_worker, two_workers]


def command(setup: Setup, workshop: Workshop) -> Command:
    """Return how a setup is started, on ports that are free now."""
    return _STARTERS[setup.server](setup, workshop)


def _directory(setup: Setup, workshop: Workshop) -> Path:
    words = [setup.server, setup.network, *(f"{name}-{value}" for name, value in setup.settings.items())]
    directory = workshop.directory / "-".join(words)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _environment(workshop: Workshop) -> dict[str, str]:
    # No byte code is written next to the sources, so that the first start of a server costs what the others do.
    return {"PYTHONPATH": str(workshop.import_path)}


def _litserve(setup: Setup, workshop: Workshop) -> Command:
    (port,) = free_ports(1)
    arguments = [
        "--network",
        setup.network,
        "--weights",
        str(workshop.workloads[setup.network].weights),
        "--port",
        str(port),
    ]
    arguments += ["--batch-timeout-seconds", str(setup.settings["batch_timeout_seconds"])]
    arguments += ["--api-servers", str(setup.settings.get("api_servers", 1))]
    arguments += ["--fast-queue"] if setup.settings.get("fast_queue") else []
    python = str(workshop.environments["litserve"] / "bin" / "python")
    program = [python, "-m", f"{SERVED}.litserve_app", *arguments]
    return Command(program, _environment(workshop), _directory(setup, workshop), "/health", port)


def _mlserver(setup: Setup, workshop: Workshop) -> Command:
    directory = _directory(setup, workshop)
    http_port, grpc_port, metrics_port = free_ports(3)
    server = {
        "debug": False,
        "host": HOST,
        "http_port": http_port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
        "parallel_workers": setup.settings["parallel_workers"],
    }
    model = {
        "name": setup.network,
        "implementation": f"{SERVED}.mlserver_app.Runtime",
        "max_batch_size": MAX_BATCH,
        "max_batch_time": setup.settings["max_batch_time_seconds"],
        "parameters": {"extra": {"network": setup.network, "weights": str(workshop.workloads[setup.network].weights)}},
    }
    (directory / "settings.json").write_text(json.dumps(server), encoding="utf-8")
    (directory / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    program = [str(workshop.environments["mlserver"] / "bin" / "mlserver"), "start", str(directory)]
    return Command(program, _environment(workshop), directory, f"/v2/models/{setup.network}/ready", http_port)


def _bentoml(setup: Setup, workshop: Workshop) -> Command:
    (port,) = free_ports(1)
    environment = {
        **_environment(workshop),
        "BENCHMARK_NETWORK": setup.network,
        "BENCHMARK_WEIGHTS": str(workshop.workloads[setup.network].weights),
        "BENCHMARK_MAX_LATENCY_MILLISECONDS": str(setup.settings["max_latency_milliseconds"]),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    program = [str(workshop.environments["bentoml"] / "bin" / "bentoml"), "serve", f"{SERVED}.bentoml_app:Service"]
    return Command(
        [*program, "--host", HOST, "--port", str(port)], environment, _directory(setup, workshop), "/readyz", port
    )


def _modelserver(setup: Setup, workshop: Workshop) -> Command:
    (port,) = free_ports(1)
    uri = f"python:{SERVED}.modelserver_app:{OUR_CLASSES[setup.network]}"
    variant = setup.settings.get("variant", "full")
    if variant == "int8":
        uri, variant = str(workshop.onnx_int8), "full"
    arguments = ["--model", uri, "--host", HOST, "--port", str(port), "--workers", str(setup.settings["workers"])]
    arguments += ["--variant", str(variant), "--device", str(setup.settings.get("device", "cpu"))]
    arguments += ["--fronts", str(setup.settings.get("fronts", 1))]
    environment = {"BENCHMARK_WEIGHTS": str(workshop.workloads[setup.network].weights)}
    program = [sys.executable, "-m", "modelserver", "serve", *arguments]
    return Command(program, environment, _directory(setup, workshop), "/v2/health/ready", port)


_STARTERS: dict[str, Callable[[Setup, Workshop], Command]] = {
    "litserve": _litserve,
    "mlserver": _mlserver,
    "bentoml": _bentoml,
    OURS: _modelserver,
}
