"""Executions at an outside venue: each once, in order, in the ledger, or set aside with the account halted.

Below the books (`venue_books`) and the desk: what every part of them needs of journal, tasks and blocking.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec
import structlog

from tradewind.venues.paper.port import Note, PortStopped
from tradewind.venues.protocol import FillEvent, Incomplete, Venue

from .ledger import LedgerError
from .oms import Oms
from .orders import ManagedOrder, State
from .records import Execution, Opening, Record, encode

log = structlog.get_logger("tradewind.trader.venue_books")
SECOND_NS: Final = 1_000_000_000
MISSING_FILLS_S: Final = 2.0
"""How long executions may be late before they are asked for (T7.8)."""
POLL_S: Final = 0.02
MAX_TASKS: Final = 10_000
MAX_HELD_FILLS: Final = 1_000
"""Executions that wait for earlier ones; beyond it they are booked as they come."""
MAX_UNBOOKED: Final = 1_000
DISTRUST_S: Final = 10.0
"""How long nothing new is sent behind a loss of the stream, besides its reconciliation (T6.3)."""
NEVER_THERE: Final = frozenset({State.ABANDONED, State.REJECTED, State.DENIED})
"""States of an order that cannot have executions; one of them means that our proof was wrong."""
Key = tuple[str, str, str, str, int]


class Block(StrEnum):
    """What kind of thing stands against new orders."""

    START = "start"
    """Not started, or stopped."""
    HALTED = "halted"
    """Only an operator resumes."""
    STREAM = "stream"
    """Private events are not told, or not trusted."""
    JOURNAL = "journal"
    DOUBT = "doubt"
    """Orders of which nobody knows whether they are there."""
    FOREIGN = "foreign"
    """Orders or funds moved that are not ours."""
    DIFFERENCE = "difference"
    """Books and venue are not the same, or could not be compared."""
    FAULT = "fault"
    """A defect or a bound of this program."""


class NotesPort(Protocol):
    """Where records go: durable when `submit` returns, in the order of the calls."""

    async def submit(self, commands: list[bytes], notes: list[Note]) -> object:
        """Raises `PortStopped`."""


class DeskStats(msgspec.Struct, kw_only=True):
    """Counters of this process; orders that were recovered count only from here on."""

    sent: int = 0
    """Submits that were handed to the connector, those sent again included."""
    acknowledged: int = 0
    rejected: int = 0
    unknown: int = 0
    """Submits without a definite answer."""
    resolved: int = 0
    """Orders in doubt of which it became known what they are."""
    resolved_ns: int = 0
    """Time that they were in doubt, in all."""
    slowest_ns: int = 0
    duplicate_fills: int = 0
    held_fills: int = 0
    """Executions that came before an earlier one of their order."""
    missed_fills: int = 0
    """Executions that the private stream did not tell although it was live."""
    reconciliations: int = 0
    streams: int = 0
    """Private streams that were begun."""


class VenueFills:
    """Books executions. `blocked` says why no new order passes; `halt` why none will without an operator."""

    def __init__(self, venue: Venue, port: NotesPort, oms: Oms, *, clock_ns: Callable[[], int]) -> None:
        self.venue, self.port, self.oms, self.ledger = venue, port, oms, oms.ledger
        self.blocked = "not started"
        """Why no new order passes; "" when they do."""
        self.block_kind = Block.START
        """Of what kind that is, while something is."""
        self.halt = ""
        """Why the account is halted: what it holds is not what the books say. Survives a restart, because
        what caused it is in the journal.
        """
        self.unbooked: dict[Key, FillEvent] = {}
        """Executions that the ledger could not take; they are also in the suspense list of `oms`."""
        self.stats = DeskStats()
        self.opening: Opening | None = None
        self.journal_down = False
        self.last_fill_ns = 0
        self.live_since_ns = 0
        """Since when the private stream tells everything; 0 while it does not."""
        self.distrust_s = DISTRUST_S
        self.distrust_until_s = 0.0
        """The stream lost an execution: no new order before this moment of the steady clock."""
        self._clock_ns = clock_ns
        self._books = asyncio.Lock()
        self._look_again = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._held: dict[str, dict[Key, FillEvent]] = {}
        self._unwanted: set[str] = set()
        """Orders that were cancelled while they were in doubt: never sent again, ended when they appear."""
        self._closing = False

    @property
    def held_fills(self) -> int:
        """Executions that wait for earlier ones of their orders."""
        return sum(map(len, self._held.values()))

    @property
    def suspended(self) -> int:
        """Executions that are set aside because the books could not take them, or knew no order of them."""
        return len(self.oms.suspense)

    # ---- executions --------------------------------------------------------------------------------------

    async def _filled(self, event: FillEvent) -> bool:
        """Take one execution; False when it is known. One that came too early waits for the earlier ones."""
        async with self._books:
            if self._knows(event):
                self.oms.stats.duplicate_fills += 1
                self.stats.duplicate_fills += 1
                return False
            order = self.oms.get(event.client_id)
            if order is not None and _leaves_hole(order, event) and self.held_fills < MAX_HELD_FILLS:
                self._hold(order, event)
                return True
            await self._post(event)
            await self._release(event.client_id)
            return True

    def _knows(self, event: FillEvent) -> bool:
        held = self._held.get(event.client_id, {})
        # a table of executions that is full is no reason to journal the same one again and again
        full = len(self.unbooked) >= MAX_UNBOOKED
        return self.ledger.knows(event.key) or event.key in held or event.key in self.unbooked or full

    def _hold(self, order: ManagedOrder, event: FillEvent) -> None:
        self.stats.held_fills += 1
        waiting = self._held.setdefault(order.client_id, {})
        waiting[event.key] = event
        if len(waiting) == 1:
            self._spawn(self._close_hole(order), f"missing executions of {order.client_id}")

    async def _release(self, client_id: str) -> None:
        """Book what was waiting for the execution that has come. The books are locked."""
        order = self.oms.get(client_id)
        while order is not None and (waiting := self._held.get(client_id)):
            ready = next((one for one in _in_order(waiting) if not _leaves_hole(order, one)), None)
            if ready is None:
                return
            del waiting[ready.key]
            await self._post(ready)
        self._held.pop(client_id, None)

    async def _close_hole(self, order: ManagedOrder) -> None:
        """Wait for the executions before those that are held, then ask for them."""
        deadline_s = time.monotonic() + MISSING_FILLS_S
        while order.client_id in self._held and time.monotonic() < deadline_s:  # noqa: ASYNC110 any source
            await asyncio.sleep(POLL_S)
        if order.client_id in self._held:
            await self._catch_up(order.intent.decision_ns)
        async with self._books:
            waiting = self._held.pop(order.client_id, {})
            for event in _in_order(waiting):
                await self._post(event)  # the venue lists none before them: what it told is booked
        if waiting:
            self._look_again.set()

    async def _post(self, event: FillEvent) -> None:
        """On the disk, then in the books."""
        await self._journal_quietly(Execution(event=event))
        self._book(event)

    def _book(self, event: FillEvent) -> None:
        """One execution into ledger and order, also when the journal is read again. Never raises for what a
        venue may tell: what the ledger cannot take is set aside and halts the account.
        """
        self.last_fill_ns = max(self.last_fill_ns, event.venue_ts_ns)
        if event.symbol not in self.oms.instruments:
            self._set_aside(
                event, f"ForeignActivity: execution {event.trade_id} in {event.symbol}, which is not traded"
            )
            return
        order = self.oms.get(event.client_id)
        before = None if order is None else order.state
        try:
            self.oms.on_fill(event if order is None else _with_true_rest(order, event))
        except LedgerError as error:
            self._set_aside(event, f"{error.code}: execution {event.trade_id}: {error}")
            return
        if order is None:
            self._halt(f"ForeignActivity: execution {event.trade_id} of an order that is not ours")
        elif before in NEVER_THERE:
            self._halt(f"execution {event.trade_id} of order {order.client_id}, which was {before}")
        elif order.is_terminal:
            self._unwanted.discard(order.client_id)
        if self.oms.overfill is not None:
            self._halt(f"Overfill: {self.oms.overfill}")

    def _set_aside(self, event: FillEvent, reason: str) -> None:
        self.unbooked[event.key] = event
        self.oms.suspense.append(event)
        self.oms.stats.suspense += 1
        self._halt(reason)

    async def _await_fills(self, order: ManagedOrder, lots: int) -> None:
        deadline_s = time.monotonic() + MISSING_FILLS_S
        while order.filled_lots < lots and time.monotonic() < deadline_s:  # noqa: ASYNC110 any source may fill
            await asyncio.sleep(POLL_S)
        if order.filled_lots < lots:
            await self._catch_up(order.intent.decision_ns)

    async def _catch_up(self, since_ns: int) -> str:
        """Ask for executions. "" or why the list is not complete. What a live stream should have told by now
        and did not is counted, and the stream is not trusted for a while.
        """
        asked_ns, live_since_ns = self._clock_ns(), self.live_since_ns
        fills = await self.venue.fills(since_ns)
        if isinstance(fills, Incomplete):
            return f"executions are not complete: {fills.reason}"
        due_ns = asked_ns - int(MISSING_FILLS_S * SECOND_NS)
        for event in fills:
            if self._before_us(event):
                continue
            new = await self._filled(event)
            if new and live_since_ns and event.venue_ts_ns < due_ns and self._since(live_since_ns, event):
                self._lost_by_stream(event)
        return ""

    def _since(self, moment_ns: int, event: FillEvent) -> bool:
        """Whether it was executed behind a moment: by its time, which may be in whole seconds, or because its
        order was decided later.
        """
        order = self.oms.get(event.client_id)
        return event.venue_ts_ns > moment_ns or (order is not None and order.intent.decision_ns > moment_ns)

    def _before_us(self, event: FillEvent) -> bool:
        """Whether an execution is in the opening balances already. One of an order of ours never is, whatever
        its time says: venues tell times in whole seconds, too.
        """
        ours = self.oms.get(event.client_id) is not None
        return not ours and self.opening is not None and event.venue_ts_ns < self.opening.at_ns

    def _lost_by_stream(self, event: FillEvent) -> None:
        self.stats.missed_fills += 1
        self.distrust_until_s = time.monotonic() + self.distrust_s
        log.critical("execution_not_told", trade_id=event.trade_id, order=event.client_id)
        self._block(f"the private stream did not tell execution {event.trade_id}", Block.STREAM)

    # ---- blocking ----------------------------------------------------------------------------------------

    def _block(self, reason: str, kind: Block) -> None:
        if self.halt:
            reason, kind = self.halt, Block.HALTED
        if self.blocked != reason:
            log.warning("no_new_orders", reason=reason)
        if not self.blocked:
            self._look_again.set()  # whoever waits for the next comparison does not wait a minute now
        self.blocked, self.block_kind = reason, kind

    def _halt(self, reason: str) -> None:
        """The books are not what the account is: only an operator resumes. The first reason stays."""
        if not self.halt:
            self.halt = reason
            log.critical("account_halted", reason=reason)
        self._block(self.halt, Block.HALTED)

    # ---- journal and tasks -------------------------------------------------------------------------------

    async def _journal(self, *records: Record) -> None:
        try:
            await self.port.submit([], [encode(one) for one in records])
        except PortStopped:
            self.journal_down = True
            self._block("the journal does not write", Block.JOURNAL)
            raise

    async def _journal_quietly(self, *records: Record) -> None:
        """A fact that the venue tells again after a crash: losing its record loses nothing but time."""
        try:
            await self._journal(*records)
        except PortStopped as error:
            log.critical(
                "record_not_journaled", records=[type(one).__name__ for one in records], why=str(error)
            )

    def _spawn(self, work: Coroutine[Any, Any, Any], name: str) -> bool:
        """Run it beside everything else. False when there are too many tasks; then it does not run."""
        if len(self._tasks) >= MAX_TASKS:
            work.close()
            self._block(f"more than {MAX_TASKS} tasks of the desk are running", Block.FAULT)
            return False
        task = asyncio.create_task(work, name=f"venue desk: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return True

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("desk_task_failed", task=task.get_name(), error=repr(error))
            self._block(f"{task.get_name()} failed: {type(error).__name__}", Block.FAULT)


def _in_order(waiting: dict[Key, FillEvent]) -> list[FillEvent]:
    """As far as the venue says: what leaves more of the order open comes first."""
    return sorted(waiting.values(), key=lambda one: (-one.remaining_lots, one.sequence))


def _totals(order: ManagedOrder) -> tuple[int, ...]:
    """Lots that the whole order may have: an amend in flight may have been done or not."""
    return (order.lots,) if order.pending_lots is None else (order.lots, order.pending_lots)


def _leaves_hole(order: ManagedOrder, event: FillEvent) -> bool:
    """Whether, by what this execution leaves open, an earlier one of its order has not come yet."""
    if order.is_terminal:
        return False  # a late one is booked as it is
    before = (total - event.remaining_lots - event.lots for total in _totals(order))
    return all(one > order.filled_lots for one in before)


def _with_true_rest(order: ManagedOrder, event: FillEvent) -> FillEvent:
    """The execution with what it leaves open by our own sum: a list that begins late counts from nought."""
    filled = order.filled_lots + event.lots
    closes = any(filled == total for total in _totals(order)) and event.remaining_lots == 0
    if closes or filled >= max(_totals(order)):
        return msgspec.structs.replace(event, remaining_lots=0)
    return msgspec.structs.replace(event, remaining_lots=max(1, event.remaining_lots, order.lots - filled))
