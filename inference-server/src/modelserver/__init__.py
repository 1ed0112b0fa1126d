"""A torch inference server with model variants, work-conserving batching and graceful drain."""

__version__ = "0.1.0"
