from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from modelserver.compute.warmup import warm_up
from modelserver.declaration import checked_accuracy, checked_contract
from modelserver.errors import LoadError
from modelserver.model import Model, Network
from modelserver.opening import opened_code, set_up
from modelserver.tensors import Arrays, Contract, InferRequest, Tensor, TensorSpec
from modelserver.worker.ladder import Ladder, Steps
from modelserver.worker.messages import Opened, read_message, write_message

SPEC = TensorSpec("x", "FP32", (-1, 4))


def changed(**changes: Any) -> TensorSpec:
    return replace(SPEC, **changes)


CONTRACT = Contract("mine", "1", "2", (SPEC,), (changed(name="y"),))


class Doubler(Model):
    """The model of the README, with one thing wrong at a time."""

    inputs: Any = CONTRACT.inputs
    outputs: Any = CONTRACT.outputs

    def predict(self, batch: Arrays) -> Arrays:
        return {"y": 2 * batch["x"]}

    def example(self) -> InferRequest:
        return InferRequest({"x": Tensor("x", "FP32", np.ones((1, 4), np.float32))}, ("y",))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ()}, r"inputs: \(\), expected a tuple of TensorSpec, at least one"),
        ({"inputs": SPEC}, "inputs: TensorSpec.*, expected a tuple of TensorSpec"),
        ({"outputs": ("y",)}, r"outputs: \('y',\), expected a tuple of TensorSpec"),
        ({"inputs": (SPEC, SPEC)}, r"inputs: names \['x', 'x'\], expected text, each once"),
        ({"inputs": (changed(datatype="float32"),)}, "'x': datatype 'float32', expected one of BOOL"),
        ({"inputs": (changed(shape=()),)}, r"'x': shape \(\), expected sizes"),
        ({"inputs": (changed(shape=(-1, None)),)}, "'x': shape: None, expected a whole number, -1 or more"),
        ({"inputs": (changed(shape=(-1, 2.5)),)}, "'x': shape: 2.5, expected a whole number, -1 or more"),
        ({"inputs": (changed(minimum=float("nan")),)}, "'x': minimum nan, expected a finite number"),
        ({"inputs": (changed(max_length=0),)}, "'x': max_length: 0, expected a whole number, 1 or more"),
        ({"max_rows": 0}, "max_rows: 0, expected a whole number, 1 or more"),
        ({"preprocessing_version": 3}, "preprocessing_version: 3, expected text"),
    ],
)
def test_a_contract_is_refused_by_field_when_nothing_could_agree_with_it(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LoadError, match=message):
        checked_contract(replace(CONTRACT, **changes))


def test_a_contract_crosses_to_the_front_when_its_numbers_are_numpys() -> None:
    spec = changed(shape=[np.int64(-1), np.int32(4)], minimum=np.float32(0), maximum=np.int64(2))
    contract = checked_contract(replace(CONTRACT, inputs=(spec,), max_rows=cast("int", np.int64(8))))

    crossed = read_message(write_message(Opened(contract, "cpu"))[4:])

    assert isinstance(crossed, Opened)
    assert crossed.contract == replace(CONTRACT, inputs=(changed(minimum=0.0, maximum=2.0),), max_rows=8)


@pytest.mark.parametrize("accuracy", [np.float32(0.5), np.float64(0.5), np.array(0.5), 0.5])
def test_an_accuracy_is_a_plain_number_when_the_model_has_numpys(accuracy: object) -> None:
    assert type(checked_accuracy("full", accuracy)) is float
    assert checked_accuracy("full", None) is None


@pytest.mark.parametrize("accuracy", [float("nan"), 95.0, -0.1, "0.9", [0.5, 0.5]])
def test_an_accuracy_is_refused_when_it_is_no_share(accuracy: object) -> None:
    class Claims(Doubler):
        def accuracy(self, variant: str) -> Any:
            return accuracy

    def measured(network: Network, variant: str) -> Any:
        return warm_up(Claims(), network, variant, budget_seconds=0.0)

    ladder = Ladder(Claims(), None, None, Steps(Claims().prepare, Claims().load, measured, lambda: 0))

    with pytest.raises(LoadError, match=r"accuracy of variant 'full': .*, expected a number from 0 to 1, or None"):
        ladder.load_all(["full"])


def test_a_model_is_refused_when_it_declares_nothing() -> None:
    class Silent(Doubler):
        inputs = ()

    with pytest.raises(LoadError, match="inputs"):
        set_up(opened_code(Silent()))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.ones((1, 4)), "tensor 'y': float64, expected float32 for FP32"),
        (np.ones(1, np.float32), r"tensor 'y': shape \[1\], expected \[-1, 4\], -1 for any"),
        (np.ones((1, 5), np.float32), r"tensor 'y': shape \[1, 5\], expected \[-1, 4\], -1 for any"),
    ],
)
def test_a_variant_does_not_load_when_it_answers_otherwise_than_the_model_declares(answer: Any, message: str) -> None:
    with pytest.raises(LoadError, match=f"variant 'full' answers the model's example wrongly, {message}"):
        warm_up(Doubler(), lambda _: {"y": answer}, "full")


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (Tensor("x", "FP32", np.ones((1, 4))), "input 'x' of float64, expected 'x' of FP32"),
        (Tensor("x", "FP32", np.ones((1, 5), np.float32)), r"input 'x': shape \[1, 5\], expected \[-1, 4\]"),
        (Tensor("z", "FP32", np.ones((1, 4), np.float32)), "input 'z' of float32, expected 'x' of FP32"),
    ],
)
def test_a_variant_does_not_load_when_no_client_could_send_the_example(example: Tensor, message: str) -> None:
    class Odd(Doubler):
        def example(self) -> InferRequest:
            return InferRequest({example.name: example}, ("y",))

    with pytest.raises(LoadError, match=f"variant 'full' fails on the model's example, .*{message}"):
        warm_up(Odd(), Odd().predict, "full")


def test_a_variant_does_not_load_when_its_example_asks_for_no_output_of_the_model() -> None:
    class Odd(Doubler):
        def example(self) -> InferRequest:
            return replace(super().example(), outputs=("z",))

    with pytest.raises(LoadError, match=r"outputs \['z'\], expected some of y"):
        warm_up(Odd(), Odd().predict, "full")
