"""Perpetual markets of an exchange: positions, margin, mark, funding, liquidation, also behind a restart."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gateway_world import LIMITS

from tradewind.gateways.exchange import Exchange, ExchangeConfiguration
from tradewind.gateways.exchange_setup import DEFAULT_PERPETUALS
from tradewind.gateways.liquidity import Liquidity, LiquidityConfiguration
from tradewind.gateways.model import (
    Kind,
    Order,
    PlaceRequest,
    PositionMoved,
    Refusal,
    Refused,
    TriggerOn,
)
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase, VenueState

SYMBOL = "BTC/USDT:USDT"
PRICE = 600_000
BUY, SELL = Side.BUY, Side.SELL
FUNDS = {"USDT": Decimal(10_000)}
SECOND_NS = 10**9
HOUR_NS = 3_600 * SECOND_NS


class Clock:
    """The present as a test moves it."""

    def __init__(self) -> None:
        # Half an hour before the next funding.
        self.now_ns = time.time_ns() // HOUR_NS * HOUR_NS + HOUR_NS // 2

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


@asynccontextmanager
async def opened(data: Path, clock: Clock) -> AsyncIterator[Exchange]:
    configuration = ExchangeConfiguration(
        markets=(),
        perpetuals=DEFAULT_PERPETUALS[:1],
        accounts={"demo": FUNDS, "other": FUNDS, "rich": {"USDT": Decimal(1_000_000)}},
        publishes_prices=False,
        limits=LIMITS,
    )
    exchange = await Exchange.open(data, configuration, clock=clock)
    try:
        yield exchange
    finally:
        await exchange.close()


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def exchange(tmp_path: Path, clock: Clock) -> AsyncIterator[Exchange]:
    async with opened(tmp_path / "data", clock) as one:
        yield one


async def place(exchange: Exchange, account: str, side: Side, price: int, lots: int, **fields: Any) -> Order:
    wish = PlaceRequest(symbol=SYMBOL, side=side, price_ticks=price, lots=lots, **fields)
    answer = await exchange.place(account, wish)
    assert isinstance(answer, Order), answer
    return answer


async def prices(exchange: Exchange, clock: Clock, ticks: int, seconds: int, step_s: int = 1) -> None:
    """The index stands at `ticks` for so long."""
    house = exchange.house_prices
    assert house is not None
    house.set_index(SYMBOL, ticks)
    for _ in range(0, seconds, step_s):
        clock.now_ns += step_s * SECOND_NS
        await house.publish()


async def trade(exchange: Exchange, lots: int = 500) -> None:
    """demo is long, rich is short."""
    await place(exchange, "rich", SELL, PRICE, lots)
    await place(exchange, "demo", BUY, PRICE, lots)


async def test_a_market_is_open_from_the_start_and_behind_every_restart(tmp_path: Path) -> None:
    clock = Clock()
    for pause_s in (0, 5, 40, 3_000, 100_000):
        clock.now_ns += pause_s * SECOND_NS
        async with opened(tmp_path, clock) as exchange:
            assert exchange.markets[SYMBOL].state is VenueState.ONLINE and exchange.markets[SYMBOL].perpetual
            await place(exchange, "rich", SELL, PRICE, 10)


async def test_a_trade_makes_two_positions_that_sum_to_zero(exchange: Exchange, clock: Clock) -> None:
    moves: list[PositionMoved] = []
    exchange.listen_positions("demo", moves.append)
    await trade(exchange)
    [long], [short] = exchange.positions("demo"), exchange.positions("rich")
    assert (long.lots, short.lots) == (500, -500)
    assert long.entry_price == short.entry_price == Decimal(60_000)
    await prices(exchange, clock, PRICE + 6_000, 10)
    [long], [short] = exchange.positions("demo"), exchange.positions("rich")
    assert long.unrealised == -short.unrealised > 0
    assert long.unrealised == Decimal(long.mark_ticks - PRICE) * Decimal("0.1") * Decimal("0.5")
    margin = exchange.margin("demo")
    # The taker paid 5 bp of 30,000.
    assert margin.wallet == Decimal(10_000) - 15
    assert margin.equity == margin.wallet + margin.unrealised
    assert margin.available == margin.equity - margin.initial_margin
    assert 0 < margin.maintenance_margin < margin.initial_margin
    assert moves[-1].position.lots == 500 and moves[-1].cause == "trade"


async def test_leverage_is_chosen_for_next_orders_and_kept(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path, clock) as exchange:
        too_much = await exchange.set_leverage("demo", SYMBOL, Decimal(21))
        assert isinstance(too_much, Refused)
        assert await exchange.set_leverage("demo", SYMBOL, Decimal(5)) is None
        await trade(exchange)
        before = exchange.positions("demo"), exchange.margin("demo")
        assert before[0][0].leverage == 5
        assert before[1].initial_margin == Decimal(6_000)
    async with opened(tmp_path, clock) as exchange:
        assert exchange.leverage("demo", SYMBOL) == 5
        assert (exchange.positions("demo"), exchange.margin("demo")) == before


async def test_reduce_only_orders_close_and_never_open(exchange: Exchange) -> None:
    wish = PlaceRequest(symbol=SYMBOL, side=SELL, price_ticks=PRICE, lots=10, reduce_only=True)
    refused = await exchange.place("demo", wish)
    assert isinstance(refused, Refused) and refused.refusal is Refusal.REDUCE_ONLY
    await trade(exchange)
    await place(exchange, "rich", BUY, PRICE - 10, 1_000)
    closed = await place(exchange, "demo", SELL, 0, 800, kind=Kind.MARKET, reduce_only=True)
    assert closed.filled_lots == 500 and exchange.positions("demo") == []
    assert exchange.positions("demo", SYMBOL)[0].lots == 0


async def test_a_stop_watches_the_mark(exchange: Exchange, clock: Clock) -> None:
    await trade(exchange)
    await place(exchange, "rich", BUY, PRICE - 12_000, 1_000)
    stop = await place(
        exchange,
        "demo",
        SELL,
        0,
        500,
        kind=Kind.STOP,
        trigger_ticks=PRICE - 6_000,
        trigger_on=TriggerOn.MARK,
        reduce_only=True,
    )
    await prices(exchange, clock, PRICE - 3_000, 10)
    assert exchange.order("demo", order_id=stop.order_id) == stop
    await prices(exchange, clock, PRICE - 7_000, 10)
    fired = exchange.order("demo", order_id=stop.order_id)
    assert fired is not None and not fired.waiting and fired.phase is not OrderPhase.WORKING


async def test_a_margin_that_is_not_there_is_refused(exchange: Exchange) -> None:
    wish = PlaceRequest(symbol=SYMBOL, side=BUY, price_ticks=PRICE, lots=100_000)
    refused = await exchange.place("demo", wish)
    assert isinstance(refused, Refused) and refused.refusal is Refusal.INSUFFICIENT_FUNDS


async def test_funding_passes_from_one_side_to_the_other(exchange: Exchange, clock: Clock) -> None:
    await trade(exchange)
    # A book above the index: longs pay.
    await place(exchange, "other", BUY, PRICE + 500, 300)
    await place(exchange, "rich", SELL, PRICE + 600, 300)
    before = exchange.margin("demo").wallet
    await prices(exchange, clock, PRICE, 1_840, 4)
    assert exchange.perpetual_prices(SYMBOL).funding_rate > 0
    await place(exchange, "demo", SELL, PRICE + 500, 100)
    position = exchange.positions("demo")[0]
    assert position.funding_paid > 0
    assert exchange.margin("demo").wallet < before + position.realised
    exchange.views.ledger.check()


async def test_a_position_below_maintenance_is_liquidated(exchange: Exchange, clock: Clock) -> None:
    await place(exchange, "rich", SELL, PRICE, 3_000)
    await place(exchange, "demo", BUY, PRICE, 3_000)
    liquidation = exchange.positions("demo")[0].liquidation_ticks
    assert liquidation is not None and liquidation < PRICE
    moves: list[PositionMoved] = []
    exchange.listen_positions("demo", moves.append)
    for ticks in range(PRICE, liquidation - 6_000, -3_000):
        await place(exchange, "rich", BUY, ticks - 3_000, 100)
        await prices(exchange, clock, ticks, 2)
    await prices(exchange, clock, liquidation - 6_000, 60)
    assert exchange.positions("demo", SYMBOL)[0].lots < 3_000
    assert {one.cause for one in moves} & {"liquidation", "takeover", "adl", "trade"}
    exchange.views.ledger.check()


async def test_the_house_quotes_around_its_own_index(exchange: Exchange, clock: Clock) -> None:
    house = Liquidity(exchange, LiquidityConfiguration(seed=2, step_ms=(5, 15)))
    await house.start()
    book = exchange.book(SYMBOL)
    assert book.bids and book.asks
    middle = (book.bids[0][0] + book.asks[0][0]) // 2
    await house.close()
    await exchange.house_prices.publish()  # type: ignore[union-attr]
    clock.now_ns += SECOND_NS
    index = exchange.perpetual_prices(SYMBOL).index_ticks
    assert index is not None and abs(index - middle) < PRICE // 100
