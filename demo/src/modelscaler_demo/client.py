"""What a client of a cluster reads: the ready pods behind a Service, and a ModelDeployment.

Endpoints refuse loopback addresses, so on the local cluster a client picks ready pods by the Service's selector itself.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import aiohttp
from kubernetes.aio import client
from kubernetes.aio import config as untyped_config

from modelscaler_demo.errors import DemoError
from modelscaler_demo.load.replicas import Replicas

config: Any = untyped_config  # its functions carry no annotations

Body: TypeAlias = dict[str, Any]
CALL_SECONDS = 10.0
POLL_SECONDS = 0.25
GROUP, VERSION, PLURAL = "modelscaler.dev", "v1alpha1", "modeldeployments"


@dataclass(frozen=True, slots=True)
class Door:
    """A URL to send requests to through the API server, with what it takes to be let in."""

    base_url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext


class Kube:
    """Reads from one API server; use it as an async context manager."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api: Any = api  # partly annotated
        self._core = client.CoreV1Api(api)
        self._custom = client.CustomObjectsApi(api)

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> Self:
        """Open a client by kubeconfig (None: the default one) and context (None: the current one).

        Raises:
            DemoError: There is no such kubeconfig or context.
        """
        configuration = client.Configuration()
        try:
            await config.load_kube_config(kubeconfig, context, configuration, persist_config=False)
        except config.ConfigException as error:
            raise DemoError(f"no API server to talk to: {error}. Pass --kubeconfig FILE, or --url URL") from error
        return cls(client.ApiClient(configuration))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._api.close()

    async def ready_pods(self, namespace: str, service: str) -> tuple[str, ...]:
        """Return the base URLs of the ready pods that a Service selects, sorted; empty when there is no such Service."""
        found = await _answer(self._core.read_namespaced_service_without_preload_content(service, namespace))
        selector = found.get("spec", {}).get("selector") if found else None
        if not found or not selector:
            return ()
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        # resourceVersion 0: from the API server's cache, which costs next to nothing and lags by milliseconds.
        pods = await _answer(
            self._core.list_namespaced_pod_without_preload_content(
                namespace, label_selector=labels, resource_version="0"
            )
        )
        target_port = found["spec"]["ports"][0].get("targetPort")
        urls = (pod_url(pod, target_port) for pod in (pods or {}).get("items", ()) if is_ready(pod))
        return tuple(sorted(url for url in urls if url))

    async def model_deployment(self, namespace: str, name: str) -> Body | None:
        """Return a ModelDeployment; None when there is none of that name."""
        return await _answer(
            self._custom.get_namespaced_custom_object_without_preload_content(GROUP, VERSION, namespace, PLURAL, name)
        )

    async def pods(self, namespace: str, label_selector: str) -> tuple[Body, ...]:
        """Return the pods of a namespace with these labels."""
        call = self._core.list_namespaced_pod_without_preload_content(
            namespace, label_selector=label_selector, resource_version="0"
        )
        return tuple(((await _answer(call)) or {}).get("items", ()))

    async def door(self, namespace: str, service: str) -> Door:
        """Return the API server's own proxy to a Service: a way in from outside any cluster, without a tunnel."""
        settings = self._api.configuration
        auth = (await settings.auth_settings()).get("BearerToken")
        return Door(
            base_url=f"{settings.host}/api/v1/namespaces/{namespace}/services/{service}:80/proxy",
            headers={auth["key"]: auth["value"]} if auth else {},
            tls=self._api.rest_client.ssl_context,
        )


async def follow(kube: Kube, namespace: str, service: str, replicas: Replicas) -> None:
    """Keep `replicas` what the Service selects, until cancelled; while the API server is away they stay as they are."""
    while True:
        try:
            replicas.replace(await kube.ready_pods(namespace, service))
        except (aiohttp.ClientError, TimeoutError, OSError):
            await asyncio.sleep(POLL_SECONDS)
        await asyncio.sleep(POLL_SECONDS)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod may get requests: Ready, not on its way out, and with an address."""
    status = pod.get("status", {})
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    leaving = bool(pod["metadata"].get("deletionTimestamp"))
    return conditions.get("Ready") == "True" and not leaving and bool(status.get("podIP"))


def pod_url(pod: Mapping[str, Any], target_port: int | str | None) -> str | None:
    """Return the base URL of a pod's port, given by number or by name; None when the pod has no such port."""
    if isinstance(target_port, int):
        return f"http://{pod['status']['podIP']}:{target_port}"
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports", ()))
    number = next((port["containerPort"] for port in ports if port.get("name") == target_port), None)
    return None if number is None else f"http://{pod['status']['podIP']}:{number}"


async def _answer(call: Awaitable[Any]) -> Body | None:
    async with asyncio.timeout(CALL_SECONDS):
        answer: aiohttp.ClientResponse = await call
        content = await answer.read()
    if answer.status == 404:
        return None
    if answer.status >= 400:
        raise aiohttp.ClientError(f"the API server answered {answer.status}: {content[:300].decode(errors='replace')}")
    body: Body = json.loads(content)
    return body
