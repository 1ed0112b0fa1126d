"""Volumes of a pod, as directories of the machine that the launcher binds at their mountPath."""

import os
from collections.abc import Mapping
from pathlib import Path

from localcluster.apiclient import ApiClient
from localcluster.kubeobjects import JsonObject
from localcluster.node.downward import field_value, resource_value
from localcluster.node.environment import MissingConfiguration, PodFacts
from localcluster.node.objects import read_data
from localcluster.node.tokens import DEFAULT_LIFETIME_SECONDS, PodTokens

PROJECTED = ("configMap", "secret", "downwardAPI", "projected")
HOST_PATH_CREATES = ("DirectoryOrCreate",)
Files = dict[str, bytes]


class UnsupportedVolume(Exception):  # noqa: N818 - names what is wrong, like KeyError
    """A volume type that needs more than a directory."""


class PodVolumes:
    """The volumes of one pod."""

    def __init__(self, api: ApiClient, facts: PodFacts, directory: Path) -> None:
        self._api = api
        self._facts = facts
        self._directory = directory
        self._tokens = PodTokens(api, facts.pod)
        self._namespace = facts.pod["metadata"]["namespace"]

    async def prepare(self, pod: JsonObject) -> None:
        """Make every volume, or bring the projected ones up to date.

        Args:
            pod: the pod as it is now; its labels and annotations may have changed.

        Raises:
            MissingConfiguration: naming the ConfigMap, Secret or key that is not there.
            UnsupportedVolume: naming the volume.
        """
        self._facts = PodFacts(pod, self._facts.addresses, self._facts.allocatable)
        for volume in pod["spec"].get("volumes", ()):
            if any(kind in volume for kind in PROJECTED):
                await self._project(volume)
            else:
                self._make_directory(volume)

    def source(self, volume_name: str) -> Path:
        """Return the directory (or file) of the machine that a volume is."""
        for volume in self._facts.pod["spec"].get("volumes", ()):
            if volume["name"] == volume_name and "hostPath" in volume:
                return Path(volume["hostPath"]["path"])
        return self._directory / volume_name

    def _make_directory(self, volume: JsonObject) -> None:
        if "emptyDir" in volume:
            path = self._directory / volume["name"]
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(0o777)
        elif "hostPath" in volume:
            path = Path(volume["hostPath"]["path"])
            if volume["hostPath"].get("type") in HOST_PATH_CREATES:
                path.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                raise UnsupportedVolume(f'hostPath "{path}" does not exist on this machine')
        else:
            kind = next((key for key in volume if key != "name"), "none")
            raise UnsupportedVolume(
                f'volume "{volume["name"]}" is of type {kind}; the local cluster has emptyDir, hostPath, configMap, '
                "secret, downwardAPI and projected"
            )

    async def _project(self, volume: JsonObject) -> None:
        source = volume.get("projected")
        files: Files = {}
        for part in source.get("sources", ()) if source is not None else (volume,):
            files |= await self._files_of(part)
        _replace_files(self._directory / volume["name"], files)

    async def _files_of(self, source: JsonObject) -> Files:
        if "serviceAccountToken" in source:
            wanted = source["serviceAccountToken"]
            lifetime = int(wanted.get("expirationSeconds", DEFAULT_LIFETIME_SECONDS))
            return {wanted["path"]: (await self._tokens.get(wanted.get("audience", ""), lifetime)).encode()}
        if "configMap" in source:
            return await self._object_files("ConfigMap", source["configMap"], source["configMap"].get("name", ""))
        if "secret" in source:
            secret = source["secret"]
            return await self._object_files("Secret", secret, secret.get("name") or secret.get("secretName", ""))
        if "downwardAPI" in source:
            return {item["path"]: self._downward(item) for item in source["downwardAPI"].get("items", ())}
        raise UnsupportedVolume(
            f"projected source {sorted(source)}: expected serviceAccountToken, configMap, secret or downwardAPI"
        )

    async def _object_files(self, kind: str, source: JsonObject, name: str) -> Files:
        data = await read_data(self._api, self._namespace, kind, name)
        optional = source.get("optional", False)
        if data is None and not optional:
            raise MissingConfiguration(f'{kind.lower()} "{name}" not found')
        return select_items(data or {}, source.get("items"), f"{kind.lower()} {name}", optional=optional)

    def _downward(self, item: JsonObject) -> bytes:
        if "fieldRef" in item:
            return field_value(self._facts.pod, item["fieldRef"]["fieldPath"], self._facts.addresses).encode()
        reference = item["resourceFieldRef"]
        containers = self._facts.pod["spec"]["containers"]
        container = next(one for one in containers if one["name"] == reference["containerName"])
        return resource_value(container, reference, self._facts.allocatable).encode()


def select_items(data: Mapping[str, bytes], items: list[JsonObject] | None, owner: str, *, optional: bool) -> Files:
    """Return files by path: every key, or the items that the volume names.

    Raises:
        MissingConfiguration: if an item's key is not there and the source is not optional.
    """
    if not items:
        return dict(data)
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not optional:
        raise MissingConfiguration(f"{owner}: references non-existent config key: {missing[0]}")
    return {item["path"]: data[item["key"]] for item in items if item["key"] in data}


def _replace_files(directory: Path, files: Files) -> None:
    """Make ``directory`` hold exactly ``files``, each replaced in one step."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = directory / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.new")
        scratch.write_bytes(content)
        os.replace(scratch, path)
    for path in directory.rglob("*"):
        if path.is_file() and str(path.relative_to(directory)) not in files:
            path.unlink()
