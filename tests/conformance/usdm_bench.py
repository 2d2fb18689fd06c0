"""The USD-M connector under the suite: over sockets, against the USD-M gateway on a real exchange."""

from __future__ import annotations

from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from tradewind.gateways.binance.streams import StreamOptions
from tradewind.gateways.binance.usdm_gateway import LIMITS, UsdmGateway
from tradewind.gateways.binance.windows import Limit
from tradewind.gateways.exchange_setup import DEFAULT_PERPETUALS
from tradewind.gateways.keys import new_key
from tradewind.venues.binance.encode import BinanceKey
from tradewind.venues.binance.live import USDM
from tradewind.venues.binance_usdm.assemble import open_binance_usdm
from tradewind.venues.binance_usdm.connector import UsdmOptions
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.private_link import PrivateLimits

from .bench import Act
from .binance_bench import WINDOW_MS, chaos
from .gateway_bench import DEEP, FUNDS, GatewayBench


class UsdmBench(GatewayBench):
    """With a leverage of one, so that an order needs all of its value as margin, as the suite expects."""

    symbol = "BTC/USDT-PERP"
    exchange_symbol = "BTC/USDT:USDT"
    middle_ticks = 600_000
    usual_lots = 10
    request_surface = "rest"
    request_names: ClassVar = {
        Act.PLACE: "POST /fapi/v1/order",
        Act.CANCEL: "DELETE /fapi/v1/order",
        Act.AMEND: "PUT /fapi/v1/order",
    }
    private_channel = "userDataStream"

    @classmethod
    def configuration(cls) -> dict[str, Any]:
        return {
            "accounts": {cls.account: {"USDT": FUNDS}, "maker": {"USDT": DEEP}, "taker": {"USDT": DEEP}},
            "markets": (),
            "perpetuals": DEFAULT_PERPETUALS,
        }

    def key(self) -> BinanceKey:
        """A fresh key of the account."""
        key = new_key(self.account)
        self.exchange.keys.add(key)
        return BinanceKey(key.key, key.secret.decode())

    async def connect(self) -> None:
        await self.exchange.set_leverage(self.account, self.exchange_symbol, Decimal(1))
        self.gateway = UsdmGateway(
            self.exchange,
            limits=self.limits(),
            options=StreamOptions(interval_scale=0.02, messages_per_s=1_000),
        )
        await self.gateway.start()
        self.stack = AsyncExitStack()
        self.connector = self.venue = await self.stack.enter_async_context(
            open_binance_usdm(self.key(), KeyFolder(self.data), account=self.account, options=self.options())
        )
        assert await self.connector.open(), self.connector.rotation.current.link.transitions

    def limits(self) -> tuple[Limit, ...]:
        """More weight than the venue gives: the suite lists everything far oftener than anybody trades."""
        return tuple(
            msgspec.structs.replace(one, limit=3 * one.limit) if one.kind == "REQUEST_WEIGHT" else one
            for one in LIMITS
        )

    def options(self) -> UsdmOptions:
        return UsdmOptions(
            endpoints=msgspec.structs.replace(
                USDM, rest_url=self.gateway.url, websocket_url=self.gateway.socket_url
            ),
            private_url=f"{self.gateway.socket_url}/private/ws",
            symbols=(self.symbol,),
            window_ms=WINDOW_MS,
            answer_timeout_s=1.0,
            absence_margin_s=0.2,
            clock_skew_s=0.1,
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000),
        )

    async def disconnect(self) -> None:
        await self.stack.aclose()
        await self.gateway.close()

    async def true_totals(self) -> dict[str, Decimal]:
        """The wallet: what is not realised is not there yet."""
        summary = self.exchange.margin(self.account)
        return {summary.asset: summary.wallet}

    misbehaves = True

    async def misbehave(self, seed: int) -> None:
        # what fills stays as a position: with less margin for each, the run lasts longer
        await self.exchange.set_leverage(self.account, self.exchange_symbol, Decimal(10))
        self.exchange.faults.replace(
            chaos(
                seed,
                (
                    "POST /fapi/v1/order", "DELETE /fapi/v1/order", "PUT /fapi/v1/order",
                    "DELETE /fapi/v1/allOpenOrders",
                ),
            )
        )  # fmt: skip
