"""Who only listens knows what who asks is told, in a market that moves and with orders of every kind."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path

import pytest
from gateway_world import PRICE, SYMBOL, opened, request
from test_exchange_properties import ACCOUNTS, Watcher

from tradewind.gateways import exchange_streams
from tradewind.gateways.exchange import Exchange
from tradewind.gateways.liquidity import Liquidity, LiquidityConfiguration
from tradewind.gateways.model import BookChange, Kind, Order, PlaceRequest
from tradewind.node.errors import QueueFull
from tradewind.venues.market_data import Side

FUNDS = {"USD": Decimal(1_000_000), "BTC": Decimal(20)}
ORDERS = 250


def wish(exchange: Exchange, draw: random.Random) -> PlaceRequest:
    book, side = exchange.book(SYMBOL, 1), Side(draw.randrange(2))
    best = (book.bids if side is Side.BUY else book.asks)[0][0]
    away = 300 if side is Side.BUY else -300
    lots = draw.randrange(10, 3_000)
    near = best + draw.randrange(-20, 20)
    kinds = [
        request(side, near, lots),
        request(side, near, lots, post_only=True),
        request(side, kind=Kind.MARKET, lots=lots),
        request(side, kind=Kind.STOP, trigger_ticks=near + away, lots=lots),
        request(side, near - away, kind=Kind.TAKE_PROFIT_LIMIT, trigger_ticks=near - away, lots=lots),
        request(side, near - away, lots, display_lots=max(lots // 10, 1)),
    ]
    return draw.choice(kinds)


async def test_streams_equal_reads_while_the_market_moves(tmp_path: Path) -> None:
    draw = random.Random(11)
    async with opened(tmp_path, accounts=dict.fromkeys(ACCOUNTS, FUNDS)) as exchange:
        house = Liquidity(exchange, LiquidityConfiguration(seed=5, symbols=(SYMBOL,), step_ms=(5, 15)))
        await house.start()
        watcher = Watcher(exchange)
        for number in range(ORDERS):
            answer = await exchange.place(draw.choice(ACCOUNTS), wish(exchange, draw))
            if isinstance(answer, Order) and number % 7 == 0:
                await exchange.cancel(answer.account, answer.order_id)
            if number % 60 == 59:
                await exchange.cancel_all(draw.choice(ACCOUNTS))
            if number % 10 == 0:
                watcher.check(exchange)
        await house.close()
        watcher.check(exchange)
        assert sum(len(fills) for fills in watcher.fills.values()) > ORDERS // 10
        exchange.views.ledger.check()


async def test_a_listener_that_fails_is_closed_and_disturbs_nobody(exchange: Exchange) -> None:
    heard: list[BookChange] = []

    def fails(_: BookChange) -> None:
        raise ValueError("a defect")

    bad = exchange.listen_market(SYMBOL, fails, None)
    exchange.listen_market(SYMBOL, heard.append, None)
    for lots in (100, 200):
        await exchange.place("demo", request(Side.BUY, PRICE, lots))
    assert not bad.active and bad.failure == "ValueError: a defect"
    assert len(heard) == 2 and not exchange.node.detached


async def test_a_closed_listener_hears_nothing_and_its_place_is_free(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_streams, "MAX_LISTENERS", 1)
    heard: list[BookChange] = []
    first = exchange.listen_market(SYMBOL, heard.append, None)
    with pytest.raises(QueueFull):
        exchange.listen_account("demo", lambda _: None)
    first.close()
    first.close()
    exchange.listen_account("demo", lambda _: None)
    await exchange.place("demo", request(Side.BUY, PRICE))
    assert heard == []
