"""The BentoML service: adaptive batching as its documentation shows it. Loaded by `bentoml serve`, in BentoML's environment."""

import os

import bentoml  # type: ignore[import-not-found]
import numpy as np
import torch

from modelscaler_benchmarks.server.served.networks import DTYPES, MAX_BATCH, load_network

NETWORK = os.environ["BENCHMARK_NETWORK"]
DTYPE = {torch.float32: np.float32, torch.int64: np.int64}[DTYPES[NETWORK]]


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Service:
    """One network, served in batches."""

    def __init__(self) -> None:
        self.network = load_network(NETWORK, os.environ["BENCHMARK_WEIGHTS"])

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=int(os.environ["BENCHMARK_MAX_LATENCY_MILLISECONDS"])
    )
    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Answer a batch."""
        with torch.inference_mode():
            return self.network(torch.from_numpy(np.asarray(rows, dtype=DTYPE))).numpy()  # type: ignore[no-any-return]
