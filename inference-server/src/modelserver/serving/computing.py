"""From settings to an engine with its workers."""

from collections.abc import Callable
from decimal import Decimal

from modelserver.compute.executor import Executor
from modelserver.engine.answers import Observer
from modelserver.engine.engine import Engine, EngineSettings
from modelserver.engine.ladder import Ladder
from modelserver.engine.process_executor import ProcessExecutor
from modelserver.engine.scheduler import SchedulerSettings
from modelserver.engine.spawning import Begun
from modelserver.errors import LoadError
from modelserver.serving.settings import ServeSettings


def make_executors(
    settings: ServeSettings,
    variants: tuple[str, ...],
    on_stage_lost: Callable[[str], None],
    begun: Begun | None = None,
) -> list[Executor]:
    """Return the workers of a front.

    Args:
        settings: Of the front: its share.
        variants: To hold.
        on_stage_lost: Told why a single stage of a split model is started again.
        begun: The first worker, when it is on its way.

    Raises:
        LoadError: When the settings contradict each other.
    """
    if settings.pipeline or settings.stage_addresses:
        return [_pipeline(settings, variants, on_stage_lost)]
    return [
        ProcessExecutor(
            settings.model_uri,
            variants,
            device=settings.device,
            wedged_after_seconds=settings.wedged_after_seconds,
            memory_limit_bytes=settings.worker_memory_limit_bytes,
            executables=settings.executables,
            stage=settings.stage,
            begun=begun if index == 0 else None,
            lenient=settings.ladder_file is not None,
        )
        for index in range(settings.workers or 1)
    ]


def _pipeline(settings: ServeSettings, variants: tuple[str, ...], on_stage_lost: Callable[[str], None]) -> Executor:
    from modelserver.engine.pipeline_executor import PipelineExecutor  # noqa: PLC0415 - few models are split

    if settings.stage is not None:
        raise LoadError(f"--stage {settings.stage}: expected no --pipeline or --stage-address beside it")
    return PipelineExecutor(
        settings.model_uri,
        variants,
        addresses=settings.stage_addresses,
        device=settings.device,
        wedged_after_seconds=settings.wedged_after_seconds,
        memory_limit_bytes=settings.worker_memory_limit_bytes,
        executables=settings.executables,
        on_stage_lost=on_stage_lost,
    )


def first_ladder(settings: ServeSettings) -> Ladder:
    """Return the ladder that the settings state."""
    floor = settings.min_mean_accuracy
    return Ladder(
        settings.variants,
        None if floor is None else Decimal(str(floor)),
        settings.latency_objective_milliseconds,
        settings.accuracies,
        settings.overdraft,
    )


def make_engine(settings: ServeSettings, ladder: Ladder, observer: Observer, begun: Begun | None = None) -> Engine:
    """Return the engine of a front, not started.

    Args:
        settings: Of the front: its share.
        ladder: To begin with.
        observer: Told what happens.
        begun: The first worker, when it is on its way.

    Raises:
        LoadError: When the settings contradict each other.
    """
    return Engine(
        make_executors(settings, ladder.variants, observer.on_stage_lost, begun),
        EngineSettings(
            ladder=ladder,
            scheduling=SchedulerSettings(
                max_queue_seconds=settings.max_queue_seconds,
                max_queue_rows=settings.max_queue,
                max_batch_rows=settings.max_batch,
                max_delay_seconds=settings.max_delay_seconds,
            ),
            cache_bytes=settings.cache_bytes,
            cache_ttl_seconds=settings.cache_seconds,
        ),
        observer,
    )
