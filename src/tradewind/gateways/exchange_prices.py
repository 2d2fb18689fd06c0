"""Prices of perpetual markets, published by the house, and the time that a feed needs to be trusted.

A new feed is trusted a minute after its first prices, and a new market opens a minute behind that. Nobody
wants to wait for that at a local venue: an exchange begins its log a few minutes in the past, and publishes
the minutes up to the present at once. After a stop the same fills what is missing, so that its markets are
open when it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from tradewind.core import commands as build
from tradewind.core.enums import MarketStatus
from tradewind.node.clock import SteadyClock
from tradewind.node.errors import NodeStopped, QueueFull
from tradewind.node.service import NodeService
from tradewind.security.publications import Publication

from .exchange_setup import ORACLES, Listed, ListedMarket, Parties, PerpetualMarket

if TYPE_CHECKING:
    from .exchange_records import GatewayViews

log = structlog.get_logger("tradewind.gateway")

SECOND_NS: Final = 1_000_000_000
WARM_UP_NS: Final = 240 * SECOND_NS
"""How far in the past a new log begins."""
TRUST_NS: Final = 90 * SECOND_NS
"""Up to so much of a stop is filled with prices."""
CATCH_UP_STEP_NS: Final = 2 * SECOND_NS
"""Between prices while a log catches up: the age at which a feed still counts as fresh."""
PUBLISH_S: Final = 1.0
MICRO: Final = 1_000_000


class LeapClock:
    """The real clock, or a moment in the past while a log catches up."""

    def __init__(self, real: Callable[[], int] | None = None) -> None:
        self._real = real or SteadyClock()
        self.leap_ns: int | None = None

    def __call__(self) -> int:
        return self._real() if self.leap_ns is None else self.leap_ns

    def real_ns(self) -> int:
        """The present, also while the log is in the past."""
        return self._real()


class Prices:
    """Three sources that say the same: the index that the house has set."""

    def __init__(self, node: NodeService, views: GatewayViews, listed: Listed, parties: Parties) -> None:
        self._node, self._views = node, views
        self._markets = {
            symbol: market
            for symbol, market in listed.markets.items()
            if isinstance(market.configuration, PerpetualMarket)
        }
        self._signers = [(parties.key(name), parties.signer(name)) for name in ORACLES]
        self._ticks = {symbol: self._start(market) for symbol, market in self._markets.items()}
        self._task: asyncio.Task[None] | None = None
        self._count = 0

    def _start(self, market: ListedMarket) -> int:
        known = self._views.leverage.markets.get(market.handle)
        if known is not None and known.index:
            return known.index
        return int(market.configuration.start_price / market.instrument.tick)

    def set_index(self, symbol: str, ticks: int) -> None:
        """What the sources say from the next second on. Raises `KeyError`; `ValueError` below one tick."""
        if ticks < 1:
            raise ValueError(f"a price has at least one tick, not {ticks}")
        if symbol not in self._markets:
            raise KeyError(symbol)
        self._ticks[symbol] = ticks

    def symbols(self) -> list[str]:
        """The perpetual markets."""
        return list(self._markets)

    async def publish(self) -> None:
        """One price of each source for each market, and what is due then.

        Raises:
            Rejected: the engine refused a publication. NodeStopped, QueueFull: as of a command.
        """
        now_ns = self._node.now_ns()
        records, signatures = [], []
        for symbol, market in self._markets.items():
            feed = self._views.feeds.find(market.instrument.base)
            if feed is None:
                continue
            said = self._said(feed.feed, symbol, market, now_ns)
            for key, signer in self._signers:
                fields = msgspec.structs.asdict(said)
                self._count += 1
                unique = self._count.to_bytes(8, "little") + now_ns.to_bytes(8, "little")
                records.append(build.build("PublishPrice", principal=key, client_key=unique, **fields))
                signatures.append(signer.attest(self._node.deployment, said))
        records.append(build.tick(principal=self._node.system_principal))
        for result in await self._node.submit(records, signatures):
            result.expect()

    def _said(self, feed: int, symbol: str, market: ListedMarket, now_ns: int) -> Publication:
        tick = int(market.instrument.tick * MICRO)
        value = self._ticks[symbol] * tick
        return Publication(
            feed=feed,
            value=value,
            confidence=tick,
            bid=value - tick if value > tick else 0,
            ask=value + tick if value > tick else 0,
            source_time_ns=now_ns,
            source_seq=now_ns,
        )

    async def catch_up(self, clock: LeapClock) -> None:
        """Publishes, second by second of the log's time, until the present has come."""
        begin_ns = max(self._node.now_ns(), clock.real_ns() - TRUST_NS)
        if not self.open():
            begin_ns = self._node.now_ns()
        clock.leap_ns = begin_ns
        while clock.leap_ns < clock.real_ns() - CATCH_UP_STEP_NS:
            await self.publish()
            clock.leap_ns += CATCH_UP_STEP_NS
        clock.leap_ns = None
        await self.publish()

    def open(self) -> bool:
        """Whether every perpetual market was opened once."""
        created = MarketStatus.CREATED
        markets = self._views.markets.by_handle
        return all(markets[one.handle].status is not created for one in self._markets.values())

    def start(self) -> None:
        """Publishes every second from now on."""
        self._task = asyncio.create_task(self._run(), name="gateway-prices")

    async def close(self) -> None:
        """Falls silent: the feeds become stale by themselves. May be called twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PUBLISH_S)
            try:
                await self.publish()
            except QueueFull:
                continue
            except NodeStopped:
                return
            except Exception as error:
                log.error("gateway_prices_failed", error=f"{type(error).__name__}: {error}")
                raise
