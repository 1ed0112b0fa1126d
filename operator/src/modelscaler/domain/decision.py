"""What is decided."""

from dataclasses import dataclass, field
from enum import Enum

from modelscaler.api.words import Binding, DecisionReason
from modelscaler.domain.keys import PoolKey
from modelscaler.domain.memory import PolicyState


@dataclass(frozen=True, slots=True)
class Choice:
    """One candidate: so many replicas of a pool, what they cost and carry, and what latency they promise.

    `latency_seconds` is inf when the choice cannot carry the demand. `shortfall_rps` is the demand it cannot carry.
    """

    pool: PoolKey
    replicas: int
    hourly_cost: float
    accuracy: float
    latency_seconds: float
    shortfall_rps: float = 0.0

    @property
    def feasible(self) -> bool:
        """Whether the whole demand is carried within the objective."""
        return self.shortfall_rps <= 0.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What the plan is for: `planned_rps`. `measured_rps` None: unknown; `forecast_rps` None: no forecast.

    `base_rps` is the part that the planned variant must carry itself; cheaper variants of the ladder may answer what is
    above it. None: there is no ladder, and the planned variant carries everything. `lasting_base_rps` is what that would
    be with savings for any burst, None where it is the same. `rising_rps` is what the measured load rises to, None where it
    does not rise. `forecast_leads`: it is the forecast that asks for as much, and not what is measured.
    """

    measured_rps: float | None
    forecast_rps: float | None
    planned_rps: float
    horizon_seconds: float
    base_rps: float | None = None
    lasting_base_rps: float | None = None
    rising_rps: float | None = None
    forecast_leads: bool = False

    @property
    def own_rps(self) -> float:
        """What the planned variant must carry itself."""
        return self.planned_rps if self.base_rps is None else self.base_rps

    @property
    def lasting_rps(self) -> float:
        """What the planned variant must carry itself however much is saved: cheaper answers to it would be for good."""
        return self.own_rps if self.lasting_base_rps is None else self.lasting_base_rps


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision as a value: the target, one word and one sentence why, what bound it and what came second.

    `side` is what is to run beside the target and share its requests; None: the target alone.
    """

    target: Choice
    reason: DecisionReason
    message: str
    binding: Binding
    demand: Demand
    runner_up: Choice | None = None
    why_not_runner_up: str = ""
    side: Choice | None = None

    @property
    def idle(self) -> bool:
        """Whether no replica is to run: nobody asks, nor is expected to."""
        return self.reason is DecisionReason.IDLE

    @property
    def hourly_cost(self) -> float:
        """Price of all replicas."""
        return self.target.hourly_cost + (self.side.hourly_cost if self.side else 0.0)


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """How many replicas a pool shall have now; a pool that shall go away has `delete` set once it is drained.

    `overdraft` is by how many times its size its replicas may overdraw their budgets of accuracy, from 0 on.
    """

    pool: PoolKey
    replicas: int
    delete: bool = False
    overdraft: float = 0.0


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """How a route shall share requests: weights of the serving pool and of the one beside it, None when there is none."""

    base_weight: int
    side: PoolKey | None = None
    side_weight: int = 0

    @property
    def side_share(self) -> float:
        """Share of the requests that the pool beside gets, in [0, 1]."""
        total = self.base_weight + self.side_weight
        return self.side_weight / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """The next safe step towards a plan.

    Replicas per pool, the pool the Service selects (None: leave the Service as it is), the state to remember, what happened
    on the way, as (reason, sentence) pairs for events, and how the route shares requests (None: leave it as it is).
    `held`: the Service selects the activator instead, which holds requests until the pool serves; `activator`: there is one.
    """

    pools: tuple[PoolTarget, ...]
    serving: PoolKey | None
    state: PolicyState
    notes: tuple[tuple[DecisionReason, str], ...] = field(default=())
    route: RouteTarget | None = None
    held: bool = False
    activator: bool = False


class SloVerdict(Enum):
    """Whether the latency objective is met now."""

    MET = "met"
    MISSED = "missed"
    NO_TRAFFIC = "no traffic"
    UNKNOWN = "unknown"
