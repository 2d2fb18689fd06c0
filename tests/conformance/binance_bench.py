"""The Binance connector under the suite: over sockets, against the Binance gateway on a real exchange."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tradewind.gateways.binance.authentication import client_secret
from tradewind.gateways.binance.gateway import BinanceGateway
from tradewind.gateways.binance.streams import StreamOptions
from tradewind.gateways.keys import ApiKey, new_key
from tradewind.venues.binance.connector import BinanceOptions, BinanceVenue
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import SPOT
from tradewind.venues.binance.rest import BinanceRest
from tradewind.venues.limits import BinanceLimits, Gate
from tradewind.venues.protocol import OrderPhase
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.clock import ClockGuard
from tradewind.venues.transport.lease import KeyLock
from tradewind.venues.transport.private_http import PrivateHttp
from tradewind.venues.transport.private_link import PrivateLimits
from tradewind.venues.transport.signer import SignerLane

from .bench import Act, TrueOrder
from .gateway_bench import GatewayBench

WINDOW_MS = 1_000
"""Shorter than the venue's 3 s of live trading, so that absence is proven sooner."""


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
        return BinanceKey(key.key, client_secret(key))

    async def connect(self) -> None:
        self.gateway = BinanceGateway(
            self.exchange, options=StreamOptions(interval_scale=0.02, messages_per_s=1_000)
        )
        await self.gateway.start()
        clock = ClockGuard()
        limits = BinanceLimits()
        gate = Gate(limits, clock.venue_ns)
        self.lane = SignerLane(
            PrivateHttp(self.gateway.url, max_connections=4),
            lock=KeyLock(self.data / "keys", "test"),
            stamp_ms=lambda: clock.venue_ns() // 1_000_000,
            gate=gate,
        )
        self.public = PrivateHttp(self.gateway.url)
        rest = BinanceRest(
            self.lane, self.public, key=self.key(), clock=clock, limits=limits, gate=gate, window_ms=WINDOW_MS
        )
        self.connector = self.venue = BinanceVenue(rest, self.account, self.options())
        assert await self.connector.open(), self.connector.rotation.current.link.transitions

    def options(self) -> BinanceOptions:
        return BinanceOptions(
            endpoints=msgspec.structs.replace(
                SPOT, rest_url=self.gateway.url, websocket_url=self.gateway.socket_url
            ),
            private_url=f"{self.gateway.socket_url}/ws-api/v3",
            symbols=(self.symbol,),
            answer_timeout_s=1.0,
            absence_margin_s=0.2,
            clock_skew_s=0.1,
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000),
        )

    async def disconnect(self) -> None:
        await self.connector.close()
        self.connector.rest.gate.close()
        await self.lane.close()
        await self.public.close()
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


class BinanceEdwardsBench(BinanceBench):
    """With an Ed25519 key: the WebSocket session is logged on."""

    def key(self) -> BinanceKey:
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        self.exchange.keys.add(
            ApiKey(key="ed" * 32, account=self.account, secret=public, algorithm="ed25519")
        )
        return BinanceKey("ed" * 32, private)
