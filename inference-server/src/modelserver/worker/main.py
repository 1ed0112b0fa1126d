"""The worker's life: open a model, load its variants, answer batches until the front closes the socket."""

import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from modelserver.compute.batching import run_batch
from modelserver.compute.executor import Batch
from modelserver.compute.warmup import HAND_OVER_SECONDS, WarmUp, warm_up
from modelserver.errors import InferenceFailedError, LoadError, UnavailableError
from modelserver.model import Model, Network
from modelserver.opening import Opened as FoundModel
from modelserver.opening import open_model, set_up
from modelserver.tensors import Contract
from modelserver.timing import LinearCost
from modelserver.worker.arena import Arena
from modelserver.worker.device import device_is_lost, device_memory_bytes, find_device, prepare_device
from modelserver.worker.isolation import be_first_out_of_memory, die_with, leave_signals_to_the_front
from modelserver.worker.ladder import Ladder, Steps
from modelserver.worker.memory import ResidentMemory
from modelserver.worker.messages import (
    Compute,
    Computed,
    ComputedPart,
    ComputePart,
    Failed,
    Framing,
    Load,
    Message,
    Opened,
    Ready,
    Unload,
    read_message,
    write_message,
)
from modelserver.worker.orders import VERSION, Open, Part, Start
from modelserver.worker.part import NO_NETWORK, Arenas, PartRunner
from modelserver.worker.stage_model import StageModel, find_stage
from modelserver.worker.transfer import read_requests, write_error, write_outcomes, write_requests

_RECEIVE_BYTES = 1 << 16

log = logging.getLogger("modelserver.worker")


class DeviceLostError(Exception):
    """An accelerator that this process cannot use any more."""


@dataclass(frozen=True)
class _Served:
    """A model that has been set up, and where it computes."""

    found: FoundModel
    contract: Contract
    device: str

    @property
    def model(self) -> Model:
        return self.found.model


def _serve_stage(found: FoundModel, contract: Contract, name: str) -> tuple[FoundModel, Contract]:
    """Return a stage in the place of its model."""
    model = StageModel(found.model, find_stage(found.model, name))
    named = f"{found.name}-{name}"
    staged = FoundModel(named, found.content_version, found.directory, model)
    return staged, Contract(named, contract.content_version, "", model.inputs, model.outputs, model.max_rows)


def _open(asked: Open) -> _Served:
    if asked.version != VERSION:
        raise LoadError(f"messages of version {asked.version}: expected {VERSION}")
    device = find_device(asked.device)
    prepare_device(device)
    found = open_model(asked.uri)
    contract = set_up(found, device, frozenset(asked.executables))
    if asked.stage is not None:
        found, contract = _serve_stage(found, contract, asked.stage)
    return _Served(found, contract, device)


def _nothing(variant: str) -> None:
    """Import nothing: a part without a network takes no runtime."""


def _not_measured(network: Network, variant: str) -> WarmUp:  # noqa: ARG001 - one of Steps
    """Leave warming up to the front: a part alone has no example."""
    return WarmUp(LinearCost(0.0, 0.0, 1.0), 1, 0.0)


class Worker:
    """Answers the front's messages, one after the other.

    Args:
        arenas: Shared with the front, or with other workers of a split model.
    """

    def __init__(self, arenas: Arenas) -> None:
        self._arenas = arenas
        self._resident = ResidentMemory()
        self._served: _Served | None = None
        self._ladder: Ladder | None = None
        self._part: PartRunner | None = None
        self._handlers: dict[str, Callable[..., Message]] = {
            Open.op: self._on_open,
            Start.op: self._on_start,
            Compute.op: self._on_compute,
            ComputePart.op: self._on_compute_part,
            Load.op: self._on_load,
            Unload.op: self._on_unload,
        }

    def answer(self, message: Message) -> Message:
        """Return the answer to a message."""
        return self._handlers[message.op](message)

    def tidy_up(self) -> None:
        """Collect what loading has left behind, once it is answered: after an import of torch this takes 140 ms.

        What is there then stays as long as the process: later collections need never look at it.
        """
        if not gc.isenabled() and self._ladder is not None:
            gc.collect()
            gc.freeze()
            gc.enable()

    def _loading(self, load: Callable[[], Message]) -> Message:
        # Loading (above all importing torch) allocates a great deal that lives as long as the process: collections while it
        # does so find nothing. See `tidy_up`.
        gc.disable()
        try:
            return load()
        except LoadError as error:
            return Failed(str(error))
        except BaseException as error:  # a model's code may raise anything
            log.exception("the model does not load")
            return Failed(f"the model does not load: {type(error).__name__}: {error}")

    def _on_open(self, asked: Open) -> Message:
        def load() -> Message:
            self._served = served = _open(asked)
            return Opened(served.contract, served.device, tuple(served.model.stages()))

        return self._loading(load)

    def _on_start(self, asked: Start) -> Message:
        return self._loading(lambda: self._start(asked))

    def _start(self, asked: Start) -> Message:
        if self._served is None:
            raise LoadError("start: expected open before it")
        served, part = self._served, asked.part
        model = served.model
        if part is not None:
            self._part = PartRunner(model, part, self._arenas)
        steps = _steps(model, part, self._resident.read)
        self._ladder = Ladder(model, served.found.directory, asked.memory_limit_bytes, steps)
        loaded, left_out = self._ladder.load_all(asked.variants or model.variants()[:1], asked.lenient)
        example = None
        if asked.example:
            self._arenas.writes[0].reset()
            (example,) = write_requests(self._arenas.writes[0], [model.example()])
        return Ready(loaded, left_out, device_memory_bytes(served.device), example)

    def _on_load(self, asked: Load) -> Message:
        ladder = self._loaded_ladder
        return self._loading(lambda: Ready((ladder.add(asked.variant),)))

    def _on_unload(self, asked: Unload) -> Message:
        self._loaded_ladder.drop(asked.variant)
        return Ready()

    def _on_compute(self, asked: Compute) -> Message:
        network = self._loaded_ladder.networks.get(asked.variant)
        self._arenas.writes[0].reset()
        if network is None:
            refused = write_error(UnavailableError(f"variant {asked.variant!r} is not loaded"))
            return Computed([refused] * len(asked.requests), 0.0, 0.0, 0.0, self._resident.read())
        computed = self._computed(network, asked)
        if self._arenas.reads[0].is_held():
            log.warning("the model keeps arrays of a batch that is done: from now on it gets copies")
            return replace(computed, inputs_held=True)
        return computed

    def _computed(self, network: Network, asked: Compute) -> Computed:
        requests = read_requests(self._arenas.reads[0], asked.requests)
        result = run_batch(self._loaded_model, network, Batch(asked.variant, requests))
        if any(isinstance(outcome, InferenceFailedError) for outcome in result.outcomes):
            self._check_device()
        return Computed(
            outcomes=write_outcomes(self._arenas.writes[0], result.outcomes),
            preprocess_seconds=result.preprocess_seconds,
            compute_seconds=result.compute_seconds,
            postprocess_seconds=result.postprocess_seconds,
            memory_bytes=self._resident.read(),
        )

    def _on_compute_part(self, asked: ComputePart) -> ComputedPart:
        if self._part is None:
            raise AssertionError("computed a part before it was loaded")
        network = self._loaded_ladder.networks.get(asked.variant)
        if network is None:
            return ComputedPart(error=write_error(UnavailableError(f"variant {asked.variant!r} is not loaded")))
        computed = self._part.run(network, asked)
        if computed.error is not None:
            self._check_device()
        return computed

    def _check_device(self) -> None:
        """Give up where nothing can be computed any more: a process that begins anew can."""
        served = self._served
        if served is not None and device_is_lost(served.device):
            raise DeviceLostError(
                f"device {served.device!r} fails whatever it is asked: expected an end, and a new start"
            )

    @property
    def _loaded_ladder(self) -> Ladder:
        if self._ladder is None:
            raise AssertionError("asked before anything was loaded")
        return self._ladder

    @property
    def _loaded_model(self) -> Model:
        if self._served is None:
            raise AssertionError("asked before anything was opened")
        return self._served.model


def _steps(model: Model, part: Part | None, resident: Callable[[], int]) -> Steps:
    """Return how to load and how to warm up the whole model, or a part of it."""
    if part is None:
        warmed = partial(warm_up, model, hand_over_seconds=HAND_OVER_SECONDS)
        return Steps(model.prepare, model.load, warmed, resident)
    stage = part.stage
    if stage is None:
        return Steps(_nothing, lambda variant: NO_NETWORK, _not_measured, resident)  # noqa: ARG005 - one of Steps
    return Steps(model.prepare, lambda variant: model.load_stage(variant, stage), _not_measured, resident)


def _messages(connection: socket.socket) -> Iterator[Message]:
    """Yield what the front sends until it closes the socket."""
    framing = Framing()
    while received := connection.recv(_RECEIVE_BYTES):
        for text in framing.feed(received):
            yield read_message(text)


def _arenas(descriptors: str) -> list[Arena]:
    return [Arena(int(number)) for number in descriptors.split(",") if number]


def main(arguments: Sequence[str]) -> int:
    """Run a worker.

    Args:
        arguments: Process id of the front; file descriptors of the socket, and of the arenas that are read, that hold
            memos and that are written, each separated by commas.

    Returns:
        The process's exit code.
    """
    front, connection, *arenas = arguments
    leave_signals_to_the_front()
    die_with(int(front))
    be_first_out_of_memory()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    worker = Worker(Arenas(*map(_arenas, arenas)))
    with socket.socket(fileno=int(connection)) as front_socket:
        front_socket.set_inheritable(False)
        for message in _messages(front_socket):
            try:
                answer = worker.answer(message)
            except DeviceLostError as error:
                log.critical("%s", error)
                os._exit(os.EX_IOERR)  # not by way of torch's own end, which waits for the device or aborts
            front_socket.sendall(write_message(answer))
            worker.tidy_up()
    return 0
