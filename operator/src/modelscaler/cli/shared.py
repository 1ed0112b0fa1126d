"""What several commands need: refusals, types of arguments, logs."""

import argparse
import json
import logging
import sys


def refuse(message: str) -> int:
    """Say in a line why nothing is done, and return the exit status for that."""
    print(f"modelscaler: {message}", file=sys.stderr)
    return 1


def positive(text: str) -> float:
    """Read a number above 0, of an argument."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def not_negative(text: str) -> float:
    """Read a number, 0 or more, of an argument."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, 0 or more")
    return value


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how a cluster is reached."""
    parser.add_argument("--kubeconfig", default=None, help="kubeconfig, when not in a pod")
    parser.add_argument("--context", default=None, help="context in the kubeconfig")


def set_up_logging(level: str, style: str) -> None:
    """Log to stderr from a level on, as text or as a JSON object a line."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler.setFormatter(_JsonFormatter() if style == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"time": self.formatTime(record), "level": record.levelname, "logger": record.name}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps({**fields, "message": record.getMessage()})
