import numpy as np
import torch

from modelscaler_benchmarks.server.onnx_encoder import FlatEncoder
from modelscaler_benchmarks.server.served.networks import Encoder
from modelscaler_benchmarks.server.workloads import rows_of


def test_flat_encoder_answers_what_the_encoder_does_when_it_takes_its_weights() -> None:
    torch.manual_seed(0)
    encoder = Encoder().eval().requires_grad_(False)
    torch.nn.init.normal_(encoder.positions)
    tokens = torch.from_numpy(rows_of("encoder", 3, np.random.default_rng(0)))
    torch.testing.assert_close(FlatEncoder(encoder)(tokens), encoder(tokens), atol=1e-5, rtol=1e-5)
