"""The calls the operator makes, each blocking (run them in a thread), each answering plain dicts.

Server-side apply throughout: a field manager owns exactly the fields it names, so templates and replicas have managers
of their own and neither drops the other's fields.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from modelscaler.api import GROUP, PLURAL
from modelscaler.cluster.connection import TIMEOUT
from modelscaler.cluster.errors import ApiCallError, translate

APPLY = "application/apply-patch+yaml"
PAGE_OBJECTS = 500
VERSION = "v1alpha1"

Body: TypeAlias = dict[str, Any]
Kind: TypeAlias = Literal[
    "ModelDeployment", "Deployment", "Service", "Pod", "HorizontalPodAutoscaler", "Node", "ResourceQuota", "HTTPRoute"
]

ROUTES: Final = ("gateway.networking.k8s.io", "v1", "httproutes")
CUSTOM: Final = {"ModelDeployment": (GROUP, VERSION, PLURAL), "HTTPRoute": ROUTES}


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind, and the resource version the list was taken at."""

    items: tuple[Body, ...]
    resource_version: int


class ClusterCalls:
    """The API server as the operator uses it. `namespace` None: the whole cluster."""

    def __init__(self, api: client.ApiClient, namespace: str | None = None) -> None:
        self._namespace = namespace
        self._apps = client.AppsV1Api(api)
        self._core = client.CoreV1Api(api)
        self._custom = client.CustomObjectsApi(api)
        self._events: Any = client.EventsV1Api(api)
        self._autoscaling = client.AutoscalingV2Api(api)

    def apply(self, manifest: Body, manager: str) -> Body:
        """Apply a Deployment, a Service, a ConfigMap or an HTTPRoute server-side and return it as stored."""
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        patches: dict[str, Callable[..., Any]] = {
            "Deployment": self._apps.patch_namespaced_deployment,
            "Service": self._core.patch_namespaced_service,
            "ConfigMap": self._core.patch_namespaced_config_map,
            "HTTPRoute": self._patch_route,
        }
        patch = patches[manifest["kind"]]
        return _answer(
            f"apply {manifest['kind']} {namespace}/{name}",
            lambda: patch(name, namespace, manifest, field_manager=manager, force=True, _content_type=APPLY, **_RAW),
        )

    def apply_status(self, namespace: str, name: str, status: Body, manager: str) -> Body:
        """Apply a ModelDeployment's status and return the object as stored."""
        manifest = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": namespace},
            "status": status,
        }
        return _answer(
            f"write status of ModelDeployment {namespace}/{name}",
            lambda: self._custom.patch_namespaced_custom_object_status(
                GROUP, VERSION, namespace, PLURAL, name, manifest,
                field_manager=manager, force=True, _content_type=APPLY, **_RAW,
            ),
        )  # fmt: skip

    def _patch_route(self, name: str, namespace: str, manifest: Body, **options: Any) -> Any:
        group, version, plural = ROUTES
        return self._custom.patch_namespaced_custom_object(group, version, namespace, plural, name, manifest, **options)

    def delete_route(self, namespace: str, name: str, uid: str) -> None:
        """Delete an HTTPRoute; one that is gone already, or another by now, is fine."""
        group, version, plural = ROUTES
        options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=uid))
        try:
            _answer(
                f"delete HTTPRoute {namespace}/{name}",
                lambda: self._custom.delete_namespaced_custom_object(
                    group, version, namespace, plural, name, body=options, **_RAW
                ),
            )
        except ApiCallError as error:
            if not (error.not_found or error.conflict):
                raise

    def delete_deployment(self, namespace: str, name: str, uid: str) -> None:
        """Delete a Deployment and, in the background, its pods; one that is gone already, or another by now, is fine."""
        options = client.V1DeleteOptions(propagation_policy="Background", preconditions=client.V1Preconditions(uid=uid))
        try:
            _answer(
                f"delete Deployment {namespace}/{name}",
                lambda: self._apps.delete_namespaced_deployment(name, namespace, body=options, **_RAW),
            )
        except ApiCallError as error:
            if not (error.not_found or error.conflict):
                raise

    def list(self, kind: Kind, label_selector: str = "", field_selector: str = "") -> Listing:
        """Return all objects of a kind, read in pages."""
        pages = list(self._pages(kind, label_selector, field_selector))
        items = tuple(item for page in pages for item in page.get("items", ()))
        return Listing(items, int(pages[-1]["metadata"].get("resourceVersion") or 0))

    def model_deployment(self, namespace: str, name: str) -> Body:
        """Return one ModelDeployment."""
        return _answer(
            f"read ModelDeployment {namespace}/{name}",
            lambda: self._custom.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name, **_RAW),
        )

    def config_map(self, namespace: str, name: str) -> dict[str, str] | None:
        """Return a ConfigMap's data; None when there is no such ConfigMap."""
        try:
            body = _answer(
                f"read ConfigMap {namespace}/{name}",
                lambda: self._core.read_namespaced_config_map(name, namespace, **_RAW),
            )
        except ApiCallError as error:
            if error.not_found:
                return None
            raise
        return dict(body.get("data") or {})

    def post_event(self, event: Body) -> Body:
        """Create an Event (events.k8s.io/v1)."""
        namespace = event["metadata"]["namespace"]
        return _answer(
            f"post event in {namespace}", lambda: self._events.create_namespaced_event(namespace, event, **_RAW)
        )

    def _pages(self, kind: Kind, label_selector: str, field_selector: str) -> Iterator[Body]:
        token: str | None = None
        while True:
            options = {
                "limit": PAGE_OBJECTS,
                "label_selector": label_selector,
                "field_selector": field_selector,
                "_continue": token,
            }
            page = _answer(f"list {kind}s", self._lister(kind, {k: v for k, v in options.items() if v}))
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return

    def _lister(self, kind: Kind, options: dict[str, Any]) -> Callable[[], Any]:
        namespace, options = self._namespace, {**options, **_RAW}
        if kind in CUSTOM:
            group, version, plural = CUSTOM[kind]
            arguments = (group, version, namespace, plural) if namespace else (group, version, plural)
            call = self._custom.list_namespaced_custom_object if namespace else self._custom.list_cluster_custom_object
            return lambda: call(*arguments, **options)
        if kind == "Node":
            return lambda: self._core.list_node(**options)
        in_all, in_one = {
            "Deployment": (self._apps.list_deployment_for_all_namespaces, self._apps.list_namespaced_deployment),
            "Service": (self._core.list_service_for_all_namespaces, self._core.list_namespaced_service),
            "Pod": (self._core.list_pod_for_all_namespaces, self._core.list_namespaced_pod),
            "ResourceQuota": (
                self._core.list_resource_quota_for_all_namespaces,
                self._core.list_namespaced_resource_quota,
            ),
            "HorizontalPodAutoscaler": (
                self._autoscaling.list_horizontal_pod_autoscaler_for_all_namespaces,
                self._autoscaling.list_namespaced_horizontal_pod_autoscaler,
            ),
        }[kind]
        return lambda: in_one(namespace, **options) if namespace else in_all(**options)


_RAW: dict[str, Any] = {"_preload_content": False, "_request_timeout": TIMEOUT}


def _answer(doing: str, call: Callable[[], Any]) -> Body:
    try:
        body: Body = json.loads(call().data)
    except (ApiException, HTTPError, OSError) as error:
        raise translate(error, doing) from error
    except ValueError as error:
        raise ApiCallError(f"{doing}: the API server answered no JSON: {error}", status=502) from error
    return body
