"""Orders of the trader's account over the API: the trader's risk stands in front of each of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tradewind.api import requests as req
from tradewind.api.directory import NamedMarket
from tradewind.api.own_orders import TraderDesk
from tradewind.api.problems import ApiFailure
from tradewind.core.enums import MarketKind, MarketStatus
from tradewind.lab.preflight.exchange import SYMBOL, World
from tradewind.node.projections.directory import Market
from tradewind.trader.risk.check import Code, Denied

MARKET = NamedMarket(
    SYMBOL,
    Market(
        market=0,
        kind=MarketKind.SPOT,
        status=MarketStatus.ACTIVE,
        base=0,
        quote=1,
        tick_size=10_000,
        lot_size=100,
        taker_fee_e6bp=0,
        maker_fee_e6bp=0,
        band_bp=1_000,
        slippage_bp=100,
        min_notional=1,
        max_notional=10**15,
        settle_time_ns=0,
        config_version=1,
    ),
)


def order(**changes: Any) -> req.PlaceOrder:
    fields = {"market": SYMBOL, "side": "buy", "quantity": "0.001", "price": "49990"}
    return req.PlaceOrder(**{**fields, **changes})


@contextlib.asynccontextmanager
async def driven() -> AsyncIterator[tuple[World, TraderDesk]]:
    """A live simulated exchange whose virtual time passes while the test waits."""
    world = await (await World.open()).live()

    async def pass_time() -> None:
        while True:
            await world.session.sleep_ns(1_000_000)
            await asyncio.sleep(0)

    clock = asyncio.create_task(pass_time())
    try:
        yield world, TraderDesk(world.session)
    finally:
        clock.cancel()
        await asyncio.gather(clock, return_exceptions=True)


async def test_a_module_that_denies_everything_stops_every_order_but_no_cancel() -> None:
    async with driven() as (world, desk):
        placed = await desk.place(MARKET, order())
        denial = Denied(code=Code.PRICE_COLLAR, limit="test")
        world.trader.risk.check = lambda *_: [denial]  # type: ignore[method-assign]
        for attempt in (
            desk.place(MARKET, order(price="49980")),
            desk.replace(placed.value, req.ReplaceOrder(price="1")),
        ):
            with pytest.raises(ApiFailure) as refused:
                await attempt
            assert refused.value.problem.name == "RISK_DENIED"
            assert refused.value.problem.codes == ["PriceCollar"]
        assert world.own_orders_in_engine() == 1, "only the order from before"
        assert (await desk.cancel(placed.value)).effect["state"] == "cancelled"
        assert world.own_orders_in_engine() == 0


async def test_an_order_is_answered_only_after_the_venue_has_it() -> None:
    async with driven() as (world, desk):
        placed = await desk.place(MARKET, order())
        assert world.own_orders_in_engine() == 1
        replaced = await desk.replace(placed.value, req.ReplaceOrder(price="49985", quantity="0.002"))
        assert (replaced.effect["lots"], replaced.effect["state"]) == (20, "working")
        done = await desk.cancel_all(None, None)
        assert (len(done.effect["cancelled"]), done.effect["left"]) == (1, [])


@pytest.mark.parametrize(
    "changes",
    [{"order_type": "market", "price": None, "time_in_force": "ioc"}, {"time_in_force": "gtd"}, {"sub": 1}],
)
async def test_what_the_trader_cannot_manage_is_refused_and_not_bent(changes: dict[str, Any]) -> None:
    async with driven() as (world, desk):
        with pytest.raises(ApiFailure) as refused:
            await desk.place(MARKET, order(**changes))
        assert refused.value.problem.name == "INVALID_ORDER_TYPE"
        assert world.own_orders_in_engine() == 0


async def test_orders_that_ended_cannot_be_changed() -> None:
    async with driven() as (_, desk):
        placed = await desk.place(MARKET, order())
        await desk.cancel(placed.value)
        for attempt in (
            desk.cancel(placed.value),
            desk.replace(placed.value, req.ReplaceOrder(price="49980")),
        ):
            with pytest.raises(ApiFailure) as refused:
                await attempt
            assert refused.value.problem.name == "ORDER_NOT_OPEN"
