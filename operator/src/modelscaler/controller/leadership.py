"""Stay leader or end the process: two operators must never write at once.

Renewing runs in a thread of its own, so that a busy event loop does not lose the lease; a watchdog thread ends the process
when the renewal is too old, so that a hung renewal does not keep it. Every write asks `guard` first.
"""

import logging
import os
import threading
import time
from collections.abc import Callable

from modelscaler.cluster.lease import LeaderLease

log = logging.getLogger(__name__)

LOST_LEASE_EXIT_CODE = 3
WATCHDOG_SECONDS = 0.5


def end_process(why: str) -> None:
    """End at once: no cleanup may write after the lease is lost."""
    log.critical("ending: %s", why)
    os._exit(LOST_LEASE_EXIT_CODE)


class Leadership:
    """Waits for the lease, then renews it until `stop`, or ends the process."""

    def __init__(
        self,
        lease: LeaderLease,
        end: Callable[[str], None] = end_process,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._end = end
        self._monotonic = monotonic
        self._acquired = threading.Event()
        self._stopping = threading.Event()
        self._beat_at = monotonic()
        self._threads: list[threading.Thread] = []

    @property
    def leads(self) -> bool:
        """Whether the lease is held and fresh."""
        return self._acquired.is_set() and self._lease.holds

    @property
    def heartbeat_age_seconds(self) -> float:
        """Seconds since the last attempt on the lease ended: what a standby's liveness is judged by."""
        return self._monotonic() - self._beat_at

    def start(self) -> None:
        """Start to campaign."""
        self._spawn("lease", self._campaign)

    def wait(self, timeout_seconds: float) -> bool:
        """Wait for the lease; return whether it is held."""
        return self._acquired.wait(timeout_seconds)

    def guard(self) -> None:
        """End the process unless we may write now."""
        if not self.leads:
            self._end(f"a write was due {self._lease.renewal_age_seconds:.1f} s after the last renewal of the lease")

    def stop(self) -> None:
        """Stop renewing and give the lease up."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=self._lease.times.retry_seconds + 3)
        self._lease.release()

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _campaign(self) -> None:
        try:
            said = ""
            while not self._stopping.wait(0 if not said else self._lease.times.retry_seconds):
                failure = self._lease.attempt()
                self._beat_at = self._monotonic()
                if failure is None and not self._acquired.is_set():
                    self._acquired.set()
                    self._spawn("lease-watchdog", self._watch)
                    log.info("leading as %s", self._lease.identity)
                if failure is not None and failure != said:
                    log.info("not leading: %s", failure)
                said = failure or "leading"
        except BaseException as error:
            self._end(f"the renewal of the lease failed: {error!r}")
            raise

    def _watch(self) -> None:
        while not self._stopping.wait(WATCHDOG_SECONDS):
            if not self._lease.holds:
                self._end(f"the lease was last renewed {self._lease.renewal_age_seconds:.1f} s ago")
                return
