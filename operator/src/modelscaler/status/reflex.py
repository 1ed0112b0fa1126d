"""What the reflex makes of answers: how accurate they are on average."""

from modelscaler.domain import Observation, Workload


def served_accuracy(workload: Workload, seen: Observation) -> float | None:
    """Return the mean accuracy of the answers given lately; None when there were none, or it is not known."""
    accuracies = {variant.name: variant.accuracy for variant in workload.variants}
    answered = (*seen.served, *seen.served_beside)
    rates = [(rate, accuracies[name]) for name, rate in answered if name in accuracies]
    total = sum(rate for rate, _ in rates)
    return sum(rate * accuracy for rate, accuracy in rates) / total if total > 0.0 else None
