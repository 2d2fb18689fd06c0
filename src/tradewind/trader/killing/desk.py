"""The kill switch of a desk at an outside venue (T8.4-T8.8): the same levels and words as in paper.

kill = DeskKill(desk, rules, book, holdings)
kill.recover(port.history())     # before the desk starts: a halt outlives the process
await kill.halt("console", "why")
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final, Protocol

import structlog

from tradewind.trader.guarded_desk import GuardedDesk
from tradewind.trader.kill import KillResult, Outcome
from tradewind.trader.ledger import LedgerError
from tradewind.trader.oms import OrderRequest
from tradewind.trader.ramp.cap import StageCapExceeded
from tradewind.trader.records import TRADER_STREAM, Latch, OperatorAct, Record, decode
from tradewind.trader.risk.state import ACCOUNT, LatchError, StateTable, TradingState
from tradewind.trader.venue_desk import NotTrading
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import PortStopped
from tradewind.venues.paper.wire import BatchLike, stream_notes
from tradewind.venues.protocol import TimeInForce

from .work import FlattenRules, Holding, collar_ticks, order_of_work, slice_lots, smallest_lots

log = structlog.get_logger("tradewind.trader.kill")
OPERATOR: Final = "operator"
FLATTEN: Final = "flatten"
FLATTEN_S: Final = 60.0
SETTLE_S: Final = 5.0
MAX_SLICES: Final = 1_000
SECOND_NS: Final = 1_000_000_000


class Book(Protocol):
    """What a flatten sees of a market."""

    live: bool
    mid: Decimal

    def shown_through(self, side: Side, limit_ticks: int) -> int:
        """Lots that `side` shows at this price or better for the other side."""


class DeskKill:
    """Acts on one desk. Every act is idempotent, journaled with actor and reason, and read back."""

    def __init__(
        self,
        desk: GuardedDesk,
        rules: FlattenRules,
        book: Callable[[str], Book | None],
        holdings: Callable[[], Sequence[Holding]],
        *,
        cooldown_s: int = 300,
    ) -> None:
        self._desk, self._rules, self._book, self._holdings = desk, rules, book, holdings
        self._cooldown_ns = cooldown_s * SECOND_NS
        self.states = StateTable()
        desk.guards.append(self.refusal)

    def recover(self, batches: Iterable[BatchLike]) -> None:
        """What halted the account before halts it again. Call before `desk.start`."""
        for batch in batches:
            for _, payload in stream_notes(batch, TRADER_STREAM):
                record = decode(payload)
                if isinstance(record, Latch):
                    self.states.apply(record)

    def refusal(self, request: OrderRequest) -> str:
        """Why an order may not leave; a guard of the desk. A flatten reduces even while halted."""
        state = self.states.effective()
        if state is TradingState.NORMAL or (request.reducing and state is TradingState.REDUCE_ONLY):
            return ""
        if request.reducing and request.path == FLATTEN:
            return ""
        return f"the account is {state.name}"

    # ---- the levels ----------------------------------------------------------------------------------------

    async def pause(self, actor: str, reason: str) -> KillResult:
        """No new risk; working orders and positions stay."""
        changed = await self._latch(TradingState.REDUCE_ONLY, actor, reason)
        outcome = Outcome.VERIFIED if changed else Outcome.NO_EFFECT
        return await self._result("pause", outcome, actor, reason, self._positions())

    async def halt(self, actor: str, reason: str) -> KillResult:
        """Halt the account and cancel every order; verified when the venue shows none."""
        before = self._positions()
        changed = await self._latch(TradingState.HALTED, actor, reason)
        return await self._cancelled("halt", actor, reason, before, changed=changed)

    async def flatten(self, actor: str, reason: str) -> KillResult:
        """Halt, cancel, then reduce to zero in slices within the collar. Partial is not success."""
        before = self._positions()
        await self._latch(TradingState.HALTED, actor, reason)
        cancelled = await self._cancelled(FLATTEN, actor, reason, before, changed=True)
        if not cancelled.verified:
            return cancelled
        problem = await self._reduce_to_zero()
        left = tuple(f"{one.quantity} {one.symbol}" for one in self._open())
        if left:
            outcome = Outcome.PENDING
        else:
            outcome = Outcome.VERIFIED if before != self._positions() else Outcome.NO_EFFECT
        return await self._result(FLATTEN, outcome, actor, reason, before, left=left, detail=problem)

    async def resume(self, actor: str, reason: str) -> KillResult:
        """Back to Normal: a reason, the cool-down and a clean reconciliation are needed."""
        before = self._positions()
        refusal = await self._resume_refusal(reason)
        if refusal:
            return await self._result("resume", Outcome.REJECTED, actor, reason, before, detail=refusal)
        cleared = 0
        try:
            for latch in self.states.active():
                record = self.states.clear(
                    latch.scope, latch.cause, reason=reason, actor=actor, now_ns=time.time_ns()
                )
                problem = await self._journal(record)
                if problem:
                    self.states.apply(latch)
                    raise LatchError(problem)
                cleared += 1
        except LatchError as error:
            return await self._result("resume", Outcome.REJECTED, actor, reason, before, detail=str(error))
        outcome = Outcome.VERIFIED if cleared else Outcome.NO_EFFECT
        return await self._result("resume", outcome, actor, reason, before)

    # ---- parts ---------------------------------------------------------------------------------------------

    def _positions(self) -> dict[str, Decimal]:
        return {one.symbol: one.quantity for one in self._holdings()}

    async def _latch(self, level: TradingState, actor: str, reason: str) -> bool:
        """Restrict first, journal second: a halt holds even when the journal is gone."""
        latch = self.states.trip(ACCOUNT, OPERATOR, level, reason=reason, actor=actor, now_ns=time.time_ns())
        if latch is not None:
            await self._journal(latch)
        return latch is not None

    async def _journal(self, record: Record) -> str:
        try:
            await self._desk.note(record)
        except PortStopped as stop:
            return f"the journal is stopped: {stop}"
        return ""

    async def _cancelled(
        self, act: str, actor: str, reason: str, before: dict[str, Decimal], *, changed: bool
    ) -> KillResult:
        working = len(self._desk.oms.orders)
        try:
            left = await self._desk.cancel_all(f"{act} by {actor}: {reason}")
        except NotTrading as error:
            return await self._result(
                act, Outcome.UNKNOWN, actor, reason, before, orders_before=working, detail=str(error)
            )
        outcome = Outcome.VERIFIED if working or changed else Outcome.NO_EFFECT
        if left:
            outcome = Outcome.PENDING
        return await self._result(
            act, outcome, actor, reason, before, orders_before=working, left=tuple(left)
        )

    def _open(self) -> list[Holding]:
        """Positions that are more than dust, in the order of work."""
        found = []
        for one in self._holdings():
            book = self._book(one.symbol)
            instrument = self._desk.oms.instruments[one.symbol]
            price = one.notional_quote / abs(one.quantity) if one.quantity else Decimal(0)
            mid = book.mid if book is not None and book.live else price
            if mid <= 0:
                continue
            if abs(one.quantity) >= instrument.lot * smallest_lots(instrument, mid, self._rules.collar_bps):
                found.append(one)
        return order_of_work(found)

    async def _reduce_to_zero(self) -> str:
        """Slices until flat; the reason when it stops before."""
        deadline_s = time.monotonic() + FLATTEN_S
        for _ in range(MAX_SLICES):
            holdings = self._open()
            if not holdings:
                return ""
            if time.monotonic() >= deadline_s:
                return "the deadline has passed"
            problem = await self._slice(holdings[0])
            if problem:
                return problem
            await asyncio.sleep(self._rules.interval_ms / 1_000)
        return f"more than {MAX_SLICES} slices"

    async def _slice(self, holding: Holding) -> str:
        """One reducing order; why nothing more can be done."""
        book = self._book(holding.symbol)
        if book is None or not book.live:
            return f"{holding.symbol}: the book is not live, nothing is sold against an old picture"
        instrument, rules = self._desk.oms.instruments[holding.symbol], self._rules
        side = Side.SELL if holding.quantity > 0 else Side.BUY
        limit = collar_ticks(instrument, side, book.mid, rules.collar_bps)
        lots = slice_lots(
            int(abs(holding.quantity) / instrument.lot),
            book.shown_through(Side(1 - side), limit),
            smallest_lots(instrument, book.mid, rules.collar_bps),
            int(rules.max_order_quote / (book.mid * instrument.lot)),
            rules.participation_pct,
        )
        if lots == 0:
            return f"{holding.symbol}: no slice fits the bounds of an order"
        request = OrderRequest(
            strategy=FLATTEN,
            path=FLATTEN,
            symbol=holding.symbol,
            side=side,
            price_ticks=limit,
            lots=lots,
            time_in_force=TimeInForce.IOC,
            tag=FLATTEN,
            reducing=True,
            decision_ns=time.time_ns(),
        )
        try:
            order = await self._desk.place(request)
        except (NotTrading, LedgerError, StageCapExceeded, PortStopped) as error:
            return f"{holding.symbol}: {error}"
        deadline_s = time.monotonic() + SETTLE_S
        while not order.is_terminal and time.monotonic() < deadline_s:  # noqa: ASYNC110 the order tells nobody
            await asyncio.sleep(0.02)
        return "" if order.is_terminal else f"slice {order.client_id} has not ended"

    async def _resume_refusal(self, reason: str) -> str:
        if not reason.strip():
            return "a reason is needed"
        now_ns = time.time_ns()
        for latch in self.states.active():
            ready_ns = max(latch.not_before_ns, latch.at_ns + self._cooldown_ns)
            if now_ns < ready_ns:
                wait_s = (ready_ns - now_ns) // SECOND_NS + 1
                return f"{latch.cause} of {latch.scope} cannot be reset for another {wait_s} s"
        differences = await self._desk.reconcile()
        return f"not reconciled: {differences[0]}" if differences else ""

    async def _result(
        self,
        act: str,
        outcome: Outcome,
        actor: str,
        reason: str,
        before: dict[str, Decimal],
        *,
        orders_before: int = 0,
        left: tuple[str, ...] = (),
        detail: str = "",
    ) -> KillResult:
        """Read the venue, journal the act, and say both."""
        shown = await self._desk.venue.open_orders(None)
        record = OperatorAct(
            act=act, actor=actor, reason=reason, outcome=str(outcome), detail=detail, at_ns=time.time_ns()
        )
        problem = await self._journal(record)
        log.critical("kill", act=act, actor=actor, outcome=str(outcome), left=left, detail=detail)
        return KillResult(
            act=act,
            outcome=outcome,
            state=self.states.effective().name,
            orders_before=orders_before,
            orders_after=len(shown) if isinstance(shown, list) else None,
            position_before=before,
            position_after=self._positions(),
            left=left,
            detail=f"{detail}; {problem}" if problem else detail,
        )
