"""How far a backtest has come, on a terminal."""

import sys
from typing import Any


class Bar:
    """A tqdm bar that starts anew for each thing that is done."""

    def __init__(self, tqdm: Any) -> None:
        """Prepare; nothing is shown yet."""
        self._tqdm = tqdm
        self._bar: Any = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` parts are done."""
        if self._bar is None:
            self._bar = self._tqdm(total=total, leave=False, file=sys.stderr)
        self._bar.total = total
        self._bar.set_description_str(what, refresh=False)
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        """Take it off the terminal."""
        if self._bar is not None:
            self._bar.close()


class Lines:
    """One line for each part, where there is no tqdm (which comes with the extra modelscaler[backtest]) or no terminal."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Print that `done` of `total` parts are done."""
        print(f"{what}: {done} of {total}", file=sys.stderr)

    def close(self) -> None:
        """Nothing is left on the terminal."""


def progress_bar() -> Bar | Lines:
    """Return a bar on a terminal that can have one, else lines."""
    if not sys.stderr.isatty():
        return Lines()
    try:
        from tqdm import tqdm  # noqa: PLC0415 - an extra that the operator's image does without
    except ModuleNotFoundError:
        return Lines()
    return Bar(tqdm)
