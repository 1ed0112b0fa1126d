"""Which policies take part in a comparison, and with which settings: ours with its forecasts, and the rivals."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from modelscaler.backtest.champion import Tuner
from modelscaler.forecast.network import Network
from modelscaler.replay.comparison import Grids, PartName, Setting
from modelscaler.replay.foresight import Foresight, foresee, history_of, learned
from modelscaler.replay.load import Load
from modelscaler.replay.policies.grids import GRIDS, static_sizes
from modelscaler.replay.policies.grids_more import GRIDS_MORE
from modelscaler.replay.policies.oracle import Oracle, fewest_replicas
from modelscaler.replay.policies.ours import LEAD_SECONDS, Modelscaler
from modelscaler.replay.sight import PolicyKind
from modelscaler.replay.tuning import grid_for

Settings = TypeVar("Settings")

OURS: Final = "modelscaler"
STATIC: Final = "static"
ORACLE: Final = "oracle"
NAMES: Final = (OURS, *GRIDS, *GRIDS_MORE, STATIC, ORACLE)
LOOKBACK_DAYS: Final = 14.0
PARTS: Final[tuple[PartName, ...]] = ("tuning", "test")

Foresights: TypeAlias = Mapping[PartName, Foresight]
"""Forecasts by part. They hang on the load and on how long a start takes, not on which variants there are."""


class UnknownPolicyError(ValueError):
    """A policy was asked for that there is none of."""


def chosen_names(asked: str) -> tuple[str, ...]:
    """Return policies by their names, with commas between; `all`: every one.

    Raises:
        UnknownPolicyError: There is none of a name.
    """
    if asked == "all":
        return NAMES
    names = tuple(dict.fromkeys(name.strip() for name in asked.split(",")))
    for name in names:
        if name not in NAMES:
            raise UnknownPolicyError(f"policies: got {name!r}, expected all, or some of {', '.join(NAMES)}")
    return names


def grids_for(setting: Setting, names: Sequence[str], foresights: Foresights, most_settings: int) -> Grids:
    """Return the settings to try of each policy, on both parts.

    Args:
        setting: What is compared.
        names: The policies.
        foresights: What ours forecasts; may be empty where ours is not among them.
        most_settings: Of a longer grid only so many are tried, evenly spread over it.
    """
    return {part: _of_part(setting, part, names, foresights, most_settings) for part in PARTS}


def _of_part(
    setting: Setting,
    part: PartName,
    names: Sequence[str],
    foresights: Foresights,
    most_settings: int,
) -> dict[str, tuple[PolicyKind, ...]]:
    load = setting.case(part, 0).load
    found: dict[str, tuple[PolicyKind, ...]] = {}
    for name in names:
        if name == OURS:
            found[name] = tuple(
                Modelscaler(foresights[part], load.start, settings, setting.cluster.lag_seconds)
                for settings in thinned(grid_for(setting.workload), most_settings)
            )
        elif name == STATIC:
            found[name] = static_sizes(fewest_replicas(setting.case("tuning", 0).load, setting.workload, setting.pool))
        elif name == ORACLE:
            found[name] = (_oracle(setting, load),)
        else:
            found[name] = tuple(thinned({**GRIDS, **GRIDS_MORE}[name], most_settings))
    return found


def _oracle(setting: Setting, load: Load) -> Oracle:
    node_seconds = setting.cluster.node_start_seconds(setting.pool.placement)
    return Oracle(load, setting.cluster.start_spread, node_seconds)


def thinned(grid: Sequence[Settings], most: int) -> list[Settings]:
    """Return at most so many of a grid, evenly spread over it, the first among them."""
    every = -(-len(grid) // most)
    return list(grid[::every])


def foresights_of(setting: Setting, names: Sequence[str], shipped: Network | None, tuner: Tuner | None) -> Foresights:
    """Return the forecasts of both parts, none where ours is not among the policies; see `foresight_of`."""
    return {part: foresight_of(setting, part, shipped, tuner) for part in PARTS if OURS in names}


def foresight_of(setting: Setting, part: PartName, shipped: Network | None, tuner: Tuner | None) -> Foresight:
    """Return the forecasts of a part.

    Args:
        setting: What is compared.
        part: Which part.
        shipped: The network that ships with the package.
        tuner: Who retunes it, and grows trees, on what came before the part; None: it stays as it ships.
    """
    load = setting.case(part, 0).load
    history = history_of(setting.trace, load, LOOKBACK_DAYS, setting.arrivals.seed + 1_000)
    longest = max(placement.start_seconds for placement in setting.workload.placements)
    horizon_seconds = longest + LEAD_SECONDS + history.step_seconds
    known = () if tuner is None else learned(history, tuner, horizon_seconds)
    return foresee(history, horizon_seconds, shipped, known)
