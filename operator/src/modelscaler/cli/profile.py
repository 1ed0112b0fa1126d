"""`modelscaler profile`: a server's speed, measured and stored."""

from modelscaler.profiling.command import add_arguments
from modelscaler.profiling.command import profile as run

__all__ = ["add_arguments", "run"]
