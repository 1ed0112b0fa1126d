"""A stage of a split model as a model of its own, so that another pod can serve it by the same protocol."""

from modelserver.compute.batching import compute
from modelserver.errors import LoadError
from modelserver.model import Model, Network, Stage
from modelserver.tensors import DATATYPES, Arrays, InferRequest, Tensor

MAX_ROWS = 1024
"""A whole batch of the pipeline comes as one request."""
_DATATYPE_OF = {dtype: name for name, dtype in DATATYPES.items()}


def find_stage(model: Model, name: str) -> Stage:
    """Return the stage of that name.

    Raises:
        LoadError: When the model has none.
    """
    for stage in model.stages():
        if stage.name == name:
            return stage
    names = ", ".join(stage.name for stage in model.stages()) or "none: the model is not split"
    raise LoadError(f"stage {name!r}: expected one of {names}")


class StageModel(Model):
    """Takes what the stage before it gives, gives what the stage after it takes.

    Args:
        whole: The split model, set up.
        stage: Which of its stages.
    """

    max_rows = MAX_ROWS

    def __init__(self, whole: Model, stage: Stage) -> None:
        self._whole = whole
        self._stage = stage
        self.inputs = stage.inputs
        self.outputs = stage.outputs

    def variants(self) -> tuple[str, ...]:
        """Return the whole model's."""
        return self._whole.variants()

    def accuracy(self, variant: str) -> float | None:
        """Return the whole model's."""
        return self._whole.accuracy(variant)

    def prepare(self, variant: str) -> None:
        """Import what the whole model's variant takes."""
        self._whole.prepare(variant)

    def load(self, variant: str) -> Network:
        """Load the stage's network alone."""
        return self._whole.load_stage(variant, self._stage.name)

    def predict(self, batch: Arrays) -> Arrays:
        """Refuse: `load` gives every variant's network."""
        raise NotImplementedError("a stage is computed by what load gives")

    def example(self) -> InferRequest:
        """Return what the stages before make of the whole model's example; they are loaded for that alone."""
        arrays = self._whole.decode(self._whole.example()).arrays
        for stage in self._whole.stages():
            if stage.name == self._stage.name:
                break
            arrays = compute(self._whole.load_stage(self._whole.variants()[0], stage.name), arrays)
        tensors = {name: Tensor(name, _DATATYPE_OF[array.dtype], array) for name, array in arrays.items()}
        return InferRequest(tensors, tuple(spec.name for spec in self.outputs))
