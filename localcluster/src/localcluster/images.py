"""The image table: what stands in for a registry, one JSON file per cluster."""

from pathlib import Path

from filelock import FileLock

from localcluster.spec import IMAGES, Image


class ImageTable:
    """Rows by image name; read afresh each time, because the command line writes it while the agent runs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self) -> tuple[Image, ...]:
        """Return every row, by name."""
        try:
            return IMAGES.validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return ()

    def find(self, name: str) -> Image | None:
        """Return the row for an image reference, None if there is none.

        ``docker.io/library/x``, ``x`` and ``x:latest`` are one image, as for every container runtime.
        """
        wanted = normalized(name)
        return next((row for row in self.rows() if normalized(row.name) == wanted), None)

    def add(self, *images: Image) -> None:
        """Add rows, each in place of one with the same name."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock")):
            rows = {normalized(row.name): row for row in (*self.rows(), *images)}
            scratch = self._path.with_suffix(".new")
            scratch.write_bytes(IMAGES.dump_json(tuple(rows[name] for name in sorted(rows)), indent=2))
            scratch.replace(self._path)


def normalized(name: str) -> str:
    """Return an image reference with the defaults written out.

    >>> normalized("modelserver")
    'docker.io/library/modelserver:latest'
    """
    repository, at, digest = name.partition("@")
    first, slash, rest = repository.partition("/")
    if not slash:
        repository = f"docker.io/library/{repository}"
    elif not ("." in first or ":" in first or first == "localhost"):
        repository = f"docker.io/{first}/{rest}"
    if at:
        return f"{repository}@{digest}"
    last = repository.rpartition("/")[2]
    return repository if ":" in last else f"{repository}:latest"
