"""What the reflex makes of answers: how accurate they are on average, and how many are less accurate than planned."""

from modelscaler.domain import Observation, PoolKey, Workload


def served_accuracy(workload: Workload, seen: Observation) -> float | None:
    """Return the mean accuracy of the answers given lately; None when there were none, or it is not known."""
    accuracies = {variant.name: variant.accuracy for variant in workload.variants}
    rates = [(rate, accuracies[name]) for name, rate in seen.served if name in accuracies]
    total = sum(rate for rate, _ in rates)
    return sum(rate * accuracy for rate, accuracy in rates) / total if total > 0.0 else None


def degraded_share(workload: Workload, seen: Observation, serving: PoolKey | None) -> float | None:
    """Return the share of the answers given lately that are less accurate than the serving pool's variant promises.

    None when there were none, it is not known who answers, or nothing serves. For a moment after a switch to a more accurate
    pool the answers of the one before count.
    """
    accuracies = {variant.name: variant.accuracy for variant in workload.variants}
    rates = [(rate, accuracies[name]) for name, rate in seen.served if name in accuracies]
    total = sum(rate for rate, _ in rates)
    if serving is None or serving.variant not in accuracies or total <= 0.0:
        return None
    return sum(rate for rate, accuracy in rates if accuracy < accuracies[serving.variant]) / total
