"""Which programs there are and how each is built from its Go module."""

from dataclasses import dataclass

from localcluster.binaries.versions import ETCD_MODULE, KUBERNETES_MODULE, version_flags


@dataclass(frozen=True)
class GoProgram:
    """A program that ``go build`` makes from a pinned module."""

    name: str
    package: str
    module_directory: str
    linker_flags: str
    tags: str = ""


STRIPPED = "-s -w"
API_PROGRAMS = ("etcd", "kube-apiserver", "kubectl")
CONTROL_PLANE_PROGRAMS = (*API_PROGRAMS, "kube-controller-manager", "kube-scheduler")
PROMETHEUS_PROGRAMS = ("prometheus", "promtool")


def go_program(name: str) -> GoProgram:
    """Return how to build the program called ``name``."""
    if name == "etcd":
        return GoProgram(name, ETCD_MODULE, "controlplane", STRIPPED)
    if name in PROMETHEUS_PROGRAMS:
        package = f"github.com/prometheus/prometheus/cmd/{name}"
        # Only the Kubernetes service discovery is used; the others are most of the dependencies.
        return GoProgram(name, package, "prometheus", STRIPPED, tags="remove_all_sd,enable_kubernetes_sd")
    return GoProgram(name, f"{KUBERNETES_MODULE}/cmd/{name}", "controlplane", version_flags())
