"""The networks that serve: the one that ships with the package, and the one that was tuned on this fleet."""

import logging
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import numpy as np

from modelscaler.forecast.anchor import judged
from modelscaler.forecast.calendar import Calendar
from modelscaler.forecast.frames import frame
from modelscaler.forecast.network import Network, WeightsError, load_network
from modelscaler.forecast.panel import Panel
from modelscaler.forecast.pipeline import PRETRAINED, TUNED

log = logging.getLogger(__name__)

SHIPPED: Final = "pretrained.safetensors"
KEPT: Final = "tuned.safetensors"


class Networks:
    """Who of the learned members there is, and what is wrong with those that cannot be used."""

    def __init__(self, shipped: Path | None, state: Path | None) -> None:
        """Read what there is; what cannot be read is left out, and `trouble` says why.

        Args:
            shipped: A file of weights in the place of those that ship with the package. None: those.
            state: The folder where a tuned network is kept over restarts. None: it is not kept.
        """
        self.known: dict[str, Network] = {}
        self.trouble: str | None = None
        self._kept = state / KEPT if state is not None else None
        if shipped is not None:
            self._read(PRETRAINED, shipped)
        else:
            with as_file(files("modelscaler.forecast").joinpath(SHIPPED)) as path:
                self._read(PRETRAINED, path)
        if self._kept is not None and self._kept.exists():
            self._read(TUNED, self._kept)

    def adopt(self, network: Network) -> None:
        """Let a tuned network serve, and keep it over restarts where there is a place for it."""
        self.known[TUNED] = network
        if self._kept is None:
            return
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            network.save(self._kept)
        except OSError as error:
            log.warning("the tuned network serves, but cannot be kept: %s", error)

    def _read(self, name: str, path: Path) -> None:
        try:
            self.known[name] = load_network(path, features())
        except WeightsError as error:
            self.trouble = str(error)
            log.warning("the %s network does not serve: %s", name, error)


@cache
def features() -> int:
    """Return how many features a network sees: those of a frame."""
    panel = Panel.of(np.ones((1, 8)), 60.0, 1)
    record = judged(panel, 1, np.array([6]), None)
    return frame(panel, np.array([7]), 1, record, Calendar.utc(1)).features.shape[-1]
