"""A model whose networks are on disk: what the built-in models and the generic one have in common."""

from pathlib import Path

from modelserver.artifact import read_variant, variants
from modelserver.errors import LoadError
from modelserver.model import Context, Model, Network
from modelserver.runtimes.loading import import_runtime, load_network
from modelserver.tensors import Arrays


class ArtifactModel(Model):
    """Loads its variants from the directory it is set up with. Subclasses decode and encode."""

    _context: Context | None = None
    _first: Network | None = None

    def setup(self, context: Context) -> None:
        """Remember where the variants are; see `Model.setup`."""
        self._context = context
        _ = self.directory

    @property
    def context(self) -> Context:
        """Return where this model found itself at set-up."""
        if self._context is None:
            raise LoadError(f"{type(self).__name__} is not set up; expected setup() to be called first")
        return self._context

    @property
    def directory(self) -> Path:
        """Return the directory of the artifact."""
        directory = self.context.directory
        if directory is None:
            raise LoadError(f"{type(self).__name__}: no directory, expected one that `modelserver build` wrote")
        return directory

    def variants(self) -> tuple[str, ...]:
        """Return what the directory holds, `full` first."""
        return variants(self.directory)

    def accuracy(self, variant: str) -> float | None:
        """Return the accuracy that the variant's metadata states."""
        return read_variant(self.directory, variant).accuracy

    def prepare(self, variant: str) -> None:
        """Import the runtime that the variant's metadata names."""
        import_runtime(self.directory, variant)

    def load(self, variant: str) -> Network:
        """Load a variant's weights; see `Model.load`."""
        return load_network(
            self.directory,
            variant,
            self.context,
            tuple(spec.name for spec in self.inputs),
            tuple(spec.name for spec in self.outputs),
        )

    def predict(self, batch: Arrays) -> Arrays:
        """Answer a batch with the first variant; servers call what `load` gives."""
        if self._first is None:
            self._first = self.load(self.variants()[0])
        return self._first(batch)
