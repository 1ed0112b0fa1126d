"""`modelserver build | serve | benchmark | score`. Each command imports what it needs, nothing else."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from modelserver import __version__
from modelserver.errors import BuildError, LoadError
from modelserver.serving.flags import (
    MODEL_HELP,
    add_allow_executable,
    add_flags,
    names,
    natural,
    positive,
    settings_of,
    with_config,
)

SERVE = "serve"


def _build(arguments: argparse.Namespace) -> int:
    from modelserver.building import build_model  # noqa: PLC0415 - lazy: see the module's docstring

    build_model(arguments.name, arguments.out, arguments.variants, arguments.seed, arguments.force)
    return 0


def _serve(arguments: argparse.Namespace) -> NoReturn:
    from modelserver.serving.head_start import begin_first_worker  # noqa: PLC0415 - lazy: see the module's docstring
    from modelserver.serving.ladder_file import told_by_file  # noqa: PLC0415 - ditto

    settings = told_by_file(settings_of(arguments))
    begun = begin_first_worker(settings)
    from modelserver.serving.server import serve  # noqa: PLC0415 - the worker loads meanwhile

    serve(settings, begun)


def _benchmark(arguments: argparse.Namespace) -> int:
    from modelserver.benchmark import run_benchmark  # noqa: PLC0415 - lazy: see the module's docstring

    run_benchmark(arguments.model, arguments.variants, arguments.json, frozenset(arguments.allow_executable))
    return 0


def _score(arguments: argparse.Namespace) -> int:
    from modelserver.scoring import Job, run_score  # noqa: PLC0415 - lazy: see the module's docstring

    job = Job(
        uri=arguments.model,
        variant=arguments.variant,
        source=arguments.source,
        target=arguments.target,
        outputs=arguments.outputs,
        batch_rows=arguments.batch,
        workers=arguments.workers,
        device=arguments.device,
        executables=frozenset(arguments.allow_executable),
    )
    return run_score(job)


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("build", help="build a built-in model: generate its data, train, quantize, judge")
    parser.add_argument("name", help="built-in model, e.g. search-ranker, or python:package.module:make_family")
    parser.add_argument("--variants", type=names, default=(), help="comma-separated, or all (default: the model's own)")
    parser.add_argument("--out", type=Path, help="directory of the model (default: ~/.cache/modelscaler/models/NAME)")
    parser.add_argument("--seed", type=int, default=0, help="of data and training (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="build even when an up-to-date build is there")
    parser.set_defaults(run=_build)


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        SERVE,
        help="serve a model's variants over HTTP (Open Inference Protocol v2)",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_flags(parser)
    parser.set_defaults(run=_serve)


def _add_benchmark(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("benchmark", help="measure a and b of batch seconds = a * requests + b, per variant")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    parser.add_argument("--variants", type=names, default=(), help="comma-separated (default: all the model has)")
    parser.add_argument("--json", type=Path, help="write the result here too, as JSON")
    add_allow_executable(parser)
    parser.set_defaults(run=_benchmark)


def _add_score(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "score",
        help="run a whole file through a model, offline",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--input", dest="source", type=Path, required=True, help="rows: a .jsonl or .npz file")
    parser.add_argument("--output", dest="target", type=Path, required=True, help="where the answers go")
    parser.add_argument("--model", required=True, help=MODEL_HELP)
    parser.add_argument("--variant", default="full", help="which of the model's variants")
    parser.add_argument("--outputs", type=names, default=(), help="comma-separated; the usual ones when not given")
    parser.add_argument("--batch", type=positive, default=64, help="rows at a time")
    parser.add_argument("--workers", type=natural, default=0, help="processes that read and decode; 0 to do it here")
    parser.add_argument("--device", default="cpu", help="cpu or a torch device such as cuda:0")
    add_allow_executable(parser)
    parser.set_defaults(run=_score)


def make_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(prog="modelserver", description=__doc__)
    parser.add_argument("--version", action="version", version=f"modelserver {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_build(commands)
    _add_serve(commands)
    _add_benchmark(commands)
    _add_score(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the process's exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given[:1] == [SERVE]:
            given = [SERVE, *with_config(given[1:])]
        arguments = make_parser().parse_args(given)
        code: int = arguments.run(arguments)
    except (BuildError, LoadError) as error:
        print(f"modelserver: {error}", file=sys.stderr)
        return 1
    return code
