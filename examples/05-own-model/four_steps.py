"""A model of one's own with all four steps: says of each text whether it sounds glad or cross, and how sure that is."""

from collections.abc import Sequence

import numpy as np

from modelserver.errors import InvalidRequestError
from modelserver.model import Context, Decoded, Model
from modelserver.tensors import Array, Arrays, InferRequest, Tensor, TensorSpec

GLAD, CROSS = ("good", "great", "love", "thanks", "perfect"), ("bad", "broken", "late", "never", "refund")


class Mood(Model):
    """Counts glad and cross words."""

    inputs = (TensorSpec("text", "BYTES", (-1,), max_bytes=2000),)
    outputs = (TensorSpec("mood", "BYTES", (-1,)), TensorSpec("confidence", "FP32", (-1,)))
    preprocessing_version = "1"

    def setup(self, context: Context) -> None:  # noqa: ARG002 - a step
        """Load what is needed, once per worker; `context.directory` is the artifact's, when there is one."""
        self.words = {word: side for side, words in enumerate((GLAD, CROSS)) for word in words}

    def decode(self, request: InferRequest) -> Decoded:
        """Turn one request into arrays; what it raises fails that request alone."""
        counts = np.zeros((request.rows, 2), dtype=np.float32)
        for row, text in enumerate(request.inputs["text"].array.tolist()):
            try:
                words = text.decode().lower().split()
            except UnicodeDecodeError as error:
                raise InvalidRequestError(f"input 'text': element {row} is not UTF-8, expected text") from error
            for word in words:
                if word in self.words:
                    counts[row, self.words[word]] += 1
        return Decoded({"counts": counts})

    def predict(self, batch: Arrays) -> Arrays:
        """Answer the rows of several requests at once."""
        powers = np.exp(batch["counts"])
        return {"share": powers / powers.sum(axis=1, keepdims=True)}

    def encode(self, answer: Arrays, memo: object, outputs: Sequence[str]) -> list[Tensor]:  # noqa: ARG002 - a step
        """Turn one request's share of the answer into tensors."""
        share = answer["share"]
        moods = np.array([b"glad", b"cross"], dtype=np.object_)[share.argmax(axis=1)]
        made: dict[str, Array] = {"mood": moods, "confidence": share.max(axis=1)}
        return [Tensor(spec.name, spec.datatype, made[spec.name]) for spec in self.outputs if spec.name in outputs]

    def example(self) -> InferRequest:
        """Return a request of one row of the usual cost, for warm-up."""
        text = Tensor("text", "BYTES", np.array([b"thanks, the lamp is great"], dtype=np.object_))
        return InferRequest({"text": text}, ("mood", "confidence"))
