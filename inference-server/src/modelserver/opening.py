"""From a URI to a model, and from a model to the contract that its server checks requests against."""

import hashlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

from modelserver.artifact import (
    FILE_SCHEME,
    GENERIC_MODEL,
    MODEL_FILE,
    checked_variant,
    digest,
    is_plain_name,
    locate,
    read_model,
    variants,
)
from modelserver.code import import_attribute
from modelserver.declaration import checked_contract
from modelserver.errors import LoadError
from modelserver.model import Context, Model
from modelserver.tensors import Contract

PYTHON_SCHEME = "python:"
ONNX_SUFFIX = ".onnx"

MODELS: dict[str, str] = {
    GENERIC_MODEL: "modelserver.models.tensors:TensorModel",
    "search-ranker": "modelserver.models.search_ranker.model:SearchRanker",
    "image-classifier": "modelserver.models.image_classifier.model:ImageClassifier",
    "text-encoder": "modelserver.models.text_encoder.model:TextEncoder",
    "inception": "modelserver.models.inception.model:SplitClassifier",
}
"""What `serves` may say in an artifact -> the code that serves it. An artifact cannot make anything else run."""


@dataclass(frozen=True)
class Opened:
    """A model that has been found and not yet been set up: nothing large is in memory.

    Attributes:
        name: As in the paths of requests.
        content_version: Digest of what the model is made of; part of the cache's key.
        directory: Of its artifact; None for a model that is code alone or a bare file.
        model: The model.
    """

    name: str
    content_version: str
    directory: Path | None
    model: Model


def _new_model(path: str, what: str) -> Model:
    made = import_attribute(path, what)
    if not (inspect.isclass(made) and issubclass(made, Model)):
        raise LoadError(f"{what}: {path!r} is {made!r}, expected a subclass of modelserver.model.Model")
    try:
        model: Model = made()
    except Exception as error:  # its constructor may raise anything
        raise LoadError(f"{what}: {path!r} cannot be made, {type(error).__name__}: {error}") from error
    return model


def _kebab_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def opened_code(model: Model) -> Opened:
    """Return a model that is code alone, as if it had been found.

    Args:
        model: Not set up yet.
    """
    kind = type(model)
    try:
        source = inspect.getsourcefile(kind)
    except TypeError:  # a class of an interactive session
        source = None
    version = digest(Path(source)) if source is not None and Path(source).is_file() else kind.__qualname__
    return Opened(getattr(kind, "name", None) or _kebab_case(kind.__name__), version[:16], None, model)


def _open_code(uri: str) -> Opened:
    return opened_code(_new_model(uri.removeprefix(PYTHON_SCHEME), "model URI"))


def _open_onnx(path: Path) -> Opened:
    from modelserver.models.tensors import TensorModel  # noqa: PLC0415 - only what is served is imported

    if not path.is_file():
        raise LoadError(f"model {str(path)!r}: expected an {ONNX_SUFFIX} file there")
    if not is_plain_name(path.stem):
        raise LoadError(f"model {str(path)!r}: name {path.stem!r}, expected letters, digits, '.', '_' and '-'")
    return Opened(path.stem, digest(path)[:16], None, TensorModel(onnx_file=path))


def _content_version(directory: Path) -> str:
    """Return the version a build wrote, or a digest of the metadata and of the weights it names."""
    metadata = read_model(directory)
    if metadata.content_version:
        return metadata.content_version
    made_of = hashlib.sha256((directory / MODEL_FILE).read_bytes())
    for variant in variants(directory):
        made_of.update(f"{variant} {checked_variant(directory, variant)[0].sha256}".encode())
    return made_of.hexdigest()[:16]


def _open_directory(directory: Path) -> Opened:
    metadata = read_model(directory)
    code = MODELS.get(metadata.serves)
    if code is None:
        raise LoadError(f"{directory}: serves {metadata.serves!r}, expected one of {', '.join(MODELS)}")
    return Opened(metadata.name, _content_version(directory), directory, _new_model(code, f"model in {directory}"))


def open_model(uri: str) -> Opened:
    """Find a model. It is not set up yet: see `set_up`.

    Args:
        uri: `builtin://NAME`, `file:///DIRECTORY`, a directory with a model.json, an `.onnx` file, or
            `python:package.module:Class` for a subclass of `Model` in this environment.

    Raises:
        LoadError: When there is no such model.
    """
    if uri.startswith(PYTHON_SCHEME):
        return _open_code(uri)
    path = Path(uri.removeprefix(FILE_SCHEME))
    if path.suffix == ONNX_SUFFIX:
        return _open_onnx(path)
    return _open_directory(locate(uri))


def set_up(opened: Opened, device: str = "cpu", executables: frozenset[str] = frozenset()) -> Contract:
    """Set a model up; then its variants can be loaded.

    Args:
        opened: What `open_model` found.
        device: `cpu` or a torch device such as `cuda:0`.
        executables: SHA-256 digests of executable artifacts that whoever runs the server vouches for.

    Returns:
        What requests to it look like.

    Raises:
        LoadError: When it cannot be set up, or what it declares is no contract.
    """
    model = opened.model
    model.setup(Context(opened.directory, device, executables))
    return checked_contract(
        Contract(
            name=opened.name,
            content_version=opened.content_version,
            preprocessing_version=model.preprocessing_version,
            inputs=getattr(model, "inputs", ()),
            outputs=getattr(model, "outputs", ()),
            max_rows=model.max_rows,
        )
    )
