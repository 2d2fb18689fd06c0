"""nautilus_trader on recorded rows: its engine with a book of levels, and the quoter as a strategy."""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any

rows: Any = importlib.import_module("rows")
OFFSET_TICKS = 50
QUOTE_LOTS = 40
F_LAST, F_SNAPSHOT = 128, 32
BALANCES = ("1000000 USDT", "100 BTC")


def part(name: str) -> Any:
    """A module of the package."""
    return importlib.import_module(f"nautilus_trader.{name}")


ENUMS: Any = part("model.enums")
OBJECTS: Any = part("model.objects")
IDENTIFIERS: Any = part("model.identifiers")
DATA: Any = part("model.data")
STRATEGY: Any = part("trading.strategy").Strategy


def instrument(tick: Any, lot: Any) -> Any:
    """A pair with these steps."""
    currencies = part("model.currencies")
    decimals = [-step.normalize().as_tuple().exponent for step in (tick, lot)]
    return part("model.instruments").CurrencyPair(
        instrument_id=IDENTIFIERS.InstrumentId.from_str("BTCUSDT.SIM"),
        raw_symbol=IDENTIFIERS.Symbol("BTCUSDT"),
        base_currency=currencies.BTC,
        quote_currency=currencies.USDT,
        price_precision=decimals[0],
        size_precision=decimals[1],
        price_increment=OBJECTS.Price(tick, decimals[0]),
        size_increment=OBJECTS.Quantity(lot, decimals[1]),
        ts_event=0,
        ts_init=0,
    )


class Quoter(STRATEGY):  # type: ignore[misc] # the base is known where the package is
    """The same quoter as everywhere."""

    def prepare(self, market: Any, every: bool) -> None:
        self.market, self.every = market, every
        self.calls = self.placed = 0
        self.working: Any = None
        self.size = OBJECTS.Quantity(QUOTE_LOTS * market.size_increment.as_double(), market.size_precision)

    def on_start(self) -> None:
        if not self.every:
            # its own book is kept for who subscribes; a timer reads the exchange's picture from the cache
            self.subscribe_quote_ticks(self.market.id)
            self.clock.set_timer("quoter", timedelta(seconds=1), callback=self.on_second)
            return
        self.subscribe_order_book_deltas(self.market.id, book_type=ENUMS.BookType.L2_MBP)
        self.subscribe_trade_ticks(self.market.id)
        self.subscribe_quote_ticks(self.market.id)

    def on_second(self, _: Any) -> None:
        self.calls += 1
        self.act()

    def on_order_book_deltas(self, _: Any) -> None:
        self.calls += 1
        self.act()

    def on_trade_tick(self, _: Any) -> None:
        self.calls += 1

    def on_quote_tick(self, _: Any) -> None:
        if self.every:
            self.calls += 1

    def act(self) -> None:
        quote = self.cache.quote_tick(self.market.id)
        if quote is None:
            return
        held = self.portfolio.net_position(self.market.id)
        step = OFFSET_TICKS * self.market.price_increment.as_double()
        wanted = quote.ask_price.as_double() + step if held > 0 else quote.bid_price.as_double() - step
        order = self.working
        if order is not None and not order.is_closed:
            if abs(order.price.as_double() - wanted) > step and not order.is_pending_cancel:
                self.cancel_order(order)
            return
        side = ENUMS.OrderSide.SELL if held > 0 else ENUMS.OrderSide.BUY
        size = OBJECTS.Quantity(held, self.market.size_precision) if held > 0 else self.size
        price = OBJECTS.Price(wanted, self.market.price_precision)
        self.working = self.order_factory.limit(self.market.id, side, size, price, post_only=True)
        self.placed += 1
        self.submit_order(self.working)


def feed(recording: Any, market: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """The rows as its data, by kind; the levels of one message are one batch of deltas."""
    prices = OBJECTS.Price, market.price_precision
    sizes = OBJECTS.Quantity, market.size_precision
    tick, lot = float(recording.tick), float(recording.lot)
    books: list[Any] = []
    trades: list[Any] = []
    quotes: list[Any] = []
    deltas: list[Any] = []
    bid: Any = None
    for number, (kind, side, flags, _, at_ns, _, ticks, lots) in enumerate(recording.rows):
        price, size = prices[0](ticks * tick, prices[1]), sizes[0](lots * lot, sizes[1])
        if kind == rows.LEVEL:
            if flags & rows.SNAPSHOT and not deltas:
                deltas.append(DATA.OrderBookDelta.clear(market.id, number, at_ns, at_ns))
            action = ENUMS.BookAction.UPDATE if lots else ENUMS.BookAction.DELETE
            book_side = ENUMS.OrderSide.SELL if side else ENUMS.OrderSide.BUY
            order = DATA.BookOrder(book_side, price, size, 0)
            last = F_LAST if flags & rows.LAST else 0
            deltas.append(DATA.OrderBookDelta(market.id, action, order, last, number, at_ns, at_ns))
            if last:
                books.append(DATA.OrderBookDeltas(market.id, deltas))
                deltas = []
        elif kind == rows.TRADE:
            taker = ENUMS.AggressorSide.SELLER if side else ENUMS.AggressorSide.BUYER
            trade_id = IDENTIFIERS.TradeId(str(number))
            trades.append(DATA.TradeTick(market.id, price, size, taker, trade_id, at_ns, at_ns))
        elif kind == rows.BEST_BID:
            bid = price, size
        else:
            quotes.append(DATA.QuoteTick(market.id, bid[0], price, bid[1], size, at_ns, at_ns))
    return books, trades, quotes


def measure(recording: Any, mode: str) -> dict[str, Any]:
    """Modes: `timer` and `every`."""
    config = part("config")
    backtest = part("backtest.engine")
    engine = backtest.BacktestEngine(
        backtest.BacktestEngineConfig(logging=config.LoggingConfig(bypass_logging=True))
    )
    engine.add_venue(
        venue=IDENTIFIERS.Venue("SIM"),
        oms_type=ENUMS.OmsType.NETTING,
        account_type=ENUMS.AccountType.CASH,
        starting_balances=[OBJECTS.Money.from_str(text) for text in BALANCES],
        book_type=ENUMS.BookType.L2_MBP,
    )
    market = instrument(recording.tick, recording.lot)
    engine.add_instrument(market)
    for data in feed(recording, market):
        engine.add_data(data)
    quoter = Quoter()
    quoter.prepare(market, mode == "every")
    engine.add_strategy(quoter)
    clock = rows.Clock()
    engine.run()
    spent = clock.stop()
    fills = sum(order.filled_qty.as_double() > 0 for order in engine.cache.orders())
    return {**spent, "rows": recording.events, "strategy_calls": quoter.calls, "orders": quoter.placed,
            "trades": fills}  # fmt: skip


if __name__ == "__main__":
    rows.main(measure)
