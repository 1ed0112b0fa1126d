"""The generic model: tensors in, tensors out, preprocessing as model.json declares it. It serves anybody's weights."""

from pathlib import Path

import numpy as np

from modelserver.artifact import read_model, variants
from modelserver.errors import LoadError
from modelserver.model import Context, Decoded, Network
from modelserver.models.declared import Preprocessing, parse_preprocessing, version
from modelserver.models.from_artifact import ArtifactModel
from modelserver.tensors import DATATYPES, InferRequest, Tensor, TensorSpec

_FREE_SIZE = 8
"""Size of a free dimension in the example, unless the contract bounds it lower."""


class TensorModel(ArtifactModel):
    """Passes tensors on as they come.

    Args:
        onnx_file: A graph that is all there is: its contract is read from it, `full` is its only variant. None for a
            directory with a model.json.
    """

    def __init__(self, onnx_file: Path | None = None) -> None:
        self._onnx_file = onnx_file
        self._preprocessing: dict[str, Preprocessing] = {}
        self._from_graph: Network | None = None

    def setup(self, context: Context) -> None:
        """Read the contract; see `Model.setup`."""
        if self._onnx_file is not None:
            self._context = context
            self._setup_from_graph(self._onnx_file)
            return
        super().setup(context)
        metadata = read_model(self.directory)
        self.inputs, self.outputs, self.max_rows = metadata.inputs, metadata.outputs, metadata.max_rows
        if not self.inputs or not self.outputs:
            raise LoadError(f"model.json in {self.directory}: expected inputs and outputs, at least one of each")
        self._preprocessing = parse_preprocessing(metadata.preprocessing, self.inputs)
        self.preprocessing_version = version(metadata.preprocessing)
        if not variants(self.directory):
            raise LoadError(f"model.json in {self.directory}: variants is empty, expected at least one")

    def _setup_from_graph(self, graph: Path) -> None:
        from modelserver.runtimes.onnx_graph import graph_specs, network_of, open_session  # noqa: PLC0415 - as needed

        session = open_session(graph, self.context.device)
        self.inputs, self.outputs = graph_specs(session, graph)
        self._from_graph = network_of(session)

    def variants(self) -> tuple[str, ...]:
        """Return what model.json names, `full` first."""
        return ("full",) if self._onnx_file is not None else super().variants()

    def accuracy(self, variant: str) -> float | None:
        """Return the accuracy that the variant's metadata states."""
        return None if self._onnx_file is not None else super().accuracy(variant)

    def prepare(self, variant: str) -> None:
        """Import a variant's runtime; see `Model.prepare`. That of a bare graph is there since set-up."""
        if self._onnx_file is None:
            super().prepare(variant)

    def load(self, variant: str) -> Network:
        """Load a variant's weights; see `Model.load`."""
        if self._from_graph is None:
            return super().load(variant)
        if variant != "full":
            raise LoadError(f"variant {variant!r} of {self._onnx_file}: expected 'full', the only one of a bare graph")
        return self._from_graph

    def decode(self, request: InferRequest) -> Decoded:
        """Return the request's tensors, preprocessed; see `Model.decode`."""
        arrays = {name: tensor.array for name, tensor in request.inputs.items()}
        return Decoded(
            {
                name: self._preprocessing[name](array) if name in self._preprocessing else array
                for name, array in arrays.items()
            }
        )

    def example(self) -> InferRequest:
        """Return a row of zeros; free dimensions are small."""
        return InferRequest(
            {spec.name: _zeros(spec) for spec in self.inputs if not spec.optional},
            tuple(spec.name for spec in self.outputs if not spec.optional),
        )


def _zeros(spec: TensorSpec) -> Tensor:
    """Return one row of the least allowed value nearest to zero."""
    free = min(_FREE_SIZE, spec.max_length or _FREE_SIZE)
    shape = (1, *(free if size == -1 else size for size in spec.shape[1:]))
    if spec.datatype == "BYTES":
        return Tensor(spec.name, spec.datatype, np.full(shape, b"", dtype=np.object_))
    low = spec.minimum if spec.minimum is not None else -np.inf
    high = spec.maximum if spec.maximum is not None else np.inf
    return Tensor(spec.name, spec.datatype, np.full(shape, min(max(0.0, low), high), dtype=DATATYPES[spec.datatype]))
