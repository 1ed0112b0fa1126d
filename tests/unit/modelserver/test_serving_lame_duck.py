import asyncio
import socket
from collections.abc import Callable

import pytest
import uvloop

from modelserver.serving.lame_duck import accept_all

WAITING = 40


class Counting(asyncio.Protocol):
    """Counts connections."""

    def __init__(self, accepted: list[asyncio.BaseTransport]) -> None:
        self._accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._accepted.append(transport)


async def accepted_at_the_end() -> int:
    """Return how many of those who wait have been accepted once the listener may be closed."""
    accepted: list[asyncio.BaseTransport] = []
    with socket.create_server(("127.0.0.1", 0), backlog=WAITING) as listener:
        server = await asyncio.get_running_loop().create_server(lambda: Counting(accepted), sock=listener)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(WAITING)]
        await accept_all([listener])
        count = len(accepted)
        server.close()
        for transport in accepted:
            transport.close()
        for client in clients:
            client.close()
        await asyncio.sleep(0.01)
    return count


@pytest.mark.parametrize("make", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_whoever_has_connected_is_accepted_when_the_listener_is_about_to_close(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=make) as runner:
        assert runner.run(accepted_at_the_end()) == WAITING


def test_nothing_is_waited_for_when_nobody_has_connected() -> None:
    async def close_at_once() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            await asyncio.wait_for(accept_all([listener]), 5)

    asyncio.run(close_at_once())
