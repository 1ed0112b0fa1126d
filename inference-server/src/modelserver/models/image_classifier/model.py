"""The image classifier as the server sees it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelserver.artifact import read_model
from modelserver.errors import LoadError
from modelserver.model import Context, Decoded
from modelserver.models.declared import parse_preprocessing, version
from modelserver.models.from_artifact import ArtifactModel
from modelserver.models.image_classifier.photos import LABELS, take_photos
from modelserver.tensors import Array, Arrays, InferRequest, Tensor, TensorSpec

MAX_PIXELS_PER_SIDE = 256
_EXAMPLE_PIXELS = 48


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits, both float32 [images, labels]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


class ImageClassifier(ArtifactModel):
    """Says what each image shows. Images of one request have one size; model.json says how they are resized and normalised."""

    inputs = (TensorSpec("images", "UINT8", (-1, -1, -1, 3), max_length=MAX_PIXELS_PER_SIDE),)
    outputs = (
        TensorSpec("label", "BYTES", (-1,)),
        TensorSpec("class", "INT64", (-1,)),
        TensorSpec("probabilities", "FP32", (-1, len(LABELS))),
    )

    def setup(self, context: Context) -> None:
        """Read how images are preprocessed; see `Model.setup`."""
        super().setup(context)
        declared = read_model(self.directory).preprocessing
        if list(declared) != ["images"]:
            raise LoadError(f"model.json in {self.directory}: preprocessing of {list(declared)}, expected of 'images'")
        self._preprocess = parse_preprocessing(declared, self.inputs)["images"]
        self.preprocessing_version = version(declared)

    def decode(self, request: InferRequest) -> Decoded:
        """Return the images as the network reads them; see `Model.decode`."""
        return Decoded({"images": self._preprocess(request.inputs["images"].array)})

    def encode(self, answer: Arrays, memo: object, outputs: Sequence[str]) -> list[Tensor]:  # noqa: ARG002 - a step
        """Return labels, classes and probabilities; see `Model.encode`."""
        probabilities = softmax(answer["logits"])
        classes = probabilities.argmax(axis=1)
        arrays: dict[str, Array] = {"class": classes, "probabilities": probabilities, "label": _NAMES[classes]}
        datatypes = {spec.name: spec.datatype for spec in self.outputs}
        return [Tensor(name, datatypes[name], arrays[name]) for name in outputs]

    def example(self) -> InferRequest:
        """Return a photo of the usual size."""
        images = take_photos(1, _EXAMPLE_PIXELS, np.random.default_rng(0)).images
        return InferRequest({"images": Tensor("images", "UINT8", images)}, tuple(spec.name for spec in self.outputs))


_NAMES = np.array([label.encode() for label in LABELS], dtype=np.object_)
