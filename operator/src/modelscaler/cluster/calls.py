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

from modelscaler.api import DEPLOYMENT_LABEL, GROUP, PLURAL
from modelscaler.cluster.connection import TIMEOUT
from modelscaler.cluster.errors import ApiCallError, NotOursError, translate

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
    """The API server as the operator uses it.

    Args:
        api: The connection.
        namespace: Where to look; None: in the whole cluster.
        guard: Is called before everything that changes something, and does not return where that is not allowed any more.
    """

    def __init__(
        self, api: client.ApiClient, namespace: str | None = None, guard: Callable[[], None] = lambda: None
    ) -> None:
        self._namespace = namespace
        self._guard = guard
        self._apps = client.AppsV1Api(api)
        self._core = client.CoreV1Api(api)
        self._custom = client.CustomObjectsApi(api)
        self._events: Any = client.EventsV1Api(api)
        self._autoscaling = client.AutoscalingV2Api(api)

    def apply(self, manifest: Body, manager: str) -> Body:
        """Apply a Deployment, a Service, a ConfigMap or an HTTPRoute that is ours server-side and return it as stored."""
        return self._apply(manifest, manager, force=True)

    def apply_new(self, manifest: Body, manager: str) -> Body:
        """Apply one that is not known yet.

        Raises:
            NotOursError: There is one of that name that is not of the same ModelDeployment; it is left as it is.
        """
        found = self._find(manifest)
        if found is not None and _owner(found) != _owner(manifest):
            raise NotOursError(manifest["kind"], manifest["metadata"], f"{DEPLOYMENT_LABEL}: {_owner(manifest)}")
        # Without force, as somebody else's that came meanwhile would be taken over.
        return self._apply(manifest, manager, force=found is not None)

    def _apply(self, manifest: Body, manager: str, force: bool) -> Body:
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        patches: dict[str, Callable[..., Any]] = {
            "Deployment": self._apps.patch_namespaced_deployment,
            "Service": self._core.patch_namespaced_service,
            "ConfigMap": self._core.patch_namespaced_config_map,
            "HTTPRoute": self._patch_route,
        }
        patch = patches[manifest["kind"]]
        return self._change(
            f"apply {manifest['kind']} {namespace}/{name}",
            lambda: patch(name, namespace, manifest, field_manager=manager, force=force, _content_type=APPLY, **_RAW),
        )

    def _find(self, manifest: Body) -> Body | None:
        """Return what there is under a manifest's name; None when there is nothing."""
        kind, name, namespace = manifest["kind"], manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        reads: dict[str, Callable[..., Any]] = {
            "Deployment": self._apps.read_namespaced_deployment,
            "Service": self._core.read_namespaced_service,
            "ConfigMap": self._core.read_namespaced_config_map,
            "HTTPRoute": self._read_route,
        }
        return _answer_or_none(f"read {kind} {namespace}/{name}", lambda: reads[kind](name, namespace, **_RAW))

    def _change(self, doing: str, call: Callable[[], Any]) -> Body:
        self._guard()
        return _answer(doing, call)

    def apply_status(self, namespace: str, name: str, status: Body, manager: str) -> Body:
        """Apply a ModelDeployment's status and return the object as stored."""
        manifest = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": namespace},
            "status": status,
        }
        return self._change(
            f"write status of ModelDeployment {namespace}/{name}",
            lambda: self._custom.patch_namespaced_custom_object_status(
                GROUP, VERSION, namespace, PLURAL, name, manifest,
                field_manager=manager, force=True, _content_type=APPLY, **_RAW,
            ),
        )  # fmt: skip

    def _patch_route(self, name: str, namespace: str, manifest: Body, **options: Any) -> Any:
        group, version, plural = ROUTES
        return self._custom.patch_namespaced_custom_object(group, version, namespace, plural, name, manifest, **options)

    def _read_route(self, name: str, namespace: str, **options: Any) -> Any:
        group, version, plural = ROUTES
        return self._custom.get_namespaced_custom_object(group, version, namespace, plural, name, **options)

    def delete_route(self, namespace: str, name: str, uid: str) -> None:
        """Delete an HTTPRoute; one that is gone already, or another by now, is fine."""
        group, version, plural = ROUTES
        options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=uid))
        try:
            self._change(
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
            self._change(
                f"delete Deployment {namespace}/{name}",
                lambda: self._apps.delete_namespaced_deployment(name, namespace, body=options, **_RAW),
            )
        except ApiCallError as error:
            if not (error.not_found or error.conflict):
                raise

    def list(self, kind: Kind, label_selector: str = "", field_selector: str = "") -> Listing:
        """Return all objects of a kind, read in pages; by fields as the API server remembers them, which spares etcd."""
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
        body = _answer_or_none(
            f"read ConfigMap {namespace}/{name}",
            lambda: self._core.read_namespaced_config_map(name, namespace, **_RAW),
        )
        return None if body is None else dict(body.get("data") or {})

    def post_event(self, event: Body) -> Body:
        """Create an Event (events.k8s.io/v1)."""
        namespace = event["metadata"]["namespace"]
        return self._change(
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
                "resource_version": "0" if field_selector and not token else None,
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


def _answer_or_none(doing: str, call: Callable[[], Any]) -> Body | None:
    try:
        return _answer(doing, call)
    except ApiCallError as error:
        if error.not_found:
            return None
        raise


def _owner(body: Body) -> str | None:
    """Return the ModelDeployment that an object is of, by its label."""
    labels: dict[str, str] = body["metadata"].get("labels") or {}
    return labels.get(DEPLOYMENT_LABEL)
