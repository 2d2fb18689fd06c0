"""The connector through ccxt under the suite: over sockets, against the Kraken and the Binance gateway."""

from __future__ import annotations

import base64
from contextlib import AsyncExitStack
from typing import ClassVar, Self

import msgspec
import pytest

from tradewind.gateways.binance.gateway import BinanceGateway
from tradewind.gateways.binance.streams import StreamOptions
from tradewind.gateways.binance.windows import DEFAULT_LIMITS
from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.gateways.keys import new_key
from tradewind.gateways.kraken.desk import KrakenOptions as GatewayOptions
from tradewind.gateways.kraken.gateway import KrakenGateway, build
from tradewind.venues.ccxt_adapter.assemble import open_ccxt
from tradewind.venues.ccxt_adapter.connector import CcxtVenue
from tradewind.venues.ccxt_adapter.library import CcxtCredentials
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.transport.keys import KeyFolder

from .bench import Act
from .binance_bench import CHANGE_FAULTS
from .binance_bench import CHAOS as BINANCE_CHAOS
from .gateway_bench import GatewayBench

WIDE_LIMITS = tuple(msgspec.structs.replace(one, limit=1_000_000) for one in DEFAULT_LIMITS)
"""The suite reads the account many times a second; a trader who does so is banned, and rightly."""


class CcxtBench(GatewayBench):
    """One account through ccxt, unmodified, with short waits."""

    venue: CcxtVenue
    request_surface = "rest"
    gateway: KrakenGateway | BinanceGateway
    credentials: CcxtCredentials
    exchange_id: str

    @classmethod
    async def open(cls) -> Self:
        pytest.importorskip("ccxt", reason="the extra `ccxt` is not installed")
        return await super().open()

    async def attach(self, credentials: CcxtCredentials, options: CcxtOptions) -> None:
        self.stack = AsyncExitStack()
        self.venue = await self.stack.enter_async_context(
            open_ccxt(credentials, KeyFolder(self.data), account=self.account, options=options)
        )
        assert await self.venue.open(), self.venue.rounds.problem

    def options(self, exchange: str) -> CcxtOptions:
        return CcxtOptions(
            exchange=exchange,
            rest_url=self.gateway.url,
            socket_url=self.gateway.socket_url,
            symbols=(self.symbol,),
            answer_timeout_s=1.0,
            call_timeout_s=5.0,
            horizon_s=2.0,
            absence_margin_s=0.2,
            clock_skew_s=0.1,
            poll_every_s=0.5,
            round_gap_s=0.02,
            market_every_s=0.1,
            units_per_s=2_000.0,
            retry_after_missing_s=1,
        )

    misbehaves = True
    chaos: tuple[Rule, ...]

    async def misbehave(self, seed: int) -> None:
        self.exchange.faults.replace(Plan(seed=seed, rules=self.chaos))

    async def disconnect(self) -> None:
        await self.stack.aclose()
        await self.gateway.close()


KRAKEN_CHANGES = ("AddOrder", "CancelOrder")
KRAKEN_CHAOS = (
    *(
        Rule(surface="rest", name=f"*/{name}", action=action, when=when, status=502, probability_ppm=ppm)  # type: ignore[arg-type]
        for name in KRAKEN_CHANGES
        for action, when, ppm in CHANGE_FAULTS
    ),
    Rule(surface="rest", name="*/private/*", action=WireFault.STATUS, status=503, probability_ppm=20_000),
    Rule(surface="rest", name="*/private/*", action=WireFault.RESET, when="after", probability_ppm=10_000),
    Rule(surface="rest", name="*/private/*", action=WireFault.MALFORMED, probability_ppm=10_000),
    Rule(surface="rest", name="*/private/*", action=WireFault.DELAY, delay_ms=150, probability_ppm=30_000),
    Rule(surface="rest", name="*Orders", action=WireFault.UNKNOWN_ENUM, probability_ppm=10_000),
    Rule(surface="stream", name="executions", action=WireFault.DROP_FRAME, probability_ppm=50_000),
    Rule(surface="stream", name="*", action=WireFault.CORRUPT, probability_ppm=3_000),
    Rule(surface="stream", name="balances", action=WireFault.CLOSE, probability_ppm=3_000),
)
"""Over REST, as ccxt trades; of the streams only hints are taken, and hints may be lost."""


class CcxtKrakenBench(CcxtBench):
    exchange_id = "kraken"
    chaos = KRAKEN_CHAOS
    symbol = "BTC/USD"
    middle_ticks = 600_000
    usual_lots = 100
    request_names: ClassVar = {
        Act.PLACE: "POST /0/private/AddOrder",
        Act.CANCEL: "POST /0/private/CancelOrder",
        Act.AMEND: "POST /0/private/AmendOrder",
    }
    private_channel = "executions"

    async def connect(self) -> None:
        self.gateway = build(self.exchange, GatewayOptions(limits_public=False, limits_private=False))
        await self.gateway.start()
        key = self.exchange.keys.of_account(self.account)[0]
        secret = base64.b64encode(key.secret).decode()
        self.credentials = CcxtCredentials(api_key=key.key, secret=secret)
        await self.attach(self.credentials, self.options(self.exchange_id))


class CcxtBinanceBench(CcxtBench):
    exchange_id = "binance"
    chaos = BINANCE_CHAOS
    symbol = "BTC/USDT"
    middle_ticks = 6_000_000
    usual_lots = 100
    request_names: ClassVar = {
        Act.PLACE: "POST /api/v3/order",
        Act.CANCEL: "DELETE /api/v3/order",
        Act.AMEND: "POST /api/v3/order/cancelReplace",
    }
    private_channel = "userDataStream"

    async def connect(self) -> None:
        self.gateway = BinanceGateway(
            self.exchange,
            limits=WIDE_LIMITS,
            options=StreamOptions(interval_scale=0.02, messages_per_s=1_000),
        )
        await self.gateway.start()
        key = new_key(self.account)
        self.exchange.keys.add(key)
        self.credentials = CcxtCredentials(api_key=key.key, secret=key.secret.decode())
        await self.attach(self.credentials, self.options(self.exchange_id))
