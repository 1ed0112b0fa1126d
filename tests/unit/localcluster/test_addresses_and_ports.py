"""Loopback ranges, addresses and ports."""

from pathlib import Path

from localcluster.addresses import AddressRange
from localcluster.ports import free_ports


def test_ranges_differ_when_two_clusters_claim_one(tmp_path: Path) -> None:
    first, second = AddressRange.claim(tmp_path), AddressRange.claim(tmp_path)
    assert not first.network.overlaps(second.network)
    assert first.network.is_loopback
    first.release()
    third = AddressRange.claim(tmp_path)
    assert third.network == first.network
    second.release()
    third.release()


def test_addresses_are_not_shared_and_come_back_late(tmp_path: Path) -> None:
    claimed = AddressRange.claim(tmp_path)
    taken = [claimed.take() for _ in range(600)]
    assert len(set(taken)) == 600
    assert all(not address.endswith((".0", ".255")) for address in taken)
    claimed.give_back(taken[0])
    assert claimed.take() not in taken
    claimed.release()


def test_ports_are_distinct_when_several_are_asked_for() -> None:
    assert len(set(free_ports(20))) == 20
