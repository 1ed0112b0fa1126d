"""The picture of a run: throughput and p99 of everyone, a panel for each network."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

from modelscaler_benchmarks.server.contenders import OURS
from modelscaler_benchmarks.server.results import Key, Results, of
from modelscaler_benchmarks.server.tables import TITLES

OUR_COLOUR = "#1f6feb"
PEER_COLOUR = "#9aa4b2"


def draw(results: Results, path: Path) -> None:
    """Write the picture as PNG."""
    figure, panels = pyplot.subplots(len(TITLES), 1, figsize=(9.0, 7.5))
    for axes, (network, title) in zip(panels, TITLES.items(), strict=True):
        _panel(axes, results, network, title)
    figure.suptitle("Requests a second at 32 connections, median over rounds; whiskers: least and most", fontsize=11)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _panel(axes: Axes, results: Results, network: str, title: str) -> None:
    measured = [
        (key, of(results.rounds, key, "rows_per_second"))
        for key in results.labels
        if key.network == network and key.server != "raw"
    ]
    bars = sorted(((key, spread) for key, spread in measured if spread is not None), key=lambda bar: bar[1].median)
    for place, (key, spread) in enumerate(bars):
        whiskers = [[spread.median - spread.least], [spread.most - spread.median]]
        axes.barh(
            place,
            spread.median,
            color=OUR_COLOUR if key.server == OURS else PEER_COLOUR,
            xerr=whiskers,
            ecolor="#444444",
            capsize=2,
        )
        p99 = of(results.rounds, key, "p99_milliseconds")
        axes.annotate(
            f"{spread.median:,.0f}   p99 {p99.median if p99 else 0.0:.0f} ms",
            (spread.most, place),
            (4, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_yticks(range(len(bars)), [_label(key) for key, _ in bars])
    axes.set_xlim(0, 1.25 * max((spread.most for _, spread in bars), default=1.0))
    axes.set_title(title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def _label(key: Key) -> str:
    return f"{key.server}, {key.kind}" if key.server == OURS else key.server
