"""The operator's process: what it is told reaches what it is for, and a signal stops it, also while Kopf watches."""

import asyncio
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelscaler.controller.health import HEALTH_PORT
from modelscaler.controller.mirror import Mirror
from modelscaler.controller.run import Operator, RunSettings, SettingsError, _source
from modelscaler.controller.telemetry import Telemetry
from modelscaler.render import RenderDefaults

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: me, user: {}}]
"""


def chosen(kubeconfig: Path) -> RunSettings:
    return RunSettings(
        prometheus_url="http://127.0.0.1:9",
        interval_seconds=15.0,
        rate_window_seconds=60.0,
        history_step_seconds=60.0,
        stale_after_seconds=60.0,
        state_directory=None,
        status_refresh_seconds=30.0,
        defaults=RenderDefaults(server_image="server"),
        bind="127.0.0.1",
        namespace=None,
        lease_namespace="default",
        lease_name="modelscaler",
        identity="me",
        kubeconfig=str(kubeconfig),
        context=None,
    )


async def test_the_address_is_named_when_another_process_listens_there(tmp_path: Path) -> None:
    kubeconfig, own_address = tmp_path / "kubeconfig", "127.81.8.1"
    kubeconfig.write_text(KUBECONFIG.replace("PORT", "9"))
    with (
        socket.create_server((own_address, HEALTH_PORT)),
        pytest.raises(SettingsError, match=f"--bind {own_address}: "),
    ):
        await Operator(replace(chosen(kubeconfig), bind=own_address)).run()


def test_token_and_certificates_reach_the_source_when_they_are_named(tmp_path: Path) -> None:
    named = replace(chosen(tmp_path), prometheus_token_file=tmp_path / "token", prometheus_ca_file=tmp_path / "ca.crt")
    told = _source(named, Telemetry())._settings
    assert (told.token_file, told.ca_file) == (tmp_path / "token", tmp_path / "ca.crt")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_the_operator_when_kopf_watches(tmp_path: Path, signum: signal.Signals) -> None:
    asked = asyncio.Event()

    async def answer(_: Any, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.replace("PORT", str(server.sockets[0].getsockname()[1])))
    operator = Operator(chosen(kubeconfig))
    watching = asyncio.create_task(operator._watch(Mirror(lambda _: None)))
    try:
        await asyncio.wait_for(asked.wait(), 10.0)
        os.kill(os.getpid(), signum)
        await asyncio.wait_for(operator._stop.wait(), 2.0)
    finally:
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(each)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        server.close()
    assert operator._stop.is_set()
