"""From a panel to what every member says: the same steps for the service, for backtests and for replays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from modelscaler.forecast.anchor import Judgements, excess_shares
from modelscaler.forecast.base import QUANTILES, TARGETS
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.frames import Frame, frame
from modelscaler.forecast.members import RULE_MEMBERS, rule_quantiles
from modelscaler.forecast.network import Network
from modelscaler.forecast.own import NONE, Own, own_quantiles
from modelscaler.forecast.panel import Flags, Floats32, Ints, Panel

TUNED: Final = "tuned"
PRETRAINED: Final = "pretrained"
OWN: Final = "own trees"
NETWORKS: Final = (TUNED, PRETRAINED)
LEARNED: Final = (*NETWORKS, OWN)
MEMBERS: Final = (*LEARNED, *RULE_MEMBERS)

# Horizons in steps that are forecast directly. They do not depend on what is asked for, so what was learned at one stays valid.
RUNGS: Final = (1, 3, 10, 30, 60, 120, 180)

LEAST_KNOWN_SECONDS: Final = 6 * 3600.0
LEAST_KNOWN_STEPS: Final = 60


@dataclass(frozen=True, slots=True)
class Said:
    """What members say at origins for one horizon.

    `quantiles` has shape (members, 2, B, G, quantiles), rps, NaN for who cannot tell; `scale` (2, B, G) is the anchor's typical
    error, rps, which losses and corrections are measured in.
    """

    quantiles: Floats32
    scale: Floats32


def said(
    panel: Panel,
    origins: Ints,
    ahead: int,
    record: Judgements,
    calendar: Calendar,
    networks: Mapping[str, Network],
    own: Own = NONE,
) -> Said:
    """Ask every member.

    Args:
        panel: The series.
        origins: Columns that are forecast from, shape (G,).
        ahead: The horizon in steps.
        record: What was judged of the rules at this horizon.
        calendar: The series' clocks and holidays.
        networks: Those of `NETWORKS` that there are.
        own: Which series have trees of their own for this horizon.
    """
    seen = frame(panel, origins, ahead, record, calendar)
    able = _enough(panel, origins)
    by_network = [_network(networks.get(name), seen, able) for name in NETWORKS]
    shares, weight = excess_shares(record, origins)
    rules = rule_quantiles(seen.guesses, seen.anchor, shares, weight)
    by_trees = own_quantiles(panel, origins, ahead, seen, calendar, own, able)
    quantiles = np.concatenate([np.stack([*by_network, by_trees]), rules])
    if ahead == 1:  # value and peak are the same then: two answers to one question
        quantiles[:] = quantiles.mean(axis=1, keepdims=True)
    return Said(quantiles, seen.anchor.scale)


def able(quantiles: Floats32) -> Flags:
    """Return who can tell, from quantiles (members, 2, B, quantiles): shape (B, members)."""
    return np.asarray(np.isfinite(quantiles).all(axis=(1, 3)).T)


def rungs_to(steps: int) -> tuple[int, ...]:
    """Return the rungs up to the first that covers a horizon."""
    covering = next((rung for rung in RUNGS if rung >= steps), RUNGS[-1])
    return tuple(rung for rung in RUNGS if rung <= covering)


def _network(network: Network | None, seen: Frame, able: Flags) -> Floats32:
    series, origins, width = seen.features.shape
    found = np.full((TARGETS, series, origins, len(QUANTILES)), np.nan, dtype=np.float32)
    if network is None or not able.any():
        return found
    rows = seen.features.reshape(-1, width)[able.reshape(-1)]
    relative = np.full((series * origins, TARGETS, len(QUANTILES)), np.nan, dtype=np.float32)
    relative[able.reshape(-1)] = network.quantiles(rows)
    return seen.anchor.absolute(np.moveaxis(relative.reshape(series, origins, TARGETS, -1), 2, 0))


def _enough(panel: Panel, origins: Ints) -> Flags:
    known = panel.known(origins)
    enough = (known >= LEAST_KNOWN_STEPS) & (known * panel.step_seconds >= LEAST_KNOWN_SECONDS)
    return np.asarray(enough & np.isfinite(panel.value(origins, 0)))
