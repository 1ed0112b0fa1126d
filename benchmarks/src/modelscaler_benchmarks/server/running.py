"""A whole run: install, prepare, sweep, rounds in rotating order, and how everyone behaves on a bad day."""

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from modelscaler_benchmarks.http_client import request_bytes
from modelscaler_benchmarks.load import LoadGenerator
from modelscaler_benchmarks.server import int8
from modelscaler_benchmarks.server.contenders import (
    OURS,
    SWEEPS,
    Setting,
    Setup,
    Workshop,
    command,
    our_setups,
    peer_setup,
)
from modelscaler_benchmarks.server.environments import PEERS, InstallError, install
from modelscaler_benchmarks.server.measuring import (
    STOP_LIMIT_SECONDS,
    Measurement,
    Pace,
    WrongAnswerError,
    check_answers,
    measure,
    payload_of,
)
from modelscaler_benchmarks.server.neighbours import ask_beside_bad, bad_body
from modelscaler_benchmarks.server.raw_limits import raw_rows_per_second
from modelscaler_benchmarks.server.results import Behaviour, Figures, Key, Results, rotated
from modelscaler_benchmarks.server.sweep import Trial, best, sweep
from modelscaler_benchmarks.server.termination import ask_across
from modelscaler_benchmarks.server.workloads import prepare
from modelscaler_benchmarks.serving_process import ServingProcess, StartError
from modelscaler_benchmarks.wrk import LoadGeneratorError

NETWORKS = ("mlp", "encoder")
THREADS = {"1 thread": 1, "2 threads": 2}
Found = TypeVar("Found")

FAILURES = (StartError, WrongAnswerError, LoadGeneratorError)
"""What a server may do wrong; it is told in the report, and the run goes on."""


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        peers: Whom to compare with.
        rounds: How many times everyone has a turn.
        seconds: Of load per measurement.
        sweep_seconds: Of load per trial of settings; 0 to take the first settings of each sweep.
        warm_seconds: Of load before each.
        raw_seconds: Of torch alone, per network and number of threads.
        behaviours: Whether bad neighbours and SIGTERM are tried.
    """

    peers: tuple[str, ...]
    rounds: int
    seconds: float
    sweep_seconds: float = 2.0
    warm_seconds: float = 1.0
    raw_seconds: float = 1.5
    behaviours: bool = True


@dataclass
class Run:
    """A run under way, and what it has found.

    Attributes:
        plan: What it does.
        generator: How load is offered.
        directory: For weights, working directories and logs.
        setups: Who is measured.
        trials: Of settings, by peer and network.
        failures: What went wrong, one sentence each.
    """

    plan: Plan
    generator: LoadGenerator
    directory: Path
    setups: list[Setup] = field(default_factory=list)
    trials: dict[str, list[Trial]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def run(self) -> Results:
        """Do all of it."""
        environments = self._install()
        workloads = {network: prepare(network, self.directory / "weights") for network in NETWORKS}
        quantized = self.directory / "int8" / "encoder.onnx"
        self.workshop = Workshop(environments, self.directory, workloads, quantized)
        parity = self._guarded(
            "encoder, static int8", lambda: int8.build(workloads["encoder"], quantized), int8.ParityError
        )
        self.setups = [setup for network in NETWORKS for setup in [*self._peers(network), *our_setups(network)]]
        rounds = [self._round(number) for number in range(self.plan.rounds)]
        behaviours = self._behaviours() if self.plan.behaviours else {}
        return Results(rounds, behaviours, parity, self._labels())

    def _install(self) -> dict[str, Path]:
        environments = {}
        for peer in self.plan.peers:
            found = self._guarded(peer, partial(install, PEERS[peer]), InstallError)
            if found is not None:
                environments[peer] = found
        return environments

    def _peers(self, network: str) -> list[Setup]:
        setups = []
        for peer in self.workshop.environments:
            settings: Mapping[str, Setting] = SWEEPS[peer].first[0]
            if self.plan.sweep_seconds:
                trials = sweep(peer, partial(self._attempt, peer, network))
                self.trials[f"{peer}, {network}"] = trials
                settings = best(trials).settings
            setups.append(peer_setup(peer, network, settings))
        return setups

    def _attempt(self, peer: str, network: str, settings: Mapping[str, Setting]) -> Trial:
        setup = peer_setup(peer, network, settings)
        say(f"sweep: {setup.network}, {setup.label()}")
        try:
            (measured,) = measure(
                setup, self.workshop, self.generator, Pace(self.plan.warm_seconds, self.plan.sweep_seconds)
            )
        except FAILURES as error:
            say(f"  failed: {error}")
            return Trial(setup.settings, 0.0, str(error))
        say(f"  {measured.load.requests_per_second:.0f} requests/s")
        return Trial(setup.settings, measured.load.requests_per_second)

    def _round(self, number: int) -> dict[Key, Figures]:
        turns: list[Callable[[], dict[Key, Figures]]] = [partial(self._turn, setup) for setup in self.setups]
        turns += [partial(self._raw, network) for network in NETWORKS]
        found: dict[Key, Figures] = {}
        for place, turn in enumerate(rotated(len(turns), number), start=1):
            say(f"round {number + 1} of {self.plan.rounds}, turn {place} of {len(turns)}")
            found |= turns[turn]()
        return found

    def _turn(self, setup: Setup) -> dict[Key, Figures]:
        pace = Pace(self.plan.warm_seconds, self.plan.seconds)
        about = f"{setup.network}, {setup.label()}"
        measured = self._guarded(about, lambda: measure(setup, self.workshop, self.generator, pace), *FAILURES) or []
        for each in measured:
            load = each.load
            latency = f"p50 {load.p50_milliseconds:.1f} ms, p99 {load.p99_milliseconds:.1f} ms"
            say(f"  {about}, {each.dialect.name}: {load.requests_per_second:.0f} requests/s, {latency}")
        return {key_of(each.setup, each.dialect.name): figures_of(each) for each in measured}

    def _raw(self, network: str) -> dict[Key, Figures]:
        weights, found = self.workshop.workloads[network].weights, {}
        for kind, threads in THREADS.items():
            rate = raw_rows_per_second(network, weights, threads, self.plan.raw_seconds)
            say(f"  {network}, torch alone, {kind}: {rate:.0f} rows/s")
            found[Key(network, "raw", kind)] = Figures(rate)
        return found

    def _behaviours(self) -> dict[str, Behaviour]:
        found = {}
        for setup in self.setups:
            if setup.network != "mlp" or setup.server in found:
                continue
            say(f"bad neighbours and SIGTERM: {setup.label()}")
            about = f"bad day of {setup.label()}"
            behaviour = self._guarded(about, partial(self._behaviour, setup), *FAILURES)
            if behaviour is not None:
                say(f"  {behaviour}")
                found[setup.server] = behaviour
        return found

    def _behaviour(self, setup: Setup) -> Behaviour:
        dialect, workload = setup.dialects[0], self.workshop.workloads[setup.network]
        sent = payload_of(setup, dialect, self.workshop)
        with ServingProcess(command(setup, self.workshop), stop_limit_seconds=STOP_LIMIT_SECONDS) as server:
            port = server.command.port
            check_answers(port, sent, exact=True)
            neighbours = asyncio.run(ask_beside_bad(port, sent, bad_body(dialect, workload)))
            request = request_bytes(port, sent.path, sent.bodies[0], sent.headers)
            return Behaviour(neighbours, asyncio.run(ask_across(port, request, server.terminate)))

    def _labels(self) -> dict[Key, str]:
        served = {key_of(setup, dialect.name): setup.label() for setup in self.setups for dialect in setup.dialects}
        return served | {Key(network, "raw", kind): f"torch alone, {kind}" for network in NETWORKS for kind in THREADS}

    def _guarded(self, about: str, act: Callable[[], Found], *failures: type[Exception]) -> Found | None:
        try:
            return act()
        except failures as error:
            say(f"  {about} failed: {error}")
            self.failures.append(f"{about}: {error}")
            return None


def key_of(setup: Setup, dialect: str) -> Key:
    """Return what a measurement is about."""
    if "variant" in setup.settings:
        return Key(setup.network, setup.server, str(setup.settings["variant"]))
    if setup.server == OURS and setup.settings["workers"] != 1:
        return Key(setup.network, setup.server, f"{setup.settings['workers']} workers")
    return Key(setup.network, setup.server, dialect)


def figures_of(measured: Measurement) -> Figures:
    """Return what is kept of a measurement."""
    load = measured.load
    return Figures(
        load.requests_per_second,
        load.p50_milliseconds,
        load.p99_milliseconds,
        measured.start_seconds,
        measured.resident_mib,
    )


def chosen(peers: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the peers named in a comma-separated list.

    Raises:
        ValueError: When one is not known.
    """
    names = tuple(name for name in peers.split(",") if name)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"peers {', '.join(unknown)}: expected some of {', '.join(known)}")
    return names


_BEGAN = time.monotonic()


def say(line: str) -> None:
    """Tell progress, with the time since the start."""
    passed = int(time.monotonic() - _BEGAN)
    print(f"[{passed // 60:2}:{passed % 60:02}] {line}", file=sys.stderr, flush=True)
