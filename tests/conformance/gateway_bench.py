"""The half of a bench that is the same behind every gateway: an exchange, its outside market, the truth."""

from __future__ import annotations

import asyncio
import tempfile
import time
from abc import abstractmethod
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Self

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.node.limits import NodeLimits
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FillEvent, TimeInForce

from .bench import Act, Bench, Fault, TrueFill, TrueOrder

DEEP = Decimal(10_000_000)
FUNDS = Decimal(100_000)
SLOW_MS = 1_500
"""Longer than the connector under test waits."""
RULES: dict[Fault, dict[str, Any]] = {
    Fault.TIMEOUT: {"action": WireFault.DROP_REPLY, "delay_ms": 30_000},
    Fault.ERROR_AFTER: {"action": WireFault.STATUS, "status": 502, "when": "after"},
    Fault.ERROR_BEFORE: {"action": WireFault.STATUS, "status": 502, "when": "before"},
    Fault.TOO_MANY: {"action": WireFault.STATUS, "status": 429},
    Fault.BANNED: {"action": WireFault.RATE_BAN, "seconds": 1},
    Fault.RESET_AFTER: {"action": WireFault.RESET, "when": "after"},
    Fault.RESET_BEFORE: {"action": WireFault.RESET, "when": "before"},
    Fault.SLOW: {"action": WireFault.DELAY, "delay_ms": SLOW_MS},
    Fault.LOST: {"action": WireFault.LOSE_ORDER},
    Fault.MALFORMED: {"action": WireFault.MALFORMED},
}


class GatewayBench(Bench):
    """Exchange, gateway and connector in one loop, talking over loopback sockets."""

    faults = frozenset({*RULES, Fault.DUPLICATE, Fault.REORDER})
    request_surface: str
    request_names: ClassVar[dict[Act, str]]
    """Pattern of the fault plan that hits a request of a kind."""
    private_channel: str
    exchange_symbol: ClassVar[str] = ""
    """How the exchange names the market, where the connector names it otherwise."""

    def __init_subclass__(cls) -> None:
        cls.exchange_symbol = cls.exchange_symbol or getattr(cls, "symbol", "")

    def __init__(self, folder: tempfile.TemporaryDirectory[str], exchange: Exchange) -> None:
        self.folder, self.exchange = folder, exchange
        self.data = Path(folder.name)
        self.instrument = exchange.markets[self.exchange_symbol].instrument
        self.events = []
        self.market_events = []
        self._readers: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls) -> Self:
        folder = tempfile.TemporaryDirectory()
        exchange = await Exchange.open(
            Path(folder.name) / "exchange",
            ExchangeConfiguration(**cls.configuration(), limits=NodeLimits(space_reserved_bytes=0)),
        )
        bench = cls(folder, exchange)
        await bench.connect()
        listed = await bench.venue.instruments()
        assert isinstance(listed, list), listed
        bench.instrument = next(one for one in listed if one.symbol == cls.symbol)
        bench._readers = [
            asyncio.create_task(bench._read(bench.venue.private(bench.account), bench.events)),
            asyncio.create_task(bench._read(bench.venue.market([bench.symbol]), bench.market_events)),
        ]
        await bench.step()
        return bench

    @classmethod
    def configuration(cls) -> dict[str, Any]:
        """Accounts and markets of the exchange."""
        base, quote = cls.symbol.split("/")
        deep = {quote: DEEP, base: Decimal(500)}
        return {"accounts": {cls.account: {quote: FUNDS}, "maker": deep, "taker": deep}}

    @abstractmethod
    async def connect(self) -> None:
        """Start the gateway, build the connector as `venue`, wait until it is live."""

    @abstractmethod
    async def disconnect(self) -> None:
        """End both."""

    async def close(self) -> None:
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self.disconnect()
        await self.exchange.close()
        self.folder.cleanup()

    @staticmethod
    async def _read(source: Any, into: list[Any]) -> None:
        async for event in source:
            into.append(event)

    def now_ns(self) -> int:
        return time.time_ns()

    async def step(self, seconds: float = 0.0) -> None:
        await asyncio.sleep(max(seconds, 0.002))

    async def quote(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        await self.exchange.cancel_all("maker")
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            for price, lots in levels:
                answer = await self.exchange.place(
                    "maker",
                    PlaceRequest(symbol=self.exchange_symbol, side=side, price_ticks=price, lots=lots),
                )
                assert isinstance(answer, Order), answer

    async def take(self, side: Side, price_ticks: int, lots: int) -> None:
        request = PlaceRequest(
            symbol=self.exchange_symbol, side=side, price_ticks=price_ticks, lots=lots,
            time_in_force=TimeInForce.IOC,
        )  # fmt: skip
        await self.exchange.place("taker", request)
        # an outside trade is old news when the test goes on, unless a fault holds the news back
        for _ in range(100):
            if sum(isinstance(one, FillEvent) for one in self.events) >= len(await self.true_fills()):
                return
            await self.step(0.01)

    def own_orders(self) -> list[Order]:
        """Orders of the account at the exchange, oldest first."""
        orders = [
            *all_orders(self.exchange, self.account, working=True),
            *all_orders(self.exchange, self.account, working=False),
        ]
        return sorted(orders, key=lambda one: one.order_id)

    async def true_orders(self) -> list[TrueOrder]:
        return [
            TrueOrder(one.client_id, one.phase, one.price_ticks, one.lots, one.filled_lots)
            for one in self.own_orders()
        ]

    async def true_fills(self) -> list[TrueFill]:
        return [
            TrueFill(one.client_id, one.side, one.price_ticks, one.lots, one.fee, one.maker)
            for one in all_fills(self.exchange, self.account)
        ]

    async def true_totals(self) -> dict[str, Decimal]:
        return {one.asset: one.free + one.held for one in self.exchange.funds(self.account)}

    async def inject(self, fault: Fault, act: Act) -> None:
        if fault in {Fault.DUPLICATE, Fault.REORDER}:
            wire = WireFault.DUPLICATE if fault is Fault.DUPLICATE else WireFault.REORDER
            rules = (Rule(action=wire, surface="stream", name=self.private_channel),)
        else:
            rule = Rule(surface=self.request_surface, name=self.request_names[act], times=1, **RULES[fault])
            rules = (rule,)
        self.exchange.faults.replace(Plan(rules=rules))

    async def heal(self) -> None:
        self.exchange.faults.replace(Plan())


def all_orders(exchange: Exchange, account: str, *, working: bool) -> list[Order]:
    """Every order that the exchange keeps, newest first."""
    found: list[Order] = []
    while True:
        page = exchange.orders(
            account, working=working, limit=10_000, before_id=found[-1].order_id if found else None
        )
        found += page
        if not page:
            return found


def all_fills(exchange: Exchange, account: str) -> list[Any]:
    """Every execution that the exchange keeps, oldest first."""
    found: list[Any] = []
    while True:
        page = exchange.fills(account, limit=10_000, since_fill_id=found[-1].fill_id) if found else []
        page = page or (exchange.fills(account, limit=10_000, since_ns=1) if not found else [])
        found += page
        if not page:
            return found
