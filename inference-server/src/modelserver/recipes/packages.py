"""Networks compiled ahead of time by AOTInductor: as they are, in static int8 (pt2e), in int8 with a range per token."""

import copy
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx import GraphModule

from modelserver.errors import BuildError
from modelserver.recipes.quiet import quiet
from modelserver.tensors import Arrays

_CALIBRATION_BATCHES = 64


def _tensors(batch: Arrays, inputs: Sequence[str]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(batch[name]) for name in inputs)


def _export(network: nn.Module, example: tuple[Tensor, ...]) -> ExportedProgram:
    rows = Dim("rows", min=1)
    return torch.export.export(network, example, dynamic_shapes=tuple({0: rows} for _ in example), strict=True)


def _compile(program: ExportedProgram, path: Path, freeze: bool) -> None:
    try:
        torch._inductor.aoti_compile_and_package(
            program, package_path=str(path), inductor_configs={"freezing": freeze, "cpp.threads": 1}
        )
    except Exception as error:  # the compiler may raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BuildError(f"{path.name} does not compile, {reason}; packages need a C++ compiler on the path") from error


def compile_float(network: nn.Module, example: Arrays, inputs: Sequence[str], path: Path) -> None:
    """Compile a network as it is.

    Raises:
        BuildError: When it does not compile.
    """
    with quiet(), torch.no_grad():
        _compile(_export(network, _tensors(example, inputs)), path, freeze=True)


def _static_int8(network: nn.Module, example: tuple[Tensor, ...], batches: Iterator[tuple[Tensor, ...]]) -> GraphModule:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e  # noqa: PLC0415 - imports slowly
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86  # noqa: PLC0415 - ditto

    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config(is_dynamic=False))
    observed = prepare_pt2e(_export(network, example).module(), quantizer)
    for batch in islice(batches, _CALIBRATION_BATCHES):
        observed(*batch)
    converted: GraphModule = convert_pt2e(observed)
    return converted


def compile_static_int8(
    network: nn.Module, example: Arrays, inputs: Sequence[str], calibration: Iterator[Arrays], path: Path
) -> None:
    """Quantize by torchao's pt2e for x86, ranges fixed by calibration, and compile.

    Raises:
        BuildError: When it does not compile.
    """
    batches = (_tensors(batch, inputs) for batch in calibration)
    with quiet(), torch.no_grad():
        converted = _static_int8(network, _tensors(example, inputs), batches)
        _compile(_export(converted, _tensors(example, inputs)), path, freeze=True)


def compile_int8_per_token(network: nn.Module, example: Arrays, inputs: Sequence[str], path: Path) -> None:
    """Quantize linear layers to int8 weights and activations with a range per token, and compile.

    A range per token makes a row independent of its neighbours; a range per tensor, which legacy dynamic quantization has, lets
    one client corrupt another's answer and is not built at all.

    Raises:
        BuildError: When it does not compile.
    """
    with quiet(), torch.no_grad():
        from torchao.quantization import (  # noqa: PLC0415 - imports slowly, with warnings
            Int8DynamicActivationInt8WeightConfig,
            PerRow,
            quantize_,
        )

        rounded = copy.deepcopy(network)
        quantize_(rounded, Int8DynamicActivationInt8WeightConfig(granularity=PerRow(), set_inductor_config=False))
        _compile(_export(rounded, _tensors(example, inputs)), path, freeze=True)
