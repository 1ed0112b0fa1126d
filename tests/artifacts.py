"""Artefacts as small as they can be."""

from pathlib import Path
from typing import Any

from modelserver.artifact import MODEL_FILE, ModelMetadata, VariantMetadata, digest, write_metadata


def make_variant(directory: Path, variant: str = "int8", **changes: Any) -> VariantMetadata:
    """Write a variant whose weights are a few bytes; return its metadata."""
    folder = directory / variant
    folder.mkdir(parents=True)
    weights = folder / "model.onnx"
    weights.write_bytes(b"not an onnx graph")
    fields: dict[str, Any] = {
        "variant": variant,
        "runtime": "onnxruntime",
        "weights": "model.onnx",
        "sha256": digest(weights),
        "size_bytes": 17,
        "inputs": ("tokens", "kinds"),
        "accuracy_metric": "ndcg@10",
        "accuracy": 0.9,
        **changes,
    }
    metadata = VariantMetadata(**fields)
    write_metadata(directory / MODEL_FILE, ModelMetadata("search-ranker", "0", serves="search-ranker"))
    write_metadata(folder / "variant.json", metadata)
    return metadata
