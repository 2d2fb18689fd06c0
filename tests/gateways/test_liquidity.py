"""The house keeps a book on both sides, trades in public, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway_world import SYMBOL, opened, placed, request

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.liquidity import Liquidity, LiquidityConfiguration
from tradewind.gateways.model import BookChange, PublicTrade
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase

QUICK = LiquidityConfiguration(seed=3, symbols=(SYMBOL,), step_ms=(5, 15))
DEADLINE_S = 60.0


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - many things change it
            await asyncio.sleep(0.005)


async def test_the_book_has_two_sides_at_once_moves_and_trades(exchange: Exchange) -> None:
    changes: list[BookChange] = []
    trades: list[PublicTrade] = []
    house = Liquidity(exchange, QUICK)
    await house.start()
    book = exchange.book(SYMBOL)
    assert len(book.bids) == len(book.asks) == QUICK.depth_levels
    exchange.listen_market(SYMBOL, changes.append, trades.append)
    await until(lambda: len(changes) > 50 and len(trades) > 10)
    await house.close()
    assert house.failure is None
    assert exchange.book(SYMBOL).bids == exchange.book(SYMBOL).asks == ()
    exchange.views.ledger.check()


async def test_a_passed_order_of_a_client_is_filled(exchange: Exchange) -> None:
    house = Liquidity(exchange, QUICK)
    await house.start()
    inside = exchange.book(SYMBOL).bids[0][0]
    order = await placed(exchange, "demo", request(Side.BUY, inside, 10, post_only=True))

    def filled() -> bool:
        found = exchange.order("demo", order_id=order.order_id)
        return found is not None and found.phase is OrderPhase.FILLED

    await until(filled)
    await house.close()


async def test_a_restart_goes_on_at_the_last_price(tmp_path: Path) -> None:
    async with opened(tmp_path) as exchange:
        house = Liquidity(exchange, QUICK)
        await house.start()
        await until(lambda: len(exchange.trades(SYMBOL)) > 10)
        last = exchange.trades(SYMBOL)[-1].price_ticks
        # As in a crash: the ladder stays in the book.
        house._task.cancel()  # type: ignore[union-attr]
    async with opened(tmp_path) as exchange:
        last = exchange.trades(SYMBOL)[-1].price_ticks
        house = Liquidity(exchange, QUICK)
        await house.start()
        book = exchange.book(SYMBOL)
        assert len(book.bids) == len(book.asks) == QUICK.depth_levels
        assert book.bids[0][0] <= last <= book.asks[0][0]
        await house.close()
