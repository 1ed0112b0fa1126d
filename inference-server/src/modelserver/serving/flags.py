"""The flags of `modelserver serve`, and the file that may state them instead."""

import argparse
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from modelserver.errors import LoadError
from modelserver.serving.settings import ServeSettings

CONFIG = "config"
_REPEATABLE = ("allow-executable", "stage-address")
MODEL_HELP = "builtin://NAME, file:///DIRECTORY, a directory, an .onnx file or python:package.module:Class"
_MEBIBYTE = 1024 * 1024


def positive(text: str) -> int:
    """Read a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return value


def names(text: str) -> tuple[str, ...]:
    """Read names between commas."""
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def natural(text: str) -> int:
    """Read a whole number, 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number, 0 or more")
    return value


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number, 0 or more")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 0 to 1")
    return value


def _digest(text: str) -> str:
    digest = text.lower().removeprefix("sha256:")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):  # SHA-256 in hexadecimal
        raise argparse.ArgumentTypeError(f"{text}: expected a SHA-256 digest, 64 hexadecimal digits")
    return digest


def _stage_address(text: str) -> tuple[str, str]:
    stage, equals, address = text.partition("=")
    if not (stage and equals and address.startswith("http://")):
        raise argparse.ArgumentTypeError(f"{text}: expected STAGE=http://HOST:PORT")
    return stage, address


def add_allow_executable(parser: argparse._ActionsContainer) -> None:
    """Add the flag by which a user vouches for executable artifacts."""
    parser.add_argument(
        "--allow-executable",
        type=_digest,
        action="append",
        default=[],
        metavar="SHA256",
        help="executable artifact that you vouch for; repeatable",
    )


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `modelserver serve`."""
    parser.add_argument(f"--{CONFIG}", type=Path, help="JSON object whose keys are these flags' names; flags win")
    _add_model_flags(parser.add_argument_group("model"))
    _add_batching_flags(parser.add_argument_group("batching and reflex"))
    _add_process_flags(parser.add_argument_group("processes"))
    _add_http_flags(parser.add_argument_group("HTTP"))
    _add_end_flags(parser.add_argument_group("health and end"))


def _add_model_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", required=True, help=MODEL_HELP)
    group.add_argument("--variant", default="full", help="which of the model's variants: the ladder's first")
    group.add_argument("--ladder", type=names, default=(), help="comma-separated variants to hold besides")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add_allow_executable(group)
    group.add_argument("--stage", help="stage of a split model to serve as a model of its own, called MODEL-STAGE")
    group.add_argument("--pipeline", action="store_true", help="run a split model's stages in processes of their own")
    group.add_argument(
        "--stage-address",
        type=_stage_address,
        action="append",
        default=[],
        metavar="STAGE=URL",
        help="where a stage of a split model is served; repeatable",
    )


def _add_batching_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--max-queue-seconds",
        type=_not_negative,
        default=5.0,
        help="what waits may take to compute, as predicted; more is answered 429",
    )
    group.add_argument(
        "--max-queue", type=positive, default=8192, help="rows that may wait, however quick: it bounds the memory"
    )
    group.add_argument("--max-batch", type=positive, help="rows per batch; found at warm-up when not given")
    group.add_argument(
        "--max-delay-milliseconds", type=_not_negative, default=0.0, help="longest wait for a batch to fill"
    )
    group.add_argument("--min-mean-accuracy", type=_share, help="what answers keep on average, 0 to 1")
    group.add_argument(
        "--latency-objective-milliseconds", type=positive, help="that lesser variants are used to keep under load"
    )
    group.add_argument(
        "--ladder-file",
        type=Path,
        help="JSON as PUT /admin/ladder takes it; wins over the flags, and is followed while the server runs",
    )
    group.add_argument("--cache-megabytes", type=natural, default=0, help="of results; 0 for no cache")
    group.add_argument("--cache-seconds", type=_not_negative, default=60.0, help="longest life of a cached result")
    group.add_argument("--hot-items", type=Path, help="JSON lines of v2 requests to cache before ready")


def _add_process_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--workers", type=positive, help="processes that compute; when not given one per core, on an accelerator one"
    )
    group.add_argument("--fronts", type=positive, default=1, help="processes that speak HTTP")
    group.add_argument(
        "--worker-memory-limit-bytes",
        type=positive,
        help="most resident memory of a worker; its share of the container's when not given",
    )


def _add_http_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--host", default="127.0.0.1", help="address to listen on")
    group.add_argument("--port", type=natural, default=8080, help="port to listen on")
    group.add_argument(
        "--body-limit-bytes", type=positive, default=4 * _MEBIBYTE, help="longest body, compressed and decompressed"
    )
    group.add_argument("--admin-host", help="address of the admin port; the server's when not given")
    group.add_argument(
        "--admin-port",
        type=natural,
        help="where the ladder can be changed with the token in $MODELSERVER_ADMIN_TOKEN; nowhere when not given",
    )


def _add_end_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--lame-duck-seconds",
        type=_not_negative,
        default=5.0,
        help="after SIGTERM: not ready, but still serving, this long",
    )
    group.add_argument(
        "--drain-seconds", type=_not_negative, default=20.0, help="then: this long to answer what was accepted"
    )
    group.add_argument(
        "--wedged-after-seconds", type=_not_negative, default=30.0, help="a batch that takes longer loses its worker"
    )


def _read_config(path: Path) -> Mapping[str, object]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LoadError(f"--{CONFIG} {path}: expected a JSON object, {error}") from error
    if not isinstance(content, dict):
        raise LoadError(f"--{CONFIG} {path}: {content!r}, expected a JSON object")
    return content


def _flag_names() -> list[str]:
    parser = argparse.ArgumentParser(add_help=False)
    add_flags(parser)
    named = vars(parser.parse_args(["--model", ""]))
    return sorted(name.replace("_", "-") for name in named if name != CONFIG)


def _as_arguments(name: str, value: object, path: Path) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    if isinstance(value, dict):
        value = [f"{key}={each}" for key, each in value.items()]
    if isinstance(value, list):
        texts = [str(each) for each in value]
        return [f"--{name}={text}" for text in (texts if name in _REPEATABLE else [",".join(texts)])]
    if not isinstance(value, str | int | float):
        raise LoadError(f"--{CONFIG} {path}: {name} {value!r}, expected a string, a number, a list or an object")
    return [f"--{name}={value}"]


def with_config(arguments: Sequence[str]) -> list[str]:
    """Return a command line with what its config file says put before its own flags, which so win.

    Args:
        arguments: After `serve`.

    Raises:
        LoadError: When the file cannot be read or has a key that is no flag.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument(f"--{CONFIG}", type=Path)
    path: Path | None = finder.parse_known_args(arguments)[0].config
    if path is None:
        return list(arguments)
    known = _flag_names()
    stated: list[str] = []
    for name, value in _read_config(path).items():
        if name not in known:
            raise LoadError(f"--{CONFIG} {path}: key {name!r}, expected one of {', '.join(known)}")
        if not _is_given(name, arguments):
            stated += _as_arguments(name, value, path)
    return [*stated, *arguments]


def _is_given(name: str, arguments: Iterable[str]) -> bool:
    return any(argument == f"--{name}" or argument.startswith(f"--{name}=") for argument in arguments)


def settings_of(arguments: argparse.Namespace) -> ServeSettings:
    """Return the settings that flags state."""
    objective = arguments.latency_objective_milliseconds
    return ServeSettings(
        model_uri=arguments.model,
        variant=arguments.variant,
        host=arguments.host,
        port=arguments.port,
        ladder=arguments.ladder,
        min_mean_accuracy=arguments.min_mean_accuracy,
        latency_objective_milliseconds=objective,
        ladder_file=arguments.ladder_file,
        max_delay_seconds=arguments.max_delay_milliseconds / 1e3,
        max_queue_seconds=arguments.max_queue_seconds,
        max_queue=arguments.max_queue,
        max_batch=arguments.max_batch,
        workers=arguments.workers,
        fronts=arguments.fronts,
        device=arguments.device,
        executables=tuple(arguments.allow_executable),
        stage=arguments.stage,
        pipeline=arguments.pipeline,
        stage_addresses=dict(arguments.stage_address),
        worker_memory_limit_bytes=arguments.worker_memory_limit_bytes,
        cache_bytes=arguments.cache_megabytes * _MEBIBYTE,
        cache_seconds=arguments.cache_seconds,
        hot_items=arguments.hot_items,
        lame_duck_seconds=arguments.lame_duck_seconds,
        drain_seconds=arguments.drain_seconds,
        wedged_after_seconds=arguments.wedged_after_seconds,
        body_limit_bytes=arguments.body_limit_bytes,
        admin_host=arguments.admin_host,
        admin_port=arguments.admin_port,
    )
