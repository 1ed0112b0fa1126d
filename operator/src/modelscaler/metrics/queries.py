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

from collections.abc import Collection
from typing import Final

from modelscaler.api import ACTIVATOR
from modelscaler.domain import WorkloadKey

NAMESPACE_LABEL: Final = "modeldeployment_namespace"
NAME_LABEL: Final = "modeldeployment"
BOUND_LABEL: Final = "le"
VARIANT_LABEL: Final = "variant"
POOL_LABEL: Final = "pool"

OFFERED: Final = "offered load"
QUEUED: Final = "queued requests"
WAITED: Final = "requests that waited throughout"
LATENCY: Final = "request latency"
FRESHNESS: Final = "newest samples"
REPORTING: Final = "reporting replicas"
ACTIVATORS: Final = "activators"
SERVED: Final = "rows served"
BUDGETS: Final = "budgets of accuracy"

RETRIED_WITHIN_SECONDS: Final = 30.0
"""For so long after a refusal its retries are expected: clients rarely wait longer for an answer."""

MOST_NAMED: Final = 8
"""So many ModelDeployments are asked for by name: a query goes into an address, where proxies take some thousand characters."""

_OURS: Final = f'{{{NAME_LABEL}!=""}}'
_ACTIVATORS: Final = f'{{{NAME_LABEL}!="", {POOL_LABEL}="{ACTIVATOR}"}}'
_REPLICAS: Final = f'{{{NAME_LABEL}!="", {POOL_LABEL}!="{ACTIVATOR}"}}'
_GROUP: Final = f"{NAMESPACE_LABEL}, {NAME_LABEL}"
_COUNTER: Final = "modelserver_requests_offered_total"
_RETRIED: Final = "modelserver_requests_retried_total"
_TURNED_AWAY: Final = "modelserver_requests_turned_away_total"

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
    stamps = f"timestamp({_COUNTER}{_OURS})"
    return {
        FRESHNESS: f"max by ({_GROUP}) ({stamps}) or max by ({_GROUP}) (max_over_time({stamps}[{past}:{step}]))",
        OFFERED: _offered(rate_window_seconds, _OURS),
        QUEUED: f"sum by ({_GROUP}) (modelserver_queue_depth{_OURS})",
        WAITED: f"min by ({_GROUP}) (min_over_time(modelserver_queue_depth{_REPLICAS}[{window}]))",
        LATENCY: (
            f"sum by ({_GROUP}, {BOUND_LABEL}) (rate(modelserver_request_duration_seconds_bucket{_OURS}[{window}]))"
        ),
        REPORTING: f"count by ({_GROUP}) (rate({_COUNTER}{_REPLICAS}[{window}]))",
        ACTIVATORS: f"count by ({_GROUP}) (modelserver_queue_depth{_ACTIVATORS})",
        SERVED: f"sum by ({_GROUP}, {POOL_LABEL}, {VARIANT_LABEL}) (rate(modelserver_rows_total{_OURS}[{window}]))",
        BUDGETS: f"sum by ({_GROUP}, {POOL_LABEL}) (modelserver_reflex_budget{_OURS})",
    }


def past(step_seconds: float, rate_window_seconds: float, keys: Collection[WorkloadKey]) -> str:
    """Return the query for offered load over time; no request falls between two steps.

    It is of these ModelDeployments, and maybe of others: of all where they are none, or more than `MOST_NAMED`.
    """
    return _offered(max(step_seconds, rate_window_seconds), _named(keys) if 0 < len(keys) <= MOST_NAMED else _OURS)


def _named(keys: Collection[WorkloadKey]) -> str:
    """Match names as they are: letters, digits, hyphens and dots, of which a dot matches more, which does no harm."""
    namespaces, names = (
        "|".join(sorted(set(each))) for each in zip(*((k.namespace, k.name) for k in keys), strict=True)
    )
    return f'{{{NAMESPACE_LABEL}=~"{namespaces}", {NAME_LABEL}=~"{names}"}}'


def _offered(window_seconds: float, whose: str) -> str:
    """Return offered - retried x min(turned away / retried, 1); offered alone where nothing was retried or nobody says so.

    The share is taken over a longer time than the rates: a retry comes after its refusal, when that may be over.
    """
    window, lately = _duration(window_seconds), _duration(window_seconds + RETRIED_WITHIN_SECONDS)
    offered, retried = _rate(_COUNTER + whose, window), _rate(_RETRIED + whose, window)
    share = f"clamp_max({_rate(_TURNED_AWAY + whose, lately)} / ({_rate(_RETRIED + whose, lately)} > 0), 1)"
    return f"clamp_min({offered} - {retried} * {share}, 0) or {offered}"


def _rate(series: str, window: str) -> str:
    return f"sum by ({_GROUP}) (rate({series}[{window}]))"


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
