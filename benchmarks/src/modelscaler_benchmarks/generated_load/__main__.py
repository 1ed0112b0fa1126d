"""`python -m modelscaler_benchmarks.generated_load`: draw generated load and tabulate its statistics, into docs/forecast.md."""

import argparse
import sys
from datetime import UTC, datetime

import numpy as np

from modelscaler.forecast.learning.generated import GeneratedPanel, generate
from modelscaler_benchmarks.generated_load import gallery, spread
from modelscaler_benchmarks.report import IMAGES, REPOSITORY, write_section

DOCUMENT = REPOSITORY / "docs" / "forecast.md"
PICTURE = IMAGES / "generated-load.png"
SECTION = "generated load"

SEED = 20
END = datetime(2026, 3, 2, tzinfo=UTC)
SHOWN = 24
GALLERY = (800, 600.0, 2016)
SPREADS = ((600, 10.0, 360), (600, 60.0, 20_160), (400, 300.0, 15_840), (400, 1800.0, 9_600))
"""How many series, of which step in seconds, and how many steps."""


def main() -> int:
    """Write the picture and the table."""
    parser = argparse.ArgumentParser(prog="modelscaler_benchmarks.generated_load", description=__doc__)
    parser.parse_args()
    shown = _panel(*GALLERY)
    gallery.draw(shown, gallery.chosen(shown, SHOWN), PICTURE)
    text = f"![Generated load](images/{PICTURE.name})\n\n{spread.table([_panel(*size) for size in SPREADS])}"
    write_section(DOCUMENT, SECTION, text)
    print(text)
    return 0


def _panel(series: int, step_seconds: float, steps: int) -> GeneratedPanel:
    return generate(np.random.default_rng(SEED), series, step_seconds, steps, END)


if __name__ == "__main__":
    sys.exit(main())
