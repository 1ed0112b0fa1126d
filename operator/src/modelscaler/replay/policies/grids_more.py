"""Settings of more rivals, tried as those of grids.py are.

The first of each tuple is what the makers ship. What their users turn: the latency asked of an engine (Dynamo), the two
thresholds of utilisation (llm-d), the pad on the forecast and the weight of the size (InfAdapter), the percentile and how fast
it forgets (Autopilot).
"""

from typing import Final

from modelscaler.replay.policies.autopilot import Autopilot
from modelscaler.replay.policies.dynamo import Dynamo
from modelscaler.replay.policies.infadapter import InfAdapter
from modelscaler.replay.policies.wva import Wva
from modelscaler.replay.sight import PolicyKind

DYNAMO: Final = (
    Dynamo(),
    *(Dynamo(objective_share=share) for share in (0.7, 0.5, 0.35)),
    *(Dynamo(adjustment_seconds=60.0, objective_share=share) for share in (1.0, 0.7, 0.5, 0.35)),
    *(Dynamo("constant", adjustment_seconds=60.0, objective_share=share) for share in (1.0, 0.7, 0.5, 0.35)),
    *(
        Dynamo("constant", adjustment_seconds=60.0, objective_share=share, load_scaling=True)
        for share in (1.0, 0.7, 0.5, 0.35)
    ),
)
WVA: Final = tuple(
    Wva(up, down, interval_seconds=seconds)
    for seconds in (30.0, 15.0)
    for up, down in ((0.85, 0.7), (0.95, 0.85), (0.75, 0.6), (0.65, 0.5), (0.55, 0.4), (0.45, 0.3), (0.35, 0.25))
)
INFADAPTER: Final = (
    *(InfAdapter(pad=pad) for pad in (0.1, 0.0, 0.25, 0.5, 1.0)),
    *(InfAdapter(pad=pad, minutes=10) for pad in (0.0, 0.1, 0.25, 0.5)),
    *(InfAdapter(alpha=alpha, pad=pad) for alpha in (0.2, 1.0) for pad in (0.1, 0.25, 0.5)),
)
AUTOPILOT: Final = tuple(
    Autopilot(percentile, margin, hours)
    for hours in (24.0, 4.0, 0.5)
    for percentile, margin in ((0.9, 0.15), (0.95, 0.15), (0.98, 0.3), (1.0, 0.15), (1.0, 0.5))
)

GRIDS_MORE: Final[dict[str, tuple[PolicyKind, ...]]] = {
    "dynamo": DYNAMO,
    "wva": WVA,
    "infadapter": INFADAPTER,
    "autopilot": AUTOPILOT,
}
"""By the rival's name."""
