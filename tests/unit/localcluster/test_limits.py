"""Limits and the cgroup settings they become."""

from localcluster.node.cgroups import Limits, _settings

RESOURCES = {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}


def test_limits_are_read_in_kernel_units() -> None:
    limits = Limits.of(RESOURCES, cfs_period_ms=10)
    assert limits == Limits(cpu_quota_us=5000, cpu_period_us=10_000, cpu_request=0.25, memory_bytes=64 * 2**20)


def test_nothing_is_limited_when_nothing_is_asked() -> None:
    limits = Limits.of({}, cfs_period_ms=10)
    assert (limits.cpu_quota_us, limits.memory_bytes) == (None, None)


def test_quota_is_what_the_kernel_takes_when_a_limit_is_tiny() -> None:
    assert Limits.of({"limits": {"cpu": "1m"}}, cfs_period_ms=10).cpu_quota_us == 1000


def test_settings_are_those_of_the_cgroup_version() -> None:
    limits = Limits.of(RESOURCES, cfs_period_ms=10)
    assert _settings(limits, 1) == {
        "cpu.shares": "256",
        "cpu.cfs_period_us": "10000",
        "cpu.cfs_quota_us": "5000",
        "memory.limit_in_bytes": str(64 * 2**20),
    }
    assert _settings(limits, 2) == {
        "cpu.weight": "10",
        "cpu.max": "5000 10000",
        "memory.max": str(64 * 2**20),
        "memory.swap.max": "0",
    }
