"""What makes a quick run of the unit tests quick: `make slow` tries as many examples of each property as hypothesis does."""

import gc
from collections.abc import Generator

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=25)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while everything is imported, nor among it later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
