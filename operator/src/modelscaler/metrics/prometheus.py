"""The fleet's metrics from a Prometheus, or anything that speaks its query API. Blocking: run it in a thread."""

import logging
import math
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http.client import BadStatusLine
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import requests
from prometheus_api_client.prometheus_connect import PrometheusConnect
from urllib3.util import Retry

from modelscaler.domain import SourceError, WorkloadKey
from modelscaler.metrics import queries
from modelscaler.metrics.bounded import BadAnswer, BoundedSession, Refusal
from modelscaler.metrics.judge import Newest
from modelscaler.metrics.parse import ByLabels, Samples, Unreadable, by_labels, histograms, samples, shown
from modelscaler.metrics.past import Past
from modelscaler.metrics.source import FleetMetrics, HistoryRead

log = logging.getLogger(__name__)

# Ask Thanos and VictoriaMetrics for all or nothing: a partial answer is a demand that looks smaller than it is.
WHOLE_ANSWERS_ONLY: Final = {"partial_response": "false", "deny_partial_response": "1"}
HISTORY: Final = f"history of {queries.OFFERED}"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class PrometheusSettings:
    """How Prometheus is reached and read.

    Attributes:
        url: http:// or https://, with a path where there is a prefix; a user and password in it are sent as basic auth.
        rate_window_seconds: Rates are means over this long; three scrape intervals ride out a lost scrape.
        stale_after_seconds: A newest sample older than this does not speak of now.
        ca_file: Certificates to trust; None: the system's. Verification cannot be turned off.
        token_file: A bearer token, read anew for each query since mounted tokens rotate; None: none.
        connect_seconds: Longest wait for a connection.
        read_seconds: Longest wait for the next part of an answer, and for all of it.
        most_bytes: Largest answer that is read.
    """

    url: str
    rate_window_seconds: float
    stale_after_seconds: float
    ca_file: Path | None = None
    token_file: Path | None = None
    connect_seconds: float = 3.0
    read_seconds: float = 10.0
    most_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        parts = _split(self.url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError(
                f"Prometheus URL: got {_without_secrets(self.url)!r}, expected http(s)://HOST[:PORT][/PATH]"
            )
        for name in ("rate_window_seconds", "stale_after_seconds", "connect_seconds", "read_seconds", "most_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected more than 0")

    @property
    def shown(self) -> str:
        """Where Prometheus is, without user, password, path or query: safe to log."""
        parts = _split(self.url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or DEFAULT_PORTS[parts.scheme]}"


class PrometheusSource:
    """Asks Prometheus a constant number of queries for the whole fleet."""

    def __init__(
        self,
        settings: PrometheusSettings,
        on_query: Callable[[], object] = lambda: None,
        on_failure: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            settings: How Prometheus is reached and read.
            on_query: Called once per query sent, to count them.
            on_failure: Called once per query that was not answered.
        """
        self._settings = settings
        self._on_query = on_query
        self._on_failure = on_failure
        self._client = _client(settings)
        # By query that failed last: in which way, and how that is told.
        self._failures: dict[str, tuple[str, SourceError]] = {}

    def read(self, now: datetime) -> FleetMetrics:
        """Return what Prometheus knows now.

        A query that fails makes errors of its readings only, but when Prometheus cannot be reached the others are not tried:
        each would wait as long again.
        """
        answers: dict[str, object] = {}
        unreachable: SourceError | None = None
        asked = queries.current(self._settings.rate_window_seconds, self._settings.stale_after_seconds)
        for name, promql in asked.items():
            if unreachable is None:
                answers[name], unreachable = self._now(name, promql)
            else:
                answers[name] = unreachable
        newest = Newest(_numbers(answers, queries.FRESHNESS), now, self._settings.stale_after_seconds)
        latency = answers[queries.LATENCY]
        return FleetMetrics(
            offered_rps=newest.readings(_numbers(answers, queries.OFFERED)),
            queued_requests=newest.readings(_numbers(answers, queries.QUEUED)),
            waited_requests=newest.readings(_numbers(answers, queries.WAITED)),
            latencies=newest.latencies(
                latency if isinstance(latency, SourceError) else histograms(latency, queries.LATENCY)
            ),
            reporting_replicas=newest.readings(_numbers(answers, queries.REPORTING)),
            activators=newest.readings(_numbers(answers, queries.ACTIVATORS)),
            served_rows=newest.labelled(_labelled(answers, queries.SERVED, queries.POOL_LABEL, queries.VARIANT_LABEL)),
            budget_shares=newest.labelled(_labelled(answers, queries.BUDGETS, queries.POOL_LABEL, least=-math.inf)),
        )

    def history(
        self, start: datetime, end: datetime, step_seconds: float, keys: Collection[WorkloadKey]
    ) -> HistoryRead:
        """Return the offered load of the past, asked for in chunks that bound memory; one failed chunk fails it all.

        It is of `keys`, and maybe of others.
        """
        past = Past(start, end, step_seconds)
        promql = queries.past(step_seconds, self._settings.rate_window_seconds, keys)
        for first, last in past.chunks():
            span = {"start": f"{first.timestamp():.3f}", "end": f"{last.timestamp():.3f}", **WHOLE_ANSWERS_ONLY}
            try:
                past.add(
                    self._ask(partial(self._client.custom_query_range, promql, start, end, str(step_seconds), span))
                )
            except (BadAnswer, Unreadable, requests.RequestException) as error:
                return HistoryRead(error=self._told(HISTORY, error))
        self._failures.pop(HISTORY, None)
        return past.read()

    def _now(self, name: str, promql: str) -> tuple[object, SourceError | None]:
        """Return the answer (or its error), and the error once more when Prometheus cannot be reached at all."""
        try:
            answer = self._ask(partial(self._client.custom_query, promql, dict(WHOLE_ANSWERS_ONLY)))
            self._failures.pop(name, None)
            return answer, None
        except (BadAnswer, Unreadable) as error:
            return self._told(name, error), None
        except requests.RequestException as error:
            told = self._told(name, error)
            return told, told

    def _ask(self, query: Callable[[], object]) -> object:
        self._client.headers = _headers(self._settings.token_file)
        self._on_query()
        try:
            return query()
        except requests.JSONDecodeError as error:
            raise Unreadable(f"got {shown(error.doc)}, expected Prometheus's JSON") from None
        except requests.RequestException:
            raise
        except OSError as error:  # requests looks for the certificates only now
            raise BadAnswer(f"not asked: {error}") from None
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits, thousands of brackets
            raise Unreadable(f"{error}, expected Prometheus's JSON") from None
        except (KeyError, TypeError):
            raise Unreadable("got JSON without data.result, expected Prometheus's answer to a query") from None

    def _told(self, name: str, error: Exception) -> SourceError:
        """Say what went wrong in words that stay the same while it stays wrong, and that hold no secret.

        What an answer holds may be another at each try (times, numbers of requests); that must not change every status.
        """
        self._on_failure()
        message = f"Prometheus at {self._settings.shown}, query for {name}: {self._reason(error)}"
        log.warning("%s", message)
        told = SourceError(message)
        match error:
            case Refusal():
                way = f"HTTP {error.status}"
            case Unreadable():
                way = "unreadable"
            case _:
                way = message
        if self._failures.get(name, ("", told))[0] != way:
            self._failures[name] = way, told
        return self._failures[name][1]

    def _reason(self, error: Exception) -> str:
        match error:
            case requests.exceptions.SSLError():
                return "TLS failed; is its certificate trusted, and does it speak TLS on that port?"
            case requests.ConnectTimeout():
                return (
                    f"no connection within {self._settings.connect_seconds:g} s; check the address and network policies"
                )
            case requests.Timeout():
                return f"no answer within {self._settings.read_seconds:g} s"
            case requests.ConnectionError():
                return _connection_trouble(error)
            case requests.RequestException():
                return type(error).__name__
            case _:
                return str(error)


def _numbers(answers: dict[str, object], name: str) -> Samples | SourceError:
    answer = answers[name]
    return answer if isinstance(answer, SourceError) else samples(answer, name)


def _labelled(answers: dict[str, object], name: str, *labels: str, least: float = 0.0) -> ByLabels | SourceError:
    answer = answers[name]
    return answer if isinstance(answer, SourceError) else by_labels(answer, name, *labels, least=least)


def _client(settings: PrometheusSettings) -> Any:
    parts = _split(settings.url)
    session = BoundedSession(settings.most_bytes, settings.read_seconds)
    session.verify = str(settings.ca_file) if settings.ca_file else True
    connect: Any = PrometheusConnect  # its annotations know neither (connect, read) timeouts nor None
    return connect(
        url=urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", "")),
        auth=(unquote(parts.username), unquote(parts.password or "")) if parts.username else None,
        session=session,
        timeout=(settings.connect_seconds, settings.read_seconds),
        retry=Retry(total=0, read=False),  # the next tick is the retry; read=False lets a timeout be told as one
    )


def _headers(token_file: Path | None) -> dict[str, str] | None:
    if token_file is None:
        return None
    try:
        return {"Authorization": f"Bearer {token_file.read_text().strip()}"}
    except (OSError, ValueError) as error:
        raise BadAnswer(
            f"not asked, since the token file {token_file} cannot be read: {type(error).__name__}"
        ) from None


def _connection_trouble(error: Exception) -> str:
    """Find the cause in a chain of wrapped exceptions, whose own texts name objects by address."""
    cause: BaseException | None = error
    while cause is not None:
        for found in (cause, getattr(cause, "reason", None), *cause.args):
            match found:
                case socket.gaierror():
                    return "its host name cannot be resolved"
                case ConnectionRefusedError():
                    return "connection refused; does it run and listen there?"
                case ConnectionResetError() | BrokenPipeError():
                    return "it closed the connection"
                case BadStatusLine():
                    return "it does not speak HTTP"
        cause = cause.__cause__ or cause.__context__
    return "no connection, or it broke"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is none
    except ValueError as error:
        raise ValueError(f"Prometheus URL: got {_without_secrets(url)!r}: {error}") from None
    return parts


def _without_secrets(url: str) -> str:
    """Cut what may hold a password: everything between the scheme and the last @."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('//')[0]}//***@{tail}" if at else url
