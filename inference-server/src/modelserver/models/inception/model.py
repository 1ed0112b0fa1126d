"""The split classifier as the server sees it."""

from modelserver.artifact import checked_variant, read_variant, variants
from modelserver.errors import LoadError
from modelserver.model import Network, Stage
from modelserver.models.image_classifier.model import ImageClassifier
from modelserver.models.image_classifier.photos import LABELS
from modelserver.models.image_classifier.recipe import PREPROCESSING
from modelserver.models.inception.recipe import STAGES, InceptionShape
from modelserver.tensors import TensorSpec


class SplitClassifier(ImageClassifier):
    """Says what each image shows, by a network whose stages can be computed apart."""

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages, with what they hand over; see `Model.stages`."""
        handed = self._handed_over()
        return tuple(
            Stage(name, (taken,), (given,)) for name, taken, given in zip(STAGES, handed, handed[1:], strict=False)
        )

    def load_stage(self, variant: str, stage: str) -> Network:
        """Load one stage's weights; see `Model.load_stage`."""
        found = {known.name: known for known in self.stages()}.get(stage)
        if found is None:
            raise LoadError(f"stage {stage!r}: expected one of {', '.join(STAGES)}")
        metadata, weights = checked_variant(self.directory, variant)
        if metadata.runtime != "torch":
            raise LoadError(
                f"variant {variant!r}: runtime {metadata.runtime!r}, expected 'torch'; no other can be split"
            )
        from modelserver.models.inception.stages import load_torch_stage  # noqa: PLC0415 - only who needs torch pays for it

        names = (found.inputs[0].name, found.outputs[0].name)
        return load_torch_stage(weights, metadata, stage, names, self.context.device)

    def _handed_over(self) -> tuple[TensorSpec, ...]:
        """Return what goes into the first stage, between stages, and comes out of the last."""
        branch = InceptionShape(**read_variant(self.directory, variants(self.directory)[0]).settings).branch
        height, width = PREPROCESSING["images"]["resize"]
        return (
            TensorSpec("images", "FP32", (-1, 3, height, width)),
            TensorSpec("stem_features", "FP32", (-1, 4 * branch, height // 2, width // 2)),
            TensorSpec("mixed_features", "FP32", (-1, 8 * branch, height // 4, width // 4)),
            TensorSpec("logits", "FP32", (-1, len(LABELS))),
        )
