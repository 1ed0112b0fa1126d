from pathlib import Path

import pytest

from artifacts import make_variant
from modelserver.errors import LoadError
from modelserver.model import Context
from modelserver.runtimes.loading import load_network


def test_executable_is_let_through_only_by_its_own_digest(tmp_path: Path) -> None:
    metadata = make_variant(tmp_path, runtime="package")
    with pytest.raises(LoadError, match=f"--allow-executable {metadata.sha256}"):
        load_network(tmp_path, "int8", Context(tmp_path, executables=frozenset({"0" * 64})))
    # Vouched for, it gets as far as torch, which refuses what is no package.
    with pytest.raises(LoadError, match="torch cannot load it"):
        load_network(tmp_path, "int8", Context(tmp_path, executables=frozenset({metadata.sha256})))
