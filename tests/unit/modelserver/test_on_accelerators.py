"""What only shows on an accelerator; torch's `meta` device, which has shapes and no numbers, stands in for some of it."""

import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor

from modelserver.compute.warmup import BUDGET_SECONDS, SIZES, warm_up
from modelserver.models.image_classifier.recipe import ResNetShape
from modelserver.models.inception.recipe import InceptionShape
from modelserver.models.search_ranker.features import KIND_COUNT, SEQUENCE_LENGTH
from modelserver.models.search_ranker.recipe import NetworkShape
from modelserver.models.text_encoder.pieces import PIECES, WORDS
from modelserver.models.text_encoder.recipe import EncoderShape
from modelserver.runtimes.architectures import find_architecture
from modelserver.tensors import Arrays
from modelserver.worker.device import device_is_lost
from modelserver_fakes import EchoModel

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

ROWS = 3
SHAPES: dict[str, Any] = {
    "search-ranker-cross-encoder": NetworkShape(),
    "image-classifier-resnet": ResNetShape(),
    "text-encoder-transformer": EncoderShape(),
    "inception": InceptionShape(),
}


def inputs(architecture: str) -> list[Tensor]:
    """Return rows as a built-in architecture takes them."""
    made = torch.Generator().manual_seed(0)
    if architecture == "search-ranker-cross-encoder":
        size = (ROWS, SEQUENCE_LENGTH)
        return [torch.randint(high, size, generator=made) for high in (NetworkShape().buckets, KIND_COUNT)]
    if architecture == "text-encoder-transformer":
        return [torch.randint(EncoderShape().buckets, (ROWS, WORDS, PIECES), generator=made)]
    return [torch.rand(ROWS, 3, 32, 32, generator=made)]


@pytest.mark.parametrize("architecture", SHAPES)
def test_architecture_makes_its_tensors_where_its_weights_are_when_that_is_no_cpu(architecture: str) -> None:
    network = find_architecture(architecture)(asdict(SHAPES[architecture])).eval()
    here = inputs(architecture)
    with torch.inference_mode():
        wanted = network(*here)
        there = network.to("meta")(*(each.to("meta") for each in here))
    assert there.device.type == "meta"
    assert there.shape == wanted.shape


@needs_cuda
@pytest.mark.parametrize("architecture", SHAPES)
def test_architecture_answers_the_same_when_computed_on_cuda(architecture: str) -> None:
    torch.manual_seed(0)
    network = find_architecture(architecture)(asdict(SHAPES[architecture])).eval()
    here = inputs(architecture)
    with torch.inference_mode():
        wanted = network(*here)
        there = network.to("cuda:0")(*(each.to("cuda:0") for each in here)).cpu()
    assert torch.allclose(there, wanted, atol=1e-3, rtol=1e-3)


class SlowAtFirst(EchoModel):
    """Takes 2 ms a batch whatever its size, and ten times the budget for the first of all. On its own clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def predict(self, batch: Arrays) -> Arrays:
        self.now += 0.002 if self.batches else 10 * BUDGET_SECONDS
        return super().predict(batch)


def test_all_sizes_are_tried_when_only_the_first_answer_took_long() -> None:
    model = SlowAtFirst()

    warm = warm_up(model, model.predict, "full", clock=lambda: model.now, hindered=lambda: 0.0)

    assert warm.max_batch_rows == SIZES[-1]
    assert warm.seconds == pytest.approx(model.now)


def test_a_processor_is_never_lost() -> None:
    assert not device_is_lost("cpu")


LOSING = """
import torch
from modelserver.worker.device import device_is_lost
table = torch.zeros(4, 2, device="cuda:0")
assert not device_is_lost("cuda:0")
try:
    torch.empty(1 << 60, device="cuda:0")
except torch.OutOfMemoryError:
    pass
assert not device_is_lost("cuda:0")
try:
    torch.nn.functional.embedding(torch.tensor([9], device="cuda:0"), table).cpu()
except RuntimeError:
    pass
print(device_is_lost("cuda:0"))
"""


@needs_cuda
def test_a_device_is_lost_when_an_index_was_out_of_range_and_not_when_memory_ran_out() -> None:
    done = subprocess.run([sys.executable, "-c", LOSING], check=True, capture_output=True, text=True)
    assert done.stdout == "True\n"
