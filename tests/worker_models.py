"""Models that workers open by `python:worker_models:NAME`, and that do on demand what no model should."""

import ctypes
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modelserver.errors import InvalidRequestError, LoadError
from modelserver.model import Context, Decoded, Model, Network, Stage
from modelserver.tensors import Arrays, InferRequest, Tensor, TensorSpec

RAISE, EXIT, LEAVE, HANG, EAT, OUT_OF_MEMORY, CRASH, REFUSE, PRINT, WRONG = range(-10, 0)
"""First element of a request -> what `predict` (REFUSE: `decode`) does instead of answering."""
WIDTH = 4
HOARD_BYTES = 300 << 20
DIRECTORY_VARIABLE = "WORKER_MODELS_DIRECTORY"
"""Where models leave marks for the test, and for each other."""


def request(*values: float) -> InferRequest:
    """Return a request of one row per value, each row filled with its value."""
    rows = np.repeat(np.array(values, dtype=np.float32)[:, None], WIDTH, axis=1)
    return InferRequest({"x": Tensor("x", "FP32", rows)}, ("y",))


def mark(name: str) -> Path:
    """Return a file in the tests' directory."""
    return Path(os.environ[DIRECTORY_VARIABLE]) / name


def wait_for(name: str, within_seconds: float = 20.0) -> None:
    """Wait for a mark; raise when it does not come."""
    deadline = time.monotonic() + within_seconds
    while not mark(name).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {name} within {within_seconds} s")
        time.sleep(0.002)


def _misbehave(what: int) -> None:
    if what == RAISE:
        raise ValueError("told to raise")
    if what == EXIT:
        os._exit(3)
    if what == LEAVE:
        sys.exit(4)
    if what == HANG:
        time.sleep(3600)
    if what == EAT:
        hoard = [np.ones(1 << 20, dtype=np.uint8) for _ in range(HOARD_BYTES >> 20)]
        time.sleep(3600)
        del hoard
    if what == OUT_OF_MEMORY:
        raise MemoryError("told to run out")
    if what == CRASH:
        ctypes.string_at(0)
    if what == PRINT:
        print("printed by the model", flush=True)
        os.write(1, b"written by the model\n")


class Doubling(Model):
    """Doubles; variant `triple` triples. `hoarder` takes much memory to load, `broken` does not load."""

    inputs = (TensorSpec("x", "FP32", (-1, WIDTH)),)
    outputs = (TensorSpec("y", "FP32", (-1, WIDTH)),)

    def setup(self, context: Context) -> None:
        self.hoard: list[bytearray] = []

    def variants(self) -> tuple[str, ...]:
        return ("full", "triple", "hoarder", "broken")

    def load(self, variant: str) -> Network:
        if variant == "hoarder":
            hoard = np.ones(HOARD_BYTES, dtype=np.uint8)
            return lambda batch: {"y": batch["x"] * hoard[0]}
        if variant == "broken":
            raise LoadError("variant 'broken': told not to load")
        factor = {"full": 2.0, "triple": 3.0}[variant]
        return lambda batch: self._times(batch, factor)

    def _times(self, batch: Arrays, factor: float) -> Arrays:
        for first in batch["x"][:, 0]:
            _misbehave(int(first))
        if WRONG in batch["x"]:
            return {"y": batch["x"].astype(np.float64)}
        return {"y": batch["x"] * np.float32(factor)}

    def decode(self, request: InferRequest) -> Decoded:
        if request.inputs["x"].array[0, 0] == REFUSE:
            raise InvalidRequestError("input 'x': told to refuse it")
        return super().decode(request)

    def predict(self, batch: Arrays) -> Arrays:
        raise NotImplementedError("load gives every variant")

    def example(self) -> InferRequest:
        return request(1.0)


class Remembering(Doubling):
    """Answers with the batch before: it keeps arrays for longer than a batch."""

    before: Arrays | None = None

    def load(self, variant: str) -> Network:
        return self._remembered

    def _remembered(self, batch: Arrays) -> Arrays:
        before, self.before = self.before, batch
        return {"y": np.resize((before or batch)["x"], batch["x"].shape)}


class Words(Model):
    """Turns words around: BYTES both ways, and a second output that is optional."""

    inputs = (TensorSpec("word", "BYTES", (-1,)),)
    outputs = (TensorSpec("turned", "BYTES", (-1,)), TensorSpec("length", "INT64", (-1,), optional=True))

    def predict(self, batch: Arrays) -> Arrays:
        words = batch["word"].tolist()
        turned = np.empty(len(words), dtype=np.object_)
        turned[:] = [word[::-1] for word in words]
        return {"turned": turned, "length": np.array([len(word) for word in words], dtype=np.int64)}

    def example(self) -> InferRequest:
        word = np.empty(1, dtype=np.object_)
        word[0] = b"example"
        return InferRequest({"word": Tensor("word", "BYTES", word)}, ("turned",))


class NeverReady(Doubling):
    """Hangs while it loads."""

    def setup(self, context: Context) -> None:
        time.sleep(3600)


class DiesLoading(Doubling):
    """Ends its process while it loads."""

    def setup(self, context: Context) -> None:
        os._exit(7)


class RaisesLoading(Doubling):
    """Raises something of its own while it loads."""

    def setup(self, context: Context) -> None:
        raise RuntimeError("told not to load")


class Marking(Doubling):
    """Leaves its process id as a mark."""

    def setup(self, context: Context) -> None:
        mark(f"worker-{os.getpid()}").touch()


STAGE_WAITS, STAGE_MARKS = 1.0, 2.0


class Split(Model):
    """Three stages: add one, double, halve. The memo is the request's first row, subtracted by `encode`.

    Stage `last` on STAGE_WAITS waits for stage `first` to have begun with STAGE_MARKS, when the tests' directory is set.
    """

    inputs = (TensorSpec("x", "FP32", (-1, WIDTH)),)
    outputs = (TensorSpec("y", "FP32", (-1, WIDTH)),)

    def stages(self) -> tuple[Stage, ...]:
        def hidden(name: str) -> tuple[TensorSpec, ...]:
            return (TensorSpec(name, "FP32", (-1, WIDTH)),)

        return (
            Stage("first", hidden("x"), hidden("a")),
            Stage("middle", hidden("a"), hidden("b")),
            Stage("last", hidden("b"), hidden("c")),
        )

    def variants(self) -> tuple[str, ...]:
        return ("full", "triple")

    def load(self, variant: str) -> Network:
        steps = [self.load_stage(variant, stage.name) for stage in self.stages()]

        def whole(batch: Arrays) -> Arrays:
            for step in steps:
                batch = step(batch)
            return batch

        return whole

    def load_stage(self, variant: str, stage: str) -> Network:
        factor = np.float32({"full": 2.0, "triple": 3.0}[variant])
        networks: dict[str, Network] = {
            "first": self._first,
            "middle": lambda batch: {"b": batch["a"] * factor},
            "last": self._last,
        }
        return networks[stage]

    def _first(self, batch: Arrays) -> Arrays:
        for first in batch["x"][:, 0]:
            _misbehave(int(first))
        if DIRECTORY_VARIABLE in os.environ and STAGE_MARKS in batch["x"]:
            mark("second-began").touch()
        return {"a": batch["x"] + np.float32(1.0)}

    def _last(self, batch: Arrays) -> Arrays:
        if DIRECTORY_VARIABLE in os.environ and (STAGE_WAITS + 1.0) * 2.0 in batch["b"]:
            mark("last-waits").touch()
            wait_for("second-began")
        return {"c": batch["b"] / np.float32(2.0)}

    def decode(self, request: InferRequest) -> Decoded:
        array = request.inputs["x"].array
        if array[0, 0] == REFUSE:
            raise InvalidRequestError("input 'x': told to refuse it")
        return Decoded({"x": array}, {"first_row": array[:1]})

    def predict(self, batch: Arrays) -> Arrays:
        raise NotImplementedError("load gives every variant")

    def encode(self, answer: Arrays, memo: object, outputs: Sequence[str]) -> list[Tensor]:
        if not isinstance(memo, dict):
            raise TypeError(f"memo {memo!r}: expected named arrays")
        return [Tensor("y", "FP32", answer["c"] - memo["first_row"])]

    def example(self) -> InferRequest:
        return request(5.0)
