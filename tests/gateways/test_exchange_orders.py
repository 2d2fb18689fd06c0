"""Orders through an exchange: what comes back, what is refused, what survives a restart."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from gateway_world import PRICE, SYMBOL, opened, placed, refusal, request

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.model import (
    AccountEvent,
    CancelledCount,
    Kind,
    Order,
    OrderChanged,
    Refusal,
    Refused,
    SelfTrade,
)
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase, TimeInForce, VenueState

BUY, SELL = Side.BUY, Side.SELL


async def test_an_execution_shows_in_order_fills_funds_and_tape(exchange: Exchange) -> None:
    ask = await placed(exchange, "other", request(SELL, PRICE, 1_000))
    bid = await placed(exchange, "demo", request(BUY, PRICE, 400, client_id="mine", tag=7))
    assert (bid.phase, bid.filled_lots, bid.cost, bid.fee) == (
        OrderPhase.FILLED,
        400,
        Decimal(240),
        Decimal("0.24"),
    )
    [fill] = exchange.fills("demo")
    assert (fill.client_id, fill.trade_id, fill.lots, fill.maker) == ("mine", 1, 400, False)
    [trade] = exchange.trades(SYMBOL)
    assert (trade.buyer_order, trade.seller_order, trade.taker_side) == (bid.order_id, ask.order_id, BUY)
    left = exchange.order("other", order_id=ask.order_id)
    assert left is not None and (left.phase, left.filled_lots) == (OrderPhase.PARTIALLY_FILLED, 400)
    funds = {one.asset: one for one in exchange.funds("demo")}
    assert funds["USD"].free == Decimal("99759.76") and funds["BTC"].free == Decimal("10.004")
    assert exchange.book(SYMBOL).asks == ((PRICE, 600),)


async def test_a_name_is_taken_while_its_order_works_and_free_behind_it(exchange: Exchange) -> None:
    first = await placed(exchange, "demo", request(BUY, PRICE, client_id="name"))
    assert await refusal(exchange, "demo", request(BUY, PRICE, client_id="name")) is (
        Refusal.DUPLICATE_CLIENT_ID
    )
    await placed(exchange, "other", request(BUY, PRICE, client_id="name"))
    await exchange.cancel("demo", first.order_id)
    second = await placed(exchange, "demo", request(BUY, PRICE, client_id="name"))
    found = exchange.order("demo", client_id="name")
    assert found is not None and found.order_id == second.order_id != first.order_id


KINDS = [
    request(BUY, PRICE - 10, client_id="é" * 64, tag=(1 << 63) - 1, post_only=True),
    request(SELL, PRICE + 1_000, 1_000, display_lots=100, client_id="iceberg"),
    request(SELL, kind=Kind.STOP, trigger_ticks=PRICE - 5_000, client_id="stop"),
    request(SELL, PRICE - 6_000, kind=Kind.STOP_LIMIT, trigger_ticks=PRICE - 5_000, client_id="stop limit"),
    request(SELL, kind=Kind.TAKE_PROFIT, trigger_ticks=PRICE + 5_000, client_id="profit"),
    request(
        SELL,
        PRICE + 4_000,
        kind=Kind.TAKE_PROFIT_LIMIT,
        trigger_ticks=PRICE + 5_000,
        client_id="profit limit",
    ),
]


async def test_every_kind_is_found_by_name_as_it_was_placed_also_behind_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as exchange:
        await placed(exchange, "other", request(SELL, PRICE))
        market = await placed(
            exchange, "demo", request(BUY, kind=Kind.MARKET, lots=50, client_id="market", tag=3)
        )
        assert market.phase is OrderPhase.FILLED
        orders = [market] + [await placed(exchange, "demo", one) for one in KINDS]
        for wish, order in zip(KINDS, orders[1:], strict=True):
            assert (order.kind, order.price_ticks, order.trigger_ticks, order.display_lots) == (
                wish.kind,
                wish.price_ticks,
                wish.trigger_ticks,
                wish.display_lots,
            )
        before = _everything(exchange)
    async with opened(tmp_path) as exchange:
        for order in orders:
            assert exchange.order("demo", client_id=order.client_id) == order
            assert exchange.order("demo", order_id=order.order_id) == order
        assert _everything(exchange) == before


def _everything(exchange: Exchange) -> list[object]:
    both = [(account, working) for account in ("demo", "other") for working in (True, False)]
    records = exchange.views.records
    return [
        *(exchange.orders(account, working=working) for account, working in both),
        *((exchange.fills(account), exchange.funds(account)) for account in ("demo", "other")),
        *(records.accounts[account].sequence for account in ("demo", "other")),
        exchange.book(SYMBOL),
        exchange.trades(SYMBOL),
    ]


async def test_a_stop_fires_at_its_price(exchange: Exchange) -> None:
    await placed(exchange, "other", request(SELL, PRICE))
    await placed(exchange, "other", request(BUY, PRICE - 20, 500))
    await placed(exchange, "demo", request(BUY, PRICE, 10))
    stop = await placed(exchange, "demo", request(SELL, kind=Kind.STOP, trigger_ticks=PRICE - 20, lots=100))
    assert stop.phase is OrderPhase.WORKING
    await placed(exchange, "demo", request(SELL, PRICE - 20, 10))
    done = exchange.order("demo", order_id=stop.order_id)
    assert done is not None and (done.phase, done.filled_lots) == (OrderPhase.FILLED, 100)


REFUSED = [
    (request(BUY, PRICE, 0), Refusal.BAD_QUANTITY),
    (request(BUY, 0), Refusal.BAD_PRICE),
    (request(BUY, PRICE, 1), Refusal.BELOW_MIN_QUANTITY),
    (request(BUY, 1, 5), Refusal.BELOW_MIN_NOTIONAL),
    (request(BUY, PRICE * 10, 1_000_000_000), Refusal.ABOVE_MAX_NOTIONAL),
    (request(BUY, PRICE, 2_000_000_000), Refusal.ABOVE_MAX_QUANTITY),
    (request(BUY, PRICE, 1_000_000), Refusal.INSUFFICIENT_FUNDS),
    (request(SELL, PRICE + 1, 1_100_000), Refusal.INSUFFICIENT_FUNDS),
    (request(BUY, PRICE + 100, post_only=True), Refusal.WOULD_TAKE),
    (request(BUY, PRICE + 100, 1_000, time_in_force=TimeInForce.FOK), Refusal.NOT_FILLABLE),
    (request(BUY, PRICE * 2), Refusal.OUTSIDE_BAND),
    (request(BUY, PRICE, kind=Kind.MARKET), Refusal.BAD_PRICE),
    (request(BUY, PRICE, post_only=True, time_in_force=TimeInForce.IOC), Refusal.UNSUPPORTED),
    (request(BUY, PRICE, valid_until_ns=1), Refusal.DEADLINE_PASSED),
    (request(BUY, PRICE, client_id="x" * 65), Refusal.UNSUPPORTED),
    (request(SELL, kind=Kind.STOP, trigger_ticks=PRICE + 1), Refusal.WOULD_TRIGGER),
]


@pytest.mark.parametrize(("wish", "reason"), REFUSED)
async def test_a_refusal_has_its_reason_and_changes_nothing(
    exchange: Exchange, wish: object, reason: Refusal
) -> None:
    await placed(exchange, "other", request(SELL, PRICE))
    await placed(exchange, "demo", request(BUY, PRICE, 10))
    before = _everything(exchange)
    assert await refusal(exchange, "demo", wish) is reason  # type: ignore[arg-type]
    assert _everything(exchange) == before


async def test_a_float_is_an_error(exchange: Exchange) -> None:
    with pytest.raises(TypeError):
        await exchange.place("demo", request(BUY, 600_000.0))  # type: ignore[arg-type]


async def test_an_order_can_be_cancelled_once_and_only_by_its_owner(exchange: Exchange) -> None:
    order = await placed(exchange, "demo", request(BUY, PRICE))
    foreign = await exchange.cancel("other", order.order_id)
    assert isinstance(foreign, Refused) and foreign.refusal is Refusal.UNKNOWN_ORDER
    first = await exchange.cancel("demo", order.order_id)
    assert isinstance(first, Order) and (first.phase, first.reason) == (OrderPhase.CANCELLED, "user")
    for _ in range(9):
        again = await exchange.cancel("demo", order.order_id)
        assert isinstance(again, Refused) and again.refusal is Refusal.ORDER_CLOSED
    assert exchange.order("demo", order_id=order.order_id) == first


async def test_cancel_all_names_what_it_ended(exchange: Exchange) -> None:
    orders = [await placed(exchange, "demo", request(BUY, PRICE - one)) for one in range(100)]
    await placed(exchange, "other", request(BUY, PRICE - 1))
    ended = await exchange.cancel_all("demo", SYMBOL)
    assert isinstance(ended, CancelledCount)
    assert sorted(ended.order_ids) == [order.order_id for order in orders]
    assert exchange.working_count("other") == 1 and not exchange.working_count("demo")


async def test_an_amendment_keeps_the_id(exchange: Exchange) -> None:
    order = await placed(exchange, "demo", request(BUY, PRICE, client_id="a"))
    changed = await exchange.amend("demo", order.order_id, price_ticks=PRICE - 7, lots=250)
    assert isinstance(changed, Order)
    assert (changed.order_id, changed.price_ticks, changed.lots, changed.client_id) == (
        order.order_id,
        PRICE - 7,
        250,
        "a",
    )
    below = await exchange.amend("demo", order.order_id, lots=0)
    assert isinstance(below, Refused) and below.refusal is Refusal.BAD_QUANTITY


async def test_a_market_order_may_spend_everything(exchange: Exchange) -> None:
    await placed(exchange, "other", request(SELL, PRICE, 500_000))
    wish = request(BUY, kind=Kind.MARKET, lots=0, quote_amount=Decimal(100_000))
    order = await placed(exchange, "demo", wish)
    left = next(one.free for one in exchange.funds("demo") if one.asset == "USD")
    # One lot costs 0.6 and its fee.
    assert order.phase is OrderPhase.FILLED and 0 <= left < Decimal("0.61")
    assert order.cost + order.fee + left == Decimal(100_000)


async def test_a_mode_lets_through_what_it_names(exchange: Exchange) -> None:
    order = await placed(exchange, "demo", request(BUY, PRICE))
    exchange.set_mode(VenueState.POST_ONLY, SYMBOL)
    assert await refusal(exchange, "demo", request(BUY, PRICE)) is Refusal.POST_ONLY_MODE
    await placed(exchange, "demo", request(BUY, PRICE, post_only=True))
    exchange.set_mode(VenueState.CANCEL_ONLY)
    assert exchange.markets[SYMBOL].state is VenueState.CANCEL_ONLY
    assert await refusal(exchange, "demo", request(BUY, PRICE, post_only=True)) is Refusal.CANCEL_ONLY
    assert isinstance(await exchange.cancel("demo", order.order_id), Order)
    exchange.set_mode(VenueState.ONLINE)
    exchange.set_mode(VenueState.ONLINE, SYMBOL)
    await placed(exchange, "demo", request(BUY, PRICE))


async def test_of_a_pair_one_ends_when_the_other_fills_also_behind_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as exchange:
        await placed(exchange, "other", request(SELL, PRICE, 50))
        await placed(exchange, "demo", request(BUY, PRICE, 50))
        limit = await placed(exchange, "demo", request(SELL, PRICE + 100, post_only=True, client_id="above"))
        stop = await placed(
            exchange,
            "demo",
            request(
                SELL,
                PRICE - 110,
                kind=Kind.STOP_LIMIT,
                trigger_ticks=PRICE - 100,
                linked_order_id=limit.order_id,
            ),
        )
        assert stop.waiting and stop.linked_order_id == limit.order_id
    async with opened(tmp_path) as exchange:
        again = exchange.order("demo", client_id="above")
        assert again is not None and again.linked_order_id == stop.order_id
        await placed(exchange, "other", request(BUY, PRICE + 100, 200))
        ended = exchange.order("demo", order_id=stop.order_id)
        assert ended is not None and (ended.phase, ended.reason) == (OrderPhase.CANCELLED, "linked")


@pytest.mark.parametrize(
    ("mode", "resting", "incoming"),
    [
        (SelfTrade.CANCEL_NEWEST, OrderPhase.WORKING, Refusal.SELF_TRADE),
        (SelfTrade.CANCEL_OLDEST, OrderPhase.CANCELLED, OrderPhase.WORKING),
        (SelfTrade.CANCEL_BOTH, OrderPhase.CANCELLED, None),
        (SelfTrade.DECREMENT, OrderPhase.CANCELLED, OrderPhase.CANCELLED),
    ],
)
async def test_nobody_trades_with_himself(
    exchange: Exchange, mode: SelfTrade, resting: OrderPhase, incoming: object
) -> None:
    first = await placed(exchange, "demo", request(SELL, PRICE))
    answer = await exchange.place("demo", request(BUY, PRICE, self_trade=mode))
    after = exchange.order("demo", order_id=first.order_id)
    assert after is not None and after.phase is resting
    assert not exchange.trades(SYMBOL)
    if incoming is not None:
        assert (answer.refusal if isinstance(answer, Refused) else answer.phase) is incoming


async def test_thousands_of_orders_of_one_account_in_a_second_are_taken(exchange: Exchange) -> None:
    wishes = [request(BUY, PRICE - 1, 10, time_in_force=TimeInForce.IOC) for _ in range(200)]
    for _ in range(15):
        answers = await exchange.place_many("demo", wishes)
        assert all(isinstance(answer, Order) for answer in answers)


async def test_history_is_read_in_pages(exchange: Exchange) -> None:
    await placed(exchange, "other", request(SELL, PRICE, 1_000))
    orders = [await placed(exchange, "demo", request(BUY, PRICE, 10, tag=one)) for one in range(9)]
    newest = [one.order_id for one in reversed(orders)]
    ended = exchange.orders("demo", working=False)
    assert [one.order_id for one in ended] == newest
    page = exchange.orders("demo", working=False, limit=3, before_id=newest[2])
    assert [one.order_id for one in page] == newest[3:6]
    since = exchange.orders("demo", working=False, since_ns=ended[4].created_ns, symbol=SYMBOL)
    assert [one.order_id for one in since] == newest[:5]
    assert exchange.orders("demo", working=False, symbol="ETH/USD") == []
    fills = exchange.fills("demo")
    assert [one.order_id for one in fills] == newest[::-1]
    assert exchange.fills("demo", limit=2) == fills[-2:]
    assert exchange.fills("demo", since_fill_id=fills[3].fill_id, limit=2) == fills[4:6]
    assert exchange.fills("demo", since_ns=fills[7].time_ns) == fills[7:]
    assert exchange.fills("demo", until_ns=fills[2].time_ns) == fills[:3]
    assert exchange.fills("demo", order_id=newest[0]) == fills[-1:]
    assert [one.trade_id for one in exchange.trades(SYMBOL, since_id=4)] == [5, 6, 7, 8, 9]
    assert [one.trade_id for one in exchange.trades(SYMBOL, 2)] == [8, 9]
    ticker = exchange.ticker(SYMBOL)
    assert (ticker.lots, ticker.trades, ticker.first_trade_id) == (90, 9, 1)
    for interval_s in (1, 60, 300, 3_600, 86_400):
        end_ns = exchange.now_ns()
        candles = exchange.candles(SYMBOL, interval_s, until_ns=end_ns)
        assert sum(one.lots for one in candles) == sum(one.taker_buy_lots for one in candles) == 90
        spans = {second.open_ns - first.open_ns for first, second in pairwise(candles)}
        assert spans <= {interval_s * 10**9} and candles[0].open_ns % (interval_s * 10**9) == 0
        assert exchange.candles(SYMBOL, interval_s, 1, until_ns=end_ns) == candles[-1:]
        first_ns = candles[0].open_ns
        assert exchange.candles(SYMBOL, interval_s, since_ns=first_ns, until_ns=end_ns) == candles


async def test_a_waiting_order_is_told_as_waiting_then_triggered_then_filled(exchange: Exchange) -> None:
    await placed(exchange, "other", request(SELL, PRICE))
    await placed(exchange, "other", request(BUY, PRICE - 20, 500))
    await placed(exchange, "demo", request(BUY, PRICE, 10))
    told: list[AccountEvent] = []
    exchange.listen_account("demo", told.append)
    stop = await placed(exchange, "demo", request(SELL, kind=Kind.STOP, trigger_ticks=PRICE - 20, lots=100))
    assert [one.order for one in told if isinstance(one, OrderChanged)] == [stop] and stop.waiting
    await placed(exchange, "demo", request(SELL, PRICE - 20, 10))
    mine = [one for one in told if isinstance(one, OrderChanged) and one.order.order_id == stop.order_id]
    assert [one.what for one in mine] == ["new", "triggered", "filled"]
    assert [one.order.waiting for one in mine] == [True, False, False]
