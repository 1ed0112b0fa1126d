"""Weights to networks: torch, ONNX Runtime, packages compiled ahead of time. Each library is imported only when needed."""
