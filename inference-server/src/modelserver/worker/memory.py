"""How much memory a process has, and whether a further variant fits."""

import os
from dataclasses import dataclass
from pathlib import Path

from modelserver.artifact import is_plain_name

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STATM_BYTES = 256
LOADING_SHARE = 0.85
"""Of the limit, what models may take; the rest is for batches."""


class ResidentMemory:
    """Resident memory of a process. It is read with every batch, so its file stays open.

    Args:
        process: Its id; `self` for this one.
    """

    def __init__(self, process: int | str = "self") -> None:
        self._descriptor = os.open(f"/proc/{process}/statm", os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> int:
        """Return it in bytes; 0 when the process is gone."""
        try:
            return int(os.pread(self._descriptor, _STATM_BYTES, 0).split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    def close(self) -> None:
        """Close its file."""
        os.close(self._descriptor)


def artifact_bytes(directory: Path | None, variant: str) -> int:
    """Return the size of a variant's files; 0 when it has none of its own.

    Args:
        directory: Of the model; None for a model that is code alone.
        variant: Its name; as it was asked for, so that it may be none of a variant, nor of this directory.
    """
    if directory is None or not is_plain_name(variant):
        return 0
    return sum(path.stat().st_size for path in (directory / variant).rglob("*") if path.is_file())


@dataclass(frozen=True)
class MemoryPlan:
    """What is known when a further variant is about to be loaded.

    Attributes:
        limit_bytes: Of resident memory; None for no limit.
        growth_per_byte: By how much a byte of files has raised resident memory so far; at least 1.
    """

    limit_bytes: int | None
    growth_per_byte: float = 1.0

    def refusal(self, resident: int, file_bytes: int) -> str | None:
        """Say why a variant must not be loaded; None when it may.

        Args:
            resident: Resident memory now.
            file_bytes: Size of the variant's files; 0 when not known, or when it is loaded already.
        """
        if self.limit_bytes is None:
            return None
        needed = resident + int(self.growth_per_byte * file_bytes)
        allowed = int(LOADING_SHARE * self.limit_bytes)
        if needed <= allowed:
            return None
        return f"memory: {needed >> 20} MiB with it, expected at most {allowed >> 20} of {self.limit_bytes >> 20} MiB"

    def learned(self, growth_bytes: int, file_bytes: int) -> "MemoryPlan":
        """Return the plan after a variant has been loaded."""
        if file_bytes == 0:
            return self
        return MemoryPlan(self.limit_bytes, max(self.growth_per_byte, growth_bytes / file_bytes))
