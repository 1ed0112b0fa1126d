"""What a figure was measured on, and where the benchmarks keep what they install."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

NOTED_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
"""Instruction sets that decide how fast a quantized network is."""

MAX_LOAD_PER_CORE = 0.5
"""Load average over a minute above which a machine is not quiet."""


@dataclass(frozen=True)
class MachineFacts:
    """A machine at one moment.

    Attributes:
        cpu: Name of the processor.
        cores: Cores that this process may use.
        instructions: Which of NOTED_FLAGS it has.
        memory_gib: Total memory.
        kernel: Release of the kernel.
        python: Version of the interpreter.
        load_average: Over 1, 5 and 15 minutes, when the measurement began.
        measured_at: When it began, UTC, ISO 8601.
        versions: Installed version of each package that matters, by name.
    """

    cpu: str
    cores: int
    instructions: tuple[str, ...]
    memory_gib: float
    kernel: str
    python: str
    load_average: tuple[float, float, float]
    measured_at: str
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the facts as JSON has them."""
        return asdict(self)

    def warning(self) -> str | None:
        """Return why these figures would not be worth keeping; None when nothing speaks against them."""
        if self.load_average[0] <= MAX_LOAD_PER_CORE * self.cores:
            return None
        return f"load average {self.load_average[0]:.1f} on {self.cores} cores: others are at work, and it will show"

    def sentence(self) -> str:
        """Return the facts as one sentence of a document."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        instructions = ", ".join(self.instructions) or "none of the noted instruction sets"
        return (
            f"{self.cores} cores of {self.cpu} ({instructions}), {self.memory_gib:.0f} GiB, Linux {self.kernel}, "
            f"Python {self.python}, {versions}; load average {self.load_average[0]:.1f} at the start, "
            f"{self.measured_at[:16].replace('T', ' ')} UTC."
        )


def measured_machine(packages: Sequence[str]) -> MachineFacts:
    """Return the facts of this machine now, with the versions of those packages that are installed."""
    description = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    return MachineFacts(
        cpu=_cpu_name(description),
        cores=len(os.sched_getaffinity(0)),
        instructions=_instructions(description),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        kernel=platform.release().split("-")[0],
        python=platform.python_version(),
        load_average=os.getloadavg(),
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=dict(_installed(packages)),
    )


def quiet_machine(packages: Sequence[str]) -> MachineFacts:
    """Return the facts of this machine, and warn when it is not quiet."""
    facts = measured_machine(packages)
    if warning := facts.warning():
        print(warning, file=sys.stderr)
    return facts


def device_name(device: str) -> str:
    """Return what an accelerator is called, and what drives it; asked in a process of its own, which gives it back.

    Raises:
        subprocess.CalledProcessError: When torch finds no such device.
    """
    if device == "cpu":
        return "No accelerator"
    program = f"import torch; print(torch.cuda.get_device_name({device!r}), torch.version.cuda, sep=', CUDA ')"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return f"One {done.stdout.strip()}"


def cache_directory() -> Path:
    """Return where the benchmarks install peers: under $MODELSCALER_CACHE, as the rest of the project does."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "modelscaler"
    return Path(os.environ.get("MODELSCALER_CACHE") or default) / "benchmarks"


def _cpu_name(description: str) -> str:
    return next(
        (line.partition(":")[2].strip() for line in description.splitlines() if line.startswith("model name")),
        "unknown",
    )


def _instructions(description: str) -> tuple[str, ...]:
    flags = next((line.partition(":")[2].split() for line in description.splitlines() if line.startswith("flags")), [])
    return tuple(flag for flag in NOTED_FLAGS if flag in flags)


def _installed(packages: Sequence[str]) -> list[tuple[str, str]]:
    known = []
    for package in packages:
        try:
            known.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return known
