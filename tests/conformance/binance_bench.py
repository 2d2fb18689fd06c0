"""The Binance connector under the suite: over sockets, against the Binance gateway on a real exchange."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, ClassVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tradewind.gateways.binance.gateway import BinanceGateway
from tradewind.gateways.binance.streams import StreamOptions
from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.gateways.keys import ApiKey, new_key
from tradewind.venues.binance.assemble import open_binance
from tradewind.venues.binance.connector import BinanceOptions
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT
from tradewind.venues.protocol import OrderPhase
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.private_link import PrivateLimits

from .bench import OWN_SPANS, Act, TrueOrder, fault_log, wire_report
from .gateway_bench import GatewayBench

WINDOW_MS = 1_000
"""Shorter than the venue's 3 s of live trading, so that absence is proven sooner."""

SHORT: dict[str, Any] = {
    "window_ms": WINDOW_MS, "answer_timeout_s": 1.0, "absence_margin_s": 0.2, "clock_skew_s": 0.1,
}  # fmt: skip
CHANGES = (
    "POST /api/v3/order", "DELETE /api/v3/order", "POST /api/v3/order/cancelReplace",
    "PUT /api/v3/order/amend/keepPriority", "DELETE /api/v3/openOrders",
)  # fmt: skip
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
    Rule(surface="rest", name="*", action=WireFault.DELAY, delay_ms=150, probability_ppm=30_000),
    Rule(surface="rest", name="GET *", action=WireFault.STATUS, status=503, probability_ppm=20_000),
    Rule(surface="rest", name="GET *", action=WireFault.MALFORMED, probability_ppm=10_000),
    Rule(surface="rest", name="GET *", action=WireFault.RESET, when="after", probability_ppm=10_000),
    Rule(surface="rest", name="GET */openOrders", action=WireFault.UNKNOWN_ENUM, probability_ppm=10_000),
    Rule(surface="stream", name="userDataStream", action=WireFault.DROP_FRAME, probability_ppm=5_000),
    Rule(surface="stream", name="*", action=WireFault.DUPLICATE, probability_ppm=30_000),
    Rule(surface="stream", name="*", action=WireFault.REORDER, probability_ppm=30_000),
    Rule(surface="stream", name="userDataStream", action=WireFault.CORRUPT, probability_ppm=3_000),
    Rule(surface="stream", name="userDataStream", action=WireFault.CLOSE, probability_ppm=3_000),
)
"""Everything at once, each rarely enough that work gets done."""


def chaos(seed: int, changes: tuple[str, ...]) -> Plan:
    """The same with faults of the calls that change something."""
    rules = tuple(
        Rule(surface="rest", name=name, action=action, when=when, status=502, probability_ppm=ppm)  # type: ignore[arg-type]
        for name in changes
        for action, when, ppm in CHANGE_FAULTS
    )
    return Plan(seed=seed, rules=rules + CHAOS)


class BinanceBench(GatewayBench):
    """With an HMAC key, as most accounts have."""

    symbol = "BTC/USDT"
    middle_ticks = 6_000_000
    usual_lots = 100
    request_surface = "rest"
    request_names: ClassVar = {
        Act.PLACE: "POST /api/v3/order",
        Act.CANCEL: "DELETE /api/v3/order",
        Act.AMEND: "POST /api/v3/order/cancelReplace",
    }
    private_channel = "userDataStream"

    def key(self) -> BinanceKey:
        """A fresh key of the account."""
        key = new_key(self.account)
        self.exchange.keys.add(key)
        return BinanceKey(key.key, key.secret.decode())

    async def connect(self) -> None:
        self.gateway = BinanceGateway(
            self.exchange, options=StreamOptions(interval_scale=0.02, messages_per_s=1_000)
        )
        await self.gateway.start()
        self.stack = AsyncExitStack()
        self.connector = self.venue = await self.stack.enter_async_context(
            open_binance(self.key(), KeyFolder(self.data), account=self.account, options=self.options())
        )
        assert await self.connector.open(), self.connector.rotation.current.link.transitions

    def options(self) -> BinanceOptions:
        return BinanceOptions(
            endpoints=msgspec.structs.replace(
                SPOT, rest_url=self.gateway.url, websocket_url=self.gateway.socket_url
            ),
            private_url=f"{self.gateway.socket_url}/ws-api/v3",
            symbols=(self.symbol,),
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000),
            **({} if OWN_SPANS else SHORT),
        )

    async def disconnect(self) -> None:
        await self.stack.aclose()
        await self.gateway.close()

    async def true_orders(self) -> list[TrueOrder]:
        """A change of price is a new order in place of a cancelled one: both have our id, and are one order.
        Anything else with the same id twice stays two, and fails the suite.
        """
        found: dict[str, list[TrueOrder]] = {}
        for one in await super().true_orders():
            legs = found.setdefault(one.client_id, [])
            if legs and legs[-1].phase is OrderPhase.CANCELLED:
                before = legs.pop().filled_lots
                one = TrueOrder(  # noqa: PLW2901
                    one.client_id,
                    OrderPhase.PARTIALLY_FILLED if before and one.phase is OrderPhase.WORKING else one.phase,
                    one.price_ticks,
                    one.lots + before,
                    one.filled_lots + before,
                )
            legs.append(one)
        return [one for legs in found.values() for one in legs]

    misbehaves = True

    def wire_report(self) -> dict[str, object]:
        return wire_report(self.exchange.faults, self.connector.rest.lane)

    def fault_log(self) -> list[str]:
        return fault_log(self.exchange.faults)

    async def misbehave(self, seed: int) -> None:
        self.exchange.faults.replace(chaos(seed, CHANGES))


class BinanceEdwardsBench(BinanceBench):
    """With an Ed25519 key: the WebSocket session is logged on."""

    def key(self) -> BinanceKey:
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        self.exchange.keys.add(
            ApiKey(key="ed" * 32, account=self.account, secret=public, algorithm="ed25519")
        )
        return BinanceKey("ed" * 32, private)
