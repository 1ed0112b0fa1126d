"""Models on disk: where they are found and what their metadata says. Data only: nothing in an artifact is ever executed.

A model is a directory:

    model.json             name, content version
    shop.json, ...         what all variants share; the model's own business
    <variant>/variant.json runtime, architecture, weights file with its digest, accuracy
    <variant>/model.*      the weights: safetensors or ONNX
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from modelserver.errors import LoadError

FORMAT = 1
"""Version of this layout; a reader refuses others."""
MODEL_FILE = "model.json"
VARIANT_FILE = "variant.json"
BUILTIN_SCHEME = "builtin://"
STORE_VARIABLE = "MODELSERVER_MODELS"


@dataclass(frozen=True)
class VariantMetadata:
    """What a variant says of itself.

    Attributes:
        variant: Its name, `full` or `int8`.
        runtime: What executes it: `torch` or `onnxruntime`.
        architecture: Allow-listed name of the code that the weights belong to.
        weights: File name of the weights, beside the metadata.
        sha256: Digest of the weights.
        size_bytes: Size of the weights.
        accuracy_metric: What accuracy is, e.g. `ndcg@10`.
        accuracy: On held-out data.
        settings: What the architecture needs to be set up, e.g. its sizes.
        milliseconds_per_request: CPU milliseconds per request by batch size, on the machine that built it.
    """

    variant: str
    runtime: str
    architecture: str
    weights: str
    sha256: str
    size_bytes: int
    accuracy_metric: str
    accuracy: float
    settings: dict[str, int] = field(default_factory=dict)
    milliseconds_per_request: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelMetadata:
    """What a model says of itself: its name and the digest of what it was built from."""

    name: str
    content_version: str


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def default_store() -> Path:
    """Return where `modelserver build` puts models when not told."""
    return Path("~/.cache/modelscaler/models").expanduser()


def stores() -> tuple[Path, ...]:
    """Return where `builtin://` models are looked up: $MODELSERVER_MODELS alone when set, else the image's, else ours."""
    named = os.environ.get(STORE_VARIABLE)
    return (Path(named),) if named else (Path("/models"), default_store())


def locate(uri: str) -> Path:
    """Return the directory of a model.

    Args:
        uri: `builtin://NAME`, `file:///DIRECTORY` or a directory.

    Raises:
        LoadError: When there is no model there.
    """
    name = uri.removeprefix(BUILTIN_SCHEME)
    if uri.startswith(BUILTIN_SCHEME):
        if not name or name != Path(name).name or name.startswith("."):
            raise LoadError(f"model URI {uri!r}: expected builtin://NAME with a plain name")
        places = tuple(store / name for store in stores())
        hint = f"run `modelserver build {name}`, or set {STORE_VARIABLE} to the directory that holds it"
    else:
        places = (Path(uri.removeprefix("file://")),)
        hint = "expected builtin://NAME, file:///DIRECTORY or a directory that `modelserver build` wrote"
    for place in places:
        if (place / MODEL_FILE).is_file():
            return place
    raise LoadError(f"model {uri!r}: no {MODEL_FILE} in {' or '.join(map(str, places))}; {hint}")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LoadError(f"{path}: expected JSON metadata, {error}") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise LoadError(f"{path}: expected an object with format {FORMAT}; build the model again with this version")
    return content


def read_model(directory: Path) -> ModelMetadata:
    """Read a model's metadata.

    Raises:
        LoadError: When it is missing, of another format or incomplete.
    """
    path = directory / MODEL_FILE
    try:
        return ModelMetadata(**_read(path))
    except TypeError as error:
        raise LoadError(f"{path}: {error}") from error


def read_variant(directory: Path, variant: str) -> VariantMetadata:
    """Read a variant's metadata and check its weights against the digest.

    Raises:
        LoadError: When there is no such variant, its metadata is broken or its weights are not the ones it names.
    """
    path = directory / variant / VARIANT_FILE
    if not path.is_file():
        raise LoadError(
            f"variant {variant!r} of {directory}: expected one of {', '.join(variants(directory)) or 'none'}"
        )
    try:
        metadata = VariantMetadata(**_read(path))
    except TypeError as error:
        raise LoadError(f"{path}: {error}") from error
    weights = path.parent / metadata.weights
    if metadata.weights != Path(metadata.weights).name or not weights.is_file():
        raise LoadError(f"{path}: weights {metadata.weights!r}, expected a file beside it; build the model again")
    if digest(weights) != metadata.sha256:
        raise LoadError(f"{weights}: SHA-256 {digest(weights)}, expected {metadata.sha256}; build the model again")
    return metadata


def variants(directory: Path) -> tuple[str, ...]:
    """Return the names of the variants that a model directory holds, sorted."""
    return tuple(sorted(path.parent.name for path in directory.glob(f"*/{VARIANT_FILE}")))


def write_metadata(path: Path, metadata: ModelMetadata | VariantMetadata) -> None:
    """Write metadata as JSON."""
    path.write_text(json.dumps({"format": FORMAT, **asdict(metadata)}, indent=2) + "\n")
