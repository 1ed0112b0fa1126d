"""The recipes: whose weights a variant has, and in what form they are written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors.torch import save_file
from torch import nn

from modelserver.recipes.family import Family
from modelserver.tensors import Arrays

FULL, PRUNED, DISTILLED = "full", "pruned", "distilled"
"""Whose weights: the trained network's, those that pruning leaves, a student's."""
_EXPORTED_ROWS = 4


@dataclass(frozen=True)
class Bench:
    """What a recipe works with besides the network.

    Attributes:
        family: Of the model.
        material: Of this build.
    """

    family: Family[Any]
    material: Any

    @property
    def example(self) -> Arrays:
        """Return a few rows to trace a network with."""
        return self.family.example(self.material, _EXPORTED_ROWS)

    def calibration(self) -> Iterator[Arrays]:
        """Yield batches that int8 ranges are found on."""
        return self.family.calibration(self.material)


@dataclass(frozen=True)
class Written:
    """How a variant lies on disk.

    Attributes:
        runtime: What executes it.
        weights: File name.
        dtype: What it computes in.
    """

    runtime: str
    weights: str
    dtype: str = "float32"


Write: TypeAlias = Callable[[nn.Module, Bench, Path], Written]


def _save(network: nn.Module, folder: Path, dtype: torch.dtype) -> str:
    weights = folder / "model.safetensors"
    state = network.state_dict()
    save_file(
        {name: (value.to(dtype) if value.is_floating_point() else value).contiguous() for name, value in state.items()},
        weights,
    )
    weights.chmod(0o644)  # safetensors writes for its owner alone; an image is built by one user and run by another
    return weights.name


def _float32(network: nn.Module, bench: Bench, folder: Path) -> Written:  # noqa: ARG001 - a Write
    return Written("torch", _save(network, folder, torch.float32))


def _bfloat16(network: nn.Module, bench: Bench, folder: Path) -> Written:  # noqa: ARG001 - a Write
    return Written("torch", _save(network, folder, torch.bfloat16), "bfloat16")


def _static_int8(network: nn.Module, bench: Bench, folder: Path) -> Written:
    from modelserver.recipes.onnx_int8 import export_onnx, quantize  # noqa: PLC0415 - imports slowly

    family, graph = bench.family, folder / "float.onnx"
    export_onnx(network, bench.example, family.inputs, family.outputs, graph)
    quantize(graph, folder / "model.onnx", bench.calibration(), family.nodes_kept_float())
    for left in folder.glob("float.onnx*"):
        left.unlink()
    return Written("onnxruntime", "model.onnx")


def _static_int8_package(network: nn.Module, bench: Bench, folder: Path) -> Written:
    from modelserver.recipes.packages import compile_static_int8  # noqa: PLC0415 - imports slowly

    compile_static_int8(network, bench.example, bench.family.inputs, bench.calibration(), folder / "model.pt2")
    return Written("package", "model.pt2")


def _int8_per_token_package(network: nn.Module, bench: Bench, folder: Path) -> Written:
    from modelserver.recipes.packages import compile_int8_per_token  # noqa: PLC0415 - imports slowly

    compile_int8_per_token(network, bench.example, bench.family.inputs, folder / "model.pt2")
    return Written("package", "model.pt2")


def _float_package(network: nn.Module, bench: Bench, folder: Path) -> Written:
    from modelserver.recipes.packages import compile_float  # noqa: PLC0415 - imports slowly

    compile_float(network, bench.example, bench.family.inputs, folder / "model.pt2")
    return Written("package", "model.pt2")


@dataclass(frozen=True)
class Recipe:
    """How a variant is made.

    Attributes:
        weights: FULL, PRUNED or DISTILLED.
        write: Puts them on disk.
        steps: Units of progress that writing takes.
        min_speed_up: Over `full`; a variant that is slower is reported and dropped. None to keep it anyway.
    """

    weights: str
    write: Write
    steps: int = 10
    min_speed_up: float | None = None


RECIPES: dict[str, Recipe] = {
    "full": Recipe(FULL, _float32, 1),
    "bf16": Recipe(FULL, _bfloat16, 1),
    "int8": Recipe(FULL, _static_int8),
    "int8-pt2e": Recipe(FULL, _static_int8_package, 60),
    "int8-token": Recipe(FULL, _int8_per_token_package, 60),
    "compiled": Recipe(FULL, _float_package, 60, min_speed_up=1.05),
    "pruned": Recipe(PRUNED, _float32, 1),
    "pruned-int8": Recipe(PRUNED, _static_int8),
    "distilled": Recipe(DISTILLED, _float32, 1),
    "distilled-int8": Recipe(DISTILLED, _static_int8),
}
"""Variant -> how it is made."""
