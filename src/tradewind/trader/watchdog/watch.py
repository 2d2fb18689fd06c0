"""The loop of the watchdog: look at the heartbeat, and cancel at the venue while the core has no control.

It never places an order: there is no such call on its path, and its key has no right to. Holdings stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
import structlog

from tradewind.trader.heartbeat import BadBeat, Beat, boot_now_ns, read_beat
from tradewind.venues.limits.store import this_moment
from tradewind.venues.transport.dead_man import Purpose

from .diary import Diary
from .disk import Disk
from .judge import Judge, Limits, Verdict
from .paging import Page, Pager
from .paths import Resting, Rights, VenuePath

log = structlog.get_logger("tradewind.watchdog")
LOOK_EVERY_S: Final = 0.25
READ_S: Final = 2.0
"""A disk that does not give the heartbeat in this time gives none."""
RETRY_S: Final = 1.0
"""Between two attempts to cancel: quick, and within any venue's limits."""
SLOW_RETRY_S: Final = 5.0
FAST_ATTEMPTS: Final = 20
VERIFY_AGAIN_S: Final = 5.0
"""What was under way when the core fell silent may arrive later: the venue is asked again and again."""
CHECK_PATH_S: Final = 30.0
BLIND_AFTER: Final = 3
"""Checks of the path in a row that fail before people are told."""
RIGHTS_EVERY_S: Final = 3_600.0


class Mode(StrEnum):
    """What the watchdog does now."""

    WATCHING = "watching"
    CANCELLING = "cancelling"
    HOLDING = "holding"
    """The core is silent, and the venue has shown that nothing is left to cancel."""
    STOOD_DOWN = "stood_down"
    """The core has ended in order."""


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """Where pages go; `url` "" is to the log alone."""

    url: str = ""
    routing_key: str = ""
    source: str = ""

    def __repr__(self) -> str:
        return f"Pages({self.url})"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What operators see. None: not known."""

    mode: Mode
    cause: str
    core: str
    silent_s: float
    outage_s: float | None
    resting: int | None
    path_age_s: float | None
    path_problem: str
    rights: Rights
    attempts: dict[str, int]
    fired: dict[str, int]
    refused_beats: dict[str, int]
    pages_pending: int
    pages_dropped: int
    diary_failures: int


class Watchdog:
    """One account at one venue. `run` until cancelled; one event loop."""

    def __init__(
        self,
        beats: Path,
        path: VenuePath,
        folder: Path,
        *,
        pages: Pages,
        account: str,
        purpose: Purpose,
        limits: Limits | None = None,
        clock_ns: Callable[[], int] = boot_now_ns,
        boot_id: str | None = None,
        judge: type[Judge] = Judge,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._beats, self._path = beats, path
        self._disk = Disk()
        self._diary = Diary(folder, self._disk)
        self._pager = Pager(
            folder, self._disk, url=pages.url, routing_key=pages.routing_key, source=pages.source
        )
        self._purpose, self._clock_ns, self._look_every_s = purpose, clock_ns, look_every_s
        boot_id = this_moment().boot_id if boot_id is None else boot_id
        self.judge = judge(path.name, account, boot_id, clock_ns(), limits)
        self.mode = Mode.WATCHING
        self.attempts: dict[str, int] = {}
        self.fired: dict[str, int] = {}
        self.resting: int | None = None
        self.rights = Rights(trades=None, cancels=None)
        self._name = f"{path.name}/{account}"
        self._path_problem = ""
        self._path_proven_ns: int | None = None
        self._blind, self._said_blind, self._in_a_row = 0, False, 0
        self._last_problem = ""
        self._refusal = ""
        self._acting = asyncio.Event()

    # ---- life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Looks, acts and delivers pages until cancelled."""
        memory = self._diary.memory
        self._diary.write("started", path=self._path.name, purpose=str(self._purpose), open=memory.incident)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pager.run())
            tasks.create_task(self._keep_looking())
            tasks.create_task(self._keep_checking())
            tasks.create_task(self._keep_acting())

    def close(self) -> None:
        """Waits until the journal has everything."""
        self._disk.close()

    async def _keep_looking(self) -> None:
        while True:
            try:
                async with asyncio.timeout(READ_S):
                    found = await asyncio.to_thread(self._read)
            except TimeoutError:
                found = BadBeat("unreadable", f"the disk does not answer within {READ_S:g} s")
            self.see(found)
            await asyncio.sleep(self._look_every_s)

    def _read(self) -> Beat | BadBeat:
        try:
            return read_beat(self._beats)
        except BadBeat as bad:
            return bad

    def look(self) -> Verdict:
        """One look at the file, and what follows from it."""
        return self.see(self._read())

    def see(self, found: Beat | BadBeat) -> Verdict:
        """What follows from what the file holds; nothing is waited for."""
        now_ns = self._clock_ns()
        if isinstance(found, BadBeat):
            refusal = found.reason
            self.judge.refuse(refusal)
        else:
            refusal = self.judge.see(found, now_ns)
            if not refusal:
                self._remember(found.protective, found.symbols)
        if refusal != self._refusal:
            self._refusal = refusal
            self._diary.write("heartbeat_refused" if refusal else "heartbeat_read", reason=refusal)
        verdict = self.judge.verdict(now_ns)
        self._follow(verdict)
        return verdict

    def _remember(self, protective: tuple[str, ...], symbols: tuple[str, ...]) -> None:
        memory = self._diary.memory
        if (memory.protective, memory.symbols) != (protective, symbols):
            memory.protective, memory.symbols = protective, symbols
            self._diary.keep()

    def _follow(self, verdict: Verdict) -> None:
        if verdict.cause:
            if self.mode in {Mode.WATCHING, Mode.STOOD_DOWN}:
                self._fire(verdict)
            return
        latest = self.judge.latest
        if latest is not None and self._diary.memory.incident:  # also one of an earlier life of ours
            self._over(verdict)
        mode = Mode.STOOD_DOWN if latest is not None and latest.stopped else Mode.WATCHING
        if mode is not self.mode:
            self._diary.write(str(mode), core=verdict.core)
            self.mode = mode

    def _fire(self, verdict: Verdict) -> None:
        self.mode, self._in_a_row, self._last_problem = Mode.CANCELLING, 0, ""
        self.fired[verdict.cause] = self.fired.get(verdict.cause, 0) + 1
        memory = self._diary.memory
        known = bool(memory.incident) and memory.cause == verdict.cause
        if not known:
            memory.incident = f"watchdog {self._name} {verdict.core} {time.time_ns()}"
            memory.cause, memory.verified = verdict.cause, False
        facts = {
            "cause": verdict.cause,
            "core": verdict.core,
            "silent_s": f"{verdict.silent_ns / 1e9:.1f}",
            "outage_s": "unknown" if verdict.outage_ns is None else f"{verdict.outage_ns / 1e9:.1f}",
        }
        self._acting.set()
        self._diary.write("fired", incident=memory.incident, **facts)
        self._diary.keep()
        if not known:
            self._page("trigger", f"{self._name}: {verdict.cause}, cancelling at the venue", facts)

    def _over(self, verdict: Verdict) -> None:
        memory = self._diary.memory
        if memory.incident:
            self._diary.write("over", incident=memory.incident, core=verdict.core, verified=memory.verified)
            self._page("resolve", f"{self._name}: the core is back", {"core": verdict.core})
        memory.incident, memory.cause, memory.verified = "", "", False
        self._diary.keep()

    def _page(self, action: str, summary: str, details: dict[str, str], incident: str = "") -> None:
        self._pager.page(
            Page(
                incident=incident or self._diary.memory.incident,
                action="trigger" if action == "trigger" else "resolve",
                summary=summary,
                details=details,
                at_ns=time.time_ns(),
            )
        )

    # ---- acting ------------------------------------------------------------------------------------------

    async def _keep_acting(self) -> None:
        while True:
            if self.mode not in {Mode.CANCELLING, Mode.HOLDING}:
                self._acting.clear()
                await self._acting.wait()
                continue
            wait_s = await self.act()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._acting.wait(), wait_s)
            self._acting.clear()

    async def act(self) -> float:
        """One attempt to cancel and to verify; how many seconds to wait before the next one."""
        left = await self._left()
        if isinstance(left, list) and not left:
            self._verified()
            return VERIFY_AGAIN_S
        problem = await self._cancel(left)
        if not problem:
            left = await self._left()  # read back: what was sent is no success (T1.4)
            if isinstance(left, list) and not left:
                self._count("verified")
                self._verified()
                return VERIFY_AGAIN_S
            problem = left if isinstance(left, str) else f"{len(left)} orders are left"
        self._failed(problem)
        return RETRY_S if self._in_a_row < FAST_ATTEMPTS else SLOW_RETRY_S

    async def _left(self) -> list[Resting] | str:
        """What rests and shall not, or why that is not known."""
        answer = await self._ask()
        if isinstance(answer, str):
            return answer
        if self._purpose is Purpose.TIMER:
            return answer
        protective = self._diary.memory.protective
        if protective is None:
            return answer and "which orders protect positions is not known: no heartbeat was ever read"
        return [one for one in answer if one.client_id not in protective]

    async def _ask(self) -> list[Resting] | str:
        answer = await self._path.resting()
        if isinstance(answer, str):
            self.resting, self._path_problem = None, answer
            return answer
        self.resting, self._path_problem, self._path_proven_ns = len(answer), "", self._clock_ns()
        return answer

    async def _cancel(self, left: list[Resting] | str) -> str:
        """One sweep. In `timer` also when the list cannot be read; in `stops` never more than the list."""
        memory = self._diary.memory
        if self._purpose is Purpose.STOPS:
            return left if isinstance(left, str) else await self._path.cancel(left)
        symbols = list(memory.symbols)
        if isinstance(left, list):
            symbols += [one.symbol for one in left if one.symbol]
        return await self._path.cancel_all(symbols)

    def _count(self, result: str) -> None:
        self.attempts[result] = self.attempts.get(result, 0) + 1

    def _verified(self) -> None:
        memory = self._diary.memory
        if self.mode is not Mode.CANCELLING:
            return
        self.mode, self._in_a_row = Mode.HOLDING, 0
        self._diary.write("verified", incident=memory.incident, resting=self.resting)
        if not memory.verified:
            memory.verified = True
            self._diary.keep()
            self._page("trigger", f"{self._name}: verified, nothing is left to cancel", {"verified": "yes"})

    def _failed(self, problem: str) -> None:
        self._count("failed")
        self._in_a_row += 1
        if self.mode is Mode.HOLDING:  # something arrived late, or the venue does not answer any more
            self.mode = Mode.CANCELLING
        if problem != self._last_problem or self._in_a_row % FAST_ATTEMPTS == 0:
            self._last_problem = problem
            self._diary.write("not_verified", attempt=self._in_a_row, problem=problem[:200])
            if self._in_a_row in {1, FAST_ATTEMPTS}:
                self._page("trigger", f"{self._name}: not cancelled yet: {problem[:200]}", {})

    # ---- the path, before it is needed -------------------------------------------------------------------

    async def _keep_checking(self) -> None:
        """Shows in quiet times that key and path work: what fails only in the emergency is no watchdog."""
        asked_s = -RIGHTS_EVERY_S
        while True:
            if time.monotonic() - asked_s >= RIGHTS_EVERY_S or None in {
                self.rights.trades,
                self.rights.cancels,
            }:
                asked_s = time.monotonic()
                await self.check_rights()
            await self.check_path()
            await asyncio.sleep(CHECK_PATH_S)

    async def check_rights(self) -> Rights:
        """What the venue lets our key do; a key that cannot cancel is told to people at once."""
        before = self.rights
        self.rights = await self._path.rights()
        if self.rights != before:
            self._diary.write("rights", trades=self.rights.trades, cancels=self.rights.cancels)
            if self.rights.cancels is False:
                self._page(
                    "trigger", f"{self._name}: the watchdog's key cannot cancel", {}, self._incident("key")
                )
        return self.rights

    async def check_path(self) -> str:
        """Asks the venue for orders; three failures in a row are told to people. The problem, or ""."""
        if self.mode in {Mode.CANCELLING, Mode.HOLDING}:
            return self._path_problem
        answer = await self._ask()
        self._blind = self._blind + 1 if isinstance(answer, str) else 0
        if self._blind == BLIND_AFTER:
            self._said_blind = True
            self._diary.write("blind", problem=self._path_problem)
            summary = f"{self._name}: the watchdog cannot reach the venue: {self._path_problem[:200]}"
            self._page("trigger", summary, {}, self._incident("blind"))
        elif not self._blind and self._said_blind:
            self._said_blind = False
            self._diary.write("sees_again")
            self._page(
                "resolve", f"{self._name}: the watchdog reaches the venue", {}, self._incident("blind")
            )
        return self._path_problem

    def _incident(self, what: str) -> str:
        return f"watchdog {self._name} {what}"

    # ---- looking -----------------------------------------------------------------------------------------

    def status(self) -> Status:
        """What it knows now."""
        now_ns, proven_ns = self._clock_ns(), self._path_proven_ns
        verdict = self.judge.verdict(now_ns)
        return Status(
            mode=self.mode,
            cause=verdict.cause,
            core=verdict.core,
            silent_s=verdict.silent_ns / 1e9,
            outage_s=None if verdict.outage_ns is None else verdict.outage_ns / 1e9,
            resting=self.resting,
            path_age_s=None if proven_ns is None else (now_ns - proven_ns) / 1e9,
            path_problem=self._path_problem,
            rights=self.rights,
            attempts=dict(self.attempts),
            fired=dict(self.fired),
            refused_beats=dict(self.judge.refused),
            pages_pending=self._pager.pending,
            pages_dropped=self._pager.dropped,
            diary_failures=self._disk.failures,
        )
