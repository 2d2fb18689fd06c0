"""`PolymarketVenue`: Polymarket's CLOB behind the `Venue` protocol.

Every token is an instrument in USDC. Orders are signed by the wallet and journaled before they are sent; the
order's hash is the venue's id. New risk needs the user channel `Live`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec
import structlog

from tradewind.venues.account_events import AccountEvents
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.limits.urgency import decides
from tradewind.venues.market_data import FeedEvent, Instrument, Known, Side, Unknown
from tradewind.venues.polymarket.directory import Directory
from tradewind.venues.polymarket.feed import PolymarketFeed
from tradewind.venues.polymarket.intents import IntentBook
from tradewind.venues.polymarket.messages import (
    MICRO,
    NS,
    QUOTE,
    BalanceAnswer,
    Heartbeat,
    MarketsPage,
    OrderRow,
    OrdersPage,
    TradeRow,
    TradesPage,
    Unmapped,
)
from tradewind.venues.polymarket.mirror import Execution, Mirror
from tradewind.venues.polymarket.options import PolymarketOptions
from tradewind.venues.polymarket.private_channel import PrivateChannel
from tradewind.venues.polymarket.rest import Failed, PolymarketRest
from tradewind.venues.polymarket.trading import MAX_DOUBTFUL, Trading
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Balance,
    FeeSchedule,
    FillEvent,
    Found,
    Incomplete,
    NotFound,
    OrderRef,
    OrderState,
    OrderType,
    PrivateEvent,
    QueryResult,
    TimeInForce,
    Uncertain,
    VenueCaps,
    VenueState,
    VenueStatus,
)
from tradewind.venues.transport.private_link import Transition
from tradewind.venues.transport.shared_read import Batch, SharedRead

__all__ = ["PolymarketOptions", "PolymarketVenue"]

log = structlog.get_logger(__name__)

END: Final = "LTE="
START: Final = "MA=="
MAX_PAGES: Final = 200
OVERLAP_S: Final = 60


class PolymarketVenue(Trading):
    """One wallet and key at Polymarket. Build it, `open` it, `close` it; one event loop."""

    def __init__(
        self,
        rest: PolymarketRest,
        account: str,
        intents: IntentBook,
        options: PolymarketOptions | None = None,
        *,
        name: str = "polymarket",
        on_transition: Callable[[Transition], None] | None = None,
        on_reversed: Callable[[FillEvent], None] | None = None,
    ) -> None:
        """`on_reversed` hears of a fill whose trade failed behind its match: the ledger posts it back."""
        self.name, self.account = name, account
        self.options = options or PolymarketOptions()
        self.rest, self.intents = rest, intents
        self.mirror = Mirror(name, account, rest.address, intents, self._on_event)
        self.mirror.on_reversed = self._reversed
        self.mirror.on_gap = self._gap
        self.channel = PrivateChannel(
            self.options.user_url,
            rest.credentials,
            self.mirror,
            self._snapshot,
            self._reconcile,
            on_transition=self._on_transition,
            limits=self.options.link,
            socket_limits=self.options.socket,
            policy=self.options.reconnect,
        )
        self.events = AccountEvents(account, self._stream_state)
        self.opened_ns = self.mirror.last_fill_ns = time.time_ns()
        self.heartbeats_missed = 0
        self._told_transition, self._told_reversal = on_transition, on_reversed
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent: dict[str, int] = {}
        """When each of our ids was last sent, ns."""
        self._ending: set[str] = set()
        """Hashes of immediate purchases that are being cancelled."""
        self._gaps: set[str] = set()
        """Hashes of orders whose fills are awaited."""
        self._first = True
        self._shared_open = {urgent: SharedRead(self._read_open_rows) for urgent in (False, True)}
        self._shared_trades = {urgent: SharedRead(self._read_trade_rows) for urgent in (False, True)}

    # ---- life --------------------------------------------------------------------------------------------

    async def open(self, timeout_s: float = 20.0) -> bool:
        """Read the markets, connect, and wait until the user channel is live. False: not in time."""
        if not self.mirror.directory.by_symbol:
            await self.refresh_instruments()
        self._spawn(self._keep_instruments())
        self._spawn(self._poll())
        if self.options.heartbeats:
            self._spawn(self._beat())
        self.channel.link.start()
        return await self.channel.link.wait_live(timeout_s)

    async def close(self) -> None:
        """End connection and streams. With heartbeats, the venue cancels what is left 10 s later."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.channel.link.close()
        self.events.close()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def refresh_instruments(self) -> str:
        """Read the markets again. "" when it worked, else why not (the old ones stay)."""
        rows, cursor = [], START
        for _ in range(MAX_PAGES):
            body = await self.rest.public("/markets", [("next_cursor", cursor)])
            if isinstance(body, Failed):
                return body.reason
            try:
                page = msgspec.json.decode(body, type=MarketsPage, strict=False)
            except UNREADABLE as error:
                return str(error)[:200]
            rows += page.data
            cursor = page.next_cursor
            if cursor == END:
                self.mirror.directory = Directory.of(rows, time.time_ns())
                if self.mirror.directory.quarantined:
                    log.warning(
                        "polymarket_markets_quarantined", count=len(self.mirror.directory.quarantined)
                    )
                return ""
        return f"more than {MAX_PAGES} pages of markets"

    async def _keep_instruments(self) -> None:
        while True:
            await asyncio.sleep(self.options.instruments_every_s)
            await self.refresh_instruments()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self.options.poll_every_s)
            if self.channel.link.live:
                problem = await self._reconcile(0)
                if problem:
                    log.warning("polymarket_poll_incomplete", reason=problem)

    def _gap(self, reference: str) -> None:
        """Fetch the fills of an order that did not come in time."""
        if self.mirror.quiet or reference in self._gaps or len(self._gaps) >= MAX_DOUBTFUL:
            return
        self._gaps.add(reference)

        async def fetch() -> None:
            try:
                await asyncio.sleep(self.options.fill_wait_s)
                if self.mirror.lacks_fills(reference):
                    rows = await self._trade_rows(self.mirror.last_fill_ns)
                    if isinstance(rows, Failed):
                        self.channel.link.degrade(f"fills that are missing: {rows.reason}"[:200])
                        return
                    for row in rows:
                        for one in self.mirror.executions(row):
                            self.mirror.settle(one)
            except (Unmapped, ArithmeticError) as error:
                self.channel.link.degrade(str(error)[:200])
            finally:
                self._gaps.discard(reference)

        self._spawn(fetch())

    async def _beat(self) -> None:
        """Each heartbeat names the answer to the one before; a wrong one is told the right one."""
        beat = ""
        while True:
            for _ in range(2):
                answer = await self.rest.call(
                    "POST",
                    "/v1/heartbeats",
                    Heartbeat,
                    body=msgspec.json.encode({"heartbeat_id": beat}),
                    timeout_s=self.options.heartbeat_every_s,
                )
                if not isinstance(answer, Failed):
                    beat, self.heartbeats_missed = answer.heartbeat_id, 0
                    break
                beat = answer.heartbeat_id
                if answer.status != 400:
                    self.heartbeats_missed += 1
                    if self.heartbeats_missed >= 2:
                        log.error("polymarket_heartbeats_missed", count=self.heartbeats_missed)
                    break
            await asyncio.sleep(self.options.heartbeat_every_s)

    # ---- what the venue says about itself ----------------------------------------------------------------

    def capabilities(self) -> VenueCaps:
        """What this connector does at Polymarket."""
        return VenueCaps(
            name=self.name,
            order_types=frozenset({OrderType.LIMIT, OrderType.MARKET}),
            times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
            post_only=True,
            amend=False,
            client_ids=True,
            cancel_after_range_s=None,
            reduce_only=False,
            native_iceberg=False,
            max_batch_orders=1,
            private_fill_stream=True,
            sandbox=False,
        )

    async def instruments(self) -> list[Instrument] | Incomplete:
        """Every token of every market."""
        if not self.mirror.directory.by_symbol:
            problem = await self.refresh_instruments()
            if problem:
                return Incomplete(problem, 0)
        return [one.instrument for one in self.mirror.directory.by_symbol.values()]

    async def status(self) -> VenueStatus:
        """Whether the venue answers, and what each market said when it was read."""
        body = await self.rest.public("/ok")
        state = VenueState.UNKNOWN if isinstance(body, Failed) else VenueState.ONLINE
        reason = body.reason if isinstance(body, Failed) else ""
        if self.channel.problems:
            reason = f"unmapped: {self.channel.problems[0]}"
        symbols = {symbol: one.state for symbol, one in self.mirror.directory.by_symbol.items()}
        return VenueStatus(state=state, symbols=symbols, reason=reason, as_of_ns=time.time_ns())

    async def fees(self, account: str, symbol: str) -> Known[FeeSchedule] | Unknown:
        """Fees of a market, on the cheaper side of the contract."""
        rules = self.mirror.directory.by_symbol.get(symbol)
        if account != self.account or rules is None:
            return Unknown(f"no fees of {symbol[:60]!r} for {account[:40]!r}")
        as_of_ns = rules.instrument.as_of_ns or 0
        schedule = FeeSchedule(
            name=f"polymarket {symbol}",
            maker_bps=rules.maker_bps,
            taker_bps=rules.taker_bps,
            source="/markets of the venue",
            checked_on=time.strftime("%Y-%m-%d", time.gmtime(as_of_ns // NS)),
        )
        return Known(schedule, as_of_ns, "polymarket markets")

    # ---- streams -----------------------------------------------------------------------------------------

    def market(self, symbols: Sequence[str]) -> AsyncIterator[FeedEvent]:
        """Market data of these tokens over a connection of its own; ends with the reader."""
        directory = self.mirror.directory
        return self._market(
            [directory.by_symbol[one].instrument for one in symbols if one in directory.by_symbol]
        )

    async def _market(self, chosen: list[Instrument]) -> AsyncIterator[FeedEvent]:
        if not chosen:
            return
        feed = PolymarketFeed(chosen, self.options.market_url)
        try:
            async for event in feed.events():
                yield event
        finally:
            await feed.close()

    def private(self, account: str) -> AsyncIterator[PrivateEvent]:
        """The account's events from now on, after the link's present state."""
        return self.events.of(account)

    def _stream_state(self) -> tuple[bool, str]:
        link = self.channel.link
        return link.live, f"{link.phase}: {link.reason}"

    def _on_event(self, event: PrivateEvent) -> None:
        self.events.put(event)

    def _on_transition(self, transition: Transition) -> None:
        self.events.moved(transition.reason, transition.at_ns)
        log.info(
            "polymarket_link", before=transition.before, after=transition.after, reason=transition.reason
        )
        if self._told_transition is not None:
            self._told_transition(transition)

    def _reversed(self, fill: FillEvent) -> None:
        """A trade failed behind its match: money and shares are back, the account is read anew."""
        log.error("polymarket_trade_failed", trade_id=fill.trade_id, symbol=fill.symbol, lots=fill.lots)
        if self._told_reversal is not None:
            self._told_reversal(fill)
        self.channel.link.degrade(f"trade {fill.trade_id} failed behind its match")

    # ---- reconciliation (T6.8, T7.9) ---------------------------------------------------------------------

    async def _snapshot(self, epoch: int) -> str:
        if not self.mirror.directory.by_symbol:
            return await self.refresh_instruments()
        return ""

    async def _reconcile(self, epoch: int) -> str:
        """Bring the mirror up to the venue. "" or the reason why it is not complete."""
        orders = await self._open_rows()
        trades = (
            await self._trade_rows(self.mirror.last_fill_ns) if not isinstance(orders, Failed) else orders
        )
        if isinstance(orders, Failed) or isinstance(trades, Failed):
            failed = orders if isinstance(orders, Failed) else trades
            assert isinstance(failed, Failed)
            return failed.reason
        try:
            executions = [one for row in trades for one in self.mirror.executions(row)]
            states = [self.mirror.state_of(row, time.time_ns()) for row in orders]
        except (Unmapped, ArithmeticError) as error:
            return str(error)[:200]
        if self._first:
            for one in executions:
                self.mirror.remember(one.trade_id)
            for state in states:
                self.mirror.filled[state.venue_id] = state.filled_lots
            self.mirror.quiet = True
        for one in executions:
            self.mirror.settle(one)
        for state in states:
            self.mirror.apply(state)
        self.mirror.quiet = False
        self._first = False
        present = {row.id for row in orders}
        for reference in [one for one in self.mirror.working if one not in present]:
            answer = await self._ask(reference)
            if isinstance(answer, Failed) and answer.status != 404:
                return answer.reason
            if isinstance(answer, OrderState):
                self.mirror.apply(answer)
            else:
                self.mirror.working.pop(reference, None)
        self.channel.problems.clear()
        return ""

    async def _open_rows(self) -> list[OrderRow] | Failed:
        """Open orders; callers at the same time share one reading."""
        return await self._shared_open[decides()].get(None)

    async def _trade_rows(self, since_ns: int) -> list[TradeRow] | Failed:
        """Trades since a moment less a minute, or earlier, oldest first; callers at the same time share one
        reading.
        """
        return await self._shared_trades[decides()].get(since_ns)

    async def _read_open_rows(self, batch: Batch[None]) -> list[OrderRow] | Failed:
        batch.close()
        rows: list[OrderRow] = []
        cursor = START
        for _ in range(MAX_PAGES):
            page = await self.rest.read("/data/orders", OrdersPage, [("next_cursor", cursor)])
            if isinstance(page, Failed):
                return page
            rows += page.data
            cursor = page.next_cursor
            if cursor == END:
                return rows
        return Failed(reason=f"more than {MAX_PAGES} pages of orders")

    async def _read_trade_rows(self, batch: Batch[int]) -> list[TradeRow] | Failed:
        rows: list[TradeRow] = []
        cursor = START
        after = max(0, min(batch.close()) // NS - OVERLAP_S)
        for _ in range(MAX_PAGES):
            query = [("next_cursor", cursor), *([("after", str(after))] if after else [])]
            page = await self.rest.read("/data/trades", TradesPage, query)
            if isinstance(page, Failed):
                return page
            rows += page.data
            cursor = page.next_cursor
            if cursor == END:
                return rows[::-1]
        return Failed(reason=f"more than {MAX_PAGES} pages of trades")

    # ---- reads -------------------------------------------------------------------------------------------

    async def _ask(self, reference: str) -> OrderState | Failed:
        answer = await self.rest.read(f"/data/order/{reference}", OrderRow)
        if isinstance(answer, Failed):
            return answer
        try:
            return self.mirror.state_of(answer, time.time_ns())
        except (Unmapped, ArithmeticError) as error:
            return Failed(reason=str(error)[:200])

    async def query(self, reference: OrderRef) -> QueryResult:
        """One order by our id. Absence is proven only behind the horizon of its latest submit (T7.6)."""
        intent = self.intents.find(reference.client_id)
        name = intent.reference if intent is not None else reference.venue_id
        proven = self._absence_is_proven(reference.client_id)
        if name is None:
            return NotFound(proven)
        answer = await self._ask(name)
        if isinstance(answer, OrderState):
            self.mirror.apply(answer)
            return Found(answer)
        if answer.status == 404:
            return NotFound(proven)
        return Uncertain(answer.reason, time.time_ns())

    def _absence_is_proven(self, client_id: str) -> bool:
        options = self.options
        horizon_s = options.horizon_s + options.absence_margin_s + options.clock_skew_s
        return time.time_ns() >= self._sent.get(client_id, self.opened_ns) + int(horizon_s * NS)

    async def open_orders(self, symbol: str | None) -> list[OrderState] | Incomplete:
        """Every open order at the venue, ours or not."""
        rows = await self._open_rows()
        if isinstance(rows, Failed):
            return Incomplete(rows.reason, 0)
        try:
            states = [self.mirror.state_of(row, time.time_ns()) for row in rows]
        except (Unmapped, ArithmeticError) as error:
            return Incomplete(str(error)[:200], len(rows))
        return [one for one in states if symbol in {None, one.symbol} and one.phase not in FINAL_PHASES]

    async def fills(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """Executions since a sequence (a time in ns) less a minute. Trades that failed are not in it."""
        rows = await self._trade_rows(since_sequence)
        if isinstance(rows, Failed):
            return Incomplete(rows.reason, 0)
        try:
            found = [one for row in rows for one in self.mirror.executions(row) if one.status != "FAILED"]
        except (Unmapped, ArithmeticError) as error:
            return Incomplete(str(error)[:200], len(rows))
        return self._as_events(list({one.trade_id: one for one in found}.values()))

    def _as_events(self, found: list[Execution]) -> list[FillEvent]:
        listed: dict[str, int] = {}
        for one in found:
            listed[one.reference] = listed.get(one.reference, 0) + one.lots
        filled = {name: max(0, self.mirror.filled.get(name, 0) - lots) for name, lots in listed.items()}
        events = []
        for one in found:
            filled[one.reference] += one.lots
            events.append(self.mirror.fill_event(one, filled[one.reference], one.time_ns))
        return events

    async def balances(self) -> list[Balance] | Incomplete:
        """USDC and every token; the venue tells totals, what orders hold of them is our own reckoning."""
        orders = await self.open_orders(None)
        if isinstance(orders, Incomplete):
            return orders
        held: dict[str, Decimal] = {}
        for one in orders:
            rules = self.mirror.directory.by_symbol[one.symbol]
            rest = rules.instrument.lot * (one.lots - one.filled_lots)
            buys = one.side is Side.BUY
            asset = QUOTE if buys else rules.instrument.base
            held[asset] = held.get(asset, Decimal(0)) + (
                rest * rules.instrument.tick * one.price_ticks if buys else rest
            )
        wanted = [(QUOTE, [("asset_type", "COLLATERAL"), ("signature_type", "0")])]
        for rules in self.mirror.directory.by_symbol.values():
            query = [("asset_type", "CONDITIONAL"), ("token_id", rules.token_id), ("signature_type", "0")]
            wanted.append((rules.instrument.base, query))
        rows: list[Balance] = []
        for asset, query in wanted:
            answer = await self.rest.read("/balance-allowance", BalanceAnswer, query)
            if isinstance(answer, Failed):
                return Incomplete(answer.reason, len(rows))
            if not answer.balance.is_finite() or answer.balance < 0:
                return Incomplete(f"{asset}: balance {str(answer.balance)[:40]}", len(rows))
            total = answer.balance / MICRO
            taken = min(total, held.get(asset, Decimal(0)))
            rows.append(Balance(asset=asset, free=total - taken, held=taken, as_of_ns=time.time_ns()))
        return rows
