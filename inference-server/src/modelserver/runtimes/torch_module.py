"""A torch callable as a network: arrays in, arrays out, by way of pinned memory where there is an accelerator."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modelserver.tensors import Array, Arrays


class TorchNetwork:
    """Runs a torch callable on arrays.

    Args:
        compute: Takes the inputs in order; returns a tensor, a tuple of them in the order of `outputs`, or a dict.
        inputs: Names of the inputs.
        outputs: Names of the outputs.
        device: Where it computes.
        dtype: What floating-point inputs are turned into; outputs always come as float32 when they are 16-bit.

    Attributes:
        transfer_seconds: Of the last call, to and from the device; 0 on a CPU, where nothing is copied.
    """

    def __init__(
        self,
        compute: Callable[..., Any],
        inputs: Sequence[str],
        outputs: Sequence[str],
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._compute = compute
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._dtype = dtype
        self._courier = _Courier(device) if device.type != "cpu" else None
        self.transfer_seconds = 0.0

    def __call__(self, batch: Arrays) -> Arrays:
        """Answer a batch."""
        with torch.inference_mode():
            if self._courier is None:
                return self._named(self._compute(*(self._cast(_tensor(batch[name])) for name in self._inputs)))
            start = time.perf_counter()
            there = [self._cast(self._courier.send(name, batch[name])) for name in self._inputs]
            self._courier.wait()
            sent = time.perf_counter()
            answers = self._by_name(self._compute(*there))
            self._courier.wait()
            computed = time.perf_counter()
            result = {name: self._courier.fetch(answer) for name, answer in answers.items()}
            self.transfer_seconds = sent - start + time.perf_counter() - computed
            return result

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def _by_name(self, answer: Any) -> dict[str, Tensor]:
        if isinstance(answer, dict):
            return {name: answer[name] for name in self._outputs}
        answers = (answer,) if isinstance(answer, Tensor) else answer
        return dict(zip(self._outputs, answers, strict=True))

    def _named(self, answer: Any) -> dict[str, Array]:
        return {name: _widened(tensor).contiguous().numpy() for name, tensor in self._by_name(answer).items()}


def _tensor(array: Array) -> Tensor:
    # What came through shared memory may be read-only, which torch does not know and warns of; a copy is cheap beside it.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _widened(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


class _Courier:
    """Carries arrays to a device and back by page-locked buffers, which it keeps: locking pages costs more than copying."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._staging: dict[str, Tensor] = {}

    def _buffer(self, name: str, source: Tensor) -> Tensor:
        needed_bytes = source.numel() * source.element_size()
        buffer = self._staging.get(name)
        if buffer is None or buffer.numel() < needed_bytes:
            buffer = torch.empty(needed_bytes, dtype=torch.uint8, pin_memory=True)
            self._staging[name] = buffer
        return buffer[:needed_bytes].view(source.dtype).view(source.shape)

    def send(self, name: str, array: Array) -> Tensor:
        """Start copying an array to the device."""
        source = _tensor(np.ascontiguousarray(array))
        staged = self._buffer(name, source)
        staged.copy_(source)
        return staged.to(self._device, non_blocking=True)

    def fetch(self, tensor: Tensor) -> Array:
        """Return a tensor's values as an array of their own."""
        wide = _widened(tensor).contiguous()
        staged = torch.empty(wide.shape, dtype=wide.dtype, pin_memory=True)
        staged.copy_(wide, non_blocking=True)
        self.wait()
        result: Array = staged.numpy()
        return result

    def wait(self) -> None:
        """Wait until the device has done what it was given."""
        torch.accelerator.synchronize(self._device)
