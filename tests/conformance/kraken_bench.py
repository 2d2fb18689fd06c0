"""The Kraken connector under the suite: over sockets, against the Kraken gateway on a real exchange."""

from __future__ import annotations

import asyncio
import base64
import tempfile
import time
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.gateways.kraken.desk import KrakenOptions as GatewayOptions
from tradewind.gateways.kraken.gateway import KrakenGateway, build
from tradewind.gateways.model import Order, PlaceRequest
from tradewind.node.limits import NodeLimits
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions, KrakenVenue
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FillEvent, TimeInForce
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.lease import TradingLease
from tradewind.venues.transport.private_link import PrivateLimits

from .bench import OWN_SPANS, Act, Bench, Fault, TrueFill, TrueOrder, fault_log, wire_report
from .gateway_bench import all_fills, all_orders

Folder = tempfile.TemporaryDirectory
FUNDS = {"USD": Decimal(100_000)}
DEEP = {"USD": Decimal(10_000_000), "BTC": Decimal(500)}
METHODS = {Act.PLACE: "add_order", Act.CANCEL: "cancel_order", Act.AMEND: "amend_order"}
ANSWER_TIMEOUT_S = 1.0
RULES = {
    Fault.TIMEOUT: {"action": WireFault.DROP_REPLY, "delay_ms": 30_000},
    Fault.ERROR_AFTER: {"action": WireFault.STATUS, "status": 502, "when": "after"},
    Fault.ERROR_BEFORE: {"action": WireFault.STATUS, "status": 502, "when": "before"},
    Fault.TOO_MANY: {"action": WireFault.RATE_BAN},
    Fault.BANNED: {"action": WireFault.RATE_BAN, "seconds": 2},
    Fault.RESET_AFTER: {"action": WireFault.RESET, "when": "after"},
    Fault.RESET_BEFORE: {"action": WireFault.RESET, "when": "before"},
    Fault.SLOW: {"action": WireFault.DELAY, "delay_ms": 1_500},
    Fault.LOST: {"action": WireFault.LOSE_ORDER},
    Fault.MALFORMED: {"action": WireFault.MALFORMED},
}


SHORT: dict[str, Any] = {
    "deadline_s": 1.0, "answer_timeout_s": ANSWER_TIMEOUT_S, "verify_timeout_s": 1.0, "clock_skew_s": 0.1,
    "absence_margin_s": 0.2,
}  # fmt: skip
CHANGES = ("add_order", "amend_order", "cancel_order", "cancel_all")
CHANGE_FAULTS = (
    (WireFault.DROP_REPLY, "before", 20_000),
    (WireFault.MALFORMED, "before", 10_000),
    (WireFault.LOSE_ORDER, "before", 10_000),
    (WireFault.STATUS, "before", 10_000),
    (WireFault.STATUS, "after", 10_000),
    (WireFault.RESET, "before", 10_000),
    (WireFault.RESET, "after", 10_000),
)
CHAOS = (
    *(
        Rule(surface="ws-api", name=name, action=action, when=when, status=502, probability_ppm=ppm)  # type: ignore[arg-type]
        for name in CHANGES
        for action, when, ppm in CHANGE_FAULTS
    ),
    Rule(surface="ws-api", name="*", action=WireFault.DELAY, delay_ms=150, probability_ppm=30_000),
    Rule(
        surface="ws-api",
        name="add_order",
        action=WireFault.RATE_BAN,
        probability_ppm=10_000,
        message="EOrder:Rate limit exceeded",
    ),
    Rule(surface="stream", name="executions", action=WireFault.DROP_FRAME, probability_ppm=5_000),
    Rule(surface="stream", name="*", action=WireFault.DUPLICATE, probability_ppm=30_000),
    Rule(surface="stream", name="*", action=WireFault.REORDER, probability_ppm=30_000),
    Rule(surface="stream", name="executions", action=WireFault.CORRUPT, probability_ppm=3_000),
    Rule(surface="stream", name="balances", action=WireFault.CLOSE, probability_ppm=3_000),
    Rule(surface="rest", name="*/private/*", action=WireFault.STATUS, status=503, probability_ppm=30_000),
    Rule(surface="rest", name="*/private/*", action=WireFault.RESET, when="after", probability_ppm=10_000),
    Rule(surface="rest", name="*/private/*", action=WireFault.MALFORMED, probability_ppm=10_000),
    Rule(surface="rest", name="*/private/*", action=WireFault.DELAY, delay_ms=150, probability_ppm=30_000),
    Rule(surface="rest", name="*Orders", action=WireFault.UNKNOWN_ENUM, probability_ppm=10_000),
)
"""Everything at once, each rarely enough that work gets done."""


class KrakenBench(Bench):
    """Exchange, gateway and connector in one loop, talking over loopback sockets."""

    faults = frozenset({*RULES, Fault.DUPLICATE, Fault.REORDER})
    symbol = "BTC/USD"
    venue: KrakenVenue
    lease: TradingLease | None = None
    middle_ticks = 600_000
    usual_lots = 100

    def __init__(
        self, folder: tempfile.TemporaryDirectory, exchange: Exchange, gateway: KrakenGateway
    ) -> None:  # type: ignore[type-arg]
        self.folder, self.exchange, self.gateway = folder, exchange, gateway
        self.instrument = exchange.markets[self.symbol].instrument
        self.events = []
        self.market_events = []
        self.stack = AsyncExitStack()
        self._readers: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls) -> KrakenBench:
        folder = tempfile.TemporaryDirectory()
        data = Path(folder.name)
        accounts = {"trader": FUNDS, "maker": DEEP, "taker": DEEP}
        exchange = await Exchange.open(
            data / "exchange",
            ExchangeConfiguration(accounts=accounts, limits=NodeLimits(space_reserved_bytes=0)),
        )
        gateway = build(exchange, GatewayOptions(limits_public=False))
        await gateway.start()
        bench = cls(folder, exchange, gateway)
        await bench.connect(data)
        assert await bench.venue.open(), bench.venue.socket.link.transitions
        listed = await bench.venue.instruments()
        bench.instrument = next(one for one in listed if one.symbol == cls.symbol)
        bench._readers = [
            asyncio.create_task(bench._read(bench.venue.private(bench.account), bench.events)),
            asyncio.create_task(bench._read(bench.venue.market([bench.symbol]), bench.market_events)),
        ]
        await bench.step()
        return bench

    async def connect(self, data: Path) -> None:
        """Build the connector, with a key, nonces and limits of its own."""
        key = self.exchange.keys.of_account(self.account)[0]
        secret = base64.b64encode(key.secret).decode()
        options = KrakenOptions(
            endpoints=KrakenEndpoints(
                websocket_url=f"{self.gateway.socket_url}/v2", rest_url=self.gateway.url
            ),
            private_url=f"{self.gateway.socket_url}/v2",
            book_depth=100,
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000),
            **({} if OWN_SPANS else SHORT),
        )
        self.venue = await self.stack.enter_async_context(
            open_kraken(
                Credentials(key.key, secret),
                KeyFolder(data),
                account=self.account,
                tier="pro",
                options=options,
            )
        )
        self.lane = self.venue.rest.lane

    async def close(self) -> None:
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self.stack.aclose()
        await self.gateway.close()
        await self.exchange.close()
        self.folder.cleanup()

    @staticmethod
    async def _read(source: object, into: list) -> None:  # type: ignore[type-arg]
        async for event in source:  # type: ignore[attr-defined]
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
                    "maker", PlaceRequest(symbol=self.symbol, side=side, price_ticks=price, lots=lots)
                )
                assert isinstance(answer, Order), answer

    async def take(self, side: Side, price_ticks: int, lots: int) -> None:
        request = PlaceRequest(
            symbol=self.symbol, side=side, price_ticks=price_ticks, lots=lots, time_in_force=TimeInForce.IOC
        )
        await self.exchange.place("taker", request)
        # an outside trade is old news when the test goes on, unless a fault holds the news back
        for _ in range(100):
            if sum(isinstance(one, FillEvent) for one in self.events) >= len(await self.true_fills()):
                return
            await self.step(0.01)

    async def true_orders(self) -> list[TrueOrder]:
        orders = [
            *all_orders(self.exchange, self.account, working=True),
            *all_orders(self.exchange, self.account, working=False),
        ]
        return [
            TrueOrder(one.client_id, one.phase, one.price_ticks, one.lots, one.filled_lots) for one in orders
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
            rules = (Rule(action=wire, surface="stream", name="executions"),)
        else:
            rules = (Rule(surface="ws-api", name=METHODS[act], times=1, **RULES[fault]),)  # type: ignore[arg-type]
        self.exchange.faults.replace(Plan(rules=rules))

    misbehaves = True

    def wire_report(self) -> dict[str, object]:
        return wire_report(self.exchange.faults, self.lane)

    def fault_log(self) -> list[str]:
        return fault_log(self.exchange.faults)

    async def misbehave(self, seed: int) -> None:
        self.exchange.faults.replace(Plan(seed=seed, rules=CHAOS))

    async def heal(self) -> None:
        self.exchange.faults.replace(Plan())
