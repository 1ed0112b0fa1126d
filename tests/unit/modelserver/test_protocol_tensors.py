import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelserver.errors import InferenceFailedError, InvalidRequestError, RequestError
from modelserver.protocol.tensors import tensor_bytes, tensor_from
from modelserver.tensors import DATATYPES, Array, Tensor

NUMERIC = sorted(set(DATATYPES) - {"BYTES"})
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def texts(*elements: bytes) -> Array:
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = elements
    return array


@given(st.sampled_from(NUMERIC), SHAPES, st.data())
def test_numbers_come_back_when_sent_as_bytes(datatype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    array = data.draw(hnp.arrays(DATATYPES[datatype], shape))
    sent = tensor_bytes(Tensor("x", datatype, array))
    assert len(sent) == array.nbytes
    received = tensor_from("x", datatype, shape, sent)
    assert received.array.dtype == DATATYPES[datatype]
    np.testing.assert_array_equal(received.array, array)


@given(st.lists(st.binary(max_size=20), max_size=12), st.sampled_from([1, 2, 3]))
def test_byte_strings_come_back_when_sent_as_bytes(elements: list[bytes], columns: int) -> None:
    array = texts(*elements[: len(elements) // columns * columns]).reshape(-1, columns)
    received = tensor_from("x", "BYTES", array.shape, tensor_bytes(Tensor("x", "BYTES", array)))
    assert received.array.tolist() == array.tolist()
    assert received.shape == array.shape


def test_bytes_are_little_endian_with_lengths_when_written() -> None:
    assert bytes(tensor_bytes(Tensor("x", "UINT32", np.array([1, 258], np.uint32)))) == b"\1\0\0\0\2\1\0\0"
    assert tensor_bytes(Tensor("x", "BYTES", texts(b"ab", b""))) == b"\2\0\0\0ab\0\0\0\0"


def test_elements_are_row_major_when_the_array_is_not() -> None:
    transposed = np.array([[1, 2], [3, 4]], np.uint8).T
    assert bytes(tensor_bytes(Tensor("x", "UINT8", transposed))) == b"\1\3\2\4"


def test_nothing_is_copied_when_the_buffer_is_aligned() -> None:
    array = np.arange(4, dtype=np.float32)
    view = tensor_bytes(Tensor("x", "FP32", array))
    array[0] = 9
    received = tensor_from("x", "FP32", (4,), view)
    array[1] = 8
    assert received.array.tolist() == [9, 8, 2, 3]


def test_array_is_aligned_when_the_buffer_is_not() -> None:
    buffer = memoryview(b"\0" + np.arange(3, dtype=np.float64).tobytes())[1:]
    received = tensor_from("x", "FP64", (3,), buffer)
    assert received.array.flags.aligned
    assert received.array.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("datatype", "shape", "buffer", "message"),
    [
        ("FP32", (2,), b"\0" * 7, "7 bytes, expected 8"),
        ("FP32", (2,), b"\0" * 12, "12 bytes, expected 8"),
        ("FP32", (1 << 40, 1 << 40), b"\0" * 8, "expected 4835703278458516698824704"),
        ("FP32", (0, 1 << 63), b"", "expected one that memory can hold"),
        ("BYTES", (0, 1 << 63), b"", "expected one that memory can hold"),
        ("BOOL", (2,), b"\1\2", "a byte of 2, expected 0 or 1"),
        ("BYTES", (2,), b"\1\0\0\0a", "5 bytes, expected 2 elements"),
        ("BYTES", (1,), b"\2\0\0\0a", "end within element 0"),
        ("BYTES", (1,), b"\xff\xff\xff\xffa", "end within element 0"),
        ("BYTES", (2,), b"\4\0\0\0abcd\1\0", "end within element 1"),
        ("BYTES", (1,), b"\1\0\0\0ab", "1 bytes are left over"),
        ("BYTES", (0,), b"a", "1 bytes are left over"),
        ("BYTES", (1 << 40, 1 << 40), b"\0" * 8, "8 bytes, expected 1208925819614629174706176 elements"),
    ],
)
def test_bytes_are_refused_when_they_are_not_what_the_shape_says(
    datatype: str, shape: tuple[int, ...], buffer: bytes, message: str
) -> None:
    with pytest.raises(InvalidRequestError, match="'x'") as refused:
        tensor_from("x", datatype, shape, buffer)
    assert message in str(refused.value)


@given(st.sampled_from(sorted(DATATYPES)), st.lists(st.integers(0, 1 << 64), max_size=4), st.binary(max_size=64))
def test_nothing_but_a_request_error_is_raised_when_bytes_are_arbitrary(
    datatype: str, shape: list[int], buffer: bytes
) -> None:
    try:
        tensor = tensor_from("x", datatype, shape, buffer)
    except RequestError:
        return
    assert tensor.shape == tuple(shape)


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("y", "FP32", np.zeros(2)),
        Tensor("y", "FP32", np.zeros(2, dtype=">f4")),
        Tensor("y", "BYTES", np.array(["text"], dtype=np.object_)),
        Tensor("y", "BYTES", np.array([b"text"])),
    ],
)
def test_answer_is_refused_when_its_array_is_not_of_its_datatype(tensor: Tensor) -> None:
    with pytest.raises(InferenceFailedError, match=r"'y'.*expected"):
        tensor_bytes(tensor)
