import json
from pathlib import Path

import numpy as np
import pytest

from modelserver.errors import LoadError
from modelserver.scoring import Job, Scored, run_score, score
from modelserver.tensors import Array
from own_models import AddOne

ADD_ONE = "python:own_models:AddOne"
LENGTHS = "python:own_models:Lengths"


def job(source: Path, target: Path, uri: str = ADD_ONE, batch_rows: int = 3, workers: int = 0) -> Job:
    return Job(uri, "full", source, target, batch_rows=batch_rows, workers=workers)


def write_lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_rows_are_answered_in_order_whatever_the_batch(tmp_path: Path, batch_rows: int, workers: int) -> None:
    source = write_lines(tmp_path / "in.jsonl", *({"x": [number] * 4} for number in range(10)))
    scored = score(job(source, tmp_path / "out.jsonl", batch_rows=batch_rows, workers=workers))
    assert scored == Scored(rows=10, failed=0)
    assert read_lines(tmp_path / "out.jsonl") == [{"y": [number + 1.0] * 4} for number in range(10)]


def test_bad_row_fails_alone_when_others_are_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = {"x": [0, 0, 0, 0]}
    bad: list[object] = [{"x": [1]}, {"z": [0] * 4}, "not json", "[1]", {"x": ["a"] * 4}]
    source = write_lines(tmp_path / "in.jsonl", good, *bad, good)
    assert run_score(job(source, tmp_path / "out.jsonl")) == 1
    answers = read_lines(tmp_path / "out.jsonl")
    assert answers[0] == answers[-1] == {"y": [1.0] * 4}
    assert [list(answer) for answer in answers[1:-1]] == [["error"]] * len(bad)
    assert "7 rows scored" in capsys.readouterr().out


def test_rows_of_different_shapes_are_answered_singly(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", {"text": ["a"]}, "", {"text": ["bcd", "éf"]})
    assert score(job(source, tmp_path / "out.jsonl", LENGTHS)).failed == 0
    assert read_lines(tmp_path / "out.jsonl") == [
        {"text": ["a"], "bytes": [1]},
        {"text": ["bcd", "éf"], "bytes": [3, 3]},
    ]


def test_file_without_rows_gives_a_file_without_answers(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl")
    assert score(job(source, tmp_path / "out.jsonl")) == Scored(0, 0)
    assert (tmp_path / "out.jsonl").read_text() == ""


def test_arrays_are_answered_as_arrays(tmp_path: Path) -> None:
    x = np.arange(40, dtype=np.float32).reshape(10, 4)
    np.savez(tmp_path / "in.npz", x=x)
    assert score(job(tmp_path / "in.npz", tmp_path / "out.npz", workers=2)).rows == 10
    with np.load(tmp_path / "out.npz", allow_pickle=False) as answers:
        assert np.array_equal(answers["y"], x + 1)


def test_text_goes_both_ways_in_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", text=np.array([["a", "éf"], ["b", ""]]))
    score(job(tmp_path / "in.npz", tmp_path / "out.npz", LENGTHS))
    with np.load(tmp_path / "out.npz", allow_pickle=False) as answers:
        assert answers["bytes"].tolist() == [[1, 3], [1, 0]]
        assert answers["text"].tolist() == [[b"a", "éf".encode()], [b"b", b""]]


@pytest.mark.parametrize(
    ("arrays", "names"),
    [
        ({"x": np.zeros((2, 4), np.float64)}, "dtype float64, expected float32"),
        ({"z": np.zeros((2, 4), np.float32)}, "array 'z', expected some of x"),
        ({}, "no array 'x'"),
        ({"x": np.array([object()])}, "without objects"),
        ({"x": np.float32(1)}, "a single number"),
    ],
)
def test_arrays_are_refused_when_they_are_not_the_models(tmp_path: Path, arrays: dict[str, Array], names: str) -> None:
    np.savez(tmp_path / "in.npz", allow_pickle=True, **arrays)
    with pytest.raises(LoadError, match=names):
        score(job(tmp_path / "in.npz", tmp_path / "out.npz"))


def test_arrays_stop_at_a_row_that_is_refused_and_leave_nothing(tmp_path: Path) -> None:
    x = np.zeros((5, 4), np.float32)
    x[3, 1] = np.nan
    np.savez(tmp_path / "in.npz", x=x)
    with pytest.raises(LoadError, match=r"row 4: .*finite"):
        score(job(tmp_path / "in.npz", tmp_path / "out.npz"))
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


def test_earlier_answers_stay_when_the_model_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    source = write_lines(tmp_path / "in.jsonl", {"x": [0] * 4})
    (tmp_path / "out.jsonl").write_text("before")
    monkeypatch.setattr("modelserver.scoring_files.JsonLinesSink.write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        score(job(source, tmp_path / "out.jsonl"))
    assert (tmp_path / "out.jsonl").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_network_that_raises_fails_its_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(*_: object) -> None:
        raise ValueError("out of cheese")

    monkeypatch.setattr(AddOne, "predict", raises)
    source = write_lines(tmp_path / "in.jsonl", {"x": [0] * 4})
    assert score(job(source, tmp_path / "out.jsonl")).failed == 1
    assert read_lines(tmp_path / "out.jsonl") == [{"error": "out of cheese"}]


@pytest.mark.parametrize(
    ("source", "target", "names"),
    [
        ("in.txt", "out.jsonl", r"--input .*in\.txt: expected a name that ends in \.jsonl or \.npz"),
        ("in.jsonl", "out.txt", r"--output .*out\.txt: expected a name that ends in \.jsonl or \.npz"),
        ("missing.jsonl", "out.jsonl", r"--input .*missing\.jsonl: cannot be read"),
        ("in.jsonl", "missing/out.jsonl", r"--output .*out\.jsonl: cannot be written"),
    ],
)
def test_file_is_refused_when_it_cannot_be_used(tmp_path: Path, source: str, target: str, names: str) -> None:
    write_lines(tmp_path / "in.jsonl", {"x": [0] * 4})
    with pytest.raises(LoadError, match=names):
        score(job(tmp_path / source, tmp_path / target))


def test_output_is_refused_when_the_model_has_none_of_that_name(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", {"x": [0] * 4})
    with pytest.raises(LoadError, match="--outputs 'z': expected some of y"):
        score(Job(ADD_ONE, "full", source, tmp_path / "out.jsonl", outputs=("z",)))
