"""What an exchange answers without a command: books, tapes, tickers, orders, executions and funds."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice, takewhile
from typing import Final

from tradewind.core.enums import Side as EngineSide
from tradewind.node.projections.book import Book
from tradewind.node.projections.trades import Candle as TapeCandle
from tradewind.node.projections.trades import MarketTape, TapeTrade
from tradewind.node.service import NodeService
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FINAL_PHASES, VenueState

from .exchange_records import AccountHistory, GatewayViews, Record, money
from .exchange_setup import Listed
from .model import BookView, Candle, Fill, Funds, Market, Order, PublicTrade, Ticker

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
MINUTE_NS: Final = 60 * SECOND_NS
MAX_ROWS: Final = 10_000
"""Rows of one answer."""
E6BP: Final = 1_000_000
PAUSED_PARTLY: Final = 1


class UnknownName(KeyError):
    """No market or account of this name."""


class ExchangeReads:
    """Reads of the projections. Nothing here awaits, so that one answer shows one moment."""

    node: NodeService
    views: GatewayViews
    listed: Listed
    markets: dict[str, Market]
    _days: dict[str, tuple[tuple[int, int], TapeCandle | None]]
    """Sums of the last 24 hours, with the trade and the minute behind which they were made."""

    def now_ns(self) -> int:
        """The moment at which a command would be stamped now."""
        return self.node.now_ns()

    # ---- markets -----------------------------------------------------------------------------------

    def book(self, symbol: str, depth: int | None = None) -> BookView:
        """The book, best first; `depth` levels of each side at most.

        Raises:
            UnknownName: no such market.
        """
        handle = self._handle(symbol)
        book = self.views.books.book(handle)
        return BookView(
            symbol=symbol,
            bids=tuple((level.price, level.lots) for level in book.levels(EngineSide.BUY, depth)),
            asks=tuple((level.price, level.lots) for level in book.levels(EngineSide.SELL, depth)),
            update_id=self.views.update_ids.get(handle, 0),
            time_ns=book.updated_ns or self.views.applied_time_ns,
        )

    def trades(
        self, symbol: str, limit: int = 1000, since_id: int = 0, since_ns: int = 0
    ) -> list[PublicTrade]:
        """Oldest first. With a start, the first `limit` trades behind number `since_id` and not before
        `since_ns`; without one, the last `limit`. `ExchangeConfiguration.trades_kept` of a market are kept.

        Raises:
            UnknownName: no such market.
        """
        tape, limit = self._tape(symbol), min(max(limit, 0), MAX_ROWS)
        kept = tape.trades
        if not kept or not limit:
            return []
        if not since_id and not since_ns:
            return [self._public(symbol, one) for one in islice(kept, max(len(kept) - limit, 0), None)]
        skipped = max(since_id + 1 - kept[0].number, 0)
        rows = (one for one in islice(kept, skipped, None) if one.time_ns >= since_ns)
        return [self._public(symbol, one) for one in islice(rows, limit)]

    def candles(
        self, symbol: str, interval_s: int, limit: int = 720, since_ns: int = 0, until_ns: int = 0
    ) -> list[Candle]:
        """Oldest first, the open one included; intervals without a trade repeat the last close.

        With `since_ns` the first `limit` that open at or after it, else the last `limit` that open before
        `until_ns` (0: now). `interval_s` is a second, a minute, an hour or a multiple; intervals begin at
        multiples of it since 1970.

        Raises:
            UnknownName: no such market. ValueError: an interval below a second.
        """
        if interval_s < 1:
            raise ValueError(f"an interval has at least a second, not {interval_s}")
        tape, limit = self._tape(symbol), min(max(limit, 0), MAX_ROWS)
        base_s = next(one for one in (3_600, 60, 1) if interval_s % one == 0)
        interval_ns = interval_s * SECOND_NS
        end_ns = min(until_ns or self.now_ns(), self.now_ns())
        first_ns = since_ns or end_ns - end_ns % interval_ns - (limit - 1) * interval_ns
        merged = list(_merged(_needed(tape.candles[base_s], first_ns, interval_ns), interval_ns))
        if not merged or not limit:
            return []
        filled = _without_holes(merged, interval_ns, end_ns, since_ns, limit)
        return [_candle(one) for one in filled]

    def ticker(self, symbol: str) -> Ticker:
        """Best prices, last trade and the last 24 hours (by the minute).

        Raises:
            UnknownName: no such market.
        """
        handle, tape, now_ns = self._handle(symbol), self._tape(symbol), self.now_ns()
        kept = self._days.get(symbol)
        place = (tape.trade_count, now_ns // MINUTE_NS)
        if kept is None or kept[0] != place:
            kept = self._days[symbol] = (place, _day_of(tape, now_ns))
        day, book = kept[1], self.views.books.book(handle)
        return Ticker(
            symbol=symbol,
            bid=_best(book, EngineSide.BUY),
            ask=_best(book, EngineSide.SELL),
            last=self._public(symbol, tape.trades[-1]) if tape.trades else None,
            open_ticks=day.open if day else None,
            high_ticks=day.high if day else None,
            low_ticks=day.low if day else None,
            lots=day.lots if day else 0,
            quote_volume=money(day.notional if day else 0),
            trades=day.trades if day else 0,
            first_trade_id=day.first_trade if day else None,
            time_ns=now_ns,
        )

    def _public(self, symbol: str, one: TapeTrade) -> PublicTrade:
        buys = one.side == EngineSide.BUY
        return PublicTrade(
            symbol=symbol,
            trade_id=one.number,
            price_ticks=one.price,
            lots=one.lots,
            taker_side=Side(one.side),
            buyer_order=one.taker_order if buys else one.maker_order,
            seller_order=one.maker_order if buys else one.taker_order,
            time_ns=one.time_ns,
            taker_kind=self.views.records.takers.kind(self._handle(symbol), one.number),
        )

    # ---- accounts ----------------------------------------------------------------------------------

    def funds(self, account: str) -> list[Funds]:
        """Every asset that the exchange lists, zero included.

        Raises:
            UnknownName: no such account.
        """
        history = self._history(account)
        return [self.views.records.funds(history, number) for _, number in sorted(self.listed.assets.items())]

    def orders(
        self,
        account: str,
        *,
        symbol: str | None = None,
        working: bool,
        limit: int = 500,
        since_ns: int = 0,
        until_ns: int = 0,
        before_id: int | None = None,
    ) -> list[Order]:
        """Working or ended orders, newest first: created from `since_ns` up to `until_ns` (0: no bound), with
        ids below `before_id`. `ExchangeConfiguration.ended_orders_kept` ended ones are kept.

        Raises:
            UnknownName: no such account.
        """
        history = self._history(account)
        orders, found = self.views.orders, []
        for record in self._newest_first(history, working=working):
            if symbol not in (None, record.symbol) or not (before_id is None or record.order_id < before_id):
                continue
            order = orders.get(record.order_id)
            if order is None or order.accepted_ns < since_ns or (until_ns and order.accepted_ns > until_ns):
                continue
            found.append(self.views.records.order(record))
            if len(found) >= min(limit, MAX_ROWS):
                break
        return found

    def _newest_first(self, history: AccountHistory, *, working: bool) -> Iterator[Record]:
        orders, records = self.views.orders, history.orders
        if working:
            numbers = (one.order for one in reversed(orders.of_account(history.handle)))
            return (records[number] for number in numbers if number in records)
        return (record for number, record in reversed(records.items()) if number not in orders.open)

    def order(
        self, account: str, *, order_id: int | None = None, client_id: str | None = None
    ) -> Order | None:
        """An order of this account, working or kept. By the client's id: the working one, else the latest.

        Raises:
            UnknownName: no such account.
        """
        record = self._record(self._history(account), order_id, client_id)
        return None if record is None else self.views.records.order(record)

    @staticmethod
    def _record(history: AccountHistory, order_id: int | None, client_id: str | None) -> Record | None:
        if order_id is not None:
            return history.orders.get(order_id)
        if not client_id:
            return None
        # At most one order of a name works, and it is the latest: the exchange refuses a second.
        found = history.by_client.get(client_id)
        return None if found is None else history.orders.get(found)

    def fills(
        self,
        account: str,
        *,
        symbol: str | None = None,
        order_id: int | None = None,
        since_ns: int = 0,
        until_ns: int = 0,
        since_fill_id: int = 0,
        limit: int = 500,
    ) -> list[Fill]:
        """Executions, oldest first: with a start (`since_ns` or `since_fill_id`) the first `limit` from there
        on (`since_fill_id` itself excluded), else the last `limit`. `ExchangeConfiguration.fills_kept` are
        kept.

        Raises:
            UnknownName: no such account.
        """
        history, limit = self._history(account), min(max(limit, 0), MAX_ROWS)
        rows = history.fills
        if order_id is not None:
            record = history.orders.get(order_id)
            rows = deque() if record is None else record.fills
        # Numbers and times ascend, so the way back ends where the start is passed.
        recent = takewhile(
            lambda fill: fill.time_ns >= since_ns and fill.fill_id > since_fill_id, reversed(rows)
        )
        chosen = (
            fill
            for fill in recent
            if symbol in (None, fill.symbol) and (not until_ns or fill.time_ns <= until_ns)
        )
        found = list(chosen if since_ns or since_fill_id else islice(chosen, limit))
        return found[::-1][:limit]

    def fees(self, account: str, symbol: str) -> tuple[Decimal, Decimal]:
        """Maker and taker fee of an account in a market, in basis points of the notional.

        Raises:
            UnknownName: no such account or market.
        """
        self._history(account)
        market = self.views.markets.by_handle[self._handle(symbol)]
        return bps(market.maker_fee_e6bp), bps(market.taker_fee_e6bp)

    def working_count(self, account: str, symbol: str | None = None) -> int:
        """Number of working orders. Raises `UnknownName`."""
        history = self._history(account)
        handle = None if symbol is None else self._handle(symbol)
        return len(self.views.orders.of_account(history.handle, handle))

    # ---- names -------------------------------------------------------------------------------------

    def _handle(self, symbol: str) -> int:
        found = self.listed.markets.get(symbol)
        if found is None:
            raise UnknownName(symbol)
        return found.handle

    def _tape(self, symbol: str) -> MarketTape:
        return self.views.trades.tape(self._handle(symbol))

    def _history(self, account: str) -> AccountHistory:
        found = self.views.records.accounts.get(account)
        if found is None:
            raise UnknownName(account)
        return found

    def engine_state(self, symbol: str) -> VenueState:
        """What the engine takes in a market now: its status and the pauses of market and platform."""
        market = self.views.markets.by_handle[self._handle(symbol)]
        if market.status.name == "CLOSE_ONLY":
            return VenueState.REDUCE_ONLY
        if market.status.name not in ("ACTIVE", "PAUSED"):
            return VenueState.DELISTED
        pauses = [one for one in (market.pause, self.views.markets.platform_pause) if one is not None]
        if pauses or market.status.name == "PAUSED":
            full = any(one.level != PAUSED_PARTLY for one in pauses)
            return VenueState.CANCEL_ONLY if full or not pauses else VenueState.REDUCE_ONLY
        return VenueState.ONLINE


def bps(fee_e6bp: int) -> Decimal:
    """A fee in basis points."""
    return Decimal(fee_e6bp) / E6BP


def is_final(order: Order) -> bool:
    """Whether an order has ended."""
    return order.phase in FINAL_PHASES


def _best(book: Book, side: EngineSide) -> tuple[int, int] | None:
    price = book.best(side)
    return None if price is None else (price, book.sides[side][price][0])


def _day_of(tape: MarketTape, now_ns: int) -> TapeCandle | None:
    """The last 24 hours as one candle."""
    return next(_merged(_recent(tape.candles[60], now_ns - DAY_NS), 1 << 62), None)


def _needed(candles: deque[TapeCandle], first_ns: int, interval_ns: int) -> list[TapeCandle]:
    """Candles of the intervals from `first_ns` on, oldest first, and one before for its close."""
    start_ns = first_ns - first_ns % interval_ns
    rows = []
    for candle in reversed(candles):
        rows.append(candle)
        if candle.start_ns < start_ns:
            break
    rows.reverse()
    return rows


def _recent(candles: deque[TapeCandle], since_ns: int) -> Iterator[TapeCandle]:
    """Candles that open after `since_ns`, oldest first."""
    rows: list[TapeCandle] = []
    for candle in reversed(candles):
        if candle.start_ns <= since_ns:
            break
        rows.append(candle)
    return reversed(rows)


def _merged(candles: Iterable[TapeCandle], interval_ns: int) -> Iterator[TapeCandle]:
    """Candles of a coarser interval."""
    present: TapeCandle | None = None
    for one in candles:
        start_ns = one.start_ns - one.start_ns % interval_ns
        if present is None or present.start_ns != start_ns:
            if present is not None:
                yield present
            present = TapeCandle(
                start_ns, one.open, one.high, one.low, one.close, 0, 0, 0, first_trade=one.first_trade
            )
        present.high, present.low = max(present.high, one.high), min(present.low, one.low)
        present.close = one.close
        present.lots += one.lots
        present.notional += one.notional
        present.trades += one.trades
        present.bought_lots += one.bought_lots
        present.bought_notional += one.bought_notional
    if present is not None:
        yield present


def _without_holes(
    candles: list[TapeCandle], interval_ns: int, end_ns: int, since_ns: int, limit: int
) -> list[TapeCandle]:
    """At most `limit` consecutive candles."""
    by_start = {one.start_ns: one for one in candles}
    first_ns, last_ns = candles[0].start_ns, end_ns - end_ns % interval_ns
    if since_ns:
        start_ns = max(first_ns, -(-since_ns // interval_ns) * interval_ns)
        last_ns = min(last_ns, start_ns + (limit - 1) * interval_ns)
    else:
        start_ns = max(first_ns, last_ns - (limit - 1) * interval_ns)
    before = [one for one in candles if one.start_ns < start_ns]
    close = before[-1].close if before else candles[0].open
    found = []
    for moment_ns in range(start_ns, last_ns + 1, interval_ns):
        one = by_start.get(moment_ns)
        if one is None:
            one = TapeCandle(moment_ns, close, close, close, close, 0, 0, 0)
        close = one.close
        found.append(one)
    return found


def _candle(one: TapeCandle) -> Candle:
    return Candle(
        open_ns=one.start_ns,
        open_ticks=one.open,
        high_ticks=one.high,
        low_ticks=one.low,
        close_ticks=one.close,
        lots=one.lots,
        taker_buy_lots=one.bought_lots,
        quote_volume=money(one.notional),
        taker_buy_quote=money(one.bought_notional),
        trades=one.trades,
    )
