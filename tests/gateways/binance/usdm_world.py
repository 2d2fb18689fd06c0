"""A USD-M gateway on a small exchange of perpetual markets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from binance_world import QUICK, World
from gateway_world import opened

from tradewind.gateways.binance.usdm_gateway import UsdmGateway
from tradewind.gateways.exchange_setup import DEFAULT_PERPETUALS

FUNDS = {"USDT": Decimal(100_000)}


@asynccontextmanager
async def usdm_world(data: Path, **changes: Any) -> AsyncIterator[World]:
    options = changes.pop("gateway", {"options": QUICK})
    async with (
        opened(
            data,
            accounts={"demo": FUNDS, "other": FUNDS, "third": FUNDS},
            markets=changes.pop("markets", ()),
            perpetuals=DEFAULT_PERPETUALS,
            **changes,
        ) as exchange,
        UsdmGateway(exchange, **options) as gateway,
        aiohttp.ClientSession() as session,
    ):
        yield World(exchange, gateway, session)
