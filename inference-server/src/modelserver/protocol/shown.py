"""A client's values, as error messages repeat them: short, whatever the client sent."""

import reprlib
from itertools import islice
from typing import Any

_MAX_SHOWN = 60
"""Characters of a value."""


class _Short(reprlib.Repr):
    """Looks at the beginning of a value only; the standard one would sort all keys of an object first."""

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        return super().repr_dict(dict(islice(x.items(), self.maxdict + 1)), level)


_SHORT = _Short()
_SHORT.maxstring = _MAX_SHOWN


def shown(value: object) -> str:
    """Return a value's text, shortened, without line breaks or anything that UTF-8 cannot carry."""
    if isinstance(value, bytes | memoryview):
        value = bytes(value[: _MAX_SHOWN + 1])
    text = _SHORT.repr(value)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
