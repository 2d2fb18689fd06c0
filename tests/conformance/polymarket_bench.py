"""The Polymarket connector under the suite: over sockets, against its gateway on a real exchange."""

from __future__ import annotations

import asyncio
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.exchange_outcomes import OutcomeConfiguration
from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.gateways.outcome_model import OutcomeMarket, OutcomeOrder, OutcomeRequest
from tradewind.gateways.polymarket.desk import PolymarketOptions as GatewayOptions
from tradewind.gateways.polymarket.gateway import PolymarketGateway, build
from tradewind.gateways.polymarket.wallets import WalletOf
from tradewind.node.limits import NodeLimits
from tradewind.venues.limits import Gate, SlidingLimits
from tradewind.venues.limits.sliding import polymarket_rules
from tradewind.venues.market_data import Side
from tradewind.venues.polymarket import wallet as wallets
from tradewind.venues.polymarket.connector import PolymarketOptions, PolymarketVenue
from tradewind.venues.polymarket.intents import IntentBook
from tradewind.venues.polymarket.rest import Credentials, PolymarketRest
from tradewind.venues.polymarket.wallet import Wallet
from tradewind.venues.protocol import FillEvent
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.lease import KeyLock
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.private_link import PrivateLimits
from tradewind.venues.transport.signer import SignerLane

from .bench import OWN_SPANS, Act, Bench, Fault, TrueFill, TrueOrder, fault_log, wire_report

SECRET = "07" * 32
MARKET = OutcomeMarket(
    slug="rain",
    question="Rain?",
    tick=Decimal("0.0001"),
    maker_bps=Decimal(10),
    taker_bps=Decimal(10),
)
NAMES = {Act.PLACE: "POST /order", Act.CANCEL: "DELETE /order"}
RULES: dict[Fault, dict[str, Any]] = {
    Fault.TIMEOUT: {"action": WireFault.DROP_REPLY, "delay_ms": 30_000},
    Fault.ERROR_AFTER: {"action": WireFault.STATUS, "status": 502, "when": "after"},
    Fault.ERROR_BEFORE: {"action": WireFault.STATUS, "status": 502, "when": "before"},
    Fault.TOO_MANY: {"action": WireFault.RATE_BAN},
    Fault.RESET_AFTER: {"action": WireFault.RESET, "when": "after"},
    Fault.RESET_BEFORE: {"action": WireFault.RESET, "when": "before"},
    Fault.SLOW: {"action": WireFault.DELAY, "delay_ms": 1_500},
    Fault.LOST: {"action": WireFault.LOSE_ORDER},
    Fault.MALFORMED: {"action": WireFault.MALFORMED},
}


SHORT: dict[str, Any] = {
    "answer_timeout_s": 1.0, "horizon_s": 1.0, "absence_margin_s": 0.7, "clock_skew_s": 0.1,
    "fill_wait_s": 0.5,
}  # fmt: skip
CHANGES = ("POST /order", "DELETE /order", "DELETE /cancel-all", "DELETE /cancel-market-orders")
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
        Rule(surface="rest", name=name, action=action, when=when, status=502, probability_ppm=ppm)  # type: ignore[arg-type]
        for name in CHANGES
        for action, when, ppm in CHANGE_FAULTS
    ),
    Rule(surface="rest", name="*", action=WireFault.DELAY, delay_ms=150, probability_ppm=30_000),
    Rule(surface="rest", name="GET /data/*", action=WireFault.STATUS, status=503, probability_ppm=20_000),
    Rule(surface="rest", name="GET /data/*", action=WireFault.MALFORMED, probability_ppm=10_000),
    Rule(surface="rest", name="GET /data/*", action=WireFault.RESET, when="after", probability_ppm=10_000),
    Rule(surface="rest", name="GET /data/order*", action=WireFault.UNKNOWN_ENUM, probability_ppm=10_000),
    Rule(surface="stream", name="order", action=WireFault.DROP_FRAME, probability_ppm=5_000),
    Rule(surface="stream", name="trade", action=WireFault.DROP_FRAME, probability_ppm=5_000),
    Rule(surface="stream", name="*", action=WireFault.DUPLICATE, probability_ppm=30_000),
    Rule(surface="stream", name="*", action=WireFault.REORDER, probability_ppm=30_000),
    Rule(surface="stream", name="order", action=WireFault.CORRUPT, probability_ppm=3_000),
    Rule(surface="stream", name="trade", action=WireFault.CLOSE, probability_ppm=3_000),
    Rule(surface="stream", name="order", action=WireFault.CLOSE, probability_ppm=3_000),
)
"""Everything at once, each rarely enough that work gets done."""


class PolymarketBench(Bench):
    """Exchange, gateway and connector in one loop, talking over loopback sockets."""

    faults = frozenset({*RULES, Fault.DUPLICATE, Fault.REORDER})
    symbol = "RAIN-YES/USDC"
    middle_ticks = 4_000
    usual_lots = 1_000

    def __init__(self, folder: Any, exchange: Exchange, gateway: PolymarketGateway) -> None:
        self.folder, self.exchange, self.gateway = folder, exchange, gateway
        self.outcomes = gateway.desk.outcomes
        self.yes = next(iter(self.outcomes.markets.values())).tokens[0]
        self.events = []
        self.market_events = []
        self._readers: list[asyncio.Task[None]] = []
        self._orders: dict[str, OutcomeOrder] = {}
        self._number = 0

    @classmethod
    async def open(cls) -> PolymarketBench:
        if not wallets.available():
            pytest.skip(f"the packages of {wallets.EXTRA} are not installed")
        folder = tempfile.TemporaryDirectory()
        data = Path(folder.name)
        exchange = await Exchange.open(
            data / "exchange",
            ExchangeConfiguration(
                accounts={"trader": {}, "maker": {}, "taker": {}}, limits=NodeLimits(space_reserved_bytes=0)
            ),
        )
        wallet = Wallet.from_text(SECRET)
        gateway = build(
            exchange,
            GatewayOptions(
                configuration=OutcomeConfiguration(
                    markets=(MARKET,), grant=Decimal(100_000), trades_kept=100_000
                ),
                wallets=(WalletOf(address=wallet.address(), account="trader"),),
                mined_s=0.01,
                confirmed_s=0.02,
                limits=False,
                limits_public=False,
            ),
        )
        await gateway.start()
        bench = cls(folder, exchange, gateway)
        for account in ("maker", "taker"):
            market = bench.yes.market
            assert await bench.outcomes.mint(account, market, Decimal(20_000)) is None
        bench.outcomes.listen_account("trader", bench._heard)
        bench.connect(data, wallet)
        assert await bench.venue.open(), bench.venue.channel.link.transitions  # type: ignore[attr-defined]
        listed = await bench.venue.instruments()
        bench.instrument = next(one for one in listed if one.symbol == cls.symbol)  # type: ignore[union-attr]
        bench._readers = [
            asyncio.create_task(bench._read(bench.venue.private(bench.account), bench.events)),
            asyncio.create_task(bench._read(bench.venue.market([bench.symbol]), bench.market_events)),
        ]
        await bench.step()
        return bench

    def connect(self, data: Path, wallet: Wallet) -> None:
        """Build the connector, with a key, a journal of intents and limits of its own."""
        owner = self.gateway.desk.wallets.find(wallet.address())
        assert owner is not None
        key = self.gateway.desk.authenticator.create(owner, 0)
        limits = SlidingLimits(polymarket_rules() if OWN_SPANS else _wide())
        gate = Gate(limits, unused=lambda items: limits.done(items, time.monotonic_ns()))
        self.gate = gate
        self.lane = SignerLane(
            PrivateHttp(self.gateway.url, max_connections=4),
            lock=KeyLock(data / "keys", "test"),
            stamp_ms=lambda: time.time_ns() // 1_000_000,
        )
        self.public = PrivateHttp(self.gateway.url)
        self.rest = PolymarketRest(
            self.lane,
            self.public,
            wallet=wallet,
            credentials=Credentials(key.key, key.secret, key.passphrase),
            limits=limits,
            gate=gate,
        )
        self.intents = IntentBook(data / "intents.jsonl")
        self.venue = PolymarketVenue(
            self.rest,
            self.account,
            self.intents,
            PolymarketOptions(
                market_url=f"{self.gateway.socket_url}/ws/market",
                user_url=f"{self.gateway.socket_url}/ws/user",
                link=PrivateLimits(step_timeout_s=5.0),
                reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000),
                **({} if OWN_SPANS else SHORT),
            ),
        )

    async def close(self) -> None:
        for task in self._readers:
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self.venue.close()  # type: ignore[attr-defined]
        self.gate.close()
        await self.lane.close()
        await self.public.close()
        self.intents.close()
        await self.gateway.close()
        await self.exchange.close()
        self.folder.cleanup()

    @staticmethod
    async def _read(source: Any, into: list[Any]) -> None:
        async for event in source:
            into.append(event)

    def _heard(self, news: Any) -> None:
        order = getattr(news, "order", None)
        if order is not None:
            self._orders[order.reference] = order

    def now_ns(self) -> int:
        return time.time_ns()

    async def step(self, seconds: float = 0.0) -> None:
        await asyncio.sleep(max(seconds, 0.002))

    def _request(self, side: Side, price: int, lots: int, order_type: str) -> OutcomeRequest:
        self._number += 1
        return OutcomeRequest(
            token_id=self.yes.token_id,
            side=side,
            price_ticks=price,
            lots=lots,
            order_type=order_type,
            reference=f"outside-{self._number}",
        )

    async def quote(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        await self.outcomes.cancel_all("maker")
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            for price, lots in levels:
                answer = await self.outcomes.place("maker", self._request(side, price, lots, "GTC"))
                assert isinstance(answer, OutcomeOrder), answer

    async def take(self, side: Side, price_ticks: int, lots: int) -> None:
        await self.outcomes.place("taker", self._request(side, price_ticks, lots, "FAK"))
        for _ in range(100):
            if sum(isinstance(one, FillEvent) for one in self.events) >= len(await self.true_fills()):
                return
            await self.step(0.01)

    async def true_orders(self) -> list[TrueOrder]:
        found = []
        for reference in self._orders:
            one = self.outcomes.order("trader", reference)
            assert one is not None
            intent = self.intents.of_reference(reference)
            assert intent is not None, "an order at the venue was journaled first"
            found.append(TrueOrder(intent.client_id, one.phase, one.price_ticks, one.lots, one.filled_lots))
        return found

    async def true_fills(self) -> list[TrueFill]:
        found = []
        for trade in self.outcomes.trades("trader"):
            for party, maker in ((trade.taker, False), (trade.resting, True)):
                if party.account == "trader":
                    intent = self.intents.of_reference(party.reference)
                    assert intent is not None
                    fill = TrueFill(
                        intent.client_id, party.side, party.price_ticks, trade.lots, party.fee, maker
                    )
                    found.append(fill)
        return found

    async def true_totals(self) -> dict[str, Decimal]:
        free, held = self.outcomes.collateral("trader")
        totals = {"USDC": free + held}
        for token in self.yes.market.tokens:
            one = self.outcomes.holding("trader", token)
            totals[f"RAIN-{token.name.upper()}"] = one.free + one.held
        return totals

    async def inject(self, fault: Fault, act: Act) -> None:
        if fault in {Fault.DUPLICATE, Fault.REORDER}:
            wire = WireFault.DUPLICATE if fault is Fault.DUPLICATE else WireFault.REORDER
            rules = tuple(Rule(action=wire, surface="stream", name=name) for name in ("order", "trade"))
        else:
            rules = (Rule(surface="rest", name=NAMES[act], times=1, **RULES[fault]),)
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


def _wide() -> list[Any]:
    """The rules with as much room as the venue publishes: the suite asks faster than a trader."""
    from tradewind.venues.limits.sliding import Rule as Window

    return [
        Window(name=one.name, limit=one.published or one.limit, span_ns=one.span_ns, cancels=one.cancels)
        for one in polymarket_rules()
    ]
