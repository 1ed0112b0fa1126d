"""A torch inference server with model variants, work-conserving batching and graceful drain.

`Engine` and `open_engine` serve a model inside another program, `Model` is what a model of one's own subclasses. They are
imported when they are first used: importing this package stays cheap.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelserver.engine.answers import Answered
    from modelserver.engine.engine import Engine, EngineSettings
    from modelserver.engine.in_process import open_engine
    from modelserver.engine.ladder import Ladder
    from modelserver.model import Model

__version__ = "0.1.0"
__all__ = ["Answered", "Engine", "EngineSettings", "Ladder", "Model", "__version__", "open_engine"]

_HOMES = {
    "Answered": "modelserver.engine.answers",
    "Engine": "modelserver.engine.engine",
    "EngineSettings": "modelserver.engine.engine",
    "Ladder": "modelserver.engine.ladder",
    "Model": "modelserver.model",
    "open_engine": "modelserver.engine.in_process",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
