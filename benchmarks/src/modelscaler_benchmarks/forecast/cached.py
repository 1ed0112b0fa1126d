"""Keeps what slow rivals said of a trace, outside the checkout: they take hours, and say the same again."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from modelscaler.backtest.cases import Case
from modelscaler.backtest.method import Method, Progress, Quantiles, answered, silent, unknown
from modelscaler.backtest.report.figures import installed

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
PACKAGES = ("numpy", "scikit-learn", "lightgbm", "statsforecast")


@dataclass(frozen=True)
class Cached:
    """A method whose answers are kept, by trace and horizon; only for methods that look at each trace alone.

    Each horizon is asked for and kept by itself. `folder` is where; `version` changes when the method's code does.
    """

    method: Method
    folder: Path
    version: str

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.method.name

    def forecast(self, cases: Sequence[Case], progress: Progress) -> list[Quantiles]:
        """Forecast every case that was not forecast before."""
        return answered(self.name, cases, progress, self._answer)

    def _answer(self, case: Case) -> Quantiles:
        answer = unknown(case)
        for row, ahead in enumerate(case.horizons):
            asked = case.origins + ahead < len(case.trace.rps)
            if asked.any():
                answer[row][:, asked] = self._at_horizon(replace(case, origins=case.origins[asked], horizons=(ahead,)))
        return answer

    def _at_horizon(self, case: Case) -> Quantiles:
        path = self.folder / f"{key(self.method, case, self.version)}.npz"
        if path.exists():
            with np.load(path) as kept:
                return np.asarray(kept["quantiles"])
        said = np.asarray(self.method.forecast([case], silent)[0][0], dtype=np.float32)
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, quantiles=said)
        unfinished.rename(path)
        return said


def key(method: Method, case: Case, version: str) -> str:
    """Return what an answer depends on, hashed: the method and its code, the packages, the trace and what is asked."""
    trace = case.trace
    said = ADDRESS.sub("", repr(method))  # of functions it is made with, another in every process
    told = (said, version, installed(PACKAGES), trace.step_seconds, trace.start.isoformat(), case.horizons)
    found = hashlib.sha256(repr(told).encode())
    found.update(np.ascontiguousarray(trace.rps).tobytes())
    found.update(np.ascontiguousarray(case.origins).tobytes())
    return found.hexdigest()[:24]


def code_version(files: Sequence[Path]) -> str:
    """Return a hash of these files of source."""
    found = hashlib.sha256()
    for file in sorted(files):
        found.update(file.read_bytes())
    return found.hexdigest()[:12]
