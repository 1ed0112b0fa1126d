import os
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.worker import arena as arenas
from modelserver.worker.arena import ALIGNMENT, Arena
from modelserver.worker.shared import FIRST_BYTES


@pytest.fixture
def ends() -> Iterator[tuple[Arena, Arena]]:
    """Return the writer's and the reader's end of one arena."""
    writer = Arena.create("test")
    reader = Arena(os.dup(writer.descriptor))
    yield writer, reader
    writer.close()
    reader.close()


def test_the_reader_sees_each_piece_when_several_are_written(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    offsets = [writer.write(piece) for piece in (b"one", b"", b"three")]
    assert [bytes(reader.read(at, n)) for at, n in zip(offsets, (3, 0, 5), strict=True)] == [b"one", b"", b"three"]
    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    assert offsets[2] > offsets[0]


def test_both_ends_grow_when_a_piece_does_not_fit(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    before = reader.read(writer.write(b"before"), 6)
    large = os.urandom(3 * FIRST_BYTES)
    offset = writer.write(large)
    assert bytes(reader.read(offset, len(large))) == large
    assert bytes(before) == b"before"
    assert reader.size_bytes == writer.size_bytes >= offset + len(large)


def test_the_memory_is_used_again_when_the_writer_starts_over(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    first = writer.write(b"first")
    seen = reader.read(first, 5)
    writer.reset()
    assert writer.write(b"other") == first
    assert bytes(seen) == b"other"


def test_memory_goes_back_to_the_kernel_when_a_batch_was_large(
    ends: tuple[Arena, Arena], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = ends
    monkeypatch.setattr(arenas, "KEPT_BYTES", 1 << 16)
    writer.write(b"\x01" * (8 << 20))
    held = os.fstat(writer.descriptor).st_blocks
    writer.reset()
    assert os.fstat(writer.descriptor).st_blocks < held / 50
    assert bytes(reader.read(writer.write(b"again"), 5)) == b"again"


def test_pieces_are_read_only_when_read(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    array = np.frombuffer(reader.read(writer.write(b"abcd"), 4), dtype=np.uint8)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.parametrize(("offset", "length"), [(0, FIRST_BYTES + 1), (-1, 1), (4, -2), (FIRST_BYTES, 1), (1 << 60, 1)])
def test_reading_is_refused_when_the_piece_is_outside(ends: tuple[Arena, Arena], offset: int, length: int) -> None:
    with pytest.raises(ValueError, match="expected a piece"):
        ends[1].read(offset, length)


@pytest.mark.parametrize(("offset", "rows"), [(-4, 1), (FIRST_BYTES - 4, 2), (FIRST_BYTES, 1), (0, 1 << 40)])
def test_an_array_is_refused_when_it_is_outside(ends: tuple[Arena, Arena], offset: int, rows: int) -> None:
    with pytest.raises((ValueError, TypeError)):
        ends[1].array(np.dtype(np.float32), (rows,), offset, 4 * rows)


def test_nobody_can_take_memory_away_when_it_is_shared(ends: tuple[Arena, Arena]) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(ends[1].descriptor, 0)


def test_what_was_read_lives_on_when_the_arena_is_closed() -> None:
    writer = Arena.create("test")
    array = np.frombuffer(writer.read(writer.write(b"abcd"), 4), dtype=np.uint8)
    writer.close()
    assert array.tobytes() == b"abcd"


FLOATS = np.dtype(np.float32)


def test_an_array_is_held_for_as_long_as_somebody_has_a_part_of_it(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    at = writer.write(np.arange(6, dtype=FLOATS).tobytes())
    array = reader.array(FLOATS, (2, 3), at, 24)
    part = array[1:].reshape(3)[1:]
    del array
    assert reader.is_held()
    assert part.tolist() == [4, 5]


def test_nothing_is_held_when_all_is_let_go(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    array = reader.array(FLOATS, (2, 3), writer.write(bytes(24)), 24)
    cycle: list[object] = [array]
    cycle.append(cycle)
    del array, cycle
    assert not reader.is_held()


def test_an_array_is_held_also_when_the_arena_grew_since(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    first = reader.array(FLOATS, (6,), writer.write(bytes(24)), 24)
    large = bytes(2 * FIRST_BYTES)
    second = reader.array(FLOATS, (FIRST_BYTES // 2,), writer.write(large), len(large))
    del second
    assert reader.is_held()
    assert first.tolist() == [0] * 6


def test_what_is_held_stays_and_later_arrays_are_copies(ends: tuple[Arena, Arena]) -> None:
    writer, reader = ends
    held = reader.array(FLOATS, (1,), writer.write(np.float32(1).tobytes()), 4)
    assert reader.is_held()
    writer.keep()
    kept = []
    for value in (2.0, 3.0):
        writer.reset()
        kept.append(reader.array(FLOATS, (1,), writer.write(np.float32(value).tobytes()), 4))
        assert not reader.is_held()
    assert [float(array[0]) for array in (held, *kept)] == [1, 2, 3]


@given(st.lists(st.binary(max_size=200), max_size=40))
def test_pieces_never_overlap_whatever_their_sizes(pieces: list[bytes]) -> None:
    arena = Arena.create("test")
    offsets = [arena.write(piece) for piece in pieces]
    read = [bytes(arena.read(offset, len(piece))) for offset, piece in zip(offsets, pieces, strict=True)]
    arena.close()
    assert read == pieces
