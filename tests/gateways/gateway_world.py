"""A small exchange for the tests of gateways: two clients, a still book, short words to trade with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.model import Order, PlaceRequest, Refusal, Refused
from tradewind.node.limits import NodeLimits
from tradewind.venues.market_data import Side

SYMBOL = "BTC/USD"
PRICE = 600_000
"""Ticks of 0.1: 60,000."""
FUNDS = {"USD": Decimal(100_000), "BTC": Decimal(10)}
LIMITS = NodeLimits(space_reserved_bytes=0)


def configuration(**changes: Any) -> ExchangeConfiguration:
    """Two accounts with the same funds, all default markets."""
    fields: dict[str, Any] = {"accounts": {"demo": FUNDS, "other": FUNDS}, "limits": LIMITS, **changes}
    return ExchangeConfiguration(**fields)


@asynccontextmanager
async def opened(data: Path, **changes: Any) -> AsyncIterator[Exchange]:
    """An exchange that is closed at the end."""
    exchange = await Exchange.open(data, configuration(**changes))
    try:
        yield exchange
    finally:
        await exchange.close()


def request(side: Side, price_ticks: int = 0, lots: int = 100, **fields: Any) -> PlaceRequest:
    """An order for `SYMBOL`."""
    return PlaceRequest(symbol=SYMBOL, side=side, price_ticks=price_ticks, lots=lots, **fields)


async def placed(exchange: Exchange, account: str, wish: PlaceRequest) -> Order:
    """The order; fails when it is refused."""
    answer = await exchange.place(account, wish)
    assert isinstance(answer, Order), answer
    return answer


async def refusal(exchange: Exchange, account: str, wish: PlaceRequest) -> Refusal:
    """Why it is refused; fails when it is not."""
    answer = await exchange.place(account, wish)
    assert isinstance(answer, Refused), answer
    return answer.refusal
