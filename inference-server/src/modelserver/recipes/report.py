"""The build's report, as a table for people."""

from collections.abc import Iterator

from modelserver.recipes.build import REPORTED_BATCH_SIZES, BuildReport, Result

_SPEED_AT = "16"


def _headings(metric: str) -> tuple[str, ...]:
    times = (f"ms/row at {size}" for size in REPORTED_BATCH_SIZES)
    return ("variant", "size MB", *times, "x full", metric, "cosine", "batch drift", "outlier drift", "verdict")


def _verdict(result: Result) -> str:
    if result.refused:
        return f"refused: {result.refused}"
    return f"dropped: {result.dropped}" if result.dropped else "kept"


def _cells(result: Result, full_milliseconds: float) -> tuple[str, ...]:
    metadata, figures = result.metadata, result.figures
    if metadata is None or figures is None:
        return (result.variant, *["-"] * (len(REPORTED_BATCH_SIZES) + 6), _verdict(result))
    times = metadata.milliseconds_per_row
    return (
        metadata.variant,
        f"{metadata.size_bytes / 1e6:.2f}",
        *(f"{times[str(size)]:.3f}" for size in REPORTED_BATCH_SIZES),
        f"{full_milliseconds / times[_SPEED_AT]:.2f}",
        f"{figures.accuracy:.4f}",
        f"{figures.cosine:.5f}",
        f"{figures.batch_drift:.1e}",
        f"{figures.outlier_drift:.1e}",
        _verdict(result),
    )


def report_lines(report: BuildReport) -> Iterator[str]:
    """Yield the report's lines: one per variant, then what they mean."""
    full = report.results[0].metadata
    full_milliseconds = full.milliseconds_per_row[_SPEED_AT] if full is not None else float("nan")
    rows = [_headings(report.accuracy_metric), *(_cells(result, full_milliseconds) for result in report.results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False))
        yield "  ".join((row[0].ljust(widths[0]), *numbers, row[-1]))
    yield (
        f"CPU milliseconds on one core of this machine, network only; x full: speed at batch {_SPEED_AT}; cosine to full over "
        "all batch sizes; drift relative to the spread of outputs"
    )
    if report.baseline is not None:
        name, accuracy = report.baseline
        yield f"{report.accuracy_metric} on held-out data; {name}: {accuracy:.4f}"
