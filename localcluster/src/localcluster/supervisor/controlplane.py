"""The command lines of the control plane. Flags are Kubernetes' own; comments say why each odd one is there."""

from collections.abc import Mapping
from pathlib import Path

from localcluster.ports import LOOPBACK
from localcluster.spec import Timing
from localcluster.state import StateDirectory
from localcluster.supervisor.layout import SERVICE_NETWORK, Layout, write_kubeconfig

NODE_MONITOR_PERIOD_SECONDS = 5.0
# Endpoints refuse loopback addresses, so the controllers that write them would only fail; node-ipam wants a
# cloud or a pod network of its own.
CONTROLLERS = (
    "*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller,-node-ipam-controller"
)


def etcd_command(program: Path, layout: Layout, state: StateDirectory) -> list[str]:
    """Return etcd's command line; both its ports ask for a certificate of this run."""
    client = f"https://{LOOPBACK}:{layout.ports['etcd']}"
    peer = f"https://{LOOPBACK}:{layout.ports['etcd-peer']}"
    return [
        str(program),
        f"--data-dir={state.root / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={layout.etcd.certificate}",
        f"--key-file={layout.etcd.key}",
        f"--trusted-ca-file={layout.authority.certificate}",
        "--client-cert-auth",
        f"--peer-cert-file={layout.etcd.certificate}",
        f"--peer-key-file={layout.etcd.key}",
        f"--peer-trusted-ca-file={layout.authority.certificate}",
        "--peer-client-cert-auth",
        # The data never outlives the run, so there is nothing to keep safe from a power cut.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server_command(
    program: Path, layout: Layout, state: StateDirectory, timing: Timing, *, with_controllers: bool
) -> list[str]:
    """Return kube-apiserver's command line.

    Args:
        program: the binary.
        layout: ports, certificates and tokens.
        state: where its scratch directory goes.
        timing: default tolerations.
        with_controllers: whether a controller manager will create service accounts; without one the
            admission plugin that demands them is switched off, as envtest does.
    """
    toleration = timing.unreachable_toleration_seconds
    command = [
        str(program),
        f"--bind-address={LOOPBACK}",
        f"--secure-port={layout.ports['api']}",
        f"--cert-dir={state.root / 'apiserver'}",
        f"--tls-cert-file={layout.api_server.certificate}",
        f"--tls-private-key-file={layout.api_server.key}",
        f"--client-ca-file={layout.authority.certificate}",
        f"--etcd-servers=https://{LOOPBACK}:{layout.ports['etcd']}",
        f"--etcd-cafile={layout.authority.certificate}",
        f"--etcd-certfile={layout.etcd.certificate}",
        f"--etcd-keyfile={layout.etcd.key}",
        f"--token-auth-file={layout.token_file}",
        "--authorization-mode=Node,RBAC",
        f"--service-account-key-file={layout.service_account_key}",
        f"--service-account-signing-key-file={layout.service_account_key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        # The `kubernetes` Service would want endpoints, and endpoints refuse loopback.
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        f"--kubelet-certificate-authority={layout.authority.certificate}",
        f"--kubelet-client-certificate={layout.kubelet_client.certificate}",
        f"--kubelet-client-key={layout.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--default-not-ready-toleration-seconds={toleration}",
        f"--default-unreachable-toleration-seconds={toleration}",
        "--profiling=false",
    ]
    return command if with_controllers else [*command, "--disable-admission-plugins=ServiceAccount"]


def controller_manager_command(program: Path, layout: Layout, state: StateDirectory, timing: Timing) -> list[str]:
    """Return kube-controller-manager's command line, and write its kubeconfig."""
    kubeconfig = state.root / "kube-controller-manager.kubeconfig"
    write_kubeconfig(kubeconfig, "local", layout, "kube-controller-manager")
    period = min(NODE_MONITOR_PERIOD_SECONDS, timing.node_monitor_grace_seconds / 4)
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={layout.ports['controller-manager']}",
        f"--cert-dir={state.root / 'controller-manager'}",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={layout.service_account_key}",
        f"--root-ca-file={layout.authority.certificate}",
        f"--cluster-signing-cert-file={layout.authority.certificate}",
        f"--cluster-signing-key-file={layout.authority.key}",
        f"--controllers={CONTROLLERS}",
        f"--node-monitor-grace-period={timing.node_monitor_grace_seconds}s",
        f"--node-monitor-period={period}s",
        # With the default of 20 a second the manager needs five seconds just to make its own service accounts.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--profiling=false",
    ]


def scheduler_command(program: Path, layout: Layout, state: StateDirectory) -> list[str]:
    """Return kube-scheduler's command line, and write its kubeconfig."""
    kubeconfig = state.root / "kube-scheduler.kubeconfig"
    write_kubeconfig(kubeconfig, "local", layout, "kube-scheduler")
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={layout.ports['scheduler']}",
        f"--cert-dir={state.root / 'scheduler'}",
        "--leader-elect=false",
        "--profiling=false",
    ]


ControlPlaneCommands = Mapping[str, list[str]]


def control_plane_commands(
    programs: Mapping[str, Path], layout: Layout, state: StateDirectory, timing: Timing, *, api_only: bool
) -> ControlPlaneCommands:
    """Return every command line by process name, in the order of starting."""
    commands = {
        "etcd": etcd_command(programs["etcd"], layout, state),
        "kube-apiserver": api_server_command(
            programs["kube-apiserver"], layout, state, timing, with_controllers=not api_only
        ),
    }
    if not api_only:
        manager, scheduler = programs["kube-controller-manager"], programs["kube-scheduler"]
        commands["kube-controller-manager"] = controller_manager_command(manager, layout, state, timing)
        commands["kube-scheduler"] = scheduler_command(scheduler, layout, state)
    return commands
