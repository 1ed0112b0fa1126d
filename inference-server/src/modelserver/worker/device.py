"""Which device a worker computes on."""

from pathlib import Path

from modelserver.errors import LoadError

_NVIDIA = Path("/dev/nvidiactl")


def find_device(asked: str) -> str:
    """Return the device to compute on. Torch is imported only where there is an accelerator to ask it about.

    Args:
        asked: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        LoadError: When an accelerator is asked for that is not there.
    """
    if asked == "cpu" or (asked == "auto" and not _NVIDIA.exists()):
        return "cpu"
    kind, _, number = asked.partition(":")
    if kind not in {"auto", "cuda"} or (number and not number.isdecimal()):
        raise LoadError(f"device {asked!r}: expected auto, cpu, cuda or cuda:N")
    devices = _cuda_devices()
    if asked == "auto" and devices == 0:
        return "cpu"
    if int(number or 0) >= devices:
        raise LoadError(f"device {asked!r}: {devices} CUDA devices found, expected at least {int(number or 0) + 1}")
    return f"cuda:{number or 0}"


def _cuda_devices() -> int:
    import torch  # noqa: PLC0415 - see find_device

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_memory_bytes(device: str) -> int:
    """Return what this process has allocated on an accelerator; 0 on a CPU."""
    if device == "cpu":
        return 0
    import torch  # noqa: PLC0415 - it is there, the model is on it

    return torch.cuda.memory_reserved(device)
