"""`python -m modelscaler_benchmarks.server`: us and our peers, same models, same load, one run."""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Any

from modelscaler_benchmarks.load import load_generator
from modelscaler_benchmarks.machine import quiet_machine
from modelscaler_benchmarks.report import DOCUMENT, IMAGES, write_json, write_section
from modelscaler_benchmarks.server import plot, tables, targets
from modelscaler_benchmarks.server.contenders import PEER_NAMES
from modelscaler_benchmarks.server.environments import PEERS, environment_of, installed_packages
from modelscaler_benchmarks.server.measuring import CONNECTIONS
from modelscaler_benchmarks.server.results import Results
from modelscaler_benchmarks.server.running import Plan, Run, chosen
from modelscaler_benchmarks.server.served.networks import MAX_BATCH
from modelscaler_benchmarks.verdicts import Verdict

PACKAGES = ("modelserver", "torch", "onnxruntime", "numpy", "uvicorn", "uvloop", "orjson")


def main() -> int:
    """Run the benchmark; the exit code tells whether it ran, not whether targets were met."""
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.server", description=__doc__)
    parser.add_argument("--json", type=Path, help="write every figure with its settings to this file")
    parser.add_argument("--rounds", type=int, help="how many times everyone has a turn (default: 3, quick: 1)")
    parser.add_argument("--seconds", type=float, help="of load per measurement (default: 5, quick: 3)")
    parser.add_argument("--no-sweep", action="store_true", help="peers at the first of their settings")
    parser.add_argument(
        "--quick", action="store_true", help="one short round without the sweep of settings; writes no document"
    )
    parser.add_argument(
        "--peers", default=",".join(PEER_NAMES), help="whom to compare with, comma-separated (default: all)"
    )
    parser.add_argument(
        "--no-document", action="store_true", help="leave docs/benchmarks.md and its picture as they are"
    )
    given = parser.parse_args()
    try:
        plan = plan_of(given)
    except ValueError as error:
        parser.error(str(error))
    machine = quiet_machine(PACKAGES)
    with tempfile.TemporaryDirectory(prefix="bench-server-") as folder:
        run = Run(plan, load_generator(), Path(folder))
        results = run.run()
    verdicts = targets.verdicts(results)
    text = tables.section(results, verdicts, facts(run, machine.sentence()), run.failures)
    print(text)
    print("\n" + targets.lines(verdicts))
    if given.json:
        write_json(given.json, figures(run, results, verdicts, machine.as_json()))
    if not given.quick and not given.no_document:
        plot.draw(results, IMAGES / "bench-server.png")
        write_section(DOCUMENT, "server", f"![Throughput](images/bench-server.png)\n\n{text}")
    return 0


def plan_of(given: argparse.Namespace) -> Plan:
    """Return what the flags ask for.

    Raises:
        ValueError: When a peer is not known or a number is not positive.
    """
    rounds = (1 if given.quick else 3) if given.rounds is None else given.rounds
    seconds = (3.0 if given.quick else 5.0) if given.seconds is None else given.seconds
    if rounds < 1 or seconds < 1:
        raise ValueError(f"rounds {rounds}, seconds {seconds:g}: expected at least 1 of each")
    sweep_seconds = 0.0 if given.quick or given.no_sweep else 2.0
    return Plan(chosen(given.peers, PEER_NAMES), rounds, seconds, sweep_seconds)


def facts(run: Run, machine: str) -> str:
    """Return how and on what it was measured."""
    plan = run.plan
    peers = ", ".join(f"{peer} {PEERS[peer].version}" for peer in plan.peers)
    settings = (
        "each at the best settings of its sweep" if plan.sweep_seconds else "at their first settings, without a sweep"
    )
    return (
        f"{run.generator.name}, {CONNECTIONS} connections, one model copy, torch threads 1, max batch {MAX_BATCH}; "
        f"medians over {plan.rounds} rounds of {plan.seconds:g} s in rotating order, in brackets least and most; only the "
        f"server under test runs. Peers: {peers}, {settings}. Ours is `modelserver serve`, with metrics, limits and "
        f"validation on. {machine}"
    )


def figures(run: Run, results: Results, verdicts: list[Verdict], machine: dict[str, Any]) -> dict[str, Any]:
    """Return everything that was measured, with its settings."""
    return {
        "machine": machine,
        "plan": dataclasses.asdict(run.plan),
        "loadGenerator": {"name": run.generator.name, "connections": CONNECTIONS},
        "sweeps": {about: [dataclasses.asdict(trial) for trial in trials] for about, trials in run.trials.items()},
        "servers": [
            {
                **dataclasses.asdict(key),
                "settings": label,
                "rounds": [dataclasses.asdict(each[key]) for each in results.rounds if key in each],
            }
            for key, label in results.labels.items()
        ],
        "behaviours": {server: dataclasses.asdict(found) for server, found in results.behaviours.items()},
        "int8": dataclasses.asdict(results.parity) if results.parity else None,
        "targets": [dataclasses.asdict(verdict) for verdict in verdicts],
        "failures": run.failures,
        "packages": {peer: installed_packages(environment_of(PEERS[peer])) for peer in run.workshop.environments},
    }


if __name__ == "__main__":
    sys.exit(main())
