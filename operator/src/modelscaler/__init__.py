"""Modelscaler: forecasts load and chooses replicas, placement and model variant together."""

__version__ = "0.1.0"
