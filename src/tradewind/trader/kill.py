"""The kill switch (T8.4-T8.8): pause, halt, flatten, resume. Success is what was read back, never what was
sent.
"""

from __future__ import annotations

import time
from decimal import Decimal
from enum import StrEnum

import msgspec

from tradewind.venues.market_data import Known, Side
from tradewind.venues.paper.filters import ceil_to_step
from tradewind.venues.paper.port import PortStopped
from tradewind.venues.protocol import CancelledAll, TimeInForce

from .killing.work import Holding, collar_ticks, order_of_work, slice_lots, smallest_lots
from .records import Latch, OperatorAct
from .risk.check import Path
from .risk.state import ACCOUNT, LatchError, TradingState
from .session import MILLISECOND_NS, Session
from .strategy import PlaceIntent

SECOND_NS = 1_000_000_000
VERIFY_DEADLINE_NS = 10 * SECOND_NS
FLATTEN_DEADLINE_NS = 60 * SECOND_NS
OPERATOR = "operator"
MAX_SLICES = 1_000
SECOND_PERSON_NS = 600 * SECOND_NS
"""So long the first of two persons waits for the second."""


class Outcome(StrEnum):
    """What an emergency action has shown (T1.4)."""

    VERIFIED = "Verified"
    NO_EFFECT = "NoEffect"
    PENDING = "Pending"
    REJECTED = "Rejected"
    UNKNOWN = "Unknown"


class KillResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of an act: what was read back afterwards, and what is left."""

    act: str
    outcome: Outcome
    state: str
    orders_before: int
    orders_after: int | None
    position_before: dict[str, Decimal]
    position_after: dict[str, Decimal]
    left: tuple[str, ...] = ()
    detail: str = ""
    first_cancel_ms: int | None = None
    """When the venue had answered the first cancel, from the beginning of the act; None: none was sent."""

    @property
    def verified(self) -> bool:
        """Whether the wanted state was read back."""
        return self.outcome in {Outcome.VERIFIED, Outcome.NO_EFFECT}


class _By(msgspec.Struct, frozen=True):
    """Who acts and why, and what was there before."""

    actor: str
    reason: str
    orders: int
    positions: dict[str, Decimal]
    began_ns: int = 0


class KillSwitch:
    """Acts on one session. Every act is idempotent, journaled with actor and reason, and may be repeated any
    time.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._first: tuple[str, int] | None = None
        self.trader = session.trader
        self.venue = session.venue

    async def pause(self, actor: str, reason: str) -> KillResult:
        """No new risk; working orders and positions stay."""
        return await self._restrict("pause", TradingState.REDUCE_ONLY, actor, reason)

    async def halt(self, actor: str, reason: str) -> KillResult:
        """Halt the account and cancel every order; ends when the venue shows none."""
        by = await self._before(actor, reason)
        changed = await self._latch(TradingState.HALTED, actor, reason)
        return await self._cancel_verified("halt", by, changed)

    async def flatten(self, actor: str, reason: str) -> KillResult:
        """Halt, cancel, then reduce to zero in slices within the collar (T8.6). Partial is not success."""
        by = await self._before(actor, reason)
        await self._latch(TradingState.HALTED, actor, reason)
        cancelled = await self._cancel_verified("flatten", by, True)
        if not cancelled.verified:
            return cancelled
        problem = await self._reduce_to_zero()
        after = self._positions()
        left = tuple(
            f"{quantity} {symbol}" for symbol, quantity in after.items() if not self._is_dust(symbol)
        )
        if left:
            outcome = Outcome.UNKNOWN if problem.startswith("the journal") else Outcome.PENDING
        else:
            outcome = Outcome.VERIFIED if by.orders or by.positions != after else Outcome.NO_EFFECT
        return await self._result("flatten", outcome, by, left=left, detail=problem)

    async def resume(self, actor: str, reason: str) -> KillResult:
        """Back to Normal: needs a reason, a clean reconciliation and the cool-down; loss latches wait for
        the next day. With much equity the first person's word is `Pending` until a second one says the same.
        """
        by = await self._before(actor, reason)
        refusal = await self._resume_refusal(reason)
        if refusal:
            return await self._result("resume", Outcome.REJECTED, by, detail=refusal)
        waiting, first = self._second_person(actor)
        if waiting:
            return await self._result("resume", Outcome.PENDING, by, detail=waiting)
        cleared = 0
        try:
            async with self.session.lock:
                for latch in self.trader.states.active():
                    if latch.latching:
                        await self._clear(latch, reason, first or actor, actor if first else "")
                        cleared += 1
                if cleared:
                    self.trader.strategy_error = None
        except (LatchError, PortStopped) as error:
            return await self._result("resume", Outcome.REJECTED, by, detail=str(error))
        outcome = Outcome.VERIFIED if cleared else Outcome.NO_EFFECT
        if self.trader.state() is not TradingState.NORMAL:
            outcome = Outcome.REJECTED
        return await self._result("resume", outcome, by, detail=f"{cleared} latches cleared")

    # ---- parts -------------------------------------------------------------------------------------

    async def _restrict(self, act: str, level: TradingState, actor: str, reason: str) -> KillResult:
        by = await self._before(actor, reason)
        changed = await self._latch(level, actor, reason)
        outcome = Outcome.VERIFIED if changed else Outcome.NO_EFFECT
        return await self._result(act, outcome, by)

    async def _before(self, actor: str, reason: str) -> _By:
        began_ns = time.monotonic_ns()
        return _By(actor, reason, len(await self.venue.open_orders(None)), self._positions(), began_ns)

    def _positions(self) -> dict[str, Decimal]:
        return {
            symbol: self.trader.ledger.total(market.setup.instrument.base)
            for symbol, market in self.venue.markets.items()
        }

    async def _latch(self, level: TradingState, actor: str, reason: str) -> bool:
        """Restrict first, journal second: a halt holds even when the journal is gone."""
        async with self.session.lock:
            latch = self.trader.states.trip(
                ACCOUNT,
                OPERATOR,
                level,
                reason=reason,
                actor=actor,
                now_ns=self.session.port.now_ns(),
                not_before_ns=0,
            )
            if latch is not None:
                await self._journal(latch)
            return latch is not None

    async def _journal(self, *records: Latch | OperatorAct) -> str:
        try:
            await self.trader.journal(*records)
        except PortStopped as stop:
            return f"the journal is stopped: {stop}"
        return ""

    async def _cancel_verified(self, act: str, by: _By, changed: bool) -> KillResult:
        """Cancel everything, again and again, until the venue shows no open order and nothing is in
        flight.
        """
        deadline_ns = self.session.port.now_ns() + VERIFY_DEADLINE_NS
        problem, cancelled = "", 0
        first_ms: int | None = None
        while True:
            async with self.session.lock:
                answer = await self.venue.cancel_all(None, self.trader.oms.identity.epoch)
            if isinstance(answer, CancelledAll):
                cancelled += len(answer.client_ids)
                if first_ms is None:
                    first_ms = (time.monotonic_ns() - by.began_ns) // MILLISECOND_NS
            else:
                problem = f"cancel-all: {answer}"
            await self.session.sleep_ns(20 * MILLISECOND_NS)
            left = await self.venue.open_orders(None)
            if not left and not self.trader.oms.orders:
                outcome = Outcome.VERIFIED if cancelled or changed else Outcome.NO_EFFECT
                result = await self._result(act, outcome, by, detail=f"{cancelled} cancelled")
                return msgspec.structs.replace(result, first_cancel_ms=first_ms)
            if self.session.port.now_ns() >= deadline_ns:
                break
        names = tuple(order.client_id for order in left) or tuple(self.trader.oms.orders)
        outcome = Outcome.UNKNOWN if problem else Outcome.PENDING
        return await self._result(act, outcome, by, left=names, detail=problem or "orders are left")

    async def _reduce_to_zero(self) -> str:
        """Slices until flat; returns the reason when it stops before."""
        account = self.trader.profile.account
        deadline_ns = self.session.port.now_ns() + FLATTEN_DEADLINE_NS
        for _ in range(MAX_SLICES):
            open_symbols = [symbol for symbol in self.venue.markets if not self._is_dust(symbol)]
            if not open_symbols:
                return ""
            if self.session.port.now_ns() >= deadline_ns:
                return "the deadline has passed"
            for symbol in self._in_order(open_symbols):
                problem = await self._slice(symbol)
                if problem:
                    return problem
            await self.session.sleep_ns(account.flatten_interval_ms * MILLISECOND_NS)
        return f"more than {MAX_SLICES} slices"

    def _in_order(self, symbols: list[str]) -> list[str]:
        """The order of work (T8.6); this account is not leveraged."""
        holdings = []
        for symbol in symbols:
            quantity, top = self._positions()[symbol], self.trader.marks.top(symbol)
            result = self.trader.marks.profit_and_loss(symbol)
            holdings.append(
                Holding(
                    symbol=symbol,
                    quantity=quantity,
                    notional_quote=abs(quantity) * (top.value.mid if isinstance(top, Known) else Decimal(0)),
                    loss_quote=-(result.unrealised or Decimal(0)),
                )
            )
        return [one.symbol for one in order_of_work(holdings)]

    async def _slice(self, symbol: str) -> str:
        """One reducing order within the collar, at most the allowed share of what is displayed there."""
        market = self.venue.markets[symbol]
        top = self.trader.marks.top(symbol)
        if not isinstance(top, Known):
            return f"{symbol}: the book is not live, nothing is sold against an old picture"
        instrument, account = market.setup.instrument, self.trader.profile.account
        position = self._positions()[symbol]
        side = Side.SELL if position > 0 else Side.BUY
        limit_ticks = collar_ticks(instrument, side, top.value.mid, account.flatten_collar_bps)
        largest = self.trader.profile.limits.max_order_notional_quote / top.value.ask
        lots = slice_lots(
            int(abs(position) / instrument.lot),
            market.mirror.shown_through(Side(1 - side), limit_ticks),
            self._smallest_lots(symbol),
            int(largest / instrument.lot),
            account.flatten_participation_pct,
        )
        intent = PlaceIntent(
            symbol=symbol,
            side=side,
            price_ticks=limit_ticks,
            lots=lots,
            post_only=False,
            time_in_force=TimeInForce.IOC,
            tag="flatten",
        )
        async with self.session.lock:
            denied, client_id = await self.trader.submit(intent, path=Path.FLATTEN, strategy="flatten")
        if denied:
            return f"risk denied the slice: {', '.join(denial.code for denial in denied)}"
        for _ in range(200):
            order = self.trader.oms.get(client_id or "")
            if order is None or order.is_terminal:
                return ""
            await self.session.sleep_ns(20 * MILLISECOND_NS)
        return f"slice {client_id} has not ended"

    def _smallest_lots(self, symbol: str) -> int:
        """Least lots that the venue takes at the present price, with room for the collar."""
        instrument = self.venue.markets[symbol].setup.instrument
        top = self.trader.marks.top(symbol)
        if not isinstance(top, Known):
            return int(
                ceil_to_step(instrument.min_quantity or instrument.lot, instrument.lot) / instrument.lot
            )
        return smallest_lots(instrument, top.value.bid, self.trader.profile.account.flatten_collar_bps)

    def _is_dust(self, symbol: str) -> bool:
        """A holding below the venue's minimum: shown, never counted as sold (T2.8)."""
        instrument = self.venue.markets[symbol].setup.instrument
        return abs(self._positions()[symbol]) < instrument.lot * self._smallest_lots(symbol)

    async def _resume_refusal(self, reason: str) -> str:
        if not reason.strip():
            return "a reason is needed"
        now_ns = self.session.port.now_ns()
        cooldown_ns = self.trader.profile.account.resume_cooldown_s * SECOND_NS
        for latch in self.trader.states.active():
            if latch.latching and now_ns < max(latch.not_before_ns, latch.at_ns + cooldown_ns):
                wait_s = (max(latch.not_before_ns, latch.at_ns + cooldown_ns) - now_ns) // SECOND_NS + 1
                return f"{latch.cause} of {latch.scope} cannot be reset for another {wait_s} s"
        async with self.session.lock:
            differences = await self.trader.reconcile()
        return f"not reconciled: {differences[0]}" if differences else ""

    def _second_person(self, actor: str) -> tuple[str, str]:
        """What is still missing of two persons, and who the first one was; both "" when one is enough."""
        states = self.trader.states
        if not any(latch.latching and states.needs_two(latch.cause) for latch in states.active()):
            return "", ""
        now_ns = self.session.port.now_ns()
        first, self._first = self._first, None
        waits = first is not None and now_ns - first[1] <= SECOND_PERSON_NS
        if first is not None and waits and first[0].strip().casefold() != actor.strip().casefold():
            return "", first[0]
        self._first = (actor, now_ns)
        wait_s = SECOND_PERSON_NS // SECOND_NS
        return f"{actor} has asked; a second, different person must ask within {wait_s} s", ""

    async def _clear(self, latch: Latch, reason: str, first: str, second: str) -> None:
        record = self.trader.states.clear(
            latch.scope,
            latch.cause,
            reason=reason,
            actor=first,
            second=second,
            now_ns=self.session.port.now_ns(),
        )
        try:
            await self.trader.journal(record)
        except PortStopped:
            self.trader.states.apply(latch)
            raise

    async def _result(
        self, act: str, outcome: Outcome, by: _By, *, left: tuple[str, ...] = (), detail: str = ""
    ) -> KillResult:
        """Read the state back, journal the act, and say both."""
        result = KillResult(
            act=act,
            outcome=outcome,
            state=self.trader.state().name,
            orders_before=by.orders,
            orders_after=len(await self.venue.open_orders(None)),
            position_before=by.positions,
            position_after=self._positions(),
            left=left,
            detail=detail,
        )
        record = OperatorAct(
            act=act,
            actor=by.actor,
            reason=by.reason,
            outcome=str(outcome),
            detail=detail,
            at_ns=self.session.port.now_ns(),
        )
        problem = await self._journal(record)
        return msgspec.structs.replace(result, detail=f"{detail}; {problem}") if problem else result
