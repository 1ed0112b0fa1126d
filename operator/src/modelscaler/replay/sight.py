"""What a policy sees, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Final, Protocol

from modelscaler.domain import PoolKey, RouteTarget, Workload
from modelscaler.replay.incidents import MetricsOutage


@dataclass(frozen=True, slots=True)
class PoolSight:
    """A pool as the API server has it.

    Attributes:
        pool: Which.
        replicas: Asked for.
        ready: That serve.
        starting: That are yet to serve.
        unschedulable: Of those, the ones that no node has room for.
        unready_seconds: For how long some of them have been yet to serve.
        budgets: How full the budgets of accuracy of all of them are, added up; None: they have none.
        overdraft: By how many times their size they may be overdrawn; None: nobody has said so.
    """

    pool: PoolKey
    replicas: int
    ready: int
    starting: int
    unschedulable: int = 0
    unready_seconds: float = 0.0
    budgets: float | None = None
    overdraft: float | None = None


class Meter(Protocol):
    """Metrics over time, as a monitoring system answers for them. Windows end `lag_seconds` before now: a scrape is old."""

    def offered_rps(self, window_seconds: float, /) -> float:
        """Return arrivals per second, averaged over the window."""
        ...

    def concurrency(self, window_seconds: float, /) -> float:
        """Return requests in the system, queued ones too, averaged over the window."""
        ...

    def busy_share(self, window_seconds: float, /) -> float:
        """Return what share of the ready replicas' time was spent computing, in [0, 1], averaged over the window."""
        ...

    def queued(self) -> float:
        """Return requests that wait, as last scraped."""
        ...

    def violating_share(self, window_seconds: float, /) -> float:
        """Return what share of the window's arrivals was late or refused, in [0, 1]."""
        ...


class _Blind:
    """A meter that finds nothing, whatever it is asked."""

    def _nothing(self, _: float = 0.0, /) -> float:
        return nan

    offered_rps = concurrency = busy_share = violating_share = queued = _nothing


BLIND: Final = _Blind()


@dataclass(frozen=True, slots=True)
class Sight:
    """What a policy sees when it is asked.

    Attributes:
        seconds: Time since the replay began.
        pools: Every pool that exists.
        serving: Which pool the Service selects; None: all of them, by their capacity.
        meter: The metrics, for who collects them himself: the metrics server, Knative's scraper, Ray's replicas.
        route: How a gateway shares requests between the serving pool and another; None: it does not.
        starts: How many seconds replicas of pools were seen to take, where a node may come first.
        outage: Of Prometheus, when there is one now.
        held: Whether requests are held until a replica serves.
    """

    seconds: float
    pools: tuple[PoolSight, ...]
    serving: PoolKey | None
    meter: Meter
    route: RouteTarget | None = None
    starts: Mapping[PoolKey, float] = field(default_factory=dict)
    outage: MetricsOutage | None = None
    held: bool = False

    @property
    def prometheus(self) -> Meter:
        """The metrics, for who asks Prometheus: NaN while it finds nothing."""
        return self.meter if self.outage is None else BLIND

    def pool(self, key: PoolKey) -> PoolSight:
        """Return what is seen of a pool; an empty pool when it does not exist."""
        return next((seen for seen in self.pools if seen.pool == key), PoolSight(key, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Targets:
    """What a policy wants.

    Attributes:
        replicas: Of each pool that shall exist; a pool that is left out goes away.
        serving: The pool that gets all requests; None: all pools, by the capacity of their ready replicas.
        route: How requests are shared between the serving pool and another; None: they are not.
        held: Whether requests are held until a replica serves.
    """

    replicas: Mapping[PoolKey, int]
    serving: PoolKey | None = None
    route: RouteTarget | None = None
    held: bool = False


class Policy(Protocol):
    """Decides how many replicas there shall be. One object per run: it may remember what it saw."""

    @property
    def interval_seconds(self) -> float:
        """How often it is asked."""
        ...

    def decide(self, sight: Sight) -> Targets:
        """Return what it wants now."""
        ...


class PolicyKind(Protocol):
    """A policy with its settings, from which a run makes its own object.

    Attributes of an implementation (a frozen dataclass): the settings, with the defaults its makers ship.
    """

    @property
    def name(self) -> str:
        """The policy's name, the same for all settings: for tables and files."""
        ...

    @property
    def settings(self) -> Mapping[str, float | str]:
        """The settings by name, for tables and files."""
        ...

    def start(self, workload: Workload, pool: PoolKey) -> Policy:
        """Return a policy that has seen nothing yet.

        Args:
            workload: What is scaled; limits, objective and capacities are in it.
            pool: The pool to scale, for policies that choose replicas only.
        """
        ...
