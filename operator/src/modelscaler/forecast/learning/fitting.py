"""Fits the network to examples: what pretraining and retuning have in common."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from modelscaler.forecast.base import QUANTILES, TARGETS, pinball
from modelscaler.forecast.learning.examples import Examples
from modelscaler.forecast.learning.hiding import Hiding
from modelscaler.forecast.learning.torch_network import QuantileNetwork, pinball_loss
from modelscaler.forecast.network import Network
from modelscaler.forecast.panel import Floats64

WIDTH: Final = 192
BLOCKS: Final = 2
LARGEST_GRADIENT: Final = 1.0
WARMING: Final = 0.1  # of the training the rate rises in, from a 25th: the one-cycle policy (Smith and Topin 2018)
FIRST_SHARE: Final = 1 / 25
LAST_SHARE: Final = 1e-4
LEAST_SECONDS: Final = 1e-6
ROWS_AT_ONCE: Final = 8_192


@dataclass(frozen=True, slots=True)
class Plan:
    """How to fit: the largest `rate`, AdamW's weight `decay`, and for how many `epochs` or `seconds`, whichever is shorter.

    When time is short the rate still falls to its end within it, so that what is left is as good as it can be.
    """

    epochs: int
    rate: float
    decay: float = 1e-2
    dropout: float = 0.1
    batch: int = 512
    hiding: Hiding = field(default_factory=Hiding)
    seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the examples that ended: its number from 0, the mean loss in it, and how much of the plan is done."""

    number: int
    loss: float
    progress: float


class Fitting:
    """A fit under way. All that an epoch does follows from the seed, its number and the state when it began."""

    def __init__(
        self,
        module: QuantileNetwork,
        examples: Examples,
        plan: Plan,
        seed: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            module: What is fitted, in place.
            examples: At least one row.
            plan: How.
            seed: What order, dropout and hiding follow from.
            clock: Seconds that only rise.
        """
        self.module = module
        self.optimizer = torch.optim.AdamW(module.parameters(), lr=plan.rate, weight_decay=plan.decay, fused=True)
        self.epochs_done = 0
        self._features = torch.from_numpy(examples.features)
        self._came = torch.from_numpy(examples.came)
        self._weights = torch.from_numpy(examples.weights)
        self._plan, self._seed, self._clock = plan, seed, clock
        self._batches = max(examples.rows // plan.batch, 1)

    def epochs(self) -> Iterator[Epoch]:
        """Fit, and tell of every epoch when it has ended."""
        started = self._clock() - self.epochs_done / self._plan.epochs * min(self._plan.seconds, 1e9)
        self.module.train()
        progress = 0.0
        while self.epochs_done < self._plan.epochs and progress < 1.0:
            loss, progress = self._epoch(self.epochs_done, started)
            self.epochs_done += 1
            yield Epoch(self.epochs_done - 1, loss, progress)
        self.module.eval()

    def _epoch(self, number: int, started: float) -> tuple[float, float]:
        torch.manual_seed(self._seed * 1_000 + number)
        generator = torch.Generator().manual_seed(self._seed * 1_000 + number)
        order = torch.randperm(len(self._features), generator=generator)
        losses, progress = [], 0.0
        for batch in range(self._batches):
            progress = self._progress(number * self._batches + batch, started)
            if progress >= 1.0:
                break
            rows = order[batch * self._plan.batch : (batch + 1) * self._plan.batch]
            losses.append(self._step(rows, rate_at(progress) * self._plan.rate, generator))
        return float(torch.stack(losses).mean()) if losses else math.nan, progress

    def _progress(self, step: int, started: float) -> float:
        of_time = (self._clock() - started) / max(self._plan.seconds, LEAST_SECONDS)
        return max(step / (self._plan.epochs * self._batches), of_time)

    def _step(self, rows: Tensor, rate: float, generator: torch.Generator) -> Tensor:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        features = self._plan.hiding.applied(self._features[rows].float(), generator)
        loss = pinball_loss(self.module(masked(features)), self._came[rows], self._weights[rows])
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        return loss.detach()


def fit(
    module: QuantileNetwork,
    examples: Examples,
    plan: Plan,
    seed: int,
    ended: Callable[[Epoch], None] = lambda _: None,
) -> None:
    """Fit a network in place; `ended` is told of every epoch."""
    for epoch in Fitting(module, examples, plan, seed).epochs():
        ended(epoch)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: batches are small, and on shared cores threads mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def new_network(features: int, seed: int, dropout: float) -> QuantileNetwork:
    """Return a network that knows nothing yet."""
    torch.manual_seed(seed)
    return QuantileNetwork(features, WIDTH, BLOCKS, dropout)


def masked(features: Tensor) -> Tensor:
    """Return features with zeros where they are missing, and beside each whether it is, (rows, 2 * features)."""
    known = torch.isfinite(features)
    return torch.cat([torch.nan_to_num(features, nan=0.0), (~known).float()], dim=-1)


def rate_at(progress: float) -> float:
    """Return the rate as a share of the largest at a point of the training: up in a tenth of it, then down along a cosine."""
    if progress < WARMING:
        return _between(FIRST_SHARE, 1.0, progress / WARMING)
    return _between(1.0, LAST_SHARE * FIRST_SHARE, (progress - WARMING) / (1.0 - WARMING))


def losses_of(network: Network, examples: Examples) -> Floats64:
    """Return the mean pinball loss of each target and quantile, shape (2, quantiles), in squashed distances."""
    total, count = np.zeros((TARGETS, len(QUANTILES))), np.zeros((TARGETS, 1))
    for start in range(0, examples.rows, ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        came = examples.came[some].astype(np.float64)
        said = network.quantiles(examples.features[some].astype(np.float32)).astype(np.float64)
        total += np.nansum(pinball(came, said), axis=0)
        count += np.isfinite(came).sum(axis=0)[:, None]
    means: Floats64 = total / np.maximum(count, 1)
    return means


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * share)) / 2.0
