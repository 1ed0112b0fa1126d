"""Where things lie: the demo runs from a checkout, with the chart and the example it ships."""

import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from modelscaler_demo.errors import DemoError

EXAMPLE = Path("examples/01-search-ranker/modeldeployment.yaml")
CHART = Path("charts/modelscaler")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout of the repository and the environment that runs this."""

    root: Path
    bin: Path

    @property
    def example(self) -> Path:
        """The example the demo applies."""
        return self.root / EXAMPLE

    @property
    def chart(self) -> Path:
        """The Helm chart."""
        return self.root / CHART

    def program(self, name: str) -> Path:
        """Return a program of the environment, else of PATH.

        Raises:
            DemoError: It is in neither.
        """
        path = self.bin / name
        found = str(path) if path.is_file() else shutil.which(name)
        if found is None:
            raise DemoError(f"{name} is neither in {self.bin} nor on PATH; run `make setup`, which brings it")
        return Path(found)


def find_checkout() -> Checkout:
    """Return the checkout this code is part of.

    Raises:
        DemoError: It is not part of one, or this is not Linux.
    """
    if platform.system() != "Linux":
        raise DemoError("the local cluster needs Linux; elsewhere use kind or minikube, see README.md")
    root = Path(__file__).resolve().parents[3]
    for part in (EXAMPLE, CHART / "Chart.yaml"):
        if not (root / part).is_file():
            raise DemoError(f"{root / part} is missing; run the demo from a checkout: git clone, then `make demo`")
    return Checkout(root, Path(sys.executable).parent)
