"""Probes: the counting is pure (`ProbeTracker`), the asking is not (`Prober`)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import aiohttp

from localcluster.kubeobjects import JsonObject

ExecInContainer = Callable[[list[str], float], Awaitable[tuple[int, str]]]
"""From command and timeout in seconds to exit code and output."""
HTTP_BODY_LIMIT = 200


@dataclass(frozen=True)
class ProbeSettings:
    """The numbers of a probe; defaults are the API's."""

    initial_delay_seconds: float = 0.0
    period_seconds: float = 10.0
    timeout_seconds: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3

    @classmethod
    def of(cls, probe: JsonObject) -> "ProbeSettings":
        """Read a probe of the pod spec."""
        return cls(
            float(probe.get("initialDelaySeconds", 0)),
            float(probe.get("periodSeconds", 10)),
            float(probe.get("timeoutSeconds", 1)),
            int(probe.get("successThreshold", 1)),
            int(probe.get("failureThreshold", 3)),
        )


@dataclass(frozen=True)
class ProbeTracker:
    """How often in a row a probe said the same, and what is concluded from it.

    Attributes:
        settings: the thresholds.
        verdict: the present conclusion: True, False, or None before the first.
        streak: answers in a row that agreed with the last one.
        last: the last answer.
    """

    settings: ProbeSettings
    verdict: bool | None
    streak: int = 0
    last: bool | None = None

    def after(self, success: bool) -> "ProbeTracker":
        """Return the tracker after one more answer."""
        streak = self.streak + 1 if success == self.last else 1
        threshold = self.settings.success_threshold if success else self.settings.failure_threshold
        verdict = success if streak >= threshold else self.verdict
        return replace(self, verdict=verdict, streak=streak, last=success)


@dataclass(frozen=True)
class Answer:
    """One probe's result, with the words that go into the Unhealthy event."""

    success: bool
    message: str = ""


class Prober:
    """Asks one container's probe, as its spec says."""

    def __init__(self, probe: JsonObject, address: str, ports: Mapping[str, int], run: ExecInContainer) -> None:
        """Make a prober.

        Args:
            probe: the probe of the pod spec.
            address: the pod's.
            ports: the container's named ports.
            run: runs a command in the container.
        """
        self._probe = probe
        self._address = address
        self._ports = ports
        self._run = run
        self.settings = ProbeSettings.of(probe)

    async def ask(self) -> Answer:
        """Return the answer; slowness is failure."""
        try:
            return await asyncio.wait_for(self._ask(), self.settings.timeout_seconds)
        except TimeoutError:
            return Answer(False, f"no answer within {self.settings.timeout_seconds:g}s")
        except (OSError, aiohttp.ClientError, ValueError) as error:
            return Answer(False, str(error) or type(error).__name__)

    async def _ask(self) -> Answer:
        if "httpGet" in self._probe:
            return await self._http(self._probe["httpGet"])
        if "tcpSocket" in self._probe:
            target = self._probe["tcpSocket"]
            _, writer = await asyncio.open_connection(target.get("host") or self._address, self._port(target["port"]))
            writer.close()
            return Answer(True)
        if "exec" in self._probe:
            code, output = await self._run(self._probe["exec"]["command"], self.settings.timeout_seconds)
            return Answer(code == 0, output[:HTTP_BODY_LIMIT])
        return Answer(False, "gRPC probes are not supported by the local cluster; use httpGet, tcpSocket or exec")

    async def _http(self, target: JsonObject) -> Answer:
        status, body = await http_get(target, self._address, self._port(target["port"]))
        if 200 <= status < 400:
            return Answer(True)
        return Answer(False, f"HTTP probe failed with statuscode: {status} {body}".rstrip())

    def _port(self, port: int | str) -> int:
        return resolve_port(port, self._ports)


def resolve_port(port: int | str, ports: Mapping[str, int]) -> int:
    """Return a port's number, looking a name up among the container's ports."""
    if isinstance(port, int) or port.isdecimal():
        return int(port)
    if port not in ports:
        raise ValueError(f"port {port!r}: expected a number or one of the container's ports {sorted(ports)}")
    return ports[port]


async def http_get(target: JsonObject, address: str, port: int) -> tuple[int, str]:
    """Do an ``httpGet`` action; return the status and the beginning of the body."""
    host = target.get("host") or address
    url = f"{target.get('scheme', 'HTTP').lower()}://{host}:{port}/{target.get('path', '/').lstrip('/')}"
    headers = {"User-Agent": "kube-probe/1", "Connection": "close"}
    headers |= {header["name"]: header["value"] for header in target.get("httpHeaders", ())}
    # Like kubelet: certificates of probed pods are not verified.
    connector = aiohttp.TCPConnector(ssl=False, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url, headers=headers) as answer:
        body = await answer.content.read(HTTP_BODY_LIMIT)
        return answer.status, body.decode(errors="replace").strip()
