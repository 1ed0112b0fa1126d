import shutil
from pathlib import Path

import numpy as np
import pytest

from modelserver.artifact import read_variant, variants
from modelserver.building import build_family
from modelserver.errors import LoadError
from modelserver.model import Context
from modelserver.runtimes.loading import NotVouchedForError, load_network
from recipe_fakes import FEATURES, PointFamily

PACKAGES = ("int8-pt2e", "int8-token")

pytestmark = [
    pytest.mark.skipif(shutil.which("g++") is None, reason="packages need a C++ compiler"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build packages of a tiny model; return its directory."""
    directory = tmp_path_factory.mktemp("packaged") / "points"
    build_family(directory, PointFamily(), PACKAGES, force=False)
    return directory


def test_packages_pass_the_gate_when_built(packaged: Path) -> None:
    assert variants(packaged) == ("full", *PACKAGES)
    for variant in PACKAGES:
        assert read_variant(packaged, variant).runtime == "package"


@pytest.mark.parametrize("variant", PACKAGES)
def test_package_answers_as_full_does_at_any_batch_size_when_vouched_for(packaged: Path, variant: str) -> None:
    vouched = Context(packaged, executables=frozenset({read_variant(packaged, variant).sha256}))
    full, package = (load_network(packaged, name, vouched) for name in ("full", variant))
    x = np.random.default_rng(1).normal(size=(17, FEATURES)).astype(np.float32)
    exact = full({"x": x})["logits"]
    for rows in (1, 17):
        assert np.allclose(package({"x": x[:rows]})["logits"], exact[:rows], atol=0.05 * np.ptp(exact))


@pytest.mark.parametrize("variant", PACKAGES)
def test_package_is_not_loaded_when_nobody_vouches_for_it(packaged: Path, variant: str) -> None:
    with pytest.raises(NotVouchedForError, match=r"--allow-executable [0-9a-f]{64}"):
        load_network(packaged, variant, Context(packaged))


def test_package_is_refused_when_it_was_compiled_for_another_kind_of_device(packaged: Path) -> None:
    vouched = frozenset({read_variant(packaged, "int8-token").sha256})
    with pytest.raises(LoadError, match="expected"):
        load_network(packaged, "int8-token", Context(packaged, "meta", vouched))
