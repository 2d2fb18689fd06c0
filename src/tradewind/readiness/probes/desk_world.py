"""What the drills of outside venues run on: an exchange behind a venue's gateway, and a desk at it.

Everything is the shipped code over sockets of this machine; only waiting times are shorter than in service.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import Role
from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probes.desk_venues import (
    ACCOUNT,
    OUTSIDE,
    SITES,
    KrakenSite,
    Place,
    Site,
    VenueOrder,
)
from tradewind.trader.ledger import Ledger
from tradewind.trader.oms import Identity, Oms, OrderRequest
from tradewind.trader.venue_desk import VenueDesk
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import NodePort
from tradewind.venues.transport.backoff import BackoffPolicy

__all__ = ["ACCOUNT", "LOTS", "PRICE_TICKS", "DeskWorld", "LocalVenue", "Place", "VenueOrder", "wish"]

PRICE_TICKS: Final = KrakenSite.price_ticks
LOTS: Final = KrakenSite.lots
HORIZON_NS: Final = 1_500_000_000
MAX_AGE_NS: Final = 600 * 10**9
YEAR_NS: Final = 360 * 86_400 * 10**9
SYSTEM: Final = hashlib.blake2b(b"drill/system", digest_size=32).digest()
RECONNECT: Final = BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000)


class LocalVenue:
    """The other side: an exchange behind a gateway, with a taker beside our account."""

    def __init__(self, exchange: Exchange, site: Site) -> None:
        self.exchange, self.site = exchange, site
        self.port = 0

    @classmethod
    async def open(cls, data: Path, venue: str = "kraken", *, hurried: bool = False) -> LocalVenue:
        """A new exchange in this folder, served as this venue; `hurried`: see `Place`. Raises
        CannotMeasureError when it cannot be served.
        """
        kind = SITES[venue]
        exchange = await Exchange.open(
            data,
            ExchangeConfiguration(
                accounts={ACCOUNT: kind.funds, OUTSIDE: kind.deep},
                limits=NodeLimits(space_reserved_bytes=0),
            ),
        )
        try:
            local = cls(exchange, kind(exchange, hurried=hurried))
            local.port = await local.site.begin()
        except BaseException:
            await exchange.close()
            raise
        return local

    @property
    def gateway(self) -> Any:
        """The gateway in front."""
        return self.site.gateway

    async def close(self) -> None:
        """End both."""
        await self.gateway.close()
        await self.exchange.close()

    async def down(self) -> None:
        """Nothing listens at the venue's port any more; the exchange goes on."""
        await self.gateway.close()

    async def up(self) -> None:
        """The venue is back at the same address."""
        self.site.gateway = self.site.make()
        await self.gateway.start(self.port)

    def place(self, data: Path) -> Place:
        """For a desk whose files are in this folder."""
        return self.site.place(data)

    async def take(self, lots: int, price_ticks: int | None = None, side: Side = Side.SELL) -> None:
        """Somebody else trades at once against what rests. Raises CannotMeasureError when refused."""
        price = self.site.price_ticks if price_ticks is None else price_ticks
        await self.site.trade(OUTSIDE, side, price, lots, immediate=True)

    async def rest(self, account: str, side: Side, price_ticks: int, lots: int) -> int:
        """An order of somebody that stays; its number. Raises CannotMeasureError when refused."""
        return await self.site.trade(account, side, price_ticks, lots, immediate=False)

    def working(self) -> list[VenueOrder]:
        """Orders of our account that rest."""
        return self.site.orders(working=True)

    def orders(self) -> list[VenueOrder]:
        """Every order of our account, however it ended."""
        return [*self.working(), *self.site.orders(working=False)]

    def totals(self) -> dict[str, str]:
        """What our account has at the venue, without zeros."""
        return plain(self.site.totals())


def plain(amounts: dict[str, Decimal]) -> dict[str, str]:
    """Amounts as text of one form, without zeros."""
    return {asset: f"{amount.normalize():f}" for asset, amount in sorted(amounts.items()) if amount}


class DeskWorld:
    """A desk with its connector and a journal of its own; `async with`, as often as a process would start."""

    desk: VenueDesk
    venue: Any

    def __init__(
        self,
        place: Place,
        *,
        kind: type[VenueDesk] = VenueDesk,
        port: Callable[[NodePort], Any] = lambda port: port,
        reconnect: BackoffPolicy = RECONNECT,
        poll_s: float = 60.0,
    ) -> None:
        self.data, self.where = Path(place.data), place
        self.kind, self.port, self.reconnect, self.poll_s = kind, port, reconnect, poll_s
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> DeskWorld:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def _open(self) -> None:
        now_ns = time.time_ns()
        node = await self._stack.enter_async_context(
            await NodeService.start(
                self.data,
                genesis=GenesisConfig(now_ns, [Grant(SYSTEM, int(Role.SYSTEM), now_ns + YEAR_NS)]),
                limits=NodeLimits(space_reserved_bytes=0),
                segment_bytes=8 << 20,
                reserve_bytes=1 << 20,
            )
        )
        connecting = SITES[self.where.venue].connect(self.where, self.reconnect)
        self.venue = await self._stack.enter_async_context(connecting)
        if not await self.venue.open():
            raise CannotMeasureError(f"not connected to {self.where.venue}")
        listed = await self.venue.instruments()
        if not isinstance(listed, list):
            raise CannotMeasureError(f"no instruments: {listed.reason}")
        identity = Identity(
            environment="sim",
            account=ACCOUNT,
            venue=self.where.venue,
            epoch=1,
            limits_hash="-",
            config_hash="-",
        )
        port = NodePort(node)
        self.desk = self.kind(
            self.venue,
            self.port(port),
            Oms(identity, {one.symbol: one for one in listed}, Ledger()),
            horizon_ns=HORIZON_NS,
            max_intent_age_ns=MAX_AGE_NS,
            poll_s=self.poll_s,
        )
        self.desk.recover(port.history())
        self._stack.push_async_callback(self.desk.stop)
        await self.desk.start()

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def totals(self) -> dict[str, str]:
        """What the desk's ledger has, without zeros."""
        ledger = self.desk.ledger
        return plain({asset: ledger.total(asset) for asset in ledger.assets()})


def wish(
    price_ticks: int | None = None,
    *,
    side: Side = Side.BUY,
    resend: bool = False,
    lots: int | None = None,
    site: type[Site] = KrakenSite,
) -> OrderRequest:
    """One limit order; `resend`: its intent may be sent again when it is proven absent."""
    return OrderRequest(
        strategy="manual",
        path="drill",
        symbol=site.symbol,
        side=side,
        price_ticks=site.price_ticks if price_ticks is None else price_ticks,
        lots=site.lots if lots is None else lots,
        reducing=resend,
        post_only=False,
        decision_ns=time.time_ns(),
    )
