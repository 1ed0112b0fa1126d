"""The pinned versions, read from go.mod: the one place that says them."""

import re
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.paths import cache_root, go_modules_root

ETCD_MODULE = "go.etcd.io/etcd/server/v3"
KUBERNETES_MODULE = "k8s.io/kubernetes"
PROMETHEUS_MODULE = "github.com/prometheus/prometheus"


def pinned(go_module: str, directory: str) -> str:
    """Return the version of ``go_module`` that ``directory``/go.mod requires, without its ``v``."""
    go_mod = go_modules_root() / directory / "go.mod"
    found = re.search(rf"^\s*(?:require )?{re.escape(go_module)} v(\S+)", go_mod.read_text(), re.MULTILINE)
    if found is None:
        raise LocalClusterError(
            f"{go_mod}: expected a requirement on {go_module}; restore the file from the repository"
        )
    return found.group(1)


def cache_bin() -> Path:
    """Return where built programs live, named after what they are so that an upgrade never mixes them."""
    kubernetes = pinned(KUBERNETES_MODULE, "controlplane")
    etcd = pinned(ETCD_MODULE, "controlplane")
    return cache_root() / f"kubernetes-{kubernetes}_etcd-{etcd}" / "bin"


def prometheus_cache_bin() -> Path:
    """Return where a Prometheus of our own lives."""
    return cache_root() / f"prometheus-{pinned(PROMETHEUS_MODULE, 'prometheus')}" / "bin"


def version_flags() -> str:
    """Return the linker flags that tell the servers their version.

    Without them they call themselves ``v0.0.0-master+$Format:%H$``, which kubectl and Helm cannot parse.
    The build date is a constant so that equal sources give equal binaries.
    """
    version = pinned(KUBERNETES_MODULE, "controlplane")
    major, minor, _ = version.split(".", 2)
    values = {
        "gitVersion": f"v{version}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitCommit": "unknown",
        "gitTreeState": "clean",
        "buildDate": "2026-11-23T00:00:00Z",
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "-s -w " + " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())
