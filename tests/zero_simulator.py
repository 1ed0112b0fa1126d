"""The simulated cluster of `pool_simulator.py` with an activator that the Service may select."""

from dataclasses import dataclass, replace

from builders import reading
from modelscaler.domain import Absent, Allowance, Observation, Reading, RouteObservation, RouteTarget, Step
from pool_simulator import Cluster


@dataclass
class ZeroCluster(Cluster):
    """Somebody may wait at the activator; `routed` clusters have a route that a gateway has taken up."""

    activator_ready: bool = True
    activator_wanted: bool = False
    held: bool = False
    waiting: float = 0.0
    allowances: tuple[Allowance, ...] = ()
    route: RouteTarget | None = None

    def observe(self, offered: Reading | float | None) -> Observation:
        """Return what the operator sees, the activator too."""
        seen = super().observe(offered)
        return replace(
            seen,
            queued=Absent() if isinstance(seen.offered, Absent) else reading(self.waiting),
            selected=None if self.held else self.selected,
            activator_ready=self.activator_ready,
            held=self.held,
            allowances=self.allowances,
            route=RouteObservation(True, self.route.side, self.route.side_share) if self.route else None,
        )

    def select(self, step: Step) -> None:
        """Do what a step says of the Service, the route and the activator."""
        super().select(step)
        self.held, self.activator_wanted, self.route = step.held, step.activator, step.route or self.route
        self.activator_ready = self.activator_ready and step.activator

    @property
    def takes_requests(self) -> bool:
        """Whether somebody who comes now is answered or held: what the Service selects is ready."""
        return self.activator_ready if self.held else self.ready(self.selected) > 0
