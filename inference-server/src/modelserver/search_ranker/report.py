"""The build's report, as a table for people."""

from collections.abc import Iterator

from modelserver.search_ranker.build import REPORTED_BATCH_SIZES, BuildReport, BuiltVariant
from modelserver.search_ranker.recipe import ACCURACY_METRIC

_HEADINGS = (
    "variant",
    ACCURACY_METRIC,
    "size MB",
    *(f"ms/request at {size}" for size in REPORTED_BATCH_SIZES),
    "cosine",
    "batch drift",
    "outlier drift",
)


def _cells(built: BuiltVariant) -> tuple[str, ...]:
    metadata, figures = built.metadata, built.figures
    return (
        metadata.variant,
        f"{metadata.accuracy:.4f}",
        f"{metadata.size_bytes / 1e6:.2f}",
        *(f"{metadata.milliseconds_per_request[str(size)]:.2f}" for size in REPORTED_BATCH_SIZES),
        f"{figures.cosine:.5f}",
        f"{figures.batch_drift:.1e}",
        f"{figures.outlier_drift:.1e}",
    )


def report_lines(report: BuildReport) -> Iterator[str]:
    """Yield the report's lines: one per variant, then the baseline."""
    rows = [_HEADINGS, *(_cells(built) for built in report.variants)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        yield "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
    yield f"{ACCURACY_METRIC} on held-out searches; ordering by keyword match alone: {report.keyword_accuracy:.4f}"
    yield "CPU milliseconds on one core of this machine, network only"
