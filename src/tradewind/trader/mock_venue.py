"""A mock venue on our own engine, for test traffic while the real one is in maintenance (T10.3).

It has an exchange, an account, funds and executions of its own. What it gives back are an exchange's records,
never events of a venue: nothing of it can be handed to a desk's books.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import structlog

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.liquidity import Liquidity, LiquidityConfiguration
from tradewind.gateways.model import Fill, Order, PlaceRequest, Refused
from tradewind.node.limits import NodeLimits

from .oms import OrderRequest

log = structlog.get_logger("tradewind.trader.mock_venue")
ACCOUNT: Final = "mock"
FUNDS: Final = {"USD": Decimal(1_000_000), "USDT": Decimal(1_000_000), "BTC": Decimal(10)}
MAX_ORDERS: Final = 10_000
"""Test orders of one window; more are refused."""


class MockFull(Exception):
    """More test orders than one window takes."""

    code = "MockFull"


class MockVenue:
    """`async with MockVenue(data)`: opened in a folder of its own, which is gone afterwards."""

    def __init__(self, data: Path, funds: Mapping[str, Decimal] = FUNDS) -> None:
        self._data, self._funds = data, dict(funds)
        self._folder: Path | None = None
        self._exchange: Exchange | None = None
        self._house: Liquidity | None = None
        self.orders = 0
        """Test orders that it took."""

    async def __aenter__(self) -> MockVenue:
        self._data.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="mock-venue-", dir=self._data))
        self._exchange = await Exchange.open(
            self._folder,
            ExchangeConfiguration(accounts={ACCOUNT: self._funds}, limits=NodeLimits(space_reserved_bytes=0)),
        )
        self._house = Liquidity(self._exchange, LiquidityConfiguration())
        await self._house.start()
        log.warning("mock_venue_open", folder=str(self._folder))
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._house is not None:
            await self._house.close()
        if self._exchange is not None:
            await self._exchange.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._exchange = self._house = self._folder = None
        log.warning("mock_venue_closed", orders=self.orders)

    @property
    def open(self) -> bool:
        """Whether it takes test traffic."""
        return self._exchange is not None

    async def place(self, request: OrderRequest) -> Order | Refused:
        """One test order on the mock's own account.

        Raises:
            RuntimeError: it is closed. MockFull: the window has had its test orders.
        """
        if self._exchange is None:
            raise RuntimeError("the mock venue is closed")
        if self.orders >= MAX_ORDERS:
            raise MockFull(f"at most {MAX_ORDERS} test orders in a window")
        self.orders += 1
        return await self._exchange.place(
            ACCOUNT,
            PlaceRequest(
                symbol=request.symbol,
                side=request.side,
                price_ticks=request.price_ticks,
                lots=request.lots,
                time_in_force=request.time_in_force,
                post_only=request.post_only,
            ),
        )

    def fills(self) -> list[Fill]:
        """Executions of test orders. Raises `RuntimeError` when it is closed."""
        if self._exchange is None:
            raise RuntimeError("the mock venue is closed")
        return self._exchange.fills(ACCOUNT, limit=MAX_ORDERS)
