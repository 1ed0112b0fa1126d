"""One self-contained HTML page: figures, plot, decisions and events; it loads nothing."""

import html
import io
import re
from collections.abc import Sequence

from matplotlib.figure import Figure

from modelscaler_demo.report.figure import happenings
from modelscaler_demo.snapshot import Snapshot
from modelscaler_demo.view.scene import Scene

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }
tr + tr { border-top: 1px solid #ddd; } td:first-child { white-space: nowrap; color: #555; } svg { width: 100%; height: auto; }
"""


def page(
    title: str, rows: Sequence[tuple[str, str]], notes: Sequence[str], figure: Figure, moments: Sequence[Snapshot],
    scene: Scene,
) -> str:  # fmt: skip
    """Write the page."""
    decided = [(scene.clock(s.seconds), f"{s.told.reason}: {s.told.message}") for s in decisions(moments)]
    happened = [(scene.clock(h.seconds), h.text) for h in happenings(moments)]
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>",
        f"<h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(note)}</p>" for note in notes),
        _svg(figure),
        "<h2>Measured in this run</h2>" + _table(rows),
        "<h2>What happened</h2>" + _table(happened),
        "<h2>Why</h2>" + _table(decided),
        "</html>\n",
    ]
    return "\n".join(parts)


def decisions(moments: Sequence[Snapshot]) -> list[Snapshot]:
    """Return the moments at which the desired pool or its size changed: the decisions worth reading."""
    found: list[Snapshot] = []
    for moment in moments:
        told = moment.told
        if told.reason and (not found or told.desired != found[-1].told.desired):
            found.append(moment)
    return found


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f"<tr><td>{html.escape(what)}</td><td>{html.escape(value)}</td></tr>" for what, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)
