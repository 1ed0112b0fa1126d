"""Broken HTTP on connections of its own, and clients that vanish or take their time."""

import socket
import struct
from collections.abc import Callable
from random import Random

import orjson

from modelscaler_benchmarks.fuzz.sockets import ConnectionEndedError, Wire
from modelscaler_benchmarks.fuzz.tally import NO_ANSWER, Tally
from modelscaler_benchmarks.fuzz.wire_cases import GOOD_REQUEST, WireCase, wire_case
from modelscaler_benchmarks.serving_process import HOST

_VANISHING_SHARE = 0.1
_SLOW = "slow client"
_SLOW_CLIENTS = 40
_SLOW_LIMIT_SECONDS = 30.0


class WireFuzzer:
    """Sends cases and judges answers.

    Args:
        port: Of the server.
        tally: Told what comes of them.
        advance: Called with the number of cases done since the last call.
    """

    def __init__(self, port: int, tally: Tally, advance: Callable[[int], object]) -> None:
        self._port = port
        self._tally = tally
        self._advance = advance

    def run(self, cases: int, random: Random) -> None:
        """Run so many cases."""
        for _ in range(cases):
            if random.random() < _VANISHING_SHARE:
                self._vanish(random)
            else:
                self._one(wire_case(random))
            self._advance(1)

    def _one(self, case: WireCase) -> None:
        wire = Wire(self._port)
        try:
            wire.send(case.content)
            if case.ends:
                wire.half_close()
            for _ in range(case.answers):
                received = wire.receive()
                if received.status not in case.statuses:
                    self._tally.fail(case.kind, f"{case.content[:300]!r}: {received.status} {received.body[:300]!r}")
            self._tally.note(case.kind, received.status)
        except ConnectionEndedError as error:
            self._tally.note(case.kind, NO_ANSWER)
            if not case.ends:
                self._tally.fail(case.kind, f"{case.content[:300]!r}: {error}, expected {sorted(case.statuses)}")
        finally:
            wire.close()

    def _vanish(self, random: Random) -> None:
        """Send some of a request, or all of it, and be gone: with a reset or without."""
        with socket.create_connection((HOST, self._port), timeout=10.0) as client:
            client.sendall(GOOD_REQUEST[: random.randint(0, len(GOOD_REQUEST))])
            if random.random() < 0.5:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._tally.note("vanished", NO_ANSWER)


class SlowClients:
    """Connections that send part of a request and then nothing; open while everything else goes on.

    Args:
        port: Of the server.
        random: For where they stop.
    """

    def __init__(self, port: int, random: Random) -> None:
        self._wires = [Wire(port, _SLOW_LIMIT_SECONDS) for _ in range(_SLOW_CLIENTS)]
        for wire in self._wires:
            wire.send(GOOD_REQUEST[: random.randrange(1, len(GOOD_REQUEST) - 1)])

    def judge(self, tally: Tally) -> None:
        """Wait for the answers: each is told that it took too long."""
        for wire in self._wires:
            try:
                received = wire.receive()
            except ConnectionEndedError as error:
                tally.note(_SLOW, NO_ANSWER)
                tally.fail(_SLOW, f"{error}, expected 408")
                continue
            finally:
                wire.close()
            tally.note(_SLOW, received.status)
            if received.status != 408 or b"not complete after" not in received.body:
                tally.fail(_SLOW, f"{received.status} {received.body!r}, expected 408")


def answers_rightly(port: int, expected_sum: float) -> str | None:
    """Ask a right request; return what is wrong with the answer, None when nothing is."""
    wire = Wire(port, limit_seconds=10.0)
    try:
        received = wire.ask(GOOD_REQUEST)
    except ConnectionEndedError as error:
        return str(error)
    finally:
        wire.close()
    if received.status != 200 or orjson.loads(received.body)["outputs"][0]["data"] != [expected_sum]:
        return f"{received.status} {received.body[:300]!r}, expected 200 and {expected_sum}"
    return None
