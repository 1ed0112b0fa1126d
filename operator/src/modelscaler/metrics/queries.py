"""The queries: a constant number for the whole fleet, however many ModelDeployments there are.

Each groups by the labels that the server puts on its series (`MODELSERVER_METRIC_LABELS`), so nothing depends on how the user's
Prometheus relabels. None names a time: Prometheus answers for its own now, so that its clock and ours need not agree.

Demand is what was offered, less what was sent again after a refusal: a request that is refused and retried is wanted once.
Retries are left out only as far as replicas turned requests away, lately: one that follows a try that no replica saw is the
first that is counted. Where nobody says which requests were sent before, all count.

What `rate` cannot see: requests that a replica answered before it was first scraped. The server exports its counters, at zero,
from before it is ready, so only a scrape interval longer than its start loses any; and during the first rate window of
a ModelDeployment's very first replica the rate is averaged over the whole window, so it reads low.
"""

from typing import Final

NAMESPACE_LABEL: Final = "modeldeployment_namespace"
NAME_LABEL: Final = "modeldeployment"
BOUND_LABEL: Final = "le"
VARIANT_LABEL: Final = "variant"
POOL_LABEL: Final = "pool"

OFFERED: Final = "offered load"
QUEUED: Final = "queued requests"
LATENCY: Final = "request latency"
FRESHNESS: Final = "newest samples"
REPORTING: Final = "reporting replicas"
SERVED: Final = "rows served"

RETRIED_WITHIN_SECONDS: Final = 30.0
"""For so long after a refusal its retries are expected: clients rarely wait longer for an answer."""

_OURS: Final = f'{{{NAME_LABEL}!=""}}'
_GROUP: Final = f"{NAMESPACE_LABEL}, {NAME_LABEL}"
_COUNTER: Final = f"modelserver_requests_offered_total{_OURS}"
_RETRIED: Final = f"modelserver_requests_retried_total{_OURS}"
_TURNED_AWAY: Final = f"modelserver_requests_turned_away_total{_OURS}"

# A series that ended is looked for this many times `stale_after_seconds` back, in steps of this share of it: long enough to
# tell it from one that never was, at a cost that does not depend on the setting.
_REMEMBERED_TIMES: Final = 10
_STEP_SHARE: Final = 0.25


def current(rate_window_seconds: float, stale_after_seconds: float) -> dict[str, str]:
    """Return the queries for now, by name.

    All percentiles of latency come from one query of bucket rates. A series that ended is gone from instant queries as soon as
    a scrape fails, so the newest sample is looked for in the recent past too: that tells stale from absent.
    """
    window = _duration(rate_window_seconds)
    past, step = _duration(stale_after_seconds * _REMEMBERED_TIMES), _duration(stale_after_seconds * _STEP_SHARE)
    stamps = f"timestamp({_COUNTER})"
    return {
        FRESHNESS: f"max by ({_GROUP}) ({stamps}) or max by ({_GROUP}) (max_over_time({stamps}[{past}:{step}]))",
        OFFERED: _offered(rate_window_seconds),
        QUEUED: f"sum by ({_GROUP}) (modelserver_queue_depth{_OURS})",
        LATENCY: (
            f"sum by ({_GROUP}, {BOUND_LABEL}) (rate(modelserver_request_duration_seconds_bucket{_OURS}[{window}]))"
        ),
        REPORTING: f"count by ({_GROUP}) ({_COUNTER})",
        SERVED: f"sum by ({_GROUP}, {POOL_LABEL}, {VARIANT_LABEL}) (rate(modelserver_rows_total{_OURS}[{window}]))",
    }


def past(step_seconds: float, rate_window_seconds: float) -> str:
    """Return the query for offered load over time; no request falls between two steps."""
    return _offered(max(step_seconds, rate_window_seconds))


def _offered(window_seconds: float) -> str:
    """Return offered - retried x min(turned away / retried, 1); offered alone where nothing was retried or nobody says so.

    The share is taken over a longer time than the rates: a retry comes after its refusal, when that may be over.
    """
    window, lately = _duration(window_seconds), _duration(window_seconds + RETRIED_WITHIN_SECONDS)
    offered, retried = _rate(_COUNTER, window), _rate(_RETRIED, window)
    share = f"clamp_max({_rate(_TURNED_AWAY, lately)} / ({_rate(_RETRIED, lately)} > 0), 1)"
    return f"clamp_min({offered} - {retried} * {share}, 0) or {offered}"


def _rate(counter: str, window: str) -> str:
    return f"sum by ({_GROUP}) (rate({counter}[{window}]))"


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
