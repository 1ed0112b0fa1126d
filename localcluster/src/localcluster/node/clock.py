"""Times as the Kubernetes API writes them."""

import datetime


def now() -> datetime.datetime:
    """Return the present, UTC-aware."""
    return datetime.datetime.now(datetime.UTC)


def timestamp(moment: datetime.datetime) -> str:
    """Return ``metav1.Time``: whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp(moment: datetime.datetime) -> str:
    """Return ``metav1.MicroTime``, as Leases want it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
