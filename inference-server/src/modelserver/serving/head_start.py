"""The first worker, on its way before the server is: it loads the model while the server imports what it consists of.

Nothing here imports numpy or asyncio: what these take, the worker would wait.
"""

from modelserver.cgroups import cpu_limit_cores, memory_limit_bytes, whole_cores
from modelserver.engine.spawning import Begun, Orders, begin
from modelserver.serving.place import Place, share_of
from modelserver.serving.settings import ServeSettings
from modelserver.worker.device import is_accelerator
from modelserver.worker.orders import Open, Start


def own_share(settings: ServeSettings, place: Place) -> ServeSettings:
    """Return a front's share of what this machine, or container, has.

    An accelerator gets one worker: others would each hold the model and a context of its own there, and compute by turns.
    """
    default_workers = 1 if is_accelerator(settings.device) else whole_cores(cpu_limit_cores())
    return share_of(settings, place, default_workers, memory_limit_bytes())


def begin_first_worker(settings: ServeSettings) -> Begun | None:
    """Start the first worker of a server; None when its fronts, or a split model's stages, start their own.

    Args:
        settings: Of the server.

    Raises:
        OSError: When no process can be started.
    """
    if settings.fronts > 1 or settings.pipeline or settings.stage_addresses:
        return None
    share = own_share(settings, Place())
    opening = Open(share.model_uri, share.device, sorted(share.executables), share.stage)
    lenient = share.ladder_file is not None
    return begin(Orders(opening, Start(list(share.variants), share.worker_memory_limit_bytes, lenient=lenient)))
