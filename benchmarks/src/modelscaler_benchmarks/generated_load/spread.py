"""How widely the statistics of generated load spread."""

from collections.abc import Sequence

import numpy as np

from modelscaler.forecast.learning.generated import GeneratedPanel
from modelscaler_benchmarks.generated_load.statistics import STATISTICS
from modelscaler_benchmarks.report import markdown_table

PERCENTILES = (5, 50, 95)


def table(panels: Sequence[GeneratedPanel]) -> str:
    """Return a table in Markdown: 5th, 50th and 95th percentile of every statistic, a column for each panel."""
    header = ["statistic", *(_title(panel) for panel in panels)]
    return markdown_table(header, [[name, *(_cell(panel, name) for panel in panels)] for name in STATISTICS])


def percentiles(panel: GeneratedPanel, name: str) -> list[float] | None:
    """Return the percentiles of a statistic over those series for which it is defined; None when there are none."""
    values = np.array([STATISTICS[name](rps, panel.step_seconds) for rps in panel.rps])
    known = values[np.isfinite(values)]
    return [float(value) for value in np.percentile(known, PERCENTILES)] if len(known) else None


def _cell(panel: GeneratedPanel, name: str) -> str:
    found = percentiles(panel, name)
    return " / ".join(_figure(value) for value in found) if found else "–"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100.0 else f"{value:.2g}"


def _title(panel: GeneratedPanel) -> str:
    hours = panel.rps.shape[1] * panel.step_seconds / 3600.0
    span = f"{hours / 24.0:.0f} days" if hours >= 24.0 else f"{hours:.0f} h"
    return f"{span} at {panel.step_seconds:g} s"
