"""The LitServe service: batching as its documentation shows it. Run as a program, in LitServe's environment."""

import argparse
from typing import Any

import litserve  # type: ignore[import-not-found]
import torch

from modelscaler_benchmarks.server.served.networks import DTYPES, MAX_BATCH, load_network


class Service(litserve.LitAPI):  # type: ignore[misc]
    """One network, served in batches."""

    def __init__(self, name: str, weights: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.name, self.weights = name, weights

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it
        """Load the network, once per worker."""
        self.network = load_network(self.name, self.weights)

    def decode_request(self, request: dict[str, Any]) -> torch.Tensor:
        """Return one row; LitServe stacks tensors to a batch."""
        return torch.tensor(request["input"], dtype=DTYPES[self.name])

    def predict(self, batch: torch.Tensor) -> torch.Tensor:
        """Answer a batch."""
        with torch.inference_mode():
            return self.network(batch)  # type: ignore[no-any-return]

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        """Return one row's answer."""
        return {"output": output.tolist()}


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--batch-timeout-seconds", type=float, required=True)
    parser.add_argument("--api-servers", type=int, required=True)
    parser.add_argument("--fast-queue", action="store_true")
    given = parser.parse_args()
    service = Service(given.network, given.weights, max_batch_size=MAX_BATCH, batch_timeout=given.batch_timeout_seconds)
    server = litserve.LitServer(service, accelerator="cpu", workers_per_device=1, fast_queue=given.fast_queue)
    server.run(
        host="127.0.0.1",
        port=given.port,
        num_api_servers=given.api_servers,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
