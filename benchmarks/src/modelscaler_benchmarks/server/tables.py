"""A run in words: the section of docs/benchmarks.md, and the same on the terminal. Pure."""

from collections.abc import Mapping, Sequence

from modelscaler_benchmarks.report import markdown_table
from modelscaler_benchmarks.server.contenders import OURS
from modelscaler_benchmarks.server.results import Behaviour, Key, Results, Spread, of, ratio
from modelscaler_benchmarks.verdicts import Verdict, verdict_table

TITLES = {
    "mlp": "MLP 256 → 1024 → 1024 → 10, fp32",
    "encoder": "Text encoder, 2 layers, width 128, 32 tokens, fp32 unless named",
}


def throughput_table(results: Results, network: str) -> str:
    """Return the table of one network, fastest first."""
    keys = sorted(
        (
            key
            for key in results.labels
            if key.network == network and of(results.rounds, key, "rows_per_second") is not None
        ),
        key=lambda key: -_median(of(results.rounds, key, "rows_per_second")),
    )
    header = ["server", "requests/s", "p50 ms", "p99 ms", "÷ torch, 1 thread", "ours, JSON ÷ it", "start s", "RSS MiB"]
    return markdown_table(header, [_row(results, key) for key in keys])


def behaviour_table(behaviours: Mapping[str, Behaviour]) -> str:
    """Return the table of bad days."""
    header = [
        "server",
        "good requests failed by a bad neighbour",
        "the bad one got",
        "lost across SIGTERM: kept connections",
        "new ones",
    ]
    rows = []
    for server, found in behaviours.items():
        statuses = ", ".join(
            f"{status or 'nothing'} × {count}" for status, count in sorted(found.neighbours.bad_statuses.items())
        )
        kept = f"{found.termination.kept_lost} of {found.termination.kept}"
        new = f"{found.termination.new_lost} of {found.termination.new}"
        rows.append([server, f"{found.neighbours.failed} of {found.neighbours.good}", statuses, kept, new])
    return markdown_table(header, rows)


def section(results: Results, verdicts: Sequence[Verdict], facts: str, failures: Sequence[str]) -> str:
    """Return the section of the document.

    Args:
        results: Of the run.
        verdicts: On the targets.
        facts: A sentence or more on how and on what it was measured.
        failures: What went wrong.
    """
    parts = [facts]
    for network, title in TITLES.items():
        parts += [f"### {title}", throughput_table(results, network)]
    parts += ["### Targets", verdict_table(verdicts)]
    if results.behaviours:
        parts += ["### Bad neighbours and SIGTERM", behaviour_table(results.behaviours)]
    if failures:
        parts += ["### What failed", "\n".join(f"- {_one_line(failure)}" for failure in failures)]
    return "\n\n".join(parts)


def _row(results: Results, key: Key) -> list[str]:
    rounds = results.rounds
    against_raw = ratio(rounds, key, Key(key.network, "raw", "1 thread"))
    ours = ratio(rounds, Key(key.network, OURS, "json"), key)
    alone = key.server == "raw"
    return [
        _name(results, key),
        _whole(of(rounds, key, "rows_per_second")),
        "–" if alone else _tenths(of(rounds, key, "p50_milliseconds")),
        "–" if alone else _tenths(of(rounds, key, "p99_milliseconds")),
        _hundredths(against_raw),
        "–" if alone else _hundredths(ours),
        "–" if alone else _tenths(of(rounds, key, "start_seconds")),
        "–" if alone else _whole(of(rounds, key, "resident_mib")),
    ]


def _name(results: Results, key: Key) -> str:
    if key.server == OURS:
        return f"**modelserver**, {key.kind}"
    return results.labels[key]


def _median(spread: Spread | None) -> float:
    return 0.0 if spread is None else spread.median


def _whole(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.median:,.0f}"


def _tenths(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.median:.1f}"


def _hundredths(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.median:.2f} ({spread.least:.2f}–{spread.most:.2f})"


def _one_line(failure: str) -> str:
    return failure.splitlines()[0] if failure else failure
