from pathlib import Path

import pytest

from modelserver.building import _one_builder


def model(directory: Path, name: str) -> Path:
    directory.mkdir(parents=True)
    (directory / "model.json").write_text(name)
    return directory


@pytest.mark.parametrize("name", ["ranker", "ranker[1]"])
def test_what_a_killed_build_left_is_removed_when_the_next_begins(tmp_path: Path, name: str) -> None:
    target = model(tmp_path / name, "built")
    left = [model(tmp_path / f".{name}.building-abc", "half"), model(tmp_path / f".{name}.old-abc", "replaced")]
    others = model(tmp_path / ".other.building-abc", "of another model")

    with _one_builder(target):
        pass

    assert not any(directory.exists() for directory in left)
    assert others.exists()
    assert (target / "model.json").read_text() == "built"


def test_the_model_is_put_back_when_a_build_was_killed_while_it_replaced_it(tmp_path: Path) -> None:
    old = model(tmp_path / ".ranker.old-abc", "built")

    with _one_builder(tmp_path / "ranker"):
        pass

    assert (tmp_path / "ranker" / "model.json").read_text() == "built"
    assert not old.exists()
