"""The targets, and whether a run met them. Pure."""

from collections.abc import Sequence

from modelscaler_benchmarks.server.contenders import OURS
from modelscaler_benchmarks.server.int8 import MAX_BATCH_DIFFERENCE
from modelscaler_benchmarks.server.measuring import MIN_COSINE
from modelscaler_benchmarks.server.results import Key, Results, Spread, ratio, tail_ratio
from modelscaler_benchmarks.verdicts import Verdict


def key(network: str, server: str, kind: str = "json") -> Key:
    """Return a key."""
    return Key(network, server, kind)


RATIO_TARGETS: tuple[tuple[str, Key, Key, float], ...] = (
    ("MLP, JSON ÷ LitServe", key("mlp", OURS), key("mlp", "litserve"), 4.0),
    ("MLP, JSON ÷ MLServer", key("mlp", OURS), key("mlp", "mlserver"), 2.5),
    ("encoder, JSON ÷ LitServe", key("encoder", OURS), key("encoder", "litserve"), 2.0),
    ("encoder, JSON ÷ MLServer", key("encoder", OURS), key("encoder", "mlserver"), 1.5),
    ("encoder, JSON ÷ torch alone, 1 thread", key("encoder", OURS), key("encoder", "raw", "1 thread"), 0.55),
    (
        "encoder, 2 workers ÷ torch alone, 2 threads",
        key("encoder", OURS, "2 workers"),
        key("encoder", "raw", "2 threads"),
        0.70,
    ),
    ("MLP, JSON ÷ torch alone, 1 thread", key("mlp", OURS), key("mlp", "raw", "1 thread"), 0.12),
    ("MLP, binary ÷ torch alone, 1 thread", key("mlp", OURS, "binary"), key("mlp", "raw", "1 thread"), 0.20),
)

MAX_TAIL_RATIO = 2.0
TAIL_KEYS = (
    key("mlp", OURS),
    key("mlp", OURS, "binary"),
    key("mlp", OURS, "2 workers"),
    key("encoder", OURS),
    key("encoder", OURS, "binary"),
    key("encoder", OURS, "2 workers"),
    key("encoder", OURS, "int8"),
)

MIN_INT8_RATIO = 1.7


def verdicts(results: Results) -> list[Verdict]:
    """Return every target with its verdict."""
    return [
        *(_at_least(name, ratio(results.rounds, one, other), bound) for name, one, other, bound in RATIO_TARGETS),
        *(_tail(each, tail_ratio(results.rounds, each)) for each in TAIL_KEYS),
        _at_least(
            "encoder, static int8 ÷ fp32",
            ratio(results.rounds, key("encoder", OURS, "int8"), key("encoder", OURS)),
            MIN_INT8_RATIO,
        ),
        _parity(results),
        _neighbours(results),
        _termination(results),
    ]


def lines(found: Sequence[Verdict]) -> str:
    """Return the verdicts as lines of text."""
    return "\n".join(
        f"{verdict.word().strip('*'):12}  {verdict.target}: {verdict.measured or '-'}" for verdict in found
    )


def _words(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.least:.2f}–{spread.most:.2f})"


def _at_least(name: str, spread: Spread | None, bound: float) -> Verdict:
    target = f"{name} ≥ {bound:g}"
    return Verdict(target, "", None) if spread is None else Verdict(target, _words(spread), spread.median >= bound)


def _tail(about: Key, spread: Spread | None) -> Verdict:
    target = f"{about.network}, {about.kind}: p99 ÷ p50 ≤ {MAX_TAIL_RATIO:g}"
    return (
        Verdict(target, "", None)
        if spread is None
        else Verdict(target, _words(spread), spread.median <= MAX_TAIL_RATIO)
    )


def _parity(results: Results) -> Verdict:
    target = f"encoder, static int8: cosine ≥ {MIN_COSINE:g}, batch-invariant within {MAX_BATCH_DIFFERENCE:g}"
    parity = results.parity
    if parity is None:
        return Verdict(target, "", None)
    met = parity.least_cosine >= MIN_COSINE and parity.batch_difference <= MAX_BATCH_DIFFERENCE
    return Verdict(target, f"{parity.least_cosine:.5f}, {parity.batch_difference:.1e}", met)


def _neighbours(results: Results) -> Verdict:
    target = "good requests failed by a bad neighbour = 0"
    behaviour = results.behaviours.get(OURS)
    if behaviour is None:
        return Verdict(target, "", None)
    found = behaviour.neighbours
    return Verdict(target, f"{found.failed} of {found.good}", found.failed == 0)


def _termination(results: Results) -> Verdict:
    target = "requests lost across SIGTERM = 0, new connections 0.1–0.25 s after it included"
    behaviour = results.behaviours.get(OURS)
    if behaviour is None:
        return Verdict(target, "", None)
    found = behaviour.termination
    return Verdict(target, f"{found.lost} of {found.kept + found.new}", found.lost == 0)
