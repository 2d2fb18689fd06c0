"""nautilus_trader: its backtest engine with one strategy.

Orders pass its risk engine, execution engine, simulated exchange and cache; they meet a fixed and bottomless
quote, never each other. The account is frozen. There is no durable log.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

ADD, TAKE, CANCEL = 0, 1, 2
BUY = 0
Operation = tuple[int, int, int, int, int]
CHUNK = 64
STEP_NS = 1_000_000
BOTTOMLESS = "90000000"
BALANCE = "10000000000 USD"


def part(name: str) -> Any:
    """A module of the package."""
    return importlib.import_module(f"nautilus_trader.{name}")


ENUMS: Any = part("model.enums")
OBJECTS: Any = part("model.objects")
IDENTIFIERS: Any = part("model.identifiers")
STRATEGY: Any = part("trading.strategy").Strategy


def instrument() -> Any:
    """A pair with a price increment of one: ticks and lots are whole numbers."""
    currencies = part("model.currencies")
    return part("model.instruments").CurrencyPair(
        instrument_id=IDENTIFIERS.InstrumentId.from_str("BASE/USD.SIM"),
        raw_symbol=IDENTIFIERS.Symbol("BASE/USD"),
        base_currency=currencies.BTC,
        quote_currency=currencies.USD,
        price_precision=0,
        size_precision=0,
        price_increment=OBJECTS.Price(1, 0),
        size_increment=OBJECTS.Quantity(1, 0),
        ts_event=0,
        ts_init=0,
    )


class Sender(STRATEGY):  # type: ignore[misc] # the base is known where the package is
    """Fills the book on the first quote, then sends a chunk of the flow on each of the next."""

    def prepare(self, market: Any, resting: list[Any], flow: list[Any], limit_s: float) -> None:
        self.market, self.resting, self.flow = market, resting, flow
        self.limit_ns = int(limit_s * 1e9)
        self.placed: dict[int, Any] = {}
        self.elapsed_ns = self.done = self.refused = self.traded_lots = 0
        self.filled = False

    def on_start(self) -> None:
        self.subscribe_quote_ticks(self.market.id)

    def on_quote_tick(self, _: Any) -> None:
        if not self.filled:
            self.filled = True
            for operation in self.resting:
                self.send(operation)
            return
        if self.done >= len(self.flow) or self.elapsed_ns >= self.limit_ns:
            return
        chunk = self.flow[self.done : self.done + CHUNK]
        begin = time.perf_counter_ns()
        for operation in chunk:
            self.send(operation)
        self.elapsed_ns += time.perf_counter_ns() - begin
        self.done += len(chunk)

    def send(self, operation: Operation) -> None:
        kind, side, lots, price, number = operation
        if kind == CANCEL:
            order = self.placed.pop(number, None)
            if order is None or order.is_closed:
                self.refused += 1
            else:
                self.cancel_order(order)
            return
        force = ENUMS.TimeInForce.IOC if kind == TAKE else ENUMS.TimeInForce.GTC
        order = self.order_factory.limit(
            self.market.id,
            ENUMS.OrderSide.BUY if side == BUY else ENUMS.OrderSide.SELL,
            OBJECTS.Quantity(lots, 0),
            OBJECTS.Price(price, 0),
            time_in_force=force,
        )
        self.submit_order(order)
        if kind == ADD:
            self.placed[number] = order
        else:
            self.traded_lots += int(order.filled_qty)


def quotes(market: Any, bid: int, count: int) -> list[Any]:
    """The same quote again and again: each drives the strategy once."""
    tick, size = part("model.data").QuoteTick, OBJECTS.Quantity.from_str(BOTTOMLESS)
    prices = OBJECTS.Price(bid, 0), OBJECTS.Price(bid + 2, 0)
    moments = (STEP_NS * (index + 1) for index in range(count))
    return [tick(market.id, *prices, size, size, moment, moment) for moment in moments]


def measure(resting: list[Operation], flow: list[Operation], limit_s: float) -> dict[str, int]:
    """Fills the book, then times the flow."""
    config = part("config")
    backtest = part("backtest.engine")
    engine = backtest.BacktestEngine(
        backtest.BacktestEngineConfig(
            logging=config.LoggingConfig(bypass_logging=True),
            risk_engine=config.RiskEngineConfig(
                max_order_submit_rate="100000000/00:00:01", max_order_modify_rate="100000000/00:00:01"
            ),
        )
    )
    venue = IDENTIFIERS.Venue("SIM")
    engine.add_venue(
        venue=venue,
        oms_type=ENUMS.OmsType.NETTING,
        account_type=ENUMS.AccountType.MARGIN,
        starting_balances=[OBJECTS.Money.from_str(BALANCE)],
        use_message_queue=False,
        # Balances are recomputed over all open orders with every event; that would be all that is measured.
        frozen_account=True,
    )
    market = instrument()
    engine.add_instrument(market)
    best_bid = max(price for _, side, _, price, _ in resting if side == BUY)
    engine.add_data(quotes(market, best_bid, len(flow) // CHUNK + 2))
    sender = Sender()
    sender.prepare(market, resting, flow, limit_s)
    engine.add_strategy(sender)
    engine.run()
    engine.dispose()
    return {
        "commands": sender.done,
        "refused": sender.refused,
        "traded_lots": sender.traded_lots,
        "elapsed_ns": sender.elapsed_ns,
    }
