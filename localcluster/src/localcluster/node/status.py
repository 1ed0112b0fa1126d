"""A pod's status from what its containers are doing. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from localcluster.kubeobjects import JsonObject

HOST_IP = "127.0.0.1"


@dataclass(frozen=True)
class ContainerRecord:
    """What is known of one container.

    Attributes:
        name: as in the spec.
        image: as in the spec.
        state: ``waiting``, ``running`` or ``terminated``, as in the API.
        last_state: the previous ``terminated``, or empty.
        restart_count: restarts so far.
        ready: whether the readiness probe (or its absence) says so.
        started: whether the startup probe has passed.
        container_id: of the present or last process.
    """

    name: str
    image: str
    state: JsonObject = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: JsonObject = field(default_factory=dict)
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""

    @property
    def running(self) -> bool:
        """Say whether its process lives."""
        return "running" in self.state

    @property
    def exit_code(self) -> int | None:
        """The exit code, None unless terminated."""
        return self.state["terminated"]["exitCode"] if "terminated" in self.state else None

    def as_api(self) -> JsonObject:
        """Return the ``containerStatuses`` entry."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": f"local://{self.image}" if self.container_id else "",
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "restartCount": self.restart_count,
            "started": self.started,
            **({"containerID": self.container_id} if self.container_id else {}),
        }


@dataclass(frozen=True)
class PodRecord:
    """What is known of one pod.

    Attributes:
        ip: its loopback address, empty before the start.
        start_time: when the node took it on, as a timestamp.
        init: records of init containers, in order.
        containers: records of containers, in order.
    """

    ip: str
    start_time: str
    init: Sequence[ContainerRecord]
    containers: Sequence[ContainerRecord]


def phase(pod: JsonObject, record: PodRecord) -> str:
    """Return the pod's phase, by kubelet's rules."""
    spec, policy = pod["spec"], pod["spec"].get("restartPolicy", "Always")
    codes = [one.exit_code for one in record.containers]
    if not initialized(spec, record):
        failed_for_good = policy == "Never" and any((one.exit_code or 0) != 0 for one in record.init)
        return "Failed" if failed_for_good else "Pending"
    if policy != "Always" and all(code is not None for code in codes):
        if all(code == 0 for code in codes):
            return "Succeeded"
        if policy == "Never":
            return "Failed"
    begun = any(one.running or one.container_id for one in record.containers)
    waiting = all("waiting" in one.state and not one.last_state for one in record.containers)
    return "Running" if begun and not waiting else "Pending"


def is_sidecar(container: JsonObject) -> bool:
    """Say whether an init container goes on running beside the others."""
    return container.get("restartPolicy") == "Always"


def initialized(spec: JsonObject, record: PodRecord) -> bool:
    """Say whether every init container has done its work (a sidecar: has started)."""
    pairs = zip(spec.get("initContainers", ()), record.init, strict=True)
    return all(one.started if is_sidecar(container) else one.exit_code == 0 for container, one in pairs)


def pod_status(pod: JsonObject, record: PodRecord, now: str) -> JsonObject:
    """Return the status to write.

    Args:
        pod: the pod as last seen; its conditions keep their transition times.
        record: what is known.
        now: a timestamp.
    """
    present = phase(pod, record)
    status: JsonObject = {
        "observedGeneration": pod["metadata"].get("generation", 0),
        "phase": present,
        "hostIP": HOST_IP,
        "hostIPs": [{"ip": HOST_IP}],
        "startTime": record.start_time,
        "conditions": _conditions(pod, record, present, now),
        "containerStatuses": [one.as_api() for one in record.containers],
    }
    if record.init:
        status["initContainerStatuses"] = [one.as_api() for one in record.init]
    if record.ip:
        status |= {"podIP": record.ip, "podIPs": [{"ip": record.ip}]}
    return status


def _conditions(pod: JsonObject, record: PodRecord, present: str, now: str) -> list[JsonObject]:
    spec = pod["spec"]
    old = {condition["type"]: condition for condition in pod.get("status", {}).get("conditions", ())}
    finished = present in ("Succeeded", "Failed")
    unready = [one.name for one in record.containers if not one.ready]
    not_initialized = [one.name for one in record.init if one.exit_code != 0 and not one.started]
    containers_ready = _condition(
        not unready, _unready_reason(finished, present), "containers with unready status", unready
    )
    wanted = {
        "PodReadyToStartContainers": {"status": _text(bool(record.ip) and not finished)},
        "Initialized": _condition(
            initialized(spec, record), "ContainersNotInitialized", "containers with incomplete status", not_initialized
        ),
        "ContainersReady": containers_ready,
        "Ready": _ready(spec, old, containers_ready),
        "PodScheduled": {"status": "True"},
    }
    return [_with_transition(kind, condition, old.get(kind, {}), now) for kind, condition in wanted.items()]


def _unready_reason(finished: bool, present: str) -> str:
    if finished:
        return "PodCompleted" if present == "Succeeded" else "PodFailed"
    return "ContainersNotReady"


def _condition(true: bool, reason: str, message: str, names: Sequence[str]) -> JsonObject:
    if true:
        return {"status": "True", "reason": None, "message": None}
    return {"status": "False", "reason": reason, "message": f"{message}: [{' '.join(names)}]"}


def _ready(spec: JsonObject, old: Mapping[str, JsonObject], containers_ready: JsonObject) -> JsonObject:
    gates = [gate["conditionType"] for gate in spec.get("readinessGates", ())]
    closed = [gate for gate in gates if old.get(gate, {}).get("status") != "True"]
    if containers_ready["status"] == "True" and closed:
        message = f"the status of pod readiness gate {closed[0]!r} is not True"
        return {"status": "False", "reason": "ReadinessGatesNotReady", "message": message}
    return containers_ready


def _with_transition(kind: str, condition: JsonObject, old: JsonObject, now: str) -> JsonObject:
    changed = old.get("status") != condition["status"]
    moment = now if changed else old.get("lastTransitionTime", now)
    return {"type": kind, "lastProbeTime": None, "lastTransitionTime": moment, **condition}


def _text(value: bool) -> str:
    return "True" if value else "False"
