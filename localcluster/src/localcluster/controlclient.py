"""Talks to a running cluster's supervisor."""

import json
import urllib.error
import urllib.request
from typing import Any

from localcluster.errors import LocalClusterError
from localcluster.state import ClusterState, StateDirectory

TIMEOUT_SECONDS = 30.0
# Proxy settings of the environment are not for loopback.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(files: StateDirectory, state: ClusterState, method: str, path: str, body: bytes = b"") -> dict[str, Any]:
    """Send one command and return the answer.

    Raises:
        LocalClusterError: when there is nobody to talk to, or with what the supervisor objects to.
    """
    if not state.control_url or not files.running():
        raise LocalClusterError(f"the cluster in {files.root} has no node agent running; see `localcluster status`")
    token = files.control_token.read_text()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    url = state.control_url + path
    request = urllib.request.Request(url, body or None, headers, method=method)  # noqa: S310 - our own http address
    try:
        with _DIRECT.open(request, timeout=TIMEOUT_SECONDS) as answer:
            result: dict[str, Any] = json.load(answer)
            return result
    except urllib.error.HTTPError as error:
        raise LocalClusterError(json.load(error).get("error", str(error))) from None
