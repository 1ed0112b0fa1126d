"""What the network alone can do: eager rows a second at batch 32. Run as a program, so that its threads are its own."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from modelscaler_benchmarks.server.served.networks import MAX_BATCH, load_network
from modelscaler_benchmarks.server.served.shapes import ENCODERS, FEATURES

WINDOWS = 5


def raw_rows_per_second(network: str, weights: Path, threads: int, seconds: float) -> float:
    """Measure in a process of its own; the median over five windows.

    Args:
        network: `mlp` or `encoder`.
        weights: Its safetensors file.
        threads: Of torch.
        seconds: In all.
    """
    arguments = ["--network", network, "--weights", str(weights), "--threads", str(threads), "--seconds", str(seconds)]
    done = subprocess.run([sys.executable, "-m", __name__, *arguments], check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["rows_per_second"])


def _measured(network: str, weights: str, threads: int, seconds: float) -> float:
    import torch  # noqa: PLC0415 - the program alone needs it

    module = load_network(network, weights)
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if shape := ENCODERS.get(network):
        batch = torch.randint(0, shape.vocabulary, (MAX_BATCH, shape.sequence))
    else:
        batch = torch.randn(MAX_BATCH, FEATURES)
    with torch.inference_mode():
        for _ in range(20):
            module(batch)
        rates = []
        for _ in range(WINDOWS):
            count, began = 0, time.perf_counter()
            while (taken := time.perf_counter() - began) < seconds / WINDOWS:
                module(batch)
                count += 1
            rates.append(count * MAX_BATCH / taken)
    return statistics.median(rates)


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    print(json.dumps({"rows_per_second": _measured(given.network, given.weights, given.threads, given.seconds)}))


if __name__ == "__main__":
    main()
