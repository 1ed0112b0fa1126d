"""Lifecycle hooks: postStart and preStop."""

import asyncio

import aiohttp

from localcluster.kubeobjects import JsonObject
from localcluster.node.probes import ExecInContainer, http_get, resolve_port

HOOK_TIMEOUT_SECONDS = 3600.0


async def run_hook(hook: JsonObject, container: JsonObject, address: str, run: ExecInContainer) -> str:
    """Do what a hook says; return why it failed, empty when it did not.

    Args:
        hook: ``exec``, ``httpGet`` or ``sleep``.
        container: the container's spec, for its named ports.
        address: the pod's.
        run: runs a command in the container.
    """
    try:
        if "sleep" in hook:
            await asyncio.sleep(float(hook["sleep"]["seconds"]))
        elif "exec" in hook:
            code, output = await run(hook["exec"]["command"], HOOK_TIMEOUT_SECONDS)
            return "" if code == 0 else f"exited with {code}: {output}"
        elif "httpGet" in hook:
            port = resolve_port(hook["httpGet"]["port"], named_ports(container))
            status, body = await http_get(hook["httpGet"], address, port)
            return "" if status < 400 else f"HTTP status {status}: {body}"
    except (OSError, aiohttp.ClientError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def named_ports(container: JsonObject) -> dict[str, int]:
    """Return the container's ports by name."""
    return {port["name"]: port["containerPort"] for port in container.get("ports", ()) if "name" in port}
