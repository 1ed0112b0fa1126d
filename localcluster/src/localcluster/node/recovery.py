"""What a container's record starts from: nothing for a new pod, the last status for one that a dead node left."""

from localcluster.kubeobjects import JsonObject
from localcluster.node.status import ContainerRecord

LOST = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the node came back",
}


def initial_record(spec: JsonObject, pod: JsonObject) -> ContainerRecord:
    """Return a container's first record on this machine.

    Args:
        spec: the container.
        pod: its pod; a status in it means that the containers ran before the node failed.
    """
    record = ContainerRecord(spec["name"], spec.get("image", ""))
    status = pod.get("status", {})
    known = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    before = next((one for one in known if one["name"] == spec["name"]), None)
    if before is None or not before.get("containerID"):
        return record
    last = before["state"] if "terminated" in before.get("state", {}) else {"terminated": LOST}
    return ContainerRecord(record.name, record.image, last_state=last, restart_count=before["restartCount"] + 1)
