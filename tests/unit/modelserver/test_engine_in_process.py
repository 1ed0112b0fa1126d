import asyncio
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import ArrayLike

import modelserver
from modelserver.engine.answers import Answered
from modelserver.engine.asking import make_request
from modelserver.engine.engine import EngineSettings
from modelserver.engine.in_process import BlockingEngine
from modelserver.engine.ladder import Ladder
from modelserver.errors import InferenceFailedError, InvalidRequestError, LoadError, UnavailableError
from modelserver.tensors import Arrays, Contract, Tensor, TensorSpec
from modelserver_fakes import EchoModel, echo_contract

VECTORS = Contract(
    "vectors",
    "v1",
    "",
    (TensorSpec("x", "FP32", (-1, 3), maximum=10), TensorSpec("label", "BYTES", (-1,), optional=True, max_bytes=4)),
    (TensorSpec("y", "FP32", (-1,)), TensorSpec("why", "BYTES", (-1,), optional=True)),
    max_rows=4,
)


async def test_a_model_object_answers_when_it_is_served_by_a_thread() -> None:
    async with modelserver.Engine.open(EchoModel(), ("full", "int8"), isolation="thread") as engine:
        together = await asyncio.gather(*(engine.ask({"numbers": [number, 0]}) for number in range(20)))
        words = await engine.ask({"numbers": [7]}, outputs=("words",), variant="int8")

        assert [answer["numbers"].tolist() for answer in together] == [[number, 0] for number in range(20)]
        assert (words["words"].tolist(), words.variant) == ([b"7"], "int8")
        assert engine.contract.name == "echo-model"


async def test_the_model_goes_on_when_it_calls_exit_in_its_thread() -> None:
    model = EchoModel(poison=13, poison_error=SystemExit(1))
    async with modelserver.Engine.open(model, isolation="thread") as engine:
        with pytest.raises(InferenceFailedError):
            await engine.ask({"numbers": [13]})
        assert (await engine.ask({"numbers": [1]}))["numbers"].tolist() == [1]


async def test_an_answer_is_to_what_was_asked_when_the_caller_changes_its_array_meanwhile() -> None:
    model, numbers = EchoModel(), np.array([1, 2])
    settings = EngineSettings(cache_bytes=10_000)
    async with modelserver.Engine.open(model, isolation="thread", settings=settings) as engine:
        model.gate.clear()
        asked = asyncio.create_task(engine.ask({"numbers": numbers}))
        await asyncio.sleep(0)
        numbers[:] = 9
        model.gate.set()

        assert (await asked)["numbers"].tolist() == [1, 2]
        again = await engine.ask({"numbers": [1, 2]})
        assert (again["numbers"].tolist(), again.from_cache) == ([1, 2], True)


def test_whoever_asks_is_told_so_when_the_engine_has_been_closed() -> None:
    with modelserver.open_engine(EchoModel(), isolation="thread") as engine:
        assert engine.ask({"numbers": [1]})["numbers"].tolist() == [1]

    with pytest.raises(RuntimeError, match="the engine is not open"):
        engine.ask({"numbers": [1]})
    with pytest.raises(RuntimeError, match="the engine is not open"):
        engine.set_ladder(Ladder(("full",)))


def test_every_thread_gets_an_answer_or_an_error_when_the_engine_closes_meanwhile() -> None:
    def ask_on(engine: BlockingEngine) -> str:
        while True:
            try:
                engine.ask({"numbers": [1]})
            except (RuntimeError, UnavailableError) as error:
                return str(error)

    with ThreadPoolExecutor(8) as threads:
        with modelserver.open_engine(EchoModel(), isolation="thread") as engine:
            told = [threads.submit(ask_on, engine) for _ in range(8)]
            engine.ask({"numbers": [1]})
        for each in told:
            assert re.search("not open|shutting down", each.result(timeout=5))


class Numbering(EchoModel):
    """Gives whole numbers for text when it is asked for a large one."""

    def encode(self, answer: Arrays, memo: object, outputs: Sequence[str]) -> list[Tensor]:
        (words,) = super().encode(answer, memo, outputs)
        if answer["numbers"][0] < 100:
            return [words]
        return [Tensor("words", "BYTES", np.array([100], dtype=np.object_))]


async def test_neighbours_are_answered_when_one_answer_cannot_be_kept() -> None:
    model, settings = Numbering(), EngineSettings(cache_bytes=10_000)
    async with modelserver.Engine.open(model, isolation="thread", settings=settings) as engine:
        asked = [engine.ask({"numbers": [number]}, outputs=("words",)) for number in (1, 100, 2)]
        one, odd, two = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)

        assert isinstance(odd, InferenceFailedError)
        assert isinstance(one, Answered)
        assert isinstance(two, Answered)
        assert [one["words"].tolist(), two["words"].tolist()] == [[b"1"], [b"2"]]


def test_many_threads_are_answered_when_they_share_an_engine() -> None:
    with (
        modelserver.open_engine(EchoModel(), ("full", "int8"), isolation="thread") as engine,
        ThreadPoolExecutor(8) as threads,
    ):
        answers = list(threads.map(lambda number: engine.ask({"numbers": [number]}), range(64)))
        engine.set_ladder(Ladder(("int8",)))

        assert [answer["numbers"].tolist() for answer in answers] == [[number] for number in range(64)]
        assert engine.ask({"numbers": [1]}).variant == "int8"
        assert engine.contract.max_rows == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"isolation": "process"}, "expected a URI"),
        ({"isolation": "thread", "workers": 2}, "workers 2: expected 1"),
        ({"isolation": "pod"}, "isolation 'pod': expected process or thread"),
        ({"isolation": "thread", "variants": ("int4",)}, "variant 'int4'"),
    ],
)
def test_the_error_says_what_is_wrong_when_an_engine_cannot_be_opened(
    arguments: dict[str, object], message: str
) -> None:
    with (
        pytest.raises(LoadError, match=message),
        modelserver.open_engine(EchoModel(), **arguments),  # type: ignore[arg-type]  # wrong on purpose
    ):
        raise AssertionError("it was opened")


def test_values_become_tensors_when_they_agree_with_the_contract() -> None:
    request = make_request(VECTORS, {"x": [[1, 2, 3], [4, 5, 6]], "label": np.array(["é", b"raw"], dtype=object)})

    assert request.inputs["x"].array.dtype == np.float32
    assert request.inputs["label"].array.tolist() == ["é".encode(), b"raw"]
    assert request.outputs == ("y",)
    assert request.rows == 2


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ({}, (), "input 'x': missing"),
        ({"z": [1]}, (), "input 'z': unknown, expected x, label"),
        ({"x": [[1, 2, 3]]}, ("z",), "output 'z': unknown, expected y, why"),
        ({"x": [[1, 2]]}, (), r"shape \[1, 2\]"),
        ({"x": [[1, 2, 3]] * 5}, (), "5 rows, expected 1 to 4"),
        ({"x": [["a", "b", "c"]]}, (), "expected FP32"),
        ({"x": [[1, 2], [3]]}, (), "expected an array of FP32"),
        ({"x": [[1, 2, 11]]}, (), "10 or less"),
        ({"x": [[1, 2, float("nan")]]}, (), "finite"),
        ({"x": [[1, 2, 3]], "label": [3]}, (), "expected text or bytes"),
        ({"x": [[1, 2, 3]], "label": ["longer"]}, (), "label"),
        ({"x": [[1, 2, 3]], "label": ["a", "b"]}, (), "rows differ"),
    ],
)
def test_values_are_refused_when_the_contract_does_not_allow_them(
    inputs: dict[str, ArrayLike], outputs: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        make_request(VECTORS, inputs, outputs)


def test_numbers_are_converted_when_nothing_is_lost() -> None:
    request = make_request(echo_contract(), {"numbers": np.array([1, 2], dtype=np.int16)})

    assert request.inputs["numbers"].array.dtype == np.int64


@pytest.mark.parametrize(
    ("datatype", "given", "taken"),
    [
        ("UINT8", [0, 255], True),
        ("UINT8", [256], False),
        ("UINT8", [-1], False),
        ("INT32", [2**31], False),
        ("INT8", np.array([200], np.uint8), False),
        ("INT64", np.array([2**63], np.uint64), False),
        ("INT32", [7], True),
    ],
)
def test_whole_numbers_are_taken_only_when_the_datatype_holds_them(
    datatype: str, given: ArrayLike, taken: bool
) -> None:
    contract = replace(VECTORS, inputs=(TensorSpec("x", datatype, (-1,)),))
    if taken:
        assert make_request(contract, {"x": given}).inputs["x"].array.tolist() == np.asarray(given).tolist()
    else:
        with pytest.raises(InvalidRequestError, match=r"input 'x': element .*, expected whole numbers from"):
            make_request(contract, {"x": given})


def test_a_number_is_refused_without_a_warning_when_it_is_larger_than_the_datatype_holds() -> None:
    with pytest.raises(InvalidRequestError, match=r"element inf at \[0, 2\], expected finite numbers"):
        make_request(VECTORS, {"x": np.array([[1.0, 2.0, 1e39]])})


def test_nothing_heavy_is_imported_when_the_package_is() -> None:
    code = "import sys, modelserver; sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'asyncio')))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_engine_needs_no_torch_when_its_model_does_not() -> None:
    code = "import sys; from modelserver import Engine, open_engine; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_refused_when_it_is_imported_from_the_package() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Motor'"):
        modelserver.Motor  # noqa: B018 - the access is what is tested
