import json
from pathlib import Path
from typing import Any

import pytest

from modelserver.cgroups import CpuUse, cpu_limit_cores, cpu_use, memory_pressure, whole_cores
from modelserver.cli import main, make_parser
from modelserver.engine.answers import SilentObserver
from modelserver.engine.process_executor import ProcessExecutor
from modelserver.errors import LoadError
from modelserver.serving.computing import first_ladder, make_executors
from modelserver.serving.flags import settings_of, with_config
from modelserver.serving.fronts import backoff_seconds
from modelserver.serving.ladder_file import told_by_file
from modelserver.serving.place import Place, share_of
from modelserver.serving.settings import ServeSettings

MEBIBYTE = 1 << 20


def parse(*arguments: str) -> ServeSettings:
    return settings_of(make_parser().parse_args(["serve", *with_config(arguments)]))


def config(directory: Path, content: object) -> str:
    path = directory / "config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_defaults_are_those_of_a_single_front_that_holds_the_planned_variant() -> None:
    settings = parse("--model", "m")
    assert (settings.variant, settings.variants, settings.fronts, settings.workers) == ("full", ("full",), 1, None)
    assert (settings.host, settings.port, settings.admin_port) == ("127.0.0.1", 8080, None)


def test_planned_variant_is_the_ladders_first() -> None:
    settings = parse("--model", "m", "--variant", "bf16", "--ladder", "full, int8,bf16")
    assert settings.variants == ("bf16", "full", "int8")


def test_reflex_is_set_by_flags() -> None:
    ladder = first_ladder(
        parse("--model", "m", "--min-mean-accuracy", "0.93", "--latency-objective-milliseconds", "250")
    )
    assert ladder.document() == {"variants": ["full"], "minMeanAccuracy": "0.93", "latencyMilliseconds": 250}


def test_ladder_file_wins_over_flags_when_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ladder.json"
    document = {
        "variants": ["full", "int8"],
        "minMeanAccuracy": "0.945",
        "latencyMilliseconds": 350,
        "accuracies": {"full": "0.95", "int8": "0.94"},
        "overdraft": "1",
    }
    path.write_text(json.dumps(document))
    flags = ("--variant", "bf16", "--ladder", "pruned", "--min-mean-accuracy", "0.5")
    told = told_by_file(parse("--model", "m", *flags, "--ladder-file", str(path)))
    assert first_ladder(told).document() == document
    assert told.variant == "full"


@pytest.mark.parametrize("text", [None, "{", '{"variants": []}'])
def test_flags_count_when_the_ladder_file_is_missing_or_damaged(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ladder.json"
    if text is not None:
        path.write_text(text)
    told = told_by_file(parse("--model", "m", "--ladder", "int8", "--ladder-file", str(path)))
    assert told.variants == ("full", "int8")


def test_workers_leave_out_what_does_not_load_only_when_a_file_states_the_ladder() -> None:
    for file, lenient in ((None, False), (Path("/nowhere"), True)):
        (executor,) = make_executors(settings_with(ladder_file=file), ("full", "int8"), SilentObserver().on_stage_lost)
        assert isinstance(executor, ProcessExecutor)
        assert executor._lenient is lenient


@pytest.mark.parametrize(
    "flags",
    [
        ["--workers", "0"],
        ["--min-mean-accuracy", "1.5"],
        ["--cache-seconds", "nan"],
        ["--allow-executable", "abc"],
        ["--stage-address", "head"],
    ],
)
def test_flag_is_refused_when_its_value_makes_no_sense(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--model", "m", *flags)
    assert flags[0] in capsys.readouterr().err


def test_config_file_states_flags_and_flags_win(tmp_path: Path) -> None:
    digest = "a" * 64
    content = {
        "model": "m",
        "max-queue": 64,
        "max-queue-seconds": 2,
        "ladder": ["full", "int8"],
        "workers": 3,
        "pipeline": False,
        "allow-executable": [digest, "b" * 64],
        "stage-address": {"head": "http://h:1"},
    }
    settings = parse("--config", config(tmp_path, content), "--workers", "2", f"--allow-executable={digest}")
    assert (settings.model_uri, settings.max_queue, settings.workers) == ("m", 64, 2)
    assert settings.max_queue_seconds == 2.0
    assert settings.variants == ("full", "int8")
    assert settings.executables == (digest,)
    assert settings.stage_addresses == {"head": "http://h:1"}
    assert not settings.pipeline


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"modle": "m"}, "key 'modle', expected one of admin-host"),
        ({"config": "x"}, "key 'config'"),
        ({"model": None}, "model None"),
        ([1], "expected a JSON object"),
        ("{", "expected a JSON object"),
    ],
)
def test_config_file_is_refused_with_a_clear_error(tmp_path: Path, content: Any, names: str) -> None:
    with pytest.raises(LoadError, match="--config") as refused:
        with_config(["--config", config(tmp_path, content)])
    assert names in str(refused.value)


def test_command_fails_with_one_line_when_the_config_file_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", "/nowhere.json"]) == 1
    assert capsys.readouterr().err.startswith("modelserver: --config /nowhere.json")


def test_stage_cannot_be_served_and_split_at_once() -> None:
    settings = parse("--model", "m", "--stage", "head", "--pipeline")
    with pytest.raises(LoadError, match="--stage head"):
        make_executors(settings, settings.variants, SilentObserver().on_stage_lost)


def settings_with(**changes: Any) -> ServeSettings:
    return ServeSettings(model_uri="m", variant="full", host="h", port=1, **changes)


def test_fronts_share_workers_queue_cache_and_memory() -> None:
    settings = settings_with(fronts=2, workers=3, max_queue=101, cache_bytes=100 * MEBIBYTE)
    shares = [share_of(settings, Place(index, 2), 8, 2048 * MEBIBYTE) for index in range(2)]
    assert [share.workers for share in shares] == [2, 1]
    assert [share.max_queue for share in shares] == [51, 51]
    assert [share.cache_bytes for share in shares] == [50 * MEBIBYTE] * 2
    workers_bytes = sum((share.worker_memory_limit_bytes or 0) * (share.workers or 0) for share in shares)
    assert 0.8 * 2048 * MEBIBYTE < workers_bytes < 2048 * MEBIBYTE - 100 * MEBIBYTE


def test_every_front_has_a_worker_when_there_are_fewer_workers_than_fronts() -> None:
    settings = settings_with(fronts=3, workers=1)
    assert [share_of(settings, Place(index, 3), 1, None).workers for index in range(3)] == [1, 1, 1]


def test_workers_are_one_per_core_and_unlimited_when_nothing_else_is_said() -> None:
    share = share_of(settings_with(), Place(), 4, None)
    assert (share.workers, share.worker_memory_limit_bytes) == (4, None)


def test_stated_memory_limit_wins() -> None:
    share = share_of(settings_with(worker_memory_limit_bytes=7), Place(), 1, 512 * MEBIBYTE)
    assert share.worker_memory_limit_bytes == 7


def test_front_that_keeps_crashing_waits_longer_each_time_up_to_a_bound() -> None:
    waits = [backoff_seconds(crashes) for crashes in range(1, 12)]
    assert waits[0] == 0.0
    assert waits == sorted(waits)
    assert waits[-1] == 30.0


def test_siblings_are_waited_for_until_each_has_been_ready_once(tmp_path: Path) -> None:
    places = [Place(index, 2, tmp_path) for index in range(2)]
    assert places[0].siblings_waited_for() == 2
    places[1].tell_ready()
    assert (places[0].siblings_waited_for(), places[0].has_been_ready()) == (1, False)
    places[0].tell_ready()
    assert places[0].siblings_waited_for() == 0


def test_parent_learns_why_a_front_failed(tmp_path: Path) -> None:
    place = Place(0, 2, tmp_path)
    assert place.failure() is None
    place.tell_failure(LoadError("weights: expected some"))
    assert place.failure() == "weights: expected some"


def cgroup(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "membership", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/pod\n", 1.5),
        ({"pod/cpu.max": "20000 100000\n", "cpu.max": "max 100000\n"}, "0::/pod\n", 0.2),
        ({"pod/cpu.max": "900000 100000\n", "cpu.max": "50000 100000\n"}, "0::/pod\n", 0.5),
        ({"cpu/pod/cpu.cfs_quota_us": "25000", "cpu/pod/cpu.cfs_period_us": "100000"}, "3:cpu,cpuacct:/pod\n", 0.25),
    ],
)
def test_cpu_limit_is_read_from_either_version_of_control_groups(
    tmp_path: Path, files: dict[str, str], membership: str, cores: float
) -> None:
    member = tmp_path / "membership"
    member.write_text(membership)
    assert cpu_limit_cores(cgroup(tmp_path / "cgroup", files), member) == min(cores, cpu_limit_cores(tmp_path, member))


def test_cores_are_those_that_may_be_run_on_when_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_limit_cores(tmp_path / "none", tmp_path / "none") >= 1.0
    files = {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}
    assert cpu_limit_cores(cgroup(tmp_path, files), tmp_path / "none") >= 1.0


def test_part_of_a_core_is_enough_for_one_worker() -> None:
    assert [whole_cores(limit) for limit in (0.15, 1.0, 1.9, 4.0)] == [1, 1, 1, 4]


def test_throttling_is_read_where_the_kernel_counts_it(tmp_path: Path) -> None:
    root = cgroup(tmp_path, {"cpu.stat": "usage_usec 5\nnr_periods 40\nnr_throttled 10\nthrottled_usec 9\n"})
    assert cpu_use(root, tmp_path / "none") == CpuUse(40, 10)
    assert cpu_use(tmp_path / "none", tmp_path / "none") == CpuUse()


def test_memory_pressure_is_a_share(tmp_path: Path) -> None:
    file = tmp_path / "memory.pressure"
    file.write_text("some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=1.00 avg60=0.00\n")
    assert memory_pressure(file) == pytest.approx(0.125)
    assert memory_pressure(tmp_path / "none") == 0.0
