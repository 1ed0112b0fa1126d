"""Models that workers open by `python:accelerator_models:NAME`, and that lose their device."""

from functools import partial

import torch
from torch.nn import functional

import modelserver.worker.main as worker
from modelserver.model import Context, Model
from modelserver.tensors import Arrays, InferRequest
from worker_models import WIDTH, Doubling, request

ROWS = 4


class OutOfOrder(Doubling):
    """Its device counts as lost whenever it has failed."""

    def setup(self, context: Context) -> None:
        super().setup(context)
        setattr(worker, "device_is_lost", lambda _: True)  # noqa: B010 - mypy knows that others are not to


class Lookup(Model):
    """Looks rows up in a table on its device: whoever asks for a row beyond it takes a CUDA device down."""

    inputs = Doubling.inputs
    outputs = Doubling.outputs

    def setup(self, context: Context) -> None:
        table = torch.arange(float(ROWS), device=context.device)[:, None].expand(ROWS, WIDTH)
        self._look_up = partial(functional.embedding, weight=table.contiguous())
        self._device = context.device

    def predict(self, batch: Arrays) -> Arrays:
        wanted = torch.from_numpy(batch["x"][:, 0]).long().to(self._device)
        return {"y": self._look_up(wanted).cpu().numpy()}

    def example(self) -> InferRequest:
        return request(1.0)
