"""Which cluster a command is for."""

import argparse
from pathlib import Path

from localcluster.cluster import Cluster
from localcluster.errors import LocalClusterError
from localcluster.paths import default_state_dir


def state_dir(arguments: argparse.Namespace) -> Path:
    """Return the state directory that the command line means."""
    chosen: Path | None = arguments.state_dir
    return (chosen or default_state_dir(arguments.name)).absolute()


def is_foreign(arguments: argparse.Namespace) -> bool:
    """Say whether the command line points at a cluster that is not ours."""
    return bool(arguments.kubeconfig or arguments.context)


def own_cluster(arguments: argparse.Namespace, what: str) -> Cluster:
    """Return the local cluster meant.

    Raises:
        LocalClusterError: if the command line points elsewhere, where ``what`` makes no sense.
    """
    if is_foreign(arguments):
        raise LocalClusterError(f"{what} works on local clusters only; leave out --context and --kubeconfig")
    return Cluster(state_dir(arguments))


def kubectl_flags(arguments: argparse.Namespace) -> list[str]:
    """Return the flags that point kubectl at the cluster meant."""
    if not is_foreign(arguments):
        return ["--kubeconfig", str(Cluster(state_dir(arguments)).kubeconfig)]
    flags = ["--kubeconfig", arguments.kubeconfig] if arguments.kubeconfig else []
    return [*flags, "--context", arguments.context] if arguments.context else flags


def pairs(words: list[str], flag: str) -> dict[str, str]:
    """Read ``KEY=VALUE`` words.

    Raises:
        LocalClusterError: naming the flag and the word.
    """
    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise LocalClusterError(f"{flag} {wrong[0]!r}: expected KEY=VALUE")
    return dict(word.split("=", 1) for word in words)
