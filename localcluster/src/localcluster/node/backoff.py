"""Exponential back-off as kubelet does it for restarts and image pulls. Pure: times are given, not read."""

LONGEST_MULTIPLE = 30
"""Kubelet: 10 s doubling up to 5 minutes."""
RESET_MULTIPLE = 60
"""Kubelet forgets the failures of a container that has run for 10 minutes."""


def failures_after(failures: int, ran_seconds: float, base_seconds: float) -> int:
    """Return how many failures in a row count after one more.

    Args:
        failures: before this one.
        ran_seconds: how long the attempt had lived; long enough makes it a first failure again.
        base_seconds: the first delay.
    """
    return 1 if ran_seconds >= base_seconds * RESET_MULTIPLE else failures + 1


def pull_delay_seconds(failures: int, base_seconds: float) -> float:
    """Return the wait before an image is looked for again: base, doubling, up to thirty times it."""
    return min(base_seconds * 2.0 ** min(failures - 1, 10), base_seconds * LONGEST_MULTIPLE)


def restart_delay_seconds(failures: int, base_seconds: float) -> float:
    """Return the wait before a container is restarted: the first time none, then as for images."""
    return 0.0 if failures <= 1 else pull_delay_seconds(failures - 1, base_seconds)


def spoken(seconds: float) -> str:
    """Return a duration as Go prints it in kubelet's messages: ``10s``, ``2m40s``, ``500ms``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
