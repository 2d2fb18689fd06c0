"""`BinanceVenue`: Binance spot behind the `Venue` protocol.

Orders and questions travel over signed REST, private events over the WebSocket API, market data over streams
of their own.
"""

from __future__ import annotations

import time
from decimal import Decimal

from tradewind.venues.binance.amending import Replacing
from tradewind.venues.binance.common import BinanceConnector, BinanceOptions
from tradewind.venues.binance.encode import TIMES_IN_FORCE
from tradewind.venues.binance.private_messages import AccountBody, CommissionBody
from tradewind.venues.binance.rest import Failed
from tradewind.venues.binance.rows import balance_rows
from tradewind.venues.binance.user_stream import UserStream
from tradewind.venues.market_data import Instrument
from tradewind.venues.protocol import (
    Balance,
    CancelAfterResult,
    FeeSchedule,
    Incomplete,
    OrderType,
    Unsupported,
    VenueCaps,
)

__all__ = ["BinanceOptions", "BinanceVenue"]


class BinanceVenue(Replacing, BinanceConnector):
    """One account at Binance spot; see `BinanceConnector`."""

    venue_name = "binance"

    def _stream(self) -> UserStream:
        return UserStream(
            self.options.private_url,
            self.rest,
            self.mirror,
            reconcile=self._reconcile,
            on_transition=self._on_transition,
            on_shutdown=self._on_shutdown,
            name=f"{self.name} private",
            limits=self.options.link,
            socket_limits=self.options.socket,
            policy=self.options.reconnect,
        )

    def capabilities(self) -> VenueCaps:
        """What this connector does at Binance spot."""
        return VenueCaps(
            name=self.name,
            order_types=frozenset({OrderType.LIMIT, OrderType.MARKET}),
            times_in_force=frozenset(TIMES_IN_FORCE),
            post_only=True,
            amend=True,
            client_ids=True,
            cancel_after_range_s=None,
            reduce_only=False,
            native_iceberg=False,
            max_batch_orders=1,
            private_fill_stream=True,
            sandbox=True,
        )

    async def _read_fees(self, instrument: Instrument) -> FeeSchedule | Failed:
        answer = await self.rest.read(
            "account/commission", CommissionBody, [("symbol", instrument.venue_symbol)],
            weight=self.history.weight("commission"),
        )  # fmt: skip
        if isinstance(answer, Failed):
            return answer
        parts = [answer.standardCommission, answer.taxCommission, answer.specialCommission]
        rates = [one for one in parts if one is not None]
        return FeeSchedule(
            name=f"{self.name} {instrument.symbol}",
            maker_bps=_bps([one.maker + max(one.buyer, one.seller) for one in rates]),
            taker_bps=_bps([one.taker + max(one.buyer, one.seller) for one in rates]),
            source="account/commission",
            checked_on=time.strftime("%Y-%m-%d", time.gmtime()),
        )

    async def balances(self) -> list[Balance] | Incomplete:
        """Balances with what orders hold; assets in savings are not in it."""
        asked_ns = self.rest.clock.venue_ns()
        answer = await self.rest.read("account", AccountBody, weight=self.history.weight("account"))
        if isinstance(answer, Failed):
            return Incomplete(answer.reason, 0)
        rows, problems = balance_rows(answer, self.mirror.directory, asked_ns)
        if problems:
            return Incomplete("; ".join(problems)[:200], len(rows))
        return rows

    async def cancel_after(self, seconds: int, epoch: int) -> CancelAfterResult:
        """Binance spot has no such timer: the watchdog and orders at the venue stand in for it (T8.1)."""
        del seconds
        return self._stale(epoch) or Unsupported("a timer that cancels everything")


def _bps(rates: list[Decimal]) -> Decimal:
    return sum(rates, Decimal(0)) * 10_000
