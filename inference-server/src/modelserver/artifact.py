"""Models on disk: where they are found and what their metadata says. JSON and weights; nothing here ever executes anything.

A model is a directory:

    model.json             name, contract, and for a model written by hand its variants
    <variant>/variant.json runtime, weights with their digest, accuracy: what `modelserver build` writes
    <variant>/model.*      the weights: safetensors, ONNX, or a package
    shop.json, ...         what all variants share; the model's own business

The least that a model written by hand needs, with `weights` relative to the directory:

    {"format": 2, "name": "mine",
     "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 8]}],
     "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
     "variants": {"full": {"runtime": "onnxruntime", "weights": "mine.onnx"}}}
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from modelserver.errors import LoadError
from modelserver.tensors import DATATYPES, TensorSpec

FORMAT = 2
"""Version of this layout; a reader refuses others."""
MODEL_FILE = "model.json"
VARIANT_FILE = "variant.json"
BUILTIN_SCHEME = "builtin://"
FILE_SCHEME = "file://"
STORE_VARIABLE = "MODELSERVER_MODELS"
GENERIC_MODEL = "tensors"
"""The model that passes tensors on as they come; what serves a directory that names no other."""

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_Fields = TypeVar("_Fields", "ModelMetadata", "VariantMetadata", TensorSpec)


@dataclass(frozen=True)
class VariantMetadata:
    """What a variant says of itself.

    Attributes:
        variant: Its name.
        runtime: What executes it: `torch`, `onnxruntime` or `package`.
        weights: Path of the weights, relative to what names them.
        architecture: Registered name of the code that safetensors weights belong to; empty for graphs that know theirs.
        settings: What the architecture needs to be set up, e.g. its sizes.
        dtype: What the network computes in: `float32`, `bfloat16` or `float16`.
        inputs: Names of the network's inputs in the order it takes them; empty when they are the contract's or the graph's.
        outputs: Names of what it returns, likewise.
        sha256: Digest of the weights; empty for weights put there by hand, which are then not checked.
        size_bytes: Size of the weights.
        accuracy_metric: What accuracy is, e.g. `ndcg@10`.
        accuracy: On held-out data, 0 to 1; None when not known.
        milliseconds_per_row: CPU milliseconds per row of the network by batch size, on the machine that built it.
    """

    variant: str
    runtime: str
    weights: str
    architecture: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    sha256: str = ""
    size_bytes: int = 0
    accuracy_metric: str = ""
    accuracy: float | None = None
    milliseconds_per_row: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelMetadata:
    """What a model says of itself.

    Attributes:
        name: As in the paths of requests.
        content_version: Digest of what it was built from; empty for a model written by hand.
        serves: Name of the built-in model that decodes and encodes for it.
        inputs: Contract of the generic model; a built-in one states its own.
        outputs: Likewise.
        max_rows: Most rows of one request; of the generic model.
        preprocessing: Input name -> what is done to it before the network sees it; see `models/declared.py`.
        variants: Of a model written by hand; `modelserver build` writes a file per variant instead.
    """

    name: str
    content_version: str = ""
    serves: str = GENERIC_MODEL
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    max_rows: int = 64
    preprocessing: dict[str, dict[str, Any]] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)


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


def is_plain_name(name: str) -> bool:
    """Say whether a name can stand in a path of requests and of files."""
    return _PLAIN_NAME.fullmatch(name) is not None


def locate(uri: str) -> Path:
    """Return the directory of a model.

    Args:
        uri: `builtin://NAME`, `file:///DIRECTORY` or a directory.

    Raises:
        LoadError: When there is no model there.
    """
    name = uri.removeprefix(BUILTIN_SCHEME)
    if uri.startswith(BUILTIN_SCHEME):
        if not is_plain_name(name):
            raise LoadError(f"model URI {uri!r}: expected builtin://NAME with a plain name")
        places = tuple(store / name for store in stores())
        hint = f"run `modelserver build {name}`, or set {STORE_VARIABLE} to the directory that holds it"
    else:
        places = (Path(uri.removeprefix(FILE_SCHEME)),)
        hint = f"expected builtin://NAME, file:///DIRECTORY, a directory that holds {MODEL_FILE}, or an .onnx file"
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


def _is_a(value: object, hint: Any) -> bool:
    """Say whether a value of JSON, its lists as tuples, fits a field's type; what is inside is looked at where it is used."""
    if get_origin(hint) is UnionType:
        return any(_is_a(value, one) for one in get_args(hint))
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if hint is float else get_origin(hint) or hint)


def _fill(kind: type[_Fields], content: Mapping[str, Any], where: str) -> _Fields:
    """Return metadata from JSON's objects and lists."""
    hints = get_type_hints(kind)
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    for name, value in plain.items():
        if name not in hints:
            raise LoadError(f"{where}: field {name!r}, expected one of {', '.join(sorted(hints))}")
        if not _is_a(value, hints[name]):
            raise LoadError(f"{where}: {name} {value!r}, expected {getattr(hints[name], '__name__', hints[name])}")
    try:
        return kind(**plain)
    except TypeError as error:
        raise LoadError(f"{where}: {error}") from error


def _spec(content: object, where: str) -> TensorSpec:
    if not isinstance(content, dict):
        raise LoadError(f"{where}: tensor {content!r}, expected an object with name, datatype and shape")
    spec = _fill(TensorSpec, content, where)
    if spec.datatype not in DATATYPES:
        raise LoadError(f"{where}: datatype {spec.datatype!r}, expected one of {', '.join(DATATYPES)}")
    if not spec.shape or not all(isinstance(size, int) and size >= -1 for size in spec.shape):
        raise LoadError(f"{where}: shape {list(spec.shape)} of {spec.name!r}, expected sizes, -1 for a free one")
    return spec


def read_model(directory: Path) -> ModelMetadata:
    """Read a model's metadata.

    Raises:
        LoadError: When it is missing, of another format or incomplete.
    """
    path = directory / MODEL_FILE
    metadata = _fill(ModelMetadata, _read(path), str(path))
    if not is_plain_name(metadata.name):
        raise LoadError(f"{path}: name {metadata.name!r}, expected letters, digits, '.', '_' and '-'")
    for variant, stated in metadata.variants.items():
        if not is_plain_name(variant) or not isinstance(stated, dict):
            raise LoadError(f"{path}: variants {variant!r}: {stated!r}, expected a plain name and an object")
    inputs, outputs = (tuple(_spec(spec, str(path)) for spec in specs) for specs in (metadata.inputs, metadata.outputs))
    return replace(metadata, inputs=inputs, outputs=outputs)


def variants(directory: Path) -> tuple[str, ...]:
    """Return the names of a model's variants: `full` first, the rest sorted.

    Raises:
        LoadError: When the model's metadata cannot be read.
    """
    named = [*read_model(directory).variants, *(path.parent.name for path in directory.glob(f"*/{VARIANT_FILE}"))]
    return tuple(sorted(set(named), key=lambda name: (name != "full", name)))


def _find_variant(directory: Path, variant: str) -> tuple[VariantMetadata, Path]:
    """Return a variant's metadata and the directory that its weights are relative to."""
    path = directory / variant / VARIANT_FILE
    if is_plain_name(variant) and path.is_file():
        return _fill(VariantMetadata, _read(path), str(path)), path.parent
    by_hand = read_model(directory).variants
    if variant not in by_hand:
        known = ", ".join(variants(directory)) or "none"
        raise LoadError(f"variant {variant!r} of {directory}: expected one of {known}")
    where = f"{directory / MODEL_FILE}, variant {variant!r}"
    return _fill(VariantMetadata, {"variant": variant, **by_hand[variant]}, where), directory


def read_variant(directory: Path, variant: str) -> VariantMetadata:
    """Read a variant's metadata; its weights are not looked at.

    Raises:
        LoadError: When there is no such variant or its metadata is broken.
    """
    return _find_variant(directory, variant)[0]


def checked_variant(directory: Path, variant: str) -> tuple[VariantMetadata, Path]:
    """Read a variant's metadata and check its weights against the digest.

    Returns:
        The metadata, with the weights' true digest, and the path of the weights.

    Raises:
        LoadError: When there is no such variant, its metadata is broken or its weights are not the ones it names.
    """
    metadata, base = _find_variant(directory, variant)
    weights = base / metadata.weights
    if not weights.resolve().is_relative_to(base.resolve()) or not weights.is_file():
        raise LoadError(
            f"variant {variant!r} of {directory}: weights {metadata.weights!r}, expected a file in {base}; "
            "build the model again"
        )
    found = digest(weights)
    if metadata.sha256 and found != metadata.sha256:
        raise LoadError(f"{weights}: SHA-256 {found}, expected {metadata.sha256}; build the model again")
    return replace(metadata, sha256=found), weights


def write_metadata(path: Path, metadata: ModelMetadata | VariantMetadata) -> None:
    """Write metadata as JSON, without what is as it always is."""
    plain = {entry.name: entry.default for entry in fields(metadata)}
    stated = {key: value for key, value in asdict(metadata).items() if value != plain[key] and value not in ({}, ())}
    path.write_text(json.dumps({"format": FORMAT, **stated}, indent=2) + "\n")
