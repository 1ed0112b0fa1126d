from pathlib import Path

import pytest

from modelserver.building import build_family
from modelserver.models.search_ranker.family import SearchRankerFamily
from tiny_ranker import TINY, TINY_VARIANTS


@pytest.fixture(scope="session")
def tiny_family() -> SearchRankerFamily:
    """Return the family that the tiny model is built from."""
    return SearchRankerFamily(TINY)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, tiny_family: SearchRankerFamily) -> Path:
    """Build the tiny model once; return its directory."""
    directory = tmp_path_factory.mktemp("tiny") / "search-ranker"
    build_family(directory, tiny_family, TINY_VARIANTS, force=False)
    return directory
