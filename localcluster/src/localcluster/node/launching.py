"""From a container's spec and its image to what the launcher must know."""

import os
from collections.abc import Mapping
from pathlib import Path

from localcluster.kubeobjects import JsonObject
from localcluster.node.cgroups import Limits
from localcluster.node.context import PodContext
from localcluster.node.environment import container_environment
from localcluster.node.expansion import expand
from localcluster.node.objects import environment_references, read_data
from localcluster.node.process import Launch, Mount, StartFailure
from localcluster.node.sandbox import Isolation
from localcluster.spec import Image

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


async def plan_launch(context: PodContext, container: JsonObject, image: Image, attempt: int) -> Launch:
    """Return how to start a container.

    Args:
        context: the pod's.
        container: its spec.
        image: the row of the image table.
        attempt: number of the start; logs are kept apart by it.

    Raises:
        MissingConfiguration: when its environment refers to something that is not there.
        StartFailure: when neither spec nor image names a command.
    """
    environment = await _environment(context, container, image)
    directory = context.directory / container["name"]
    isolated = context.machine.isolation is not Isolation.NONE
    work = directory / "work"
    work.mkdir(parents=True, exist_ok=True)
    return Launch(
        argv=command_of(container, image, environment),
        env=environment,
        hostname=context.pod["spec"].get("hostname") or context.pod["metadata"]["name"][:63],
        working_dir=container.get("workingDir") or ("/" if isolated else str(work)),
        mounts=_mounts(context, container, environment),
        keep=kept_directories(image),
        scratch=directory / "scratch",
        log=log_path(context.directory, container["name"], attempt),
        limits=Limits.of(container.get("resources", {}), context.machine.settings.timing.cfs_period_ms),
    )


def log_path(pod_directory: Path, container_name: str, attempt: int) -> Path:
    """Return where one run of a container logs."""
    return pod_directory / container_name / f"{attempt}.log"


async def _environment(context: PodContext, container: JsonObject, image: Image) -> dict[str, str]:
    namespace = context.pod["metadata"]["namespace"]
    data: dict[tuple[str, str], Mapping[str, str] | None] = {}
    for kind, name in set(environment_references(container)):
        found = await read_data(context.machine.api, namespace, kind, name)
        text = None if found is None else {key: value.decode(errors="replace") for key, value in found.items()}
        data[kind, name] = text
    base = {
        "PATH": ":".join([*image.path, DEFAULT_PATH]),
        "HOME": os.environ.get("HOME", "/"),
        "HOSTNAME": context.pod["metadata"]["name"],
        **image.env,
        **context.service_environment(),
    }
    if context.machine.isolation is Isolation.NONE:
        base |= volume_hints(context, container)
    return container_environment(container, base, context.facts, lambda kind, name: data[kind, name])


def volume_hints(context: PodContext, container: JsonObject) -> dict[str, str]:
    """Return where volumes are for a process that has no mounts of its own."""
    return {
        f"LOCALCLUSTER_VOLUME_{mount['name'].upper().replace('-', '_').replace('.', '_')}": str(
            context.volumes.source(mount["name"])
        )
        for mount in container.get("volumeMounts", ())
    }


def command_of(container: JsonObject, image: Image, environment: Mapping[str, str]) -> list[str]:
    """Return the command line: ``command`` replaces the image's, ``args`` follow either."""
    command = [*(container.get("command") or image.command), *container.get("args", ())]
    if not command:
        raise StartFailure(f"no command specified: neither the container nor the image {image.name} names one")
    return [expand(word, environment) for word in command]


def kept_directories(image: Image) -> list[str]:
    """Return the image's own directories: those it names, and the prefixes of its programs (``/x`` for ``/x/bin``)."""
    return sorted({*image.keep, *(str(Path(directory).parent) for directory in image.path)} - {"/"})


def _mounts(context: PodContext, container: JsonObject, environment: Mapping[str, str]) -> list[Mount]:
    volumes = {volume["name"]: volume for volume in context.pod["spec"].get("volumes", ())}
    mounts = []
    for mount in container.get("volumeMounts", ()):
        below = mount.get("subPath") or expand(mount.get("subPathExpr", ""), environment)
        source = context.volumes.source(mount["name"]) / below if below else context.volumes.source(mount["name"])
        if below and not source.exists():
            source.mkdir(parents=True)
        writable = "emptyDir" in volumes[mount["name"]] or "hostPath" in volumes[mount["name"]]
        mounts.append(Mount(source, mount["mountPath"], mount.get("readOnly", False) or not writable))
    return mounts
