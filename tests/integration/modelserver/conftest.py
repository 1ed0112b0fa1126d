from pathlib import Path

import pytest

from modelserver.building import build_family
from modelserver.models.search_ranker.family import SearchRankerFamily
from tiny_models import make_images, make_inception, make_texts
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


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the other built-in models once, tiny; return the directory that holds them."""
    store = tmp_path_factory.mktemp("tiny-store")
    for family in (make_images(0), make_texts(0), make_inception(0)):
        build_family(store / family.name, family, (), force=False)
    return store
