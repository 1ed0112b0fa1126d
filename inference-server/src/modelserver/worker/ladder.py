"""The variants that a worker has in memory."""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelserver.compute.executor import LoadedVariant
from modelserver.compute.warmup import WarmUp
from modelserver.declaration import checked_accuracy
from modelserver.errors import LoadError
from modelserver.model import Model, Network
from modelserver.worker.memory import MemoryPlan, artifact_bytes


@dataclass(frozen=True)
class Steps:
    """How a variant gets into memory.

    Attributes:
        prepare: Imports what loading takes besides the variant's files.
        load: From its name to its network.
        warm_up: Warms a network up and measures it.
        resident: Resident memory of this process, bytes.
    """

    prepare: Callable[[str], None]
    load: Callable[[str], Network]
    warm_up: Callable[[Network, str], WarmUp]
    resident: Callable[[], int]


class Ladder:
    """Loads variants while memory allows.

    Args:
        model: Set up.
        directory: Of its artifact; None for a model that is code alone.
        limit_bytes: Of resident memory; None for no limit.
        steps: How a variant gets into memory.

    Attributes:
        networks: Variant -> its network.
    """

    def __init__(self, model: Model, directory: Path | None, limit_bytes: int | None, steps: Steps) -> None:
        self.networks: dict[str, Network] = {}
        self._model = model
        self._directory = directory
        self._plan = MemoryPlan(limit_bytes)
        self._steps = steps

    def load_all(self, variants: Sequence[str], lenient: bool = False) -> tuple[list[LoadedVariant], dict[str, str]]:
        """Load variants, most wanted first. The first is loaded whatever it takes.

        Args:
            variants: Their names.
            lenient: Leave out a variant after the first that does not load, whatever the reason.

        Returns:
            Those that are loaded, and why the others are not.

        Raises:
            LoadError: When one does not load for another reason than memory, unless that may be.
        """
        loaded: list[LoadedVariant] = []
        left_out: dict[str, str] = {}
        for variant in variants:
            outcome = self._tried(variant) if lenient and loaded else self._load(variant, must=not loaded)
            if isinstance(outcome, str):
                left_out[variant] = outcome
            else:
                loaded.append(outcome)
        return loaded, left_out

    def add(self, variant: str) -> LoadedVariant:
        """Load a further variant.

        Raises:
            LoadError: When it does not load or there is no memory for it.
        """
        outcome = self._load(variant, must=False)
        if isinstance(outcome, str):
            raise LoadError(f"variant {variant!r}: {outcome}")
        return outcome

    def drop(self, variant: str) -> None:
        """Give up a variant."""
        self.networks.pop(variant, None)
        gc.collect()

    def _tried(self, variant: str) -> LoadedVariant | str:
        try:
            return self._load(variant, must=False)
        except Exception as error:  # a model's code may raise anything
            self.drop(variant)
            return str(error) if isinstance(error, LoadError) else f"{type(error).__name__}: {error}"

    def _load(self, variant: str, must: bool) -> LoadedVariant | str:
        """Load a variant, or say why there is no memory for it; `must` overrides that."""
        started = time.monotonic()
        file_bytes = artifact_bytes(self._directory, variant)
        # A runtime stays once it is imported, so first without it.
        if refusal := self._refusal(file_bytes, must):
            return refusal
        self._steps.prepare(variant)
        if refusal := self._refusal(file_bytes, must):
            return refusal
        loaded = self._loaded(variant, self._steps.resident(), started)
        # Nothing but loading tells what a variant takes when it has no files of its own, or unpacks them.
        if refusal := self._refusal(0, must):
            self.drop(variant)
            return refusal
        self._plan = self._plan.learned(loaded.memory_bytes, file_bytes)
        return loaded

    def _refusal(self, file_bytes: int, must: bool) -> str | None:
        return None if must else self._plan.refusal(self._steps.resident(), file_bytes)

    def _loaded(self, variant: str, resident_before: int, started: float) -> LoadedVariant:
        network = self._steps.load(variant)
        load_seconds = time.monotonic() - started
        warm = self._steps.warm_up(network, variant)
        self.networks[variant] = network
        return LoadedVariant(
            variant=variant,
            accuracy=checked_accuracy(variant, self._model.accuracy(variant)),
            cost=warm.cost,
            max_batch_rows=warm.max_batch_rows,
            load_seconds=load_seconds,
            warm_up_seconds=warm.seconds,
            memory_bytes=max(0, self._steps.resident() - resident_before),
        )
