"""Traces from what a source of metrics remembers."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np

from modelscaler.backtest.reading import TraceError
from modelscaler.backtest.trace import Trace
from modelscaler.domain import LoadWindow, SourceError, WorkloadKey


def live_traces(
    keys: Sequence[WorkloadKey], windows: Mapping[WorkloadKey, LoadWindow], error: SourceError | None
) -> list[Trace]:
    """Return the remembered load of ModelDeployments as traces that begin with the first known value.

    Raises:
        TraceError: the source could not be read, or does not know one of them.
    """
    if error:
        raise TraceError(error.message)
    return [_trace(key, windows.get(key)) for key in keys]


def _trace(key: WorkloadKey, window: LoadWindow | None) -> Trace:
    known = np.flatnonzero(np.isfinite(window.rps)) if window else np.empty(0)
    if window is None or len(known) < 2:
        raise TraceError(f"{key}: got {len(known)} values of its offered load, expected at least two")
    rps = window.rps[known[0] :]
    start = window.end - timedelta(seconds=(len(rps) - 1) * window.step_seconds)
    return Trace(key.name, window.step_seconds, start, rps)
