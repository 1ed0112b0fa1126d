import os
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from modelserver.cgroups import memory_limit_bytes
from modelserver.compute.warmup import WarmUp
from modelserver.engine.spawning import environment
from modelserver.errors import LoadError
from modelserver.model import Network
from modelserver.tensors import Arrays
from modelserver.timing import LinearCost
from modelserver.worker import device
from modelserver.worker.device import find_device, is_accelerator
from modelserver.worker.ladder import Ladder, Steps
from modelserver.worker.memory import MemoryPlan, ResidentMemory, artifact_bytes
from worker_models import Doubling

MIB = 1 << 20


def group(root: Path, path: str, file: str, text: str) -> None:
    (root / path).mkdir(parents=True, exist_ok=True)
    (root / path / file).write_text(f"{text}\n")


def limit(root: Path, membership: str) -> int | None:
    named = root / "membership"
    named.write_text(membership)
    return memory_limit_bytes(root, named)


def test_the_least_limit_above_counts_when_groups_are_nested(tmp_path: Path) -> None:
    group(tmp_path, "", "memory.max", "max")
    group(tmp_path, "a", "memory.max", str(512 * MIB))
    group(tmp_path, "a/b", "memory.max", str(1024 * MIB))
    assert limit(tmp_path, "0::/a/b\n") == 512 * MIB


def test_the_mounts_own_limit_counts_when_the_path_is_the_hosts(tmp_path: Path) -> None:
    group(tmp_path, "", "memory.max", str(256 * MIB))
    assert limit(tmp_path, "0::/kubepods/pod7/x\n") == 256 * MIB


def test_version_1_counts_when_it_is_what_there_is(tmp_path: Path) -> None:
    group(tmp_path, "memory/pod", "memory.limit_in_bytes", str(64 * MIB))
    group(tmp_path, "memory", "memory.limit_in_bytes", "9223372036854771712")
    assert limit(tmp_path, "5:cpu,cpuacct:/other\n4:memory:/pod\n0::/\n") == 64 * MIB


@pytest.mark.parametrize("text", ["max", "9223372036854771712", "nonsense"])
def test_there_is_no_limit_when_none_is_stated(tmp_path: Path, text: str) -> None:
    group(tmp_path, "", "memory.max", text)
    assert limit(tmp_path, "0::/\n") is None


def test_resident_memory_grows_when_memory_is_touched() -> None:
    resident = ResidentMemory()
    before = resident.read()
    touched = np.ones(64 * MIB, dtype=np.uint8)
    after = resident.read()
    resident.close()
    assert after - before > 48 * MIB
    assert touched[0] == 1


def test_resident_memory_is_nothing_when_the_process_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        resident = ResidentMemory(process.pid)
        alive = resident.read()
    gone = resident.read()
    resident.close()
    assert (alive > 0, gone) == (True, 0)


def test_files_are_counted_when_a_variant_has_them(tmp_path: Path) -> None:
    group(tmp_path, "full", "model.onnx", "x" * 99)
    group(tmp_path, "full/deep", "more", "y" * 49)
    assert artifact_bytes(tmp_path, "full") == 150
    assert artifact_bytes(tmp_path, "int8") == 0
    assert artifact_bytes(None, "full") == 0


@pytest.mark.parametrize("variant", ["..", "../model/full", "", ".", "full/../../model/full"])
def test_nothing_outside_the_artifact_is_looked_at_when_a_variant_is_named_like_a_path(
    tmp_path: Path, variant: str
) -> None:
    (tmp_path / "model" / "full").mkdir(parents=True)
    (tmp_path / "model" / "full" / "weights").write_bytes(b"x" * 100)
    assert artifact_bytes(tmp_path / "model", str(tmp_path)) == 0
    assert artifact_bytes(tmp_path / "model", variant) == 0


def test_a_variant_is_refused_with_figures_when_it_does_not_fit() -> None:
    plan = MemoryPlan(1000 * MIB).learned(growth_bytes=300 * MIB, file_bytes=100 * MIB)
    assert plan.refusal(400 * MIB, 150 * MIB) is None
    assert plan.refusal(400 * MIB, 151 * MIB) == "memory: 853 MiB with it, expected at most 850 of 1000 MiB"


def test_nothing_is_refused_when_there_is_no_limit() -> None:
    assert MemoryPlan(None).refusal(1 << 50, 1 << 50) is None


class Loading:
    """Loads variants that take so much memory, for as long as somebody holds their networks."""

    def __init__(self, takes: dict[str, int], runtimes: Mapping[str, int]) -> None:
        self.takes = takes
        self._runtimes = runtimes
        self._imported: set[str] = set()
        self.asked: list[str] = []
        self._alive: weakref.WeakValueDictionary[str, FakeNetwork] = weakref.WeakValueDictionary()

    def prepare(self, variant: str) -> None:
        self._imported.update(self._runtimes)

    def load(self, variant: str) -> Network:
        self.asked.append(variant)
        if variant not in self.takes:
            raise LoadError(f"variant {variant!r}: not there")
        network = self._alive[variant] = FakeNetwork()
        return network

    def resident_bytes(self) -> int:
        imported = sum(self._runtimes[name] for name in self._imported)
        return 100 * MIB + imported + sum(self.takes[variant] for variant in self._alive)


class FakeNetwork:
    def __call__(self, batch: Arrays) -> Arrays:
        return batch


def make_ladder(
    takes: dict[str, int],
    limit_bytes: int | None,
    directory: Path | None = None,
    runtimes: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Ladder, Loading]:
    def warm_up(network: Network, variant: str) -> WarmUp:
        return WarmUp(LinearCost(1.0, 2.0, 1.0), 4, 0.5)

    loading = Loading(takes, runtimes)
    steps = Steps(loading.prepare, loading.load, warm_up, loading.resident_bytes)
    return Ladder(Doubling(), directory, limit_bytes, steps), loading


def test_all_are_loaded_in_the_order_asked_for_when_memory_allows() -> None:
    ladder, _ = make_ladder({"a": 50 * MIB, "b": 60 * MIB}, 1000 * MIB)
    loaded, left_out = ladder.load_all(["b", "a"])
    assert [one.variant for one in loaded] == ["b", "a"]
    assert [one.memory_bytes for one in loaded] == [60 * MIB, 50 * MIB]
    assert (loaded[0].max_batch_rows, loaded[0].warm_up_seconds, left_out) == (4, 0.5, {})


def test_the_first_is_loaded_whatever_it_takes() -> None:
    ladder, _ = make_ladder({"a": 5000 * MIB, "b": 1}, 1000 * MIB)
    loaded, left_out = ladder.load_all(["a", "b"])
    assert [one.variant for one in loaded] == ["a"]
    assert "memory: 5100 MiB" in left_out["b"]
    assert loaded[0].memory_bytes == 5000 * MIB


def test_a_variant_is_not_even_loaded_when_its_files_are_too_large(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with (tmp_path / "b" / "weights").open("wb") as file:
        file.truncate(900 * MIB)
    ladder, loading = make_ladder({"a": MIB, "b": 900 * MIB}, 1000 * MIB, tmp_path)
    loaded, left_out = ladder.load_all(["a", "b"])
    assert loading.asked == ["a"]
    assert "memory: 1001 MiB" in left_out["b"]
    assert len(loaded) == 1


def test_what_a_runtime_takes_is_not_expected_of_every_byte_of_the_next_variant(tmp_path: Path) -> None:
    for variant, size_bytes in (("a", 4 * MIB), ("b", MIB)):
        (tmp_path / variant).mkdir()
        with (tmp_path / variant / "weights").open("wb") as file:
            file.truncate(size_bytes)
    ladder, _ = make_ladder({"a": 60 * MIB, "b": 40 * MIB}, 1000 * MIB, tmp_path, {"torch": 600 * MIB})
    loaded, left_out = ladder.load_all(["a", "b"])
    assert left_out == {}
    assert [one.memory_bytes for one in loaded] == [60 * MIB, 40 * MIB]


def test_loading_fails_when_a_variant_is_not_there_and_goes_on_with_the_others() -> None:
    ladder, _ = make_ladder({"a": MIB}, 1000 * MIB)
    ladder.load_all(["a"])
    with pytest.raises(LoadError, match="not there"):
        ladder.add("b")
    assert list(ladder.networks) == ["a"]


def test_a_further_variant_that_is_not_there_ends_the_start_unless_that_may_be() -> None:
    ladder, _ = make_ladder({"a": MIB, "c": MIB}, 1000 * MIB)
    with pytest.raises(LoadError, match="not there"):
        ladder.load_all(["a", "b", "c"])
    loaded, left_out = make_ladder({"a": MIB, "c": MIB}, 1000 * MIB)[0].load_all(["a", "b", "c"], lenient=True)
    assert [one.variant for one in loaded] == ["a", "c"]
    assert left_out == {"b": "variant 'b': not there"}


def test_the_first_variant_must_be_there_whatever_may_be_left_out() -> None:
    with pytest.raises(LoadError, match="not there"):
        make_ladder({"a": MIB}, 1000 * MIB)[0].load_all(["b", "a"], lenient=True)


def test_adding_is_refused_when_memory_does_not_allow_it() -> None:
    ladder, _ = make_ladder({"a": MIB, "b": 900 * MIB}, 1000 * MIB)
    ladder.load_all(["a"])
    with pytest.raises(LoadError, match="variant 'b': memory"):
        ladder.add("b")
    assert list(ladder.networks) == ["a"]


def test_a_worker_computes_with_as_many_threads_as_told_whatever_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    told = environment(2)
    assert (told["OMP_NUM_THREADS"], told["MKL_NUM_THREADS"]) == ("2", "2")
    assert told["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("asked", ["gpu", "cuda:x", "tpu:0", ""])
def test_a_device_is_refused_when_it_is_not_one(asked: str) -> None:
    with pytest.raises(LoadError, match="expected auto, cpu, cuda or cuda:N"):
        find_device(asked)


@pytest.mark.parametrize(
    ("asked", "there", "expected"),
    [
        ("cuda", False, True),
        ("cuda:1", False, True),
        ("cpu", True, False),
        ("auto", True, True),
        ("auto", False, False),
    ],
)
def test_an_accelerator_is_seen_without_torch(
    asked: str, there: bool, expected: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(device, "_NVIDIA", tmp_path if there else tmp_path / "none")
    assert is_accelerator(asked) == expected


IMPORTS = """
import sys
import modelserver.worker.main
from modelserver.worker.device import find_device
assert find_device("cpu") == "cpu"
print(*({"torch", "aiohttp", "uvicorn", "prometheus_client"} & set(sys.modules)))
"""


def test_a_worker_imports_nothing_heavy_before_its_model() -> None:
    assert subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True).stdout == "\n"
