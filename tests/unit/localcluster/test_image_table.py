"""The image table."""

from pathlib import Path

import pytest

from localcluster.images import ImageTable, normalized
from localcluster.spec import Image


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("x", "docker.io/library/x:latest"),
        ("x:1", "docker.io/library/x:1"),
        ("team/x", "docker.io/team/x:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("example.com/team/x:v2", "example.com/team/x:v2"),
        ("example.com/x@sha256:ab", "example.com/x@sha256:ab"),
    ],
)
def test_name_is_written_out_as_runtimes_do(name: str, full: str) -> None:
    assert normalized(name) == full


def test_row_is_found_under_any_of_its_names_when_it_was_added(tmp_path: Path) -> None:
    table = ImageTable(tmp_path / "images.json")
    assert table.find("x") is None
    table.add(Image("x", env={"A": "1"}, path=("/opt/x/bin",)))
    assert table.find("docker.io/library/x:latest") == Image("x", env={"A": "1"}, path=("/opt/x/bin",))
    assert table.find("x:2") is None


def test_row_is_replaced_when_the_name_is_added_again(tmp_path: Path) -> None:
    table = ImageTable(tmp_path / "images.json")
    table.add(Image("x", command=("old",)))
    table.add(Image("x:latest", command=("new",)))
    assert [row.command for row in table.rows()] == [("new",)]
