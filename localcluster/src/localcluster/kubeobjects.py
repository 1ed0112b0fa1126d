"""Kubernetes objects as they come: parsed JSON."""

from typing import Any

JsonObject = dict[str, Any]
