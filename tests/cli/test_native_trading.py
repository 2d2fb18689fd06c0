"""The native connector on a running `tradewind up`, with the token that trades and an account of its own."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tradewind.venues.market_data import BookSnapshot, Side
from tradewind.venues.native.assemble import open_native
from tradewind.venues.native.connector import NativeOptions
from tradewind.venues.native.messages import ApiToken
from tradewind.venues.protocol import (
    Acked,
    Armed,
    Disarmed,
    Found,
    NewOrder,
    OrderPhase,
    OrderRef,
    Rejected,
)
from tradewind.venues.transport.keys import KeyFolder

from .conftest import Running

SYMBOL = "BTC/USDT"


def test_a_client_trades_an_account_of_its_own_beside_the_platforms_trader(
    platform: Running, tmp_path: Path
) -> None:
    platform.json("account", "open", "erin")
    platform.json("collateral", "deposit", "5000", "USDT", "--account", "erin", "--external-id", "erin-USDT")
    port = json.loads((platform.data / "run.json").read_text())["port"]
    token = ApiToken((platform.data / "api.trade.token").read_text().strip())
    options = NativeOptions(url=f"http://127.0.0.1:{port}")

    async def trade() -> None:
        async with open_native(token, KeyFolder(tmp_path), account="erin", options=options) as venue:
            assert await venue.open(), venue.channel.link.transitions
            rules = venue.mirror.directory.by_symbol[SYMBOL].instrument
            async for event in venue.market([SYMBOL]):
                if isinstance(event, BookSnapshot):
                    price = event.bids[0][0] - int(100 / rules.tick)
                    break
            order = NewOrder(
                client_id="tw0000000000000001",
                symbol=SYMBOL,
                side=Side.BUY,
                price_ticks=price,
                lots=int(20 / (price * rules.tick * rules.lot)) + 1,
            )
            assert isinstance(await venue.cancel_after(60, 1), Armed)
            acked = await venue.submit(order, 1)
            assert isinstance(acked, Acked), acked
            reference = OrderRef(client_id=order.client_id, symbol=SYMBOL)
            found = await venue.query(reference)
            assert isinstance(found, Found)
            assert found.state.phase is OrderPhase.WORKING
            assert isinstance(await venue.cancel(reference, 1), Acked)
            assert isinstance(await venue.cancel_after(0, 1), Disarmed)
            assert await venue.open_orders(None) == []
        async with open_native(token, KeyFolder(tmp_path), account="trader", options=options) as own:
            assert await own.open()
            # The platform's trader passes its own risk: a client goes the same way, and is judged by it.
            huge = NewOrder(
                client_id="tw0000000000000002", symbol=SYMBOL, side=Side.BUY, price_ticks=price, lots=10_000
            )
            refused = await own.submit(huge, 1)
            assert isinstance(refused, Rejected), refused

    asyncio.run(trade())
