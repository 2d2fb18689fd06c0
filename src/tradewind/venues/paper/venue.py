"""`PaperVenue`: an engine market per symbol, mirrored from outside data, behind the `Venue` protocol
(T15.1-T15.5).

Fees are charged in the quote asset on both sides (the engine's rule), at the rates of a named schedule. One
owner calls `on_feed` and `advance` in turn; requests are queued with their latency and answered in order, as
over one connection. There is no parameter that accepts a signer: nothing here can reach a real venue.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

from tradewind.core import commands as build
from tradewind.core.enums import ALL_MARKETS, Line, OrderFlag
from tradewind.core.enums import TimeInForce as EngineTimeInForce

from ..codes import RejectCode
from ..market_data import (
    BookSnapshot,
    FeedEvent,
    FeedState,
    Instrument,
    Known,
    Side,
    Unknown,
)
from ..protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    Armed,
    Balance,
    CancelAfterResult,
    CancelAllResult,
    CancelledAll,
    ChangeResult,
    Disarmed,
    FeeSchedule,
    FillEvent,
    Found,
    Incomplete,
    NewOrder,
    NotFound,
    OrderRef,
    OrderState,
    OrderType,
    PrivateEvent,
    QueryResult,
    Rejected,
    StreamState,
    SubmitResult,
    TimeInForce,
    Uncertain,
    VenueCaps,
    VenueState,
    VenueStatus,
)
from .accounts import PaperOrder, client_key_of
from .driver import MarketDriver, PaperMarket
from .filters import OrderContext, check_order
from .port import PortRestricted, PortStopped
from .schedule import fee_e6bp
from .setup import MICRO

CANCEL_AFTER_RANGE_S = (5, 300)
MAX_BOOK_LEVELS = 1_000
"""Levels of one side in the snapshot with which a reader of market data starts."""
_CODES = {
    "POST_ONLY_WOULD_TAKE": RejectCode.POST_ONLY_WOULD_TAKE,
    "FOK_NOT_FILLABLE": RejectCode.NOT_FILLABLE,
    "NO_LIQUIDITY": RejectCode.NO_LIQUIDITY,
    "INSUFFICIENT_BALANCE": RejectCode.INSUFFICIENT_FUNDS,
    "IDEMPOTENCY_CONFLICT": RejectCode.DUPLICATE_CLIENT_ID,
    "ORDER_NOT_FOUND": RejectCode.UNKNOWN_ORDER,
    "REPLACE_BELOW_FILLED": RejectCode.AMEND_BELOW_FILLED,
    "TOO_MANY_OPEN_ORDERS": RejectCode.TOO_MANY_ORDERS,
    "SELF_TRADE_PREVENTED": RejectCode.SELF_TRADE,
    "COMMAND_EXPIRED": RejectCode.DEADLINE_PASSED,
    "PRICE_TOO_HIGH": RejectCode.OUTSIDE_BAND,
    "PRICE_TOO_LOW": RejectCode.OUTSIDE_BAND,
    "INVALID_SWITCH_WINDOW": RejectCode.INVALID_SWITCH_WINDOW,
}
"""The engine's refusals that have a code of their own in `RejectCode`; others keep the engine's name."""
_MARKET_MOVED = frozenset({"POST_ONLY_WOULD_TAKE", "FOK_NOT_FILLABLE", "NO_LIQUIDITY", "COMMAND_EXPIRED"})
"""Refusals that no check of ours could have foreseen."""


def _refused(name: str, message: str) -> Rejected:
    """The engine's refusal as every venue words it."""
    return Rejected(_CODES.get(name, name), f"{name}: {message}", name not in _MARKET_MOVED)


class PaperVenue(MarketDriver):
    """A venue whose markets live in our own engine, behind the `Venue` protocol."""

    # ---- requests with latency ---------------------------------------------------------------------

    def send(self, order: NewOrder, epoch: int, done: Callable[[SubmitResult], None]) -> None:
        """Queue a new order; `done` hears the answer after both latencies."""

        async def arrive() -> None:
            await self._answer(done, self._submit_now(order, epoch))

        self._request("entry", arrive, done)

    def send_amend(
        self,
        reference: OrderRef,
        epoch: int,
        price_ticks: int,
        lots: int,
        done: Callable[[ChangeResult], None],
    ) -> None:
        """Queue a change of price and total quantity."""

        async def arrive() -> None:
            await self._answer(done, self._amend_now(reference, epoch, price_ticks, lots))

        self._request("entry", arrive, done)

    def send_cancel(self, reference: OrderRef, epoch: int, done: Callable[[ChangeResult], None]) -> None:
        """Queue a cancel."""

        async def arrive() -> None:
            await self._answer(done, self._cancel_now(reference, epoch))

        self._request("cancel", arrive, done)

    def send_cancel_all(
        self, symbol: str | None, epoch: int, done: Callable[[CancelAllResult], None]
    ) -> None:
        """Queue a cancel of everything."""

        async def arrive() -> None:
            self._report(done, await self.cancel_all(symbol, epoch))

        self._request("cancel", arrive, done)

    async def _answer(self, done: Callable[[Any], None], work: Awaitable[Any]) -> None:
        """Report the answer. An engine that stops leaves the request undecided: whoever asked hears that at
        once, and the driver hears the reason, as for every other command.
        """
        try:
            answer = await work
        except PortStopped as stop:
            done(Uncertain(str(stop), self.port.now_ns()))
            raise
        self._report(done, answer)

    # ---- requests as they arrive -------------------------------------------------------------------

    def _refusal(self, symbol: str | None, epoch: int) -> Rejected | None:
        if epoch < self._highest_epoch:
            return Rejected(RejectCode.STALE_EPOCH, f"epoch {epoch} after {self._highest_epoch}", True)
        self._highest_epoch = epoch
        if symbol is not None and symbol not in self.markets:
            known = ", ".join(sorted(self.markets)[:3])
            return Rejected(RejectCode.UNKNOWN_SYMBOL, f"{symbol}: there are {known}", True)
        return None

    async def _submit_now(self, order: NewOrder, epoch: int) -> SubmitResult:
        refusal = self._refusal(order.symbol, epoch) or self._order_refusal(order)
        if refusal is not None:
            return refusal
        market = self.markets[order.symbol]
        market_order = order.order_type is OrderType.MARKET
        time_in_force = TimeInForce.IOC if market_order else order.time_in_force
        data = build.place_order(
            principal=self._trader.principal,
            account=self._trader.account,
            client_key=client_key_of(order.client_id),
            market=market.setup.market,
            side=order.side,
            price=order.price_ticks,
            lots=order.lots,
            time_in_force=EngineTimeInForce[time_in_force.name],
            order_flags=OrderFlag.POST_ONLY if order.post_only else OrderFlag(0),
            valid_until_ns=order.valid_until_ns,
        )
        actions = market.mirror.prepare(order.side, order.price_ticks, order.lots)
        try:
            outcome = (await self._apply(market, actions, [data]))[0]
        except PortRestricted as refusal:
            return Rejected(RejectCode.ENGINE_RESTRICTED, str(refusal), False)
        if outcome.accepted:
            return Acked(str(outcome.value))
        return _refused(outcome.name, outcome.message)

    def _order_refusal(self, order: NewOrder) -> Rejected | None:
        """The venue's own filters, and rule 8: without a live book nothing trades."""
        market = self.markets[order.symbol]
        try:
            client_key_of(order.client_id)
        except ValueError as error:
            return Rejected(RejectCode.BAD_CLIENT_ID, str(error), True)
        if not market.live:
            return Rejected(RejectCode.STALE_MARKET, market.reason, False)
        failures = check_order(market.setup.rules, order, self._filter_context(market, order.symbol))
        if failures:
            first, tick = failures[0], market.setup.instrument.tick
            step = market.setup.instrument.lot if first.field in {"quantity", "notional"} else tick
            below = int(first.nearest_below / step) if first.nearest_below is not None else None
            above = int(first.nearest_above / step) if first.nearest_above is not None else None
            return Rejected(
                first.code, f"{first.field} {first.given}, bound {first.bound}", True, below, above
            )
        best = market.mirror.best(Side(1 - order.side))
        crosses = best is not None and (
            order.price_ticks >= best if order.side is Side.BUY else order.price_ticks <= best
        )
        if order.post_only and crosses:
            return Rejected(RejectCode.POST_ONLY_WOULD_TAKE, f"the other side shows {best}", False)
        return None

    def _filter_context(self, market: PaperMarket, symbol: str) -> OrderContext:
        bid, ask = market.mirror.best(Side.BUY), market.mirror.best(Side.SELL)
        tick = market.setup.instrument.tick
        middle = tick * (bid + ask) / 2 if bid is not None and ask is not None else None
        return OrderContext(
            reference_price=middle,
            open_orders=len(self.account.open(symbol)),
            position=self._line(market.setup.base_asset, Line.FREE)
            + self._line(market.setup.base_asset, Line.HELD),
        )

    def _amend_refusal(self, known: PaperOrder, price_ticks: int, lots: int) -> Rejected | None:
        market = self.markets[known.symbol]
        if not market.live:
            return Rejected(RejectCode.STALE_MARKET, market.reason, False)
        if lots <= known.filled_lots:
            return Rejected(RejectCode.AMEND_BELOW_FILLED, f"{lots} lots, {known.filled_lots} filled", True)
        best = market.mirror.best(Side(1 - known.side))
        if best is not None and (price_ticks >= best if known.side is Side.BUY else price_ticks <= best):
            return Rejected(RejectCode.AMEND_WOULD_TAKE, f"the other side shows {best}", False)
        return None

    async def _amend_now(self, reference: OrderRef, epoch: int, price_ticks: int, lots: int) -> ChangeResult:
        refusal = self._refusal(reference.symbol, epoch)
        if refusal is not None:
            return refusal
        known = self.account.find(reference.client_id)
        if known is None:
            return Rejected(RejectCode.UNKNOWN_ORDER, reference.client_id, False)
        if known.phase in FINAL_PHASES:
            return AlreadyFinal(known.state())
        return self._amend_refusal(known, price_ticks, lots) or await self._replace(known, price_ticks, lots)

    async def _replace(self, known: PaperOrder, price_ticks: int, lots: int) -> ChangeResult:
        market = self.markets[known.symbol]
        key = hashlib.blake2b(
            f"amend|{known.client_id}|{price_ticks}|{lots}|{self.port.now_ns()}".encode(), digest_size=16
        ).digest()
        data = build.replace_order(
            principal=self._trader.principal,
            account=self._trader.account,
            client_key=key,
            order=known.order_id,
            price=price_ticks,
            total_lots=lots,
        )
        actions = market.mirror.prepare(known.side, price_ticks, lots)
        try:
            outcome = (await self._apply(market, actions, [data]))[0]
        except PortRestricted as refusal:
            return Rejected(RejectCode.ENGINE_RESTRICTED, str(refusal), False)
        if outcome.accepted:
            return Acked(str(known.order_id))
        return _refused(outcome.name, outcome.message)

    async def _cancel_now(self, reference: OrderRef, epoch: int) -> ChangeResult:
        refusal = self._refusal(reference.symbol, epoch)
        if refusal is not None:
            return refusal
        known = self.account.find(reference.client_id)
        if known is None:
            return Rejected(RejectCode.UNKNOWN_ORDER, reference.client_id, False)
        if known.phase in FINAL_PHASES:
            return AlreadyFinal(known.state())
        data = build.cancel_order(
            principal=self._trader.principal, account=self._trader.account, order=known.order_id
        )
        outcome = (await self._apply(self.markets[known.symbol], None, [data]))[0]
        if outcome.accepted:
            return Acked(str(known.order_id))
        final = self.account.find(reference.client_id)
        if final is not None and final.phase in FINAL_PHASES:
            return AlreadyFinal(final.state())
        return Rejected(_CODES.get(outcome.name, outcome.name), outcome.message, False)

    # ---- Venue protocol ----------------------------------------------------------------------------

    def capabilities(self) -> VenueCaps:
        """What this venue can do."""
        return VenueCaps(
            name=self.name,
            order_types=frozenset(OrderType),
            times_in_force=frozenset(TimeInForce),
            post_only=True,
            amend=True,
            client_ids=True,
            cancel_after_range_s=CANCEL_AFTER_RANGE_S,
            reduce_only=False,
            native_iceberg=False,
            max_batch_orders=1,
            private_fill_stream=True,
            sandbox=True,
        )

    async def instruments(self) -> list[Instrument]:
        """Instruments as they are traded here (the lot may be coarser than outside)."""
        return [market.setup.instrument for market in self.markets.values()]

    async def status(self) -> VenueStatus:
        """Cancel-only while a symbol's outside book is not live; maintenance once the engine stopped."""
        symbols = {
            symbol: VenueState.ONLINE if market.live else VenueState.CANCEL_ONLY
            for symbol, market in self.markets.items()
        }
        state = VenueState.ONLINE if self.stopped_reason is None else VenueState.MAINTENANCE
        refused = next((one.refused_reason for one in self.markets.values() if one.refused_reason), "")
        return VenueStatus(
            state=state,
            symbols=symbols,
            reason=self.stopped_reason or refused,
            as_of_ns=self.port.now_ns(),
        )

    async def fees(self, account: str, symbol: str) -> Known[FeeSchedule] | Unknown:
        """The named schedule, if it is what the engine's market really charges."""
        market, stated = self.markets.get(symbol), self.setup.fees
        if market is None:
            return Unknown(f"no market {symbol}")
        wanted = (fee_e6bp(stated.maker_bps), fee_e6bp(stated.taker_bps))
        if market.charged_e6bp != wanted:
            return Unknown(
                f"schedule {stated.name} states {wanted}, the market charges {market.charged_e6bp} (1e-6 bps)"
            )
        return Known(stated, self.port.now_ns(), stated.name)

    def market(self, symbols: Sequence[str]) -> AsyncIterator[FeedEvent]:
        """The outside market data of these symbols as this venue mirrors it: the present book, and what
        changes from now on. Quantities are in lots of `instruments()`. Unknown symbols have no events.
        """
        wanted = {symbol: self.markets[symbol] for symbol in symbols if symbol in self.markets}
        window = self.published.window(
            {symbol: market.setup.mirror.lots_ratio for symbol, market in wanted.items()}
        )
        for symbol, market in wanted.items():
            if market.live:
                window.put(self._present_book(symbol, market))
            window.put(
                FeedState(
                    symbol=symbol,
                    state=market.book_state,
                    reason=market.book_reason,
                    since_ns=self.port.now_ns(),
                    epoch=0,
                )
            )
        return window.reader

    def _present_book(self, symbol: str, market: PaperMarket) -> BookSnapshot:
        now_ns = self.port.now_ns()
        return BookSnapshot(
            symbol=symbol,
            bids=tuple(market.mirror.top(Side.BUY, MAX_BOOK_LEVELS)),
            asks=tuple(market.mirror.top(Side.SELL, MAX_BOOK_LEVELS)),
            sequence=0,
            venue_ts_ns=None,
            recv_ts_ns=market.book_as_of_ns or now_ns,
            recv_mono_ns=now_ns,
            epoch=0,
        )

    def private(self, account: str) -> AsyncIterator[PrivateEvent]:
        """The paper account's events from now on, each after its latency. `account` names it for the
        caller: this venue has one. The stream is as live as the engine.
        """
        return self.published.private.reader(
            StreamState(
                live=self.stopped_reason is None,
                reason=self.stopped_reason or "",
                since_ns=self.port.now_ns(),
            )
        )

    async def submit(self, order: NewOrder, epoch: int) -> SubmitResult:
        """Send one order and wait for the answer; somebody must drive `advance` meanwhile."""
        answer: asyncio.Future[SubmitResult] = asyncio.get_running_loop().create_future()
        self.send(order, epoch, answer.set_result)
        return await answer

    async def amend(
        self, reference: OrderRef, epoch: int, *, lots: int | None = None, price_ticks: int | None = None
    ) -> ChangeResult:
        """Change one order and wait for the answer."""
        refusal = self._refusal(reference.symbol, epoch)
        if refusal is not None:
            return refusal
        known = self.account.find(reference.client_id)
        if known is None:
            return Rejected(RejectCode.UNKNOWN_ORDER, reference.client_id, False)
        answer: asyncio.Future[ChangeResult] = asyncio.get_running_loop().create_future()
        self.send_amend(
            reference, epoch, price_ticks or known.price_ticks, lots or known.lots, answer.set_result
        )
        return await answer

    async def cancel(self, reference: OrderRef, epoch: int) -> ChangeResult:
        """Cancel one order and wait for the answer."""
        answer: asyncio.Future[ChangeResult] = asyncio.get_running_loop().create_future()
        self.send_cancel(reference, epoch, answer.set_result)
        return await answer

    async def cancel_all(self, symbol: str | None, epoch: int) -> CancelAllResult:
        """Cancel every open order of the account at once (no latency: the kill path must not wait for a
        model).
        """
        refusal = self._refusal(symbol, epoch)
        if refusal is not None:
            return refusal
        before = [order.client_id for order in self.account.open(symbol)]
        everywhere = ALL_MARKETS
        data = build.cancel_all(
            principal=self._trader.principal,
            account=self._trader.account,
            market=everywhere if symbol is None else self.markets[symbol].setup.market,
        )
        try:
            outcome = (await self.port.submit([data]))[0]
        except PortStopped as stop:
            return Uncertain(str(stop), self.port.now_ns())
        if not outcome.accepted:
            return Rejected(outcome.name, outcome.message, False)
        left = {order.client_id for order in self.account.open(symbol)}
        return CancelledAll(tuple(client_id for client_id in before if client_id not in left))

    async def query(self, reference: OrderRef) -> QueryResult:
        """The order, or its absence: proven, because the venue's log is the one we read."""
        known = self.account.find(reference.client_id)
        return Found(known.state()) if known is not None else NotFound(proven_absent=True)

    async def open_orders(self, symbol: str | None) -> list[OrderState]:
        """Every open order of the account."""
        return [order.state() for order in self.account.open(symbol)]

    async def fills(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """Every fill after a sequence; incomplete when older ones were dropped from memory."""
        kept = self.account.fills
        if self.account.dropped_fills and kept and since_sequence < kept[0].sequence:
            return Incomplete("older fills are only in the journal", len(kept))
        return [fill for fill in kept if fill.sequence > since_sequence]

    async def balances(self) -> list[Balance] | Incomplete:
        """Free and held of every asset, from the engine's own postings."""
        now_ns = self.port.now_ns()
        return [
            Balance(
                asset=asset,
                free=self._line(number, Line.FREE),
                held=self._line(number, Line.HELD),
                as_of_ns=now_ns,
            )
            for asset, number in self.setup.assets.items()
        ]

    async def cancel_after(self, seconds: int, epoch: int) -> CancelAfterResult:
        """The engine's dead-man's switch: cancels everything of the account unless refreshed."""
        refusal = self._refusal(None, epoch)
        if refusal is not None:
            return refusal
        low, high = CANCEL_AFTER_RANGE_S
        if seconds and not low <= seconds <= high:
            return Rejected(
                RejectCode.INVALID_SWITCH_WINDOW, f"{seconds} s is outside {low}..{high}", True, low, high
            )
        now_ns = self.port.now_ns()
        key = hashlib.blake2b(f"switch|{seconds}|{now_ns}".encode(), digest_size=16).digest()
        data = build.set_cancel_all_after(
            principal=self._trader.principal, account=self._trader.account, client_key=key, window_s=seconds
        )
        try:
            outcome = (await self.port.submit([data]))[0]
        except PortStopped as stop:
            return Uncertain(str(stop), now_ns)
        if not outcome.accepted:
            return _refused(outcome.name, outcome.message)
        return Armed(now_ns + seconds * 1_000_000_000) if seconds else Disarmed()

    def _line(self, asset: int, line: Line) -> Decimal:
        return Decimal(self.account.lines.get((asset, int(line)), 0)) / MICRO
