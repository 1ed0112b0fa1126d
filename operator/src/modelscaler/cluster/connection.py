"""Connect to the API server, in a pod or by kubeconfig, with bounded waits."""

from dataclasses import dataclass
from typing import Any

import yaml
from kubernetes import client
from kubernetes import config as untyped_config

config: Any = untyped_config  # its functions carry no annotations

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
TIMEOUT = (CONNECT_SECONDS, READ_SECONDS)
POOL_CONNECTIONS = 8


class ConnectionSettingsError(Exception):
    """No usable way to reach an API server."""


def connect(kubeconfig: str | None = None, context: str | None = None) -> client.ApiClient:
    """Return an API client.

    Args:
        kubeconfig: Path of a kubeconfig; None: the pod's service account when there is one, else the default kubeconfig.
        context: Context within the kubeconfig; None: its current context.

    Raises:
        ConnectionSettingsError: When neither works, saying what to do.
    """
    configuration = client.Configuration()
    configuration.connection_pool_maxsize = POOL_CONNECTIONS
    try:
        if kubeconfig is None and context is None and _in_pod():
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration)
    except (config.ConfigException, yaml.YAMLError, OSError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise ConnectionSettingsError(
            f"no API server to talk to: {why}. Run inside a pod with a service account, or pass --kubeconfig FILE"
        ) from error
    configuration.retries = 0
    return client.ApiClient(configuration)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a watcher needs to connect by itself. `token` is as fresh as the file it comes from; None for what is not used."""

    server: str
    ca_path: str | None
    token: str | None
    certificate_path: str | None
    private_key_path: str | None
    insecure: bool


def credentials(api: client.ApiClient) -> Credentials:
    """Return the credentials that an API client uses now; a service account's token is read again when it is due."""
    configuration = api.configuration
    header = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    return Credentials(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        token=header.rpartition(" ")[2] if header else None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        insecure=not configuration.verify_ssl,
    )


def _in_pod() -> bool:
    try:
        config.load_incluster_config(client_configuration=client.Configuration())
    except config.ConfigException:
        return False
    return True
