"""Nodes: how long a new one takes, which are there, and when an empty one goes. Imports nothing heavy. Pure."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final

from modelscaler.replay.incidents import IncidentError, number

UNNEEDED_SECONDS: Final = 600.0
"""`--scale-down-unneeded-time` of the Kubernetes cluster autoscaler, 10 minutes by default (cluster-autoscaler/FAQ.md)."""

MOST_START_SECONDS: Final = 3600.0
MOST_REPLICAS_PER_NODE: Final = 1000


@dataclass(frozen=True, slots=True)
class NodePool:
    """The nodes of a placement, which come when they are needed.

    Attributes:
        placement: Whose.
        start_seconds: From asked for until pods can start on it.
        replicas_per_node: How many replicas one holds, of whichever variant.
        idle_seconds: A node that has been empty for so long goes.
    """

    placement: str
    start_seconds: float
    replicas_per_node: int
    idle_seconds: float = UNNEEDED_SECONDS

    def nodes_for(self, replicas: int) -> int:
        """Return how many nodes hold so many replicas."""
        return -(-replicas // self.replicas_per_node)

    def __str__(self) -> str:
        return (
            f"nodes of {self.placement}: {self.start_seconds:g} s to start, replicas on each: {self.replicas_per_node}"
        )


@dataclass(slots=True)
class Nodes:
    """A placement's nodes over time. Replicas are taken to sit as closely as they can: no node is half empty but one.

    Attributes:
        pool: What does not change.
        there_at: When pods can start on each node, ascending.
        empty_since: For each empty node since when it has been, ascending.
    """

    pool: NodePool
    there_at: list[float] = field(default_factory=list)
    empty_since: list[float] = field(default_factory=list)

    def room(self, placed: int, seconds: float) -> int:
        """Return how many more replicas the nodes hold that are there.

        Args:
            placed: Replicas that have a node.
            seconds: The time.
        """
        return self._there(seconds) * self.pool.replicas_per_node - placed

    def adapt(self, replicas: int, seconds: float, obtainable: bool) -> None:
        """Ask for the nodes that are missing, and let those go that have been empty for too long.

        Args:
            replicas: All that are asked for, those that wait for a node too.
            seconds: The time; no earlier than at the last call.
            obtainable: Whether a node can be had.
        """
        needed = self.pool.nodes_for(replicas)
        if obtainable:
            self.there_at += [seconds + self.pool.start_seconds] * (needed - len(self.there_at))
        empty = max(self._there(seconds) - needed, 0)
        self.empty_since = self.empty_since[:empty] + [seconds] * (empty - len(self.empty_since))
        gone = bisect_right(self.empty_since, seconds - self.pool.idle_seconds)
        del self.empty_since[:gone], self.there_at[:gone]

    def _there(self, seconds: float) -> int:
        return bisect_right(self.there_at, seconds)


def node_pool(text: str) -> NodePool:
    """Read PLACEMENT:SECONDS:REPLICAS_PER_NODE, such as `gpu:180:4`.

    Raises:
        IncidentError: It is something else.
    """
    parts = text.split(":")
    seconds, replicas = (number(part) for part in parts[1:]) if len(parts) == 3 else (0.0, 0.0)
    whole = replicas.is_integer() and 1 <= replicas <= MOST_REPLICAS_PER_NODE
    if not parts[0] or not 0.0 < seconds <= MOST_START_SECONDS or not whole:
        raise IncidentError(
            f"got {text!r}, expected PLACEMENT:SECONDS:REPLICAS_PER_NODE with more than 0 and up to {MOST_START_SECONDS:g} "
            f"seconds, and a whole number of replicas from 1 to {MOST_REPLICAS_PER_NODE}, such as gpu:180:4"
        )
    return NodePool(parts[0], seconds, int(replicas))
