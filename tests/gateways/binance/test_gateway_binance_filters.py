"""The filters of `exchangeInfo` are exactly those that orders meet."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from binance_world import SYMBOL, World

from tradewind.gateways.binance.symbols import Symbols

ORDERS = 250
BASE = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}


async def published(world: World) -> dict[str, dict[str, Any]]:
    info = await world.demo.public("/api/v3/exchangeInfo", symbol=SYMBOL)
    return {row["filterType"]: row for row in info["symbols"][0]["filters"]}


def verdict(filters: dict[str, dict[str, Any]], price: Decimal, quantity: Decimal) -> str | None:
    """The filter that an order fails, by the published rules alone."""
    lot, tick, value = filters["LOT_SIZE"], filters["PRICE_FILTER"], price * quantity
    if quantity % Decimal(lot["stepSize"]):
        return "LOT_SIZE"
    if price % Decimal(tick["tickSize"]):
        return "PRICE_FILTER"
    if not Decimal(lot["minQty"]) <= quantity <= Decimal(lot["maxQty"]):
        return "LOT_SIZE"
    if (
        not Decimal(filters["NOTIONAL"]["minNotional"])
        <= value
        <= Decimal(filters["NOTIONAL"]["maxNotional"])
    ):
        return "NOTIONAL"
    return None


async def told(world: World, **fields: str) -> str | None:
    """The filter that the venue names for an order; None when it passes, or only the funds do not suffice."""
    status, body, _ = await world.demo.raw("POST", "/api/v3/order/test", world.demo.query({**BASE, **fields}))
    if status == 200 or body["code"] == -2010:
        return None
    assert body["code"] == -1013, body
    return str(body["msg"]).removeprefix("Filter failure: ")


async def test_random_orders_pass_exactly_what_is_published(binance: World) -> None:
    filters, draw = await published(binance), random.Random(20_261)
    seen = set()
    for _ in range(ORDERS):
        price = Decimal(draw.choice([1, 50, 59_000, 60_000])) + Decimal(draw.randrange(0, 300)) / 1_000
        quantity = draw.choice(
            [
                Decimal(draw.randrange(1, 20)) / 10_000,
                Decimal(draw.randrange(1, 99_999)) / 100_000,
                Decimal(9_000),
            ]
        )
        wanted = verdict(filters, price, quantity)
        assert await told(binance, price=f"{price:f}", quantity=f"{quantity:f}") == wanted, (price, quantity)
        seen.add(wanted)
    assert seen == {None, "LOT_SIZE", "PRICE_FILTER", "NOTIONAL"}


async def test_the_edge_of_each_filter_passes_and_one_step_beyond_does_not(binance: World) -> None:
    filters = await published(binance)
    lot, notional = filters["LOT_SIZE"], filters["NOTIONAL"]
    least, most, step = Decimal(lot["minQty"]), Decimal(lot["maxQty"]), Decimal(lot["stepSize"])
    cases = [
        (Decimal(60_000), least, None),
        (Decimal(60_000), least - step / 10, "LOT_SIZE"),
        (Decimal(100), most, None),
        (Decimal(100), most + step, "LOT_SIZE"),
        (Decimal(notional["minNotional"]), Decimal(1), None),
        (Decimal(notional["minNotional"]) - Decimal("0.01"), Decimal(1), "NOTIONAL"),
        (Decimal(60_000), Decimal(notional["maxNotional"]) / 60_000, None),
        (Decimal(60_000), Decimal(notional["maxNotional"]) / 60_000 + step, "NOTIONAL"),
    ]
    for price, quantity, wanted in cases:
        assert await told(binance, price=f"{price:f}", quantity=f"{quantity:f}") == wanted, (price, quantity)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
async def test_the_published_band_is_the_one_that_orders_meet(binance: World, side: str) -> None:
    await binance.still_book()
    row = (await published(binance))["PERCENT_PRICE_BY_SIDE"]
    which, tick = "bid" if side == "BUY" else "ask", Decimal("0.01")
    # the reference is the median of 59,900, 60,100 and the last trade
    high = Decimal(60_000) * Decimal(row[f"{which}MultiplierUp"])
    low = Decimal(60_000) * Decimal(row[f"{which}MultiplierDown"])
    for price, passes in ((low, True), (low - tick, False), (high, True), (high + tick, False)):
        fields = {**BASE, "side": side, "price": f"{price:f}", "quantity": "0.001"}
        # an order that takes moves the reference: what is aggressive is placed as a maker order
        aggressive = (side == "BUY") == (price > 60_000)
        if aggressive:
            fields = {name: value for name, value in fields.items() if name != "timeInForce"}
            fields["type"] = "LIMIT_MAKER"
        status, body, _ = await binance.demo.raw("POST", "/api/v3/order", binance.demo.query(fields))
        if passes:
            assert status == 200 or body["msg"] == "Order would immediately match and take.", (price, body)
        else:
            assert body["msg"] == "Filter failure: PERCENT_PRICE_BY_SIDE", (price, body)


async def test_names_are_a_bijection_and_what_cannot_be_named_is_left_out(binance: World) -> None:
    symbols = binance.gateway.state.symbols
    for symbol in symbols.all():
        assert symbols.find(symbol.name) is symbol and symbols.of_canonical(symbol.market.symbol) is symbol
    [market] = [one for name, one in binance.exchange.markets.items() if name == "BTC/USD"]
    strange = Symbols({"A/BC": market, "AB/C": market, "é/X": market, "plain": market})
    assert len(strange.all()) == 1 and set(strange.left_out) == {"AB/C", "plain", "é/X"}
