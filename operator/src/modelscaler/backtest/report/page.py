"""A backtest as one HTML file that needs no network."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Final

from modelscaler.backtest.report import pictures
from modelscaler.backtest.report.table import HEADER, MEAN_HEADER, mean_rows, notes, score_rows
from modelscaler.backtest.running import Backtest

STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222 }
img { max-width: 100% } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem .7rem; border-bottom: 1px solid #ddd; white-space: nowrap }
th { position: sticky; top: 0; background: #fff } .wide { overflow-x: auto } details { margin: 1rem 0 }
"""

EXPLANATION: Final = (
    "Every forecast was made from one origin with what was known then, over the last 40 % of each trace. Loss is pinball loss; "
    "its ratio is to the best of eight naive forecasts, which is chosen with hindsight for each trace, target and quantile: "
    "below 1 is better than all of them. Coverage is how often what came was at or below the quantile."
)


def page(found: Backtest, horizons_seconds: Sequence[float]) -> str:
    """Return the page: an overview, the geometric means, every score, and a picture of each trace."""
    traces = [case.trace.name for case in found.cases if len(case.origins)]
    parts = [
        f"<h1>Backtest of {escape(', '.join(found.methods) or 'naive forecasts')}</h1><p>{EXPLANATION}</p>",
        image(pictures.png(pictures.overview(found)), "A forecast, ratios and coverage"),
        f"<h2>Geometric means over traces</h2>{table(MEAN_HEADER, mean_rows(found, horizons_seconds))}",
        f"<h2>Every score</h2>{table(HEADER, score_rows(found, None))}",
        "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in notes(found)) + "</ul>",
        "<h2>Traces</h2>",
        *(image(pictures.png(pictures.fan(found, trace)), f"Forecasts of {trace}") for trace in traces),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Backtest</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def image(picture: bytes, what: str) -> str:
    """Return a picture with its bytes inside."""
    return f'<p><img alt="{escape(what)}" src="data:image/png;base64,{base64.b64encode(picture).decode()}"></p>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table that scrolls sideways when it is wide."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
