"""`modelscaler crd`: the CustomResourceDefinition, printed."""

import argparse

from modelscaler.api.crd import crd_yaml


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Add nothing: the command takes nothing."""


def run(_: argparse.Namespace) -> int:
    """Print it."""
    print(crd_yaml(), end="")
    return 0
