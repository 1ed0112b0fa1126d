"""The MLServer runtime: a custom one, as its documentation shows it. Loaded by `mlserver start`, in MLServer's environment."""

from typing import Any

import torch
from mlserver import MLModel  # type: ignore[import-not-found]
from mlserver.codecs import NumpyCodec  # type: ignore[import-not-found]
from mlserver.types import InferenceRequest, InferenceResponse  # type: ignore[import-not-found]

from modelscaler_benchmarks.server.served.networks import load_network


class Runtime(MLModel):  # type: ignore[misc]
    """One network; MLServer merges the requests of a batch before it calls `predict`."""

    async def load(self) -> bool:
        """Load the network named in the settings."""
        extra: dict[str, Any] = self.settings.parameters.extra
        self.network = load_network(extra["network"], extra["weights"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer a batch."""
        rows = NumpyCodec.decode_input(payload.inputs[0])
        with torch.inference_mode():
            answer = self.network(torch.from_numpy(rows)).numpy()
        return InferenceResponse(
            id=payload.id, model_name=self.name, outputs=[NumpyCodec.encode_output(name="output", payload=answer)]
        )
