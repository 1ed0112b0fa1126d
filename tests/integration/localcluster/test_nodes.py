"""Nodes that fall short, die and come back; everything that follows is the control plane's own doing."""

import pytest

from localcluster.cluster import Cluster
from localcluster.spec import NodeSpec
from pods import Namespace, deployment, eventually, pod, processes_mentioning, shell

pytestmark = pytest.mark.integration

ASLEEP = "trap 'exit 0' TERM; sleep 300 & wait"


def test_pod_stays_pending_when_no_accelerator_is_left(namespace: Namespace) -> None:
    wants_three = {"limits": {"example.com/chip": "3"}}
    namespace.apply(pod("greedy", shell(ASLEEP, resources=wants_three)))
    event = eventually(lambda: namespace.events("greedy", "FailedScheduling"))[0]
    assert "Insufficient example.com/chip" in event["message"]
    assert namespace.get("pod", "greedy")["status"]["phase"] == "Pending"


def test_accelerators_vanish_and_return_when_they_are_set(cluster: Cluster, namespace: Namespace) -> None:
    cluster.add_node(NodeSpec("flaky", accelerators={"example.com/lamp": 1}))
    cluster.set_accelerators("flaky", {"example.com/lamp": 0})
    namespace.apply(pod("waiting", shell(ASLEEP, resources={"limits": {"example.com/lamp": "1"}})))
    eventually(lambda: namespace.events("waiting", "FailedScheduling"))
    cluster.set_accelerators("flaky", {"example.com/lamp": 1})
    namespace.kubectl("wait", "--for=condition=Ready", "pod/waiting", "--timeout=20s")


def test_pods_move_and_the_node_returns_when_it_fails_and_recovers(cluster: Cluster, namespace: Namespace) -> None:
    cluster.add_node(NodeSpec("doomed", labels={"pool": "spare"}))
    cluster.add_node(NodeSpec("spare", labels={"pool": "spare"}))
    cluster.kubectl("cordon", "spare")
    namespace.apply(
        deployment("mover", shell(f"{ASLEEP}; echo {namespace.name}"), replicas=1, nodeSelector={"pool": "spare"})
    )
    namespace.kubectl("rollout", "status", "deployment/mover", "--timeout=20s")
    cluster.kubectl("uncordon", "spare")
    cluster.fail_node("doomed")
    assert not processes_mentioning(f"echo {namespace.name}")
    eventually(lambda: _ready_on(namespace, "spare"), within_seconds=30)
    cluster.recover_node("doomed")
    cluster.kubectl("wait", "--for=condition=Ready", "node/doomed", "--timeout=20s")
    # What was bound to the dead node is put to rest now that somebody answers for it.
    eventually(lambda: len(namespace.items("pods")) == 1)


def _ready_on(namespace: Namespace, node: str) -> bool:
    return any(
        one["spec"].get("nodeName") == node
        and any(c["type"] == "Ready" and c["status"] == "True" for c in one["status"].get("conditions", ()))
        for one in namespace.items("pods")
    )
