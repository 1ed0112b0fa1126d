"""Everything the processes of one run must agree on: ports, certificates, tokens."""

import datetime
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from localcluster.certificates import CertificateAuthority, KeyPair
from localcluster.ports import LOOPBACK, free_ports
from localcluster.state import StateDirectory

SERVICE_NETWORK = "10.96.0.0/16"
# The first address of the service network: what in-cluster clients on a real cluster would dial.
API_SERVICE_ADDRESS = "10.96.0.1"
API_HOSTS = (
    LOOPBACK,
    "localhost",
    API_SERVICE_ADDRESS,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
PORT_NAMES = ("etcd", "etcd-peer", "api", "controller-manager", "scheduler", "kubelet", "control", "prometheus")
ADMIN, AGENT = "admin", "node-agent"
# User, then group. The agent acts for all nodes, so it is an administrator; kubelets proper are held by
# the Node authorizer to their own node.
TOKEN_USERS = {
    ADMIN: ("localcluster:admin", "system:masters"),
    AGENT: ("localcluster:node-agent", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
}


@dataclass(frozen=True)
class Layout:
    """Ports, certificates and tokens of one run."""

    ports: Mapping[str, int]
    authority: KeyPair
    etcd: KeyPair
    api_server: KeyPair
    kubelet: KeyPair
    kubelet_client: KeyPair
    service_account_key: Path
    token_file: Path
    tokens: Mapping[str, str]

    @property
    def api_url(self) -> str:
        """The API server's address."""
        return f"https://{LOOPBACK}:{self.ports['api']}"


def lay_out(state: StateDirectory, now: datetime.datetime) -> Layout:
    """Choose free ports and make certificates and tokens.

    Args:
        state: where the files go.
        now: UTC-aware, the start of the certificates' validity.
    """
    authority = CertificateAuthority(state.certificates, now)
    tokens = {user: secrets.token_urlsafe(24) for user in TOKEN_USERS}
    return Layout(
        ports=dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES)), strict=True)),
        authority=authority.pair,
        etcd=authority.issue("etcd", "etcd", hosts=(LOOPBACK, "localhost")),
        api_server=authority.issue("kube-apiserver", "kube-apiserver", hosts=API_HOSTS),
        kubelet=authority.issue("kubelet", "kubelet", hosts=(LOOPBACK, "localhost")),
        kubelet_client=authority.issue("kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        service_account_key=authority.signing_key("service-account"),
        token_file=_write_tokens(state.certificates / "tokens.csv", tokens),
        tokens=tokens,
    )


def _write_tokens(path: Path, tokens: Mapping[str, str]) -> Path:
    path.touch(mode=0o600)
    rows = (f'{token},{TOKEN_USERS[user][0]},{user},"{TOKEN_USERS[user][1]}"' for user, token in tokens.items())
    path.write_text("\n".join(rows) + "\n")
    return path


def write_kubeconfig(path: Path, context: str, layout: Layout, user: str) -> None:
    """Write a kubeconfig for ``user``, one of ``TOKEN_USERS``."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [{"name": context, "cluster": {"server": layout.api_url, **_authority(layout)}}],
        "users": [{"name": context, "user": {"token": layout.tokens[user]}}],
    }
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _authority(layout: Layout) -> dict[str, str]:
    return {"certificate-authority": str(layout.authority.certificate)}
