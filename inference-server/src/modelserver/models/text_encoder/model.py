"""The text encoder as the server sees it."""

import numpy as np

from modelserver.artifact import read_model, read_variant
from modelserver.errors import InvalidRequestError, LoadError
from modelserver.model import Context, Decoded
from modelserver.models.declared import version
from modelserver.models.from_artifact import ArtifactModel
from modelserver.models.text_encoder.pieces import text_pieces
from modelserver.models.text_encoder.recipe import EncoderShape, preprocessing
from modelserver.tensors import Array, InferRequest, Tensor, TensorSpec

MAX_TEXT_BYTES = 2048
_EXAMPLE = "hello the red lamp is missing, only the navy sofa was delivered last week"


class TextEncoder(ArtifactModel):
    """Embeds texts; the dot product of two embeddings says how alike they mean."""

    inputs = (TensorSpec("text", "BYTES", (-1,), max_bytes=MAX_TEXT_BYTES),)
    outputs = (TensorSpec("embeddings", "FP32", (-1, -1)),)

    def setup(self, context: Context) -> None:
        """Read the sizes; see `Model.setup`."""
        super().setup(context)
        declared = read_model(self.directory).preprocessing
        settings = read_variant(self.directory, self.variants()[0]).settings
        try:
            shape = EncoderShape(**settings)
        except TypeError as error:
            raise LoadError(f"variant.json in {self.directory}: settings {settings!r}, {error}") from error
        if declared != preprocessing(shape):
            raise LoadError(
                f"model.json in {self.directory}: preprocessing {declared}, expected {preprocessing(shape)}"
            )
        self._buckets = shape.buckets
        self.outputs = (TensorSpec("embeddings", "FP32", (-1, shape.width)),)
        self.preprocessing_version = version(declared)

    def decode(self, request: InferRequest) -> Decoded:
        """Return the texts' pieces; see `Model.decode`."""
        return Decoded({"pieces": text_pieces(_texts(request.inputs["text"].array), self._buckets)})

    def example(self) -> InferRequest:
        """Return a message of the usual length."""
        text = Tensor("text", "BYTES", np.array([_EXAMPLE.encode()], dtype=np.object_))
        return InferRequest({"text": text}, ("embeddings",))


def _texts(elements: Array) -> list[str]:
    texts = []
    for row, element in enumerate(elements.tolist()):
        try:
            texts.append(element.decode())
        except UnicodeDecodeError as error:
            raise InvalidRequestError(f"input 'text': element {row} is not UTF-8, expected text: {error}") from error
    return texts
