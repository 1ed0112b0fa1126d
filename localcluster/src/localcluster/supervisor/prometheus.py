"""Prometheus in the cluster: its configuration, its own service account, and its data directory."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from localcluster.apiclient import HTTP_CONFLICT, ApiClient, ApiError
from localcluster.kubeobjects import JsonObject
from localcluster.ports import LOOPBACK
from localcluster.spec import PrometheusSpec
from localcluster.state import StateDirectory
from localcluster.supervisor.layout import Layout

NAMESPACE, ACCOUNT = "monitoring", "prometheus"
# A run is short; a token that outlives it needs no refreshing.
TOKEN_LIFETIME_SECONDS = 30 * 24 * 3600
ANNOTATION = "__meta_kubernetes_pod_annotation_prometheus_io"


def prometheus_command(program: Path, layout: Layout, state: StateDirectory, spec: PrometheusSpec) -> list[str]:
    """Return Prometheus' command line."""
    return [
        str(program),
        f"--config.file={state.root / 'prometheus.yml'}",
        f"--storage.tsdb.path={state.root / 'prometheus'}",
        f"--storage.tsdb.retention.time={spec.retention}",
        f"--web.listen-address={LOOPBACK}:{layout.ports['prometheus']}",
        "--web.enable-lifecycle",
        "--log.level=warn",
    ]


def copy_history(spec: PrometheusSpec, state: StateDirectory) -> None:
    """Copy the given TSDB blocks in, so that the run leaves the originals alone."""
    if spec.data_dir is not None:
        ignored = shutil.ignore_patterns("lock", "queries.active")
        shutil.copytree(spec.data_dir, state.root / "prometheus", dirs_exist_ok=True, ignore=ignored)


async def grant_access(api: ApiClient, state: StateDirectory) -> Path:
    """Create Prometheus' service account and its right to see pods; return the file with its token."""
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "localcluster:prometheus"}
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    await _ensure(api, "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    await _ensure(api, f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", {"metadata": {"name": ACCOUNT}})
    await _ensure(api, f"{rbac}/clusterroles", {"metadata": {"name": role["name"]}, "rules": rules})
    binding = {"metadata": {"name": role["name"]}, "roleRef": role, "subjects": [subject]}
    await _ensure(api, f"{rbac}/clusterrolebindings", binding)
    account = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}"
    request = {"spec": {"expirationSeconds": TOKEN_LIFETIME_SECONDS}}
    answer = await api.create(f"{account}/token", request)
    token_file = state.certificates / "prometheus.token"
    token_file.touch(mode=0o600)
    token_file.write_text(answer["status"]["token"])
    return token_file


async def _ensure(api: ApiClient, path: str, body: JsonObject) -> None:
    try:
        await api.create(path, body)
    except ApiError as error:
        if error.status != HTTP_CONFLICT:
            raise


@dataclass(frozen=True)
class Discovery:
    """How Prometheus may find pods: by asking the API server, else by asking us."""

    api_token: Path
    control_url: str
    control_token: Path


def write_configuration(
    program: Path, layout: Layout, state: StateDirectory, spec: PrometheusSpec, discovery: Discovery
) -> None:
    """Write prometheus.yml: scrape every pod that asks for it by annotation.

    Args:
        program: the Prometheus binary; promtool beside it tells whether it knows Kubernetes.
        layout: where the API server is.
        state: where the file goes.
        spec: the scrape interval.
        discovery: tokens and addresses.
    """
    path = state.root / "prometheus.yml"
    _write(path, spec, {"kubernetes_sd_configs": [_ask_kubernetes(layout, discovery)]})
    if not _understood(program, path):
        _write(path, spec, {"http_sd_configs": [_ask_us(discovery)]})


def _understood(program: Path, configuration: Path) -> bool:
    promtool = program.with_name("promtool")
    if not promtool.exists():
        return True
    command = [str(promtool), "check", "config", "--syntax-only", str(configuration)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _ask_kubernetes(layout: Layout, discovery: Discovery) -> JsonObject:
    return {
        "role": "pod",
        "api_server": layout.api_url,
        "authorization": {"type": "Bearer", "credentials_file": str(discovery.api_token)},
        "tls_config": {"ca_file": str(layout.authority.certificate)},
    }


def _ask_us(discovery: Discovery) -> JsonObject:
    return {
        "url": f"{discovery.control_url}/discovery",
        "authorization": {"type": "Bearer", "credentials_file": str(discovery.control_token)},
        "refresh_interval": "1s",
    }


def _write(path: Path, spec: PrometheusSpec, discovery: JsonObject) -> None:
    interval = f"{round(spec.scrape_interval_seconds * 1000)}ms"
    document = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "scrape_configs": [{"job_name": "kubernetes-pods", **discovery, "relabel_configs": _relabelling()}],
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _relabelling() -> list[JsonObject]:
    phase, port, address = "__meta_kubernetes_pod_phase", f"{ANNOTATION}_port", "__meta_kubernetes_pod_ip"
    return [
        {"source_labels": [f"{ANNOTATION}_scrape"], "regex": "true", "action": "keep"},
        {"source_labels": [phase], "regex": "Pending|Succeeded|Failed", "action": "drop"},
        {"source_labels": [f"{ANNOTATION}_path"], "regex": "(.+)", "target_label": "__metrics_path__"},
        # One target per pod: without this there would be one per container port.
        {"source_labels": [address, port], "separator": ":", "target_label": "__address__"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
        {"source_labels": ["__meta_kubernetes_pod_node_name"], "target_label": "node"},
    ]
