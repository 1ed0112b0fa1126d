"""The models that serve: the network that ships with the package, and what was trained on this fleet."""

import logging
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np

from modelscaler.forecast.anchor import judged
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.frames import Frame, frame
from modelscaler.forecast.grove import Grove, load_grove
from modelscaler.forecast.network import Network, WeightsError, load_network
from modelscaler.forecast.own import own_features
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.pipeline import PRETRAINED, TUNED

log = logging.getLogger(__name__)

SHIPPED: Final = "pretrained.safetensors"
GROVE: Final = "own-trees.safetensors"
KEPT: Final = {False: "tuned.safetensors", True: "boosted.safetensors"}  # by whether it is the boosted rival


class Networks:
    """Who of the learned members there is, and what is wrong with those that cannot be used."""

    def __init__(self, shipped: Path | None, state: Path | None) -> None:
        """Read what there is; what cannot be read is left out, and `trouble` says why.

        Args:
            shipped: A file of weights in the place of those that ship with the package. None: those.
            state: The folder where a tuned network is kept; it lasts as long as that does. None: it is not kept.
        """
        self.trouble: str | None = None
        self._state = state
        self._shipped = self._read(shipped) if shipped is not None else self._read_shipped()
        self._tuned = {boosted: self._read_kept(name) for boosted, name in KEPT.items()}
        self.grove = self._read_grove()

    def known(self, boosted: bool) -> dict[str, Network]:
        """Return the learned members that there are; `boosted` for the series that ask for the boosted rival."""
        found = {TUNED: self._tuned[boosted], PRETRAINED: self._shipped}
        return {name: network for name, network in found.items() if network is not None}

    def adopt(self, network: Network, boosted: bool) -> None:
        """Let a model serve that was trained here, and keep it over restarts where there is a place for it."""
        self._tuned[boosted] = network
        self._keep(network, KEPT[boosted])

    def adopt_grove(self, grove: Grove) -> None:
        """Let trees serve that series have of their own, and keep them likewise."""
        self.grove = grove
        self._keep(grove, GROVE)

    def _keep(self, model: Network | Grove, name: str) -> None:
        if self._state is None:
            return
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            model.save(self._state / name)
        except OSError as error:
            log.warning("what was trained serves, but cannot be kept: %s", error)

    def _read_shipped(self) -> Network | None:
        with as_file(files("modelscaler.forecast").joinpath(SHIPPED)) as path:
            return self._read(path)

    def _read_kept(self, name: str) -> Network | None:
        if self._state is None or not (self._state / name).exists():
            return None
        return self._read(self._state / name)

    def _read_grove(self) -> Grove:
        if self._state is None or not (self._state / GROVE).exists():
            return Grove()
        try:
            return load_grove(self._state / GROVE, own_width())
        except WeightsError as error:
            log.warning("trees of single series do not serve until they are fitted anew: %s", error)
            return Grove()

    def _read(self, path: Path) -> Network | None:
        try:
            return load_network(path, features())
        except WeightsError as error:
            self.trouble = str(error)
            log.warning("a learned member does not serve: %s", error)
            return None


def shipped_network() -> Network | None:
    """Return the network that ships with the package; None when it cannot be used."""
    return Networks(None, None).known(boosted=False).get(PRETRAINED)


@cache
def features() -> int:
    """Return how many features a network sees: those of a frame."""
    return int(_sample()[1].features.shape[-1])


@cache
def own_width() -> int:
    """Return how many features the trees of a single series see."""
    panel, seen = _sample()
    return int(own_features(panel, np.array([7]), 1, seen, Calendar.utc(1)).shape[-1])


def _sample() -> tuple[Panel, Frame]:
    panel = Panel.of(np.ones((1, 8)), 60.0, 1)
    record = judged(panel, 1, np.array([6]), None)
    return panel, frame(panel, np.array([7]), 1, record, Calendar.utc(1))
