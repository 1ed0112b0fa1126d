"""`modelserver build | serve | benchmark`. Each command imports what it needs, nothing else."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from modelserver import __version__
from modelserver.errors import BuildError, LoadError


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected seconds, 0 or more")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _build(arguments: argparse.Namespace) -> int:
    from modelserver.building import build_model  # noqa: PLC0415 - lazy: see the module's docstring
    from modelserver.search_ranker.recipe import Recipe  # noqa: PLC0415 - ditto

    build_model(arguments.name, arguments.out, Recipe(seed=arguments.seed), arguments.force)
    return 0


def _serve(arguments: argparse.Namespace) -> NoReturn:
    from modelserver.serving.server import serve  # noqa: PLC0415 - ditto
    from modelserver.serving.settings import ServeSettings  # noqa: PLC0415 - lazy: see the module's docstring

    serve(
        ServeSettings(
            model_uri=arguments.model,
            variant=arguments.variant,
            host=arguments.host,
            port=arguments.port,
            max_queue=arguments.max_queue,
            max_batch=arguments.max_batch,
            lame_duck_seconds=arguments.lame_duck_seconds,
            drain_seconds=arguments.drain_seconds,
            wedged_after_seconds=arguments.wedged_after_seconds,
        )
    )


def _benchmark(arguments: argparse.Namespace) -> int:
    from modelserver.benchmark import run_benchmark  # noqa: PLC0415 - lazy: see the module's docstring

    run_benchmark(arguments.model, arguments.variants, arguments.json)
    return 0


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("build", help="build a built-in model: generate its data, train, quantize, judge")
    parser.add_argument("name", help="built-in model, e.g. search-ranker")
    parser.add_argument("--out", type=Path, help="directory of the model (default: ~/.cache/modelscaler/models/NAME)")
    parser.add_argument("--seed", type=int, default=0, help="of data and training (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="build even when an up-to-date build is there")
    parser.set_defaults(run=_build)


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "serve",
        help="serve one variant of a model over HTTP (Open Inference Protocol v2)",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model", required=True, help="builtin://NAME, file:///DIRECTORY or a directory")
    parser.add_argument("--variant", default="full", help="which of the model's variants")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on")
    parser.add_argument("--max-queue", type=_positive, default=128, help="rows that may wait; more are answered 429")
    parser.add_argument("--max-batch", type=_positive, help="rows per batch; found at warm-up when not given")
    parser.add_argument(
        "--lame-duck-seconds", type=_seconds, default=5.0, help="after SIGTERM: not ready, but still serving, this long"
    )
    parser.add_argument(
        "--drain-seconds", type=_seconds, default=20.0, help="then: this long to answer what was accepted"
    )
    parser.add_argument(
        "--wedged-after-seconds",
        type=_seconds,
        default=30.0,
        help="a batch that takes longer makes the server not live",
    )
    parser.set_defaults(run=_serve)


def _add_benchmark(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("benchmark", help="measure a and b of batch seconds = a * requests + b, per variant")
    parser.add_argument("--model", required=True, help="builtin://NAME, file:///DIRECTORY or a directory")
    parser.add_argument("--variants", type=_names, default=(), help="comma-separated (default: all the model has)")
    parser.add_argument("--json", type=Path, help="write the result here too, as JSON")
    parser.set_defaults(run=_benchmark)


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(prog="modelserver", description=__doc__)
    parser.add_argument("--version", action="version", version=f"modelserver {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_build(commands)
    _add_serve(commands)
    _add_benchmark(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the process's exit code."""
    arguments = make_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except (BuildError, LoadError) as error:
        print(f"modelserver: {error}", file=sys.stderr)
        return 1
    return code
