"""What it costs to tune the shared network on a fleet's own history, with the job and the budget of the service."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from modelscaler.domain import ForecastSettings, LoadWindow, WorkloadKey
from modelscaler.forecast.fleet import Fleet
from modelscaler.forecast.jobs import NETWORK, Trained, TrainingBudget, TrainingJob
from modelscaler.forecast.learning.generated import generate
from modelscaler.forecast.lessons import job_of
from modelscaler.forecast.networks import shipped_network
from modelscaler.forecast.pipeline import PRETRAINED
from modelscaler.forecast.tuition import Lessons
from modelscaler_benchmarks.forecast_cost.fleet import HISTORY_STEPS, START, STEP_SECONDS

COPY, JUDGED = "copy ", "another "
"""How `learning.retuning.train` begins to tell of a copy, and of the network that is judged."""


class RetuningError(Exception):
    """Nothing was tuned."""


@dataclass(frozen=True)
class Retuned:
    """A retuning and what it took.

    Attributes:
        series: How many it learned from.
        rows: Of examples.
        relative_loss: On the newest tenth, before it learned from that, divided by the shipped network's.
        seconds: In all, the load of the libraries that learn included.
        copy_seconds: Of the fit of each copy.
        most_copy_seconds: After which such a fit is cut short.
    """

    series: int
    rows: int
    relative_loss: float
    seconds: float
    copy_seconds: tuple[float, ...]
    most_copy_seconds: float

    @property
    def whole(self) -> bool:
        """Whether no copy was cut short."""
        return max(self.copy_seconds) < self.most_copy_seconds


class Watch:
    """The clock of a training, which notes when it is looked at: a fit does so when it begins and before each batch."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """Tell the time of `clock`, in seconds."""
        self._clock = clock
        self._looks: list[list[float]] = [[]]
        self._copies = 0

    def look(self) -> float:
        """Return the time."""
        self._looks[-1].append(self._clock())
        return self._looks[-1][-1]

    def hear(self, text: str) -> None:
        """Note what the training does from now on."""
        if text.startswith((COPY, JUDGED)):
            self._looks.append([])
            self._copies += text.startswith(COPY)

    @property
    def material_seconds(self) -> float:
        """How long it took until there were examples to fit to."""
        return self._looks[0][-1] - self._looks[0][0]

    @property
    def copy_seconds(self) -> tuple[float, ...]:
        """How long each copy was fitted."""
        return tuple(looks[-1] - looks[0] for looks in self._looks[1 : self._copies + 1])


def retuned(series: int, horizon_seconds: float, seed: int) -> Retuned:
    """Tune the shipped network on so many generated series with two weeks of minutes, in this process.

    Raises:
        RetuningError: The shipped network cannot be read, or the training gave no network.
    """
    job = job_for(series, horizon_seconds, seed)
    watch = Watch()
    began = time.perf_counter()
    from modelscaler.forecast.learning.retuning import (  # noqa: PLC0415 - importing torch is part of what it takes
        COPIES,
        FITTING_SHARE,
        JUDGING_TIME_SHARE,
        Workplace,
        train,
    )

    outcome = train(job, Workplace(tell=watch.hear, clock=watch.look))
    seconds = time.perf_counter() - began
    if not isinstance(outcome, Trained):
        raise RetuningError(f"no network was tuned: {outcome}")
    most = FITTING_SHARE * (job.budget.seconds - watch.material_seconds) * (1.0 - JUDGING_TIME_SHARE) / COPIES
    return Retuned(series, outcome.rows, outcome.relative_loss, seconds, watch.copy_seconds, most)


def job_for(series: int, horizon_seconds: float, seed: int) -> TrainingJob:
    """Return the job that the service would submit for a fleet of generated load."""
    shipped, lessons = shipped_network(), Lessons()
    if shipped is None:
        raise RetuningError("the network that ships with the package cannot be read: install the package again")
    end = START + timedelta(seconds=STEP_SECONDS * (HISTORY_STEPS - 1))
    load = generate(np.random.default_rng(seed), series, STEP_SECONDS, HISTORY_STEPS, end)
    fleet, asked = Fleet(STEP_SECONDS), ForecastSettings(0.95, 1_209_600.0, 86_400.0, "Auto")
    for number, rps in enumerate(load.rps):
        key = WorkloadKey("fleet", f"model-{number:05}")
        fleet.load(key, LoadWindow(STEP_SECONDS, end, rps.astype(np.float64)))
        fleet.ask(key, asked, horizon_seconds)
    job = job_of(fleet, {PRETRAINED: shipped}, NETWORK, TrainingBudget(), lessons.max_series, seed)
    if job is None:
        raise RetuningError("got no training job of a fleet without series, expected at least one")
    return job
