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


def is_accelerator(asked: str) -> bool:
    """Say whether a worker that is asked for a device would compute on an accelerator, as far as can be seen without torch.

    Args:
        asked: See `find_device`.
    """
    return asked.startswith("cuda") or (asked == "auto" and _NVIDIA.exists())


def prepare_device(device: str) -> None:
    """Choose among torch's ways to compute on an accelerator those that suit batches of any size.

    cuDNN's attention, torch's first choice in half precision on Hopper, makes a plan for each shape that it meets: 45 ms on an
    H200, for a batch that takes 1.5 ms. The other kernels need none.
    """
    if device == "cpu":
        return
    import torch  # noqa: PLC0415 - see find_device

    torch.backends.cuda.enable_cudnn_sdp(False)


def _cuda_devices() -> int:
    import torch  # noqa: PLC0415 - see find_device

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_memory_bytes(device: str) -> int:
    """Return what this process has allocated on an accelerator; 0 on a CPU."""
    if device == "cpu":
        return 0
    import torch  # noqa: PLC0415 - it is there, the model is on it

    return torch.cuda.memory_reserved(device)


def device_is_lost(device: str) -> bool:
    """Say whether whatever a process asks of its accelerator will fail until the process ends.

    So it is with CUDA after a kernel has stopped at an assertion, which an index out of range is enough for, or at an address
    that is not its own (CUDA Runtime API, cudaErrorAssert and cudaErrorIllegalAddress). Memory that ran out is no such case.
    """
    if device == "cpu":
        return False
    import torch  # noqa: PLC0415 - it is there, the model is on it

    try:
        torch.accelerator.synchronize(device)
    except RuntimeError:
        return True
    return False
