"""The control loop: one tick for all, and early passes over only what changed in between."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from modelscaler.api.v1alpha1 import ModelDeploymentStatus
from modelscaler.cluster.calls import ClusterCalls
from modelscaler.cluster.errors import ApiCallError
from modelscaler.cluster.writes import WriteQueue
from modelscaler.controller.accelerators import Accelerators
from modelscaler.controller.apply import Applier
from modelscaler.controller.conflicts import Target, conflict, scaled_elsewhere
from modelscaler.controller.decide import (
    Inputs,
    Outcome,
    Remembered,
    Settings,
    Trouble,
    bidder,
    decide,
    shares_accelerators,
)
from modelscaler.controller.doorbells import Doorbells
from modelscaler.controller.events import Announcement, announcements, event_body
from modelscaler.controller.fleet import Fleet
from modelscaler.controller.mirror import Mirror, MirroredKind
from modelscaler.controller.profiles import Profiles
from modelscaler.controller.routes import Routes
from modelscaler.controller.summaries import Entry
from modelscaler.controller.telemetry import Telemetry
from modelscaler.controller.tuning import SelfTuning
from modelscaler.domain import WorkloadKey
from modelscaler.render import pool_names
from modelscaler.status import settle, status_body

log = logging.getLogger(__name__)

LIST_DIFF_SECONDS = 300.0
CONFLICT_CHECK_SECONDS = 60.0
DEBOUNCE_SECONDS = 0.1
NEVER: Final = float("-inf")
CHANGED_BY_OTHERS: Final = "ChangedByOthers"
"""Reason of the event."""

LISTED: Final[tuple[MirroredKind, ...]] = ("ModelDeployment", "Deployment", "Service", "Pod")


class Loop:
    """Runs observe → forecast → plan → render → apply over every ModelDeployment."""

    def __init__(
        self,
        calls: ClusterCalls,
        mirror: Mirror,
        fleet: Fleet,
        profiles: Profiles,
        accelerators: Accelerators,
        writes: WriteQueue,
        telemetry: Telemetry,
        settings: Settings,
        tuning: SelfTuning,
        doorbells: Doorbells,
        child_selector: str,
        reporter: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._mirror = mirror
        self._fleet = fleet
        self._profiles = profiles
        self._accelerators = accelerators
        self._writes = writes
        self._applier = Applier(calls, mirror, self._refused, self._drifted, monotonic)
        self._routes = Routes(calls, mirror, child_selector)
        self._telemetry = telemetry
        self._settings = settings
        self._tuning = tuning
        self._doorbells = doorbells
        self._child_selector = child_selector
        self._reporter = reporter
        self._clock = clock
        self._monotonic = monotonic
        self._dirty: set[WorkloadKey] = set()
        self._woken = asyncio.Event()
        self._scaled: dict[Target, str] = {}
        self._listed_at = self._checked_at = NEVER
        self._known: dict[WorkloadKey, str] = {}
        self._decided: dict[WorkloadKey, ModelDeploymentStatus] = {}
        self._remembered: dict[WorkloadKey, Remembered] = {}
        self.ticked_at: float | None = None

    def touch(self, key: WorkloadKey) -> None:
        """Ask for an early pass over one ModelDeployment."""
        self._dirty.add(key)
        self._woken.set()

    async def run(self) -> None:
        """Tick until cancelled. An error in a tick is logged and counted; the next tick tries again."""
        while True:
            started_at = self._monotonic()
            await self._guarded("tick", self.tick())
            await self._until(started_at + self._settings.interval_seconds)

    async def tick(self) -> None:
        """Make one full pass: lists when due, metrics and forecasts for all, a decision for each.

        What comes or changes while the pass reads gets an early pass of its own, which reads what it needs.
        """
        with self._telemetry.tick_seconds.labels("full").time():
            relisted = await self._relist_when_due()
            self._dirty.clear()
            now = self._clock()
            entries = self._entries(self._mirror.keys())
            if relisted or self._routes.wanted(entries):
                await self._read_routes()
            await asyncio.to_thread(self._fleet.read, now)
            await self._guarded("history", asyncio.to_thread(self._fleet.remember, entries, now))
            await self._guarded("forecast", asyncio.to_thread(self._fleet.advance, self._fleet.requests(entries), now))
            self._profiles.keep(entries)
            await asyncio.to_thread(self._profiles.refresh, self._profiles.due(entries))
            await self._share_accelerators(new_readings=True)
            self._pass([entry.key for entry in entries], new_readings=True)
            self._tuning.advance(self._clock())
        self.ticked_at = self._monotonic()

    async def _until(self, due_at: float) -> None:
        while (left := due_at - self._monotonic()) > 0:
            try:
                await asyncio.wait_for(self._woken.wait(), left)
            except TimeoutError:
                return
            await asyncio.sleep(min(DEBOUNCE_SECONDS, max(due_at - self._monotonic(), 0)))
            await self._guarded("early pass", self._early_pass())

    async def _early_pass(self) -> None:
        self._woken.clear()
        keys, self._dirty = self._dirty, set()
        if not self._fleet.read_once:
            return
        with self._telemetry.tick_seconds.labels("early").time():
            entries = self._entries(keys)
            await asyncio.to_thread(self._profiles.refresh, self._profiles.due(entries))
            if self._accelerators.unshared(entries):
                await self._share_accelerators(new_readings=False)
            self._pass(keys, new_readings=False)

    async def _share_accelerators(self, new_readings: bool) -> None:
        """Count accelerators when that is due, and share them out, before anybody decides."""
        entries = self._entries(self._mirror.keys())
        await self._accelerators.count(entries)
        bidders = []
        sharing = [e.key for e in entries if e.resource and not e.deleting and shares_accelerators(e.resource)]
        for key in sorted(sharing):
            try:
                entry = self._entry(key)
                found = bidder(self._inputs(entry, new_readings), self._settings) if entry else None
            except Exception:
                self._telemetry.errors.labels("accelerators").inc()
                log.exception("%s: takes no part in sharing accelerators", key)
            else:
                bidders += [found] if found else []
            await asyncio.sleep(0.0)  # sizing hundreds takes a second: watches and writes have their turn in between
        await self._accelerators.share(bidders)

    async def _guarded(self, where: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception:
            self._telemetry.errors.labels(where).inc()
            log.exception("%s failed", where)

    async def _relist_when_due(self) -> bool:
        due = self._monotonic() - self._listed_at >= LIST_DIFF_SECONDS
        if due:
            await self._relist_all()
        if self._monotonic() - self._checked_at >= CONFLICT_CHECK_SECONDS:
            await self._check_conflicts()
        return due

    async def _read_routes(self) -> None:
        try:
            await self._routes.refresh()
        except ApiCallError as error:
            self._telemetry.errors.labels("routes").inc()
            log.warning("cannot list HTTPRoutes, keeping the last answer: %s", error)

    async def _relist_all(self) -> None:
        """List what is watched; once all of it is known, watches alone will do until the next try.

        Raises:
            ApiCallError: Nothing was ever listed, so that nothing can be decided.
        """
        try:
            for kind in LISTED:
                await self._relist(kind)
        except ApiCallError as error:
            if self._listed_at == NEVER:
                raise
            self._telemetry.errors.labels("lists").inc()
            log.warning("cannot compare with full lists, going on with what is watched: %s", error)
        else:
            self._listed_at = self._monotonic()

    async def _relist(self, kind: MirroredKind) -> None:
        selector = "" if kind == "ModelDeployment" else self._child_selector
        known_before = self._mirror.newest_version(kind)
        listing = await asyncio.to_thread(self._calls.list, kind, selector)
        ghosts = self._mirror.replace(kind, listing.items, listing.resource_version, known_before)
        if ghosts:
            log.info("dropped %d %s objects that the watch had missed", ghosts, kind)

    async def _check_conflicts(self) -> None:
        try:
            listing = await asyncio.to_thread(self._calls.list, "HorizontalPodAutoscaler", "")
        except ApiCallError as error:
            self._telemetry.errors.labels("conflict check").inc()
            log.warning("cannot check for other autoscalers, keeping the last answer: %s", error)
        else:
            self._scaled = scaled_elsewhere(listing.items)
        self._checked_at = self._monotonic()

    def _pass(self, keys: Iterable[WorkloadKey], new_readings: bool) -> None:
        self._forget_gone()
        for key in sorted(keys):
            try:
                self._one(key, new_readings)
            except Exception:
                self._telemetry.errors.labels("decision").inc()
                log.exception("%s: no decision", key)
        self._doorbells.attend(self._mirror.holders())

    def _forget_gone(self) -> None:
        """Drop what is known of ModelDeployments that are gone, also where there is another of that name by now."""
        known = {entry.key: entry.uid for entry in self._entries(self._mirror.keys())}
        for gone in [key for key, uid in self._known.items() if known.get(key) != uid]:
            self._fleet.forget(gone)
            self._applier.forget(gone)
            self._writes.decide(gone, ())
            self._decided.pop(gone, None)
            self._remembered.pop(gone, None)
            self._tuning.forget(gone)
            self._telemetry.forget(gone)
        self._known = known
        self._telemetry.workloads.set(len(known))

    def _one(self, key: WorkloadKey, new_readings: bool) -> None:
        entry = self._entry(key)
        if entry is None or self._profiles.awaited(entry):
            return
        if entry.deleting:
            self._applier.let_be(key)
            self._writes.decide(key, ())
            self._telemetry.forget(key)
            return
        outcome = decide(self._inputs(entry, new_readings), self._settings)
        self._remembered[key] = outcome.remembered
        self._tuning.note(key, outcome.tunable, outcome.status.tuning)
        if outcome.rendering is None:
            self._applier.let_be(key)
        self._writes.decide(key, self._applier.children(key, outcome.rendering) if outcome.rendering else ())
        self._report(entry, outcome)

    def _inputs(self, entry: Entry, new_readings: bool) -> Inputs:
        profile, trouble = self._profiles.of(entry)
        forecast, health = self._fleet.forecast(entry.key)
        now = self._clock()
        seen = self._fleet.observation(entry, now, new_readings)
        return Inputs(
            now=now,
            entry=entry,
            profile=profile,
            trouble=trouble or self._conflict(entry),
            observation=replace(
                seen,
                queued=self._doorbells.queued(entry.key, seen.queued, now),
                allowances=self._accelerators.allowances(entry.key),
                unmakeable=self._applier.unmakeable(entry.key),
            ),
            forecast=forecast,
            forecast_health=health,
            remembered=self._remembered.get(entry.key),
            tuned=self._tuning.found(entry.key),
            unroutable=self._routes.trouble,
            refused=self._applier.refused(entry.key),
        )

    def _conflict(self, entry: Entry) -> Trouble | None:
        if entry.resource is None or not self._scaled:
            return None
        return conflict(((entry.key.namespace, name) for name in pool_names(entry.resource)), self._scaled)

    def _report(self, entry: Entry, outcome: Outcome) -> None:
        if outcome.plan is not None:
            forecast, _ = self._fleet.forecast(entry.key)
            self._telemetry.planned(entry.key, outcome.plan, forecast)
        else:
            self._telemetry.unplanned(entry.key)
        self._telemetry.judged(entry.key, outcome.status)
        status = settle(entry.status, outcome.status, self._clock(), self._settings.status_refresh_seconds)
        if status is None:
            return
        for announcement in announcements(entry.status, outcome):
            self._announce(entry, announcement)
        if outcome.plan is not None and status.desired != entry.status.desired:
            self._telemetry.decisions.labels(str(outcome.plan.reason)).inc()
        self._decided[entry.key] = status
        written = partial(self._status_settled, entry.key, status)
        self._writes.submit(self._applier.status(entry, status_body(status), written))

    def _refused(self, key: WorkloadKey, trouble: Trouble) -> None:
        """Tell people what is refused, and decide again: there may be another choice."""
        if (entry := self._mirror.entry(key)) is not None:
            self._announce(entry, Announcement("Warning", trouble.reason, trouble.message))
        self.touch(key)

    def _drifted(self, key: WorkloadKey, what: str) -> None:
        if (entry := self._mirror.entry(key)) is not None:
            self._announce(entry, Announcement("Warning", CHANGED_BY_OTHERS, what))

    def _announce(self, entry: Entry, announcement: Announcement) -> None:
        body = event_body(entry, announcement, self._reporter, self._clock())
        self._writes.submit(self._applier.event(entry.key, body))
        log.info("%s: %s: %s", entry.key, announcement.reason, announcement.note)

    def _entry(self, key: WorkloadKey) -> Entry | None:
        """Return a ModelDeployment with the status of the last decision, written or still on its way."""
        entry = self._mirror.entry(key)
        return replace(entry, status=self._decided[key]) if entry and key in self._decided else entry

    def _status_settled(self, key: WorkloadKey, status: ModelDeploymentStatus) -> None:
        if self._decided.get(key) is status:
            del self._decided[key]

    def _entries(self, keys: Iterable[WorkloadKey]) -> list[Entry]:
        return [entry for key in keys if (entry := self._mirror.entry(key))]
