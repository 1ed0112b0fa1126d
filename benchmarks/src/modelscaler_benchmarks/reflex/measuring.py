"""Runs the bursts, and finds out what the ladder costs when it is idle."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from modelscaler_benchmarks.http_client import Answer
from modelscaler_benchmarks.load import LoadGenerator
from modelscaler_benchmarks.open_loop import Recorder, Sample, Samples, offer
from modelscaler_benchmarks.reflex.bursts import ANSWERED_OR_REFUSED, Burst, Figures, judge
from modelscaler_benchmarks.reflex.idle import PAIRS_PER_BLOCK, SLICES_PER_BLOCK, IdleCost, block_order, idle_cost
from modelscaler_benchmarks.reflex.serving import Asked, Served, asked
from modelscaler_benchmarks.serving_process import ServingProcess

WITH, WITHOUT = "with the ladder", "without"
CONNECTIONS = 32
SEED = 20


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        bursts: One after the other, each with the ladder and without.
        capacity_seconds: For each measurement of a capacity.
        idle_blocks: Of closed loops, with the ladder and without, for its cost when idle; see `idle`.
        slice_seconds: For each loop of a block.
    """

    bursts: tuple[Burst, ...]
    capacity_seconds: float
    idle_blocks: int
    slice_seconds: float

    @property
    def total_seconds(self) -> float:
        """Return how long it all takes, starts apart."""
        loops = 2 * self.capacity_seconds + SLICES_PER_BLOCK * self.idle_blocks * self.slice_seconds
        return loops + 2 * sum(burst.total_seconds for burst in self.bursts)


@dataclass
class Measured:
    """What came out.

    Attributes:
        full_rps: Capacity of the full variant, closed loop.
        fast_rps: Capacity of the fast one.
        idle_ratios: Throughput with the ladder ÷ without, of each pair.
        figures: By burst, with the ladder and without.
        requests: What the figures were taken from; in the same order.
        failures: Of requests that were neither answered nor refused.
    """

    full_rps: float = 0.0
    fast_rps: float = 0.0
    idle_ratios: list[float] = field(default_factory=list)
    figures: list[dict[str, Figures]] = field(default_factory=list)
    requests: list[dict[str, Samples]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def idle_cost(self) -> IdleCost:
        """Return the share of throughput that the ladder costs when it has nothing to do."""
        return idle_cost(self.idle_ratios, SEED)


def measure(
    served: Served, plan: Plan, generator: LoadGenerator, directory: Path, tick: Callable[[float, str], None]
) -> Measured:
    """Measure everything; servers that are not asked idle meanwhile.

    Args:
        served: How the model is served.
        plan: What to measure.
        generator: For closed loops.
        directory: For logs.
        tick: Told of seconds that have passed, and what is being done.
    """
    measured = Measured()
    with ServingProcess(served.command(directory / "fast", False, served.pair.fast)) as fast:
        sent = asked(served.model, fast.command, served.objective_milliseconds, SEED)
        measured.fast_rps = _capacity(fast, sent, generator, plan.capacity_seconds)
        tick(plan.capacity_seconds, "capacity")
    with ExitStack() as stack:
        servers = {
            WITH: stack.enter_context(ServingProcess(served.command(directory / "with", True))),
            WITHOUT: stack.enter_context(ServingProcess(served.command(directory / "without", False))),
        }
        measured.full_rps = _capacity(servers[WITHOUT], sent, generator, plan.capacity_seconds)
        tick(plan.capacity_seconds, "capacity")
        for number in range(plan.idle_blocks):
            names = block_order(WITH, WITHOUT) if number % 2 == 0 else block_order(WITHOUT, WITH)
            measured.idle_ratios += _idle_ratios(servers, names, sent, generator, plan.slice_seconds)
            tick(SLICES_PER_BLOCK * plan.slice_seconds, "idle cost")
        for number, burst in enumerate(plan.bursts):
            order = [WITH, WITHOUT] if number % 2 == 0 else [WITHOUT, WITH]
            _run_burst(servers, order, burst, served, sent, measured, tick)
    return measured


def _capacity(server: ServingProcess, sent: Asked, generator: LoadGenerator, seconds: float) -> float:
    headers = {"Content-Type": "application/json"}
    figures = generator.offer(
        server.command.port, sent.path, sent.patient, headers, connections=CONNECTIONS, seconds=seconds
    )
    return figures.requests_per_second


def _idle_ratios(
    servers: dict[str, ServingProcess], names: Sequence[str], sent: Asked, generator: LoadGenerator, seconds: float
) -> list[float]:
    rates = [(name, _capacity(servers[name], sent, generator, seconds)) for name in names]
    pairs = [dict(rates[pair : pair + 2]) for pair in range(0, len(rates), len(rates) // PAIRS_PER_BLOCK)]
    return [pair[WITH] / pair[WITHOUT] for pair in pairs]


def _recorder(fast: str) -> Recorder:
    """Return one that marks the answers of the fast variant."""
    marker = f'"model_version":"{fast}"'.encode()
    return Recorder(ANSWERED_OR_REFUSED, lambda answer: marker in answer.body)


def _run_burst(
    servers: dict[str, ServingProcess],
    order: Sequence[str],
    burst: Burst,
    served: Served,
    sent: Asked,
    measured: Measured,
    tick: Callable[[float, str], None],
) -> None:
    figures, requests = {}, {}
    for name in order:
        arrivals = burst.arrivals(measured.full_rps, SEED)
        at = 0.0

        def note_time(due: float, label: str = f"{burst.factor:g} × for {burst.seconds:g} s, {name}") -> None:
            nonlocal at
            if due - at >= 1.0:
                tick(due - at, label)
                at = due

        recorder = _recorder(served.pair.fast)

        def note(sample: Sample, answer: Answer, recorder: Recorder = recorder) -> None:
            recorder.note(sample, answer)
            note_time(sample.due_seconds)

        port = servers[name].command.port
        uvloop.run(offer(port, sent.requests(port), arrivals, note))
        requests[name] = recorder.samples()
        accuracies = served.pair.full_accuracy, served.pair.fast_accuracy
        figures[name] = judge(requests[name], burst, served.objective_milliseconds / 1e3, accuracies)
        measured.failures += [f"{name}: {failure}" for failure in recorder.failures]
    measured.figures.append(figures)
    measured.requests.append(requests)
