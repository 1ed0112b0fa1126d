"""Settings of the reactive and the predictive rivals that are tried: from cheap to safe, around what their makers ship.

What everyone turns is the target: how much of what a replica carries within the objective is asked of it, a little more than
all of it included, for requests that come in turn let replicas carry more than at random (docs/designs/005-replay.md). An
autoscaler with a tolerance goes a tenth beyond its target anyway. Beside it, the window that matters most for each. The first
of each tuple is what the makers ship, or show where they ship none. Few enough that the best of them is not luck, and no more
than for our own policy (tuning.py).
"""

from typing import Final

import numpy as np

from modelscaler.backtest.trace import Ints
from modelscaler.replay.policies.hpa import Hpa
from modelscaler.replay.policies.keda import Keda
from modelscaler.replay.policies.knative import Knative
from modelscaler.replay.policies.predictive_hpa import PredictiveHpa
from modelscaler.replay.policies.ray_serve import RayServe
from modelscaler.replay.policies.static import Static
from modelscaler.replay.sight import PolicyKind

SHARES: Final = (0.8, 1.0, 0.9, 0.7, 0.62, 0.55, 0.45, 0.32)
BUSY_SHARES: Final = (0.8, 0.9, 0.68, 0.57, 0.48, 0.4, 0.33, 0.25)
"""Above 0.9 a full replica is within the tolerance, and nothing is ever added."""

DAY_STEPS: Final = 5760
"""A day in steps of 15 s."""

HPA: Final = tuple(Hpa(target=share, window_seconds=seconds) for seconds in (60.0, 15.0) for share in SHARES)
HPA_BUSY: Final = tuple(
    Hpa(metric="busy", target=share, window_seconds=15.0, stabilization_seconds=down, name="hpa-busy")
    for down in (300.0, 60.0)
    for share in BUSY_SHARES
)
KEDA: Final = tuple(Keda(threshold=share, window_seconds=seconds) for seconds in (120.0, 30.0) for share in SHARES)
KNATIVE: Final = (
    *(Knative(utilization=share) for share in (0.7, 0.85, 0.55, 0.45, 0.35)),
    *(Knative(metric="rps", utilization=share) for share in (0.7, 1.05, 0.85, 0.6, 0.5, 0.38)),
    *(Knative(metric="rps", utilization=share, down_delay_seconds=300.0) for share in (1.05, 0.85, 0.7, 0.55, 0.4)),
)
RAY_SERVE: Final = (
    *(RayServe(target=share) for share in (0.8, 0.65, 0.55, 0.45, 0.35)),
    *(RayServe(target=share, up_delay_seconds=0.0) for share in (0.8, 0.65, 0.55, 0.45, 0.35)),
    *(RayServe(target=share, up_delay_seconds=0.0, look_back_seconds=10.0) for share in (0.8, 0.65, 0.55, 0.45, 0.35)),
)
PREDICTIVE_HPA: Final = (
    *(PredictiveHpa(target=share) for share in (0.8, 0.6)),
    *(PredictiveHpa(target=share, look_ahead_seconds=60.0, history=12) for share in (1.0, 0.8, 0.6, 0.45)),
    *(PredictiveHpa(target=share, look_ahead_seconds=300.0, history=40) for share in (1.0, 0.8, 0.6, 0.45)),
    PredictiveHpa("holt-winters"),
    *(
        PredictiveHpa("holt-winters", share, season=DAY_STEPS, smoothing=(0.3, 0.0, 0.3))
        for share in (1.0, 0.8, 0.6, 0.45)
    ),
)

GRIDS: Final[dict[str, tuple[PolicyKind, ...]]] = {
    "hpa": HPA,
    "hpa-busy": HPA_BUSY,
    "keda": KEDA,
    "knative": KNATIVE,
    "ray-serve": RAY_SERVE,
    "predictive-hpa": PREDICTIVE_HPA,
}
"""By the rival's name."""


def static_sizes(fewest: Ints) -> tuple[Static, ...]:
    """Return fixed sizes to try: the peak of the fewest replicas that carry the load, then shares of it and a margin above.

    Args:
        fewest: Replicas needed at each tick.
    """
    peak = int(fewest.max(initial=1))
    sizes = [peak, *(int(np.ceil(peak * share)) for share in (1.2, 1.1, 0.9, 0.8, 0.7, 0.6, 0.5))]
    return tuple(Static(max(size, 1)) for size in dict.fromkeys(sizes))
