"""Load of ModelDeployments as a Prometheus remembers it, for the commands that look at the past."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from modelscaler.backtest.live import live_traces
from modelscaler.backtest.reading import TraceError
from modelscaler.backtest.trace import Trace
from modelscaler.domain import WorkloadKey
from modelscaler.metrics.prometheus import PrometheusSettings, PrometheusSource


def recorded(url: str, keys: Sequence[WorkloadKey], days: float, step_seconds: float) -> list[Trace]:
    """Return the load of the last days.

    Args:
        url: Base address of the Prometheus.
        keys: Whose load.
        days: How far back.
        step_seconds: Time between two values.

    Raises:
        TraceError: It cannot be had, or there is none.
    """
    try:
        settings = PrometheusSettings(url, rate_window_seconds=step_seconds, stale_after_seconds=60.0)
    except ValueError as error:
        raise TraceError(str(error)) from None
    end = datetime.fromtimestamp(time.time() // step_seconds * step_seconds, UTC)
    read = PrometheusSource(settings).history(end - timedelta(days=days), end, step_seconds, keys)
    return live_traces(keys, read.windows, read.error)
