"""The mirror rules of T15.2 on a real engine: no fill without print, cross or taker; queue
position; shadow.
"""

from __future__ import annotations

import random

import pytest
from paper_world import MS, SYMBOL, World, instrument

from tradewind.venues.market_data import BookState, Side
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.mirror import MirrorConfig
from tradewind.venues.protocol import Acked, FillEvent, NewOrder, OrderPhase, Rejected, TimeInForce

BUY, SELL = Side.BUY, Side.SELL
BIDS, ASKS = [(5_000_000, 100), (4_999_900, 50)], [(5_000_100, 80), (5_000_200, 60)]
_serial = iter(range(10**9))


async def order(world: World, side: Side, price_ticks: int, lots: int, **changes: object) -> str:
    """Send an order that must be acknowledged; returns its client id."""
    client_id = f"tw{next(_serial):016d}"
    answers: list[object] = []
    fields: dict[str, object] = {"client_id": client_id, "symbol": SYMBOL, "side": side, **changes}
    world.venue.send(NewOrder(price_ticks=price_ticks, lots=lots, **fields), 1, answers.append)  # type: ignore[arg-type]
    await world.venue.advance(world.now_ns)
    assert isinstance(answers[0], Acked), answers
    return client_id


def fills(world: World, client_id: str | None = None) -> list[FillEvent]:
    return [e for e in world.events if isinstance(e, FillEvent) and client_id in {None, e.client_id}]


def filled(world: World, client_id: str) -> int:
    return sum(fill.lots for fill in fills(world, client_id))


async def test_a_snapshot_puts_one_mirror_order_on_each_level() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    assert world.engine_levels(BUY) == BIDS
    assert world.engine_levels(SELL) == ASKS
    assert world.port.engine.sizes()[0] == 4


async def test_an_order_behind_ten_lots_fills_only_after_ten_lots_have_printed() -> None:
    world = await World.create()
    await world.book([(5_000_000, 10)], ASKS)
    mine = await order(world, BUY, 5_000_000, 5)
    await world.prints(5_000_000, 9, SELL)
    assert filled(world, mine) == 0
    await world.prints(5_000_000, 1, SELL)
    assert filled(world, mine) == 0
    await world.prints(5_000_000, 3, SELL)
    assert filled(world, mine) == 3
    await world.prints(5_000_000, 3, SELL)
    assert filled(world, mine) == 5
    assert {fill.price_ticks for fill in fills(world, mine)} == {5_000_000}
    assert all(fill.maker for fill in fills(world, mine))


async def test_an_increase_joins_behind_the_own_order() -> None:
    world = await World.create()
    await world.book([(5_000_000, 10)], ASKS)
    mine = await order(world, BUY, 5_000_000, 5)
    await world.levels(bids=[(5_000_000, 40)])
    await world.prints(5_000_000, 15, SELL)
    assert filled(world, mine) == 5


async def test_a_better_own_price_is_hit_first_at_its_own_price() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    mine = await order(world, BUY, 5_000_050, 5)
    await world.prints(5_000_000, 2, SELL)
    assert [(fill.price_ticks, fill.lots) for fill in fills(world, mine)] == [(5_000_050, 2)]


@pytest.mark.parametrize(("model", "ahead"), [("prorata", 15), ("pessimistic", 20)])
async def test_an_unexplained_decrease_waits_100_ms_and_then_cancels_by_the_model(
    model: str, ahead: int
) -> None:
    world = await World.create(mirror=MirrorConfig(cancel_model=model))  # type: ignore[arg-type]
    await world.book([(5_000_000, 20)], ASKS)
    mine = await order(world, BUY, 5_000_000, 5)
    await world.levels(bids=[(5_000_000, 40)])
    await world.levels(bids=[(5_000_000, 30)])
    await world.wait_ms(99)
    assert world.engine_levels(BUY)[0] == (5_000_000, 45)
    await world.wait_ms(1)
    assert world.engine_levels(BUY)[0] == (5_000_000, 35)
    assert world.venue.markets[SYMBOL].mirror.stats.forced_lots == 10
    await world.prints(5_000_000, ahead, SELL)
    assert filled(world, mine) == 0
    await world.prints(5_000_000, 1, SELL)
    assert filled(world, mine) == 1


async def test_an_increase_during_a_waiting_decrease_still_joins_behind() -> None:
    world = await World.create()
    await world.book([(5_000_000, 20)], ASKS)
    mine = await order(world, BUY, 5_000_000, 5)
    await world.levels(bids=[(5_000_000, 10)])
    await world.levels(bids=[(5_000_000, 18)])
    assert world.engine_levels(BUY)[0] == (5_000_000, 33)
    await world.wait_ms(100)
    assert world.engine_levels(BUY)[0] == (5_000_000, 23)
    await world.prints(5_000_000, 13, SELL)
    assert filled(world, mine) == 0
    await world.prints(5_000_000, 1, SELL)
    assert filled(world, mine) == 1


async def test_answers_and_events_arrive_in_the_order_of_the_venue_whatever_the_latency() -> None:
    world = await World.create(latency=LatencyConfig(seed=9))
    await world.wait_ms(1_000)
    await world.book(BIDS, ASKS)
    answers: list[object] = []
    for number in range(40):
        world.venue.send(
            NewOrder(
                client_id=f"tw{'q' * 14}{number:02d}",
                symbol=SYMBOL,
                side=BUY,
                price_ticks=5_000_100,
                lots=2,
                time_in_force=TimeInForce.IOC,
            ),
            1,
            answers.append,
        )
        await world.wait_ms(10)
    await world.wait_ms(2_000)
    sequences = [event.sequence for event in world.events]  # type: ignore[attr-defined]
    assert len(answers) == 40
    assert len(sequences) > 80
    assert sequences == sorted(sequences)


async def test_a_decrease_that_a_print_explains_within_100_ms_cancels_nothing() -> None:
    world = await World.create()
    await world.book([(5_000_000, 20)], ASKS)
    mine = await order(world, BUY, 5_000_000, 5)
    await world.levels(bids=[(5_000_000, 12)])
    await world.wait_ms(50)
    await world.prints(5_000_000, 8, SELL)
    await world.wait_ms(100)
    assert world.venue.markets[SYMBOL].mirror.stats.forced_lots == 0
    await world.prints(5_000_000, 12, SELL)
    assert filled(world, mine) == 0
    await world.prints(5_000_000, 1, SELL)
    assert filled(world, mine) == 1


async def test_a_crossing_fills_at_the_own_price_only_after_it_persisted_100_ms() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    mine = await order(world, BUY, 5_000_000, 30)
    await world.levels(bids=[(5_000_000, 0)], asks=[(4_999_990, 12)])
    await world.wait_ms(99)
    assert filled(world, mine) == 0
    await world.wait_ms(1)
    assert [(fill.price_ticks, fill.lots) for fill in fills(world, mine)] == [(5_000_000, 12)]
    await world.wait_ms(5_000)
    assert filled(world, mine) == 12, "the same displayed lots must not fill twice"


async def test_a_crossing_that_vanishes_before_100_ms_fills_nothing() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    mine = await order(world, BUY, 5_000_000, 30)
    await world.levels(bids=[(5_000_000, 0)], asks=[(4_999_990, 12)])
    await world.wait_ms(60)
    await world.levels(asks=[(4_999_990, 0)])
    await world.wait_ms(60)
    await world.levels(asks=[(4_999_990, 12)])
    await world.wait_ms(60)
    assert filled(world, mine) == 0


async def test_one_displayed_lot_cannot_be_taken_twice_within_ten_seconds() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    first = await order(world, BUY, 5_000_100, 30, time_in_force=TimeInForce.IOC)
    assert filled(world, first) == 30
    second = await order(world, BUY, 5_000_100, 80, time_in_force=TimeInForce.IOC)
    assert filled(world, second) == 50
    await world.levels(asks=[(5_000_200, 61)])
    third = await order(world, BUY, 5_000_100, 10, time_in_force=TimeInForce.IOC)
    assert filled(world, third) == 0
    await world.wait_ms(10_000)
    await world.levels(asks=[(5_000_300, 1)])
    fourth = await order(world, BUY, 5_000_100, 10, time_in_force=TimeInForce.IOC)
    assert filled(world, fourth) == 10


async def test_lots_that_the_venue_adds_are_not_shadowed() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    await order(world, BUY, 5_000_100, 80, time_in_force=TimeInForce.IOC)
    await world.levels(asks=[(5_000_100, 95)])
    more = await order(world, BUY, 5_000_100, 80, time_in_force=TimeInForce.IOC)
    assert filled(world, more) == 15


async def test_beyond_the_displayed_depth_nothing_fills() -> None:
    world = await World.create()
    await world.book(BIDS, [(5_000_100, 8)])
    mine = await order(world, BUY, 5_000_500, 20, time_in_force=TimeInForce.IOC)
    assert [(fill.price_ticks, fill.lots) for fill in fills(world, mine)] == [(5_000_100, 8)]
    assert not await world.venue.open_orders(None)


async def test_depth_beyond_the_mirrored_window_is_mirrored_for_an_order_that_reaches_it() -> None:
    world = await World.create(mirror=MirrorConfig(depth_levels=2))
    asks = [(5_000_100 + 10 * level, 5) for level in range(8)]
    await world.book(BIDS, asks)
    assert len(world.engine_levels(SELL)) == 2
    mine = await order(world, BUY, 5_000_160, 33, time_in_force=TimeInForce.IOC)
    assert filled(world, mine) == 33


async def test_without_a_live_book_orders_are_refused_and_prints_fill_nothing() -> None:
    world = await World.create()
    await world.book([(5_000_000, 10)], ASKS)
    mine = await order(world, BUY, 5_000_000, 5)
    await world.state(BookState.SUSPECT, "gap")
    await world.prints(5_000_000, 50, SELL)
    await world.levels(bids=[(5_000_000, 0)], asks=[(4_999_990, 12)])
    await world.wait_ms(500)
    assert not fills(world)
    answers: list[object] = []
    world.venue.send(
        NewOrder(client_id="tw" + "a" * 16, symbol=SYMBOL, side=BUY, price_ticks=4_999_000, lots=5),
        1,
        answers.append,
    )
    await world.wait_ms(1)
    assert isinstance(answers[0], Rejected)
    assert answers[0].code == "StaleMarket"
    assert [order.client_id for order in await world.venue.open_orders(None)] == [mine]


async def test_after_a_gap_the_queue_ahead_survives_and_shrinks_to_the_new_display() -> None:
    world = await World.create()
    await world.book([(5_000_000, 20)], ASKS)
    mine = await order(world, BUY, 5_000_000, 5)
    await world.state(BookState.SUSPECT, "gap")
    await world.book([(5_000_000, 6)], ASKS)
    assert world.engine_levels(BUY)[0] == (5_000_000, 11)
    await world.prints(5_000_000, 6, SELL)
    assert filled(world, mine) == 0
    await world.prints(5_000_000, 1, SELL)
    assert filled(world, mine) == 1


async def test_a_print_below_stale_levels_does_not_spend_itself_on_them() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    mine = await order(world, BUY, 4_999_900, 5)
    await world.prints(4_999_900, 51, SELL)
    assert filled(world, mine) == 1


async def test_prints_finer_than_a_lot_add_up_and_are_not_lost() -> None:
    world = await World.create(outside=instrument(lot="0.00001"))
    await world.book([(5_000_000, 100)], [(5_000_100, 800)])
    mine = await order(world, BUY, 5_000_000, 5)
    for _ in range(25):
        await world.prints(5_000_000, 4, SELL)
    assert filled(world, mine) == 0
    for _ in range(3):
        await world.prints(5_000_000, 4, SELL)
    assert filled(world, mine) == 1


async def test_a_print_without_a_side_is_read_from_its_price_or_counted() -> None:
    world = await World.create()
    await world.book([(5_000_000, 1)], ASKS)
    mine = await order(world, BUY, 5_000_000, 5)
    await world.prints(5_000_000, 3, None)
    assert filled(world, mine) == 2
    await world.prints(5_000_050, 3, None)
    assert world.venue.markets[SYMBOL].mirror.stats.prints_without_side == 1


async def test_a_post_only_order_that_the_display_would_meet_is_refused() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    answers: list[object] = []
    world.venue.send(
        NewOrder(
            client_id="tw" + "b" * 16, symbol=SYMBOL, side=BUY, price_ticks=5_000_100, lots=5, post_only=True
        ),
        1,
        answers.append,
    )
    await world.wait_ms(1)
    assert isinstance(answers[0], Rejected)
    assert answers[0].code == "PostOnlyWouldTake"


@pytest.mark.parametrize("seed", range(6))
async def test_on_random_markets_the_mirror_equals_the_display_and_money_is_conserved(seed: int) -> None:
    """Rules 5 and 7 and conservation: away from own orders every mirrored level is what the venue shows."""
    world = await World.create(mirror=MirrorConfig(depth_levels=6))
    generator = random.Random(seed)
    middle = 5_000_000
    await world.book(
        [(middle - 10 * i, 20 + i) for i in range(1, 9)], [(middle + 10 * i, 20 + i) for i in range(1, 9)]
    )
    mine: list[str] = []
    for _ in range(300):
        world.now_ns += generator.choice((5, 20, 120)) * MS
        shift = generator.choice((-10, 0, 0, 10))
        middle += shift
        best_bid, best_ask = middle - 10, middle + 10
        mirror = world.venue.markets[SYMBOL].mirror
        gone_asks = [(p, 0) for p, _ in mirror.top(SELL, 50) if p < best_ask]
        gone_bids = [(p, 0) for p, _ in mirror.top(BUY, 50) if p > best_bid]
        await world.levels(
            bids=[*gone_bids, (best_bid - 10 * generator.randrange(6), generator.randrange(1, 60))],
            asks=[*gone_asks, (best_ask + 10 * generator.randrange(6), generator.randrange(1, 60))],
        )
        if generator.random() < 0.3:
            side = generator.choice((BUY, SELL))
            best = mirror.best(Side(1 - side))
            if best is not None:
                await world.prints(best, generator.randrange(1, 30), side)
        if generator.random() < 0.15 and mirror.best(BUY) and len(await world.venue.open_orders(None)) < 8:
            price = mirror.best(BUY) - 10 * generator.randrange(3)  # type: ignore[operator]
            mine.append(await order(world, BUY, price, generator.randrange(2, 20)))
        check_mirror(world)
    assert any(filled(world, client_id) for client_id in mine)
    await check_money(world)
    assert world.port.engine.sizes()[0] <= 4 * 6 + len(mine) + 2


def check_mirror(world: World) -> None:
    mirror = world.venue.markets[SYMBOL].mirror
    queues = mirror.queues
    for side in (BUY, SELL):
        shown = dict(mirror.top(side, 1_000))
        resting = dict(world.engine_levels(side))
        for price, level in queues.levels[side].items():
            own = sum(entry.lots for entry in level.entries if not entry.mirror)
            assert resting[price] == level.mirror_lots + own
            if not level.own_count:
                assert level.mirror_lots == mirror.wanted_lots(side, price) <= shown.get(price, 0)


async def check_money(world: World) -> None:
    """Starting funds are what is left, plus what the fills cost, plus fees, to the last micro-unit."""
    balances = {balance.asset: balance.total for balance in await world.venue.balances()}
    traded_base, spent = 0, 0
    tick, lot = instrument().tick, instrument().lot
    for fill in fills(world):
        sign = 1 if fill.side is BUY else -1
        traded_base += sign * lot * fill.lots
        spent += sign * tick * fill.price_ticks * lot * fill.lots + fill.fee
    assert balances["BTC"] == traded_base
    assert balances["USDT"] == 10_000 - spent


async def test_maker_and_taker_fees_are_those_of_the_schedule_rounded_up_to_the_micro_unit() -> None:
    world = await World.create(schedule="kraken-spot-tier0")
    await world.book([(5_000_000, 1)], [(5_000_100, 3)])
    taken = await order(world, BUY, 5_000_100, 3, time_in_force=TimeInForce.IOC)
    made = await order(world, BUY, 5_000_000, 3)
    await world.prints(5_000_000, 4, SELL)
    (take,), (make,) = fills(world, taken), fills(world, made)
    notional = instrument().tick * 5_000_100 * instrument().lot * 3
    assert take.fee == (notional * 40 / 10_000).quantize(instrument().tick / 10_000, rounding="ROUND_CEILING")
    notional = instrument().tick * 5_000_000 * instrument().lot * 3
    assert make.fee == (notional * 25 / 10_000).quantize(instrument().tick / 10_000, rounding="ROUND_CEILING")
    assert (take.maker, make.maker) == (False, True)


async def test_cancel_amend_and_query_tell_the_true_state() -> None:
    from tradewind.venues.protocol import AlreadyFinal, Found, NotFound, OrderRef

    world = await World.create()
    await world.book(BIDS, ASKS)
    mine = await order(world, BUY, 4_999_900, 5)
    reference = OrderRef(client_id=mine, symbol=SYMBOL)
    answers: list[object] = []
    world.venue.send_amend(reference, 1, 4_999_950, 7, answers.append)
    await world.wait_ms(1)
    assert isinstance(answers.pop(), Acked)
    found = await world.venue.query(reference)
    assert isinstance(found, Found)
    assert (found.state.price_ticks, found.state.lots, found.state.phase) == (
        4_999_950,
        7,
        OrderPhase.WORKING,
    )
    world.venue.send_cancel(reference, 1, answers.append)
    await world.wait_ms(1)
    assert isinstance(answers.pop(), Acked)
    world.venue.send_cancel(reference, 1, answers.append)
    await world.wait_ms(1)
    final = answers.pop()
    assert isinstance(final, AlreadyFinal)
    assert final.state.phase is OrderPhase.CANCELLED
    unknown = await world.venue.query(OrderRef(client_id="tw" + "f" * 16, symbol=SYMBOL))
    assert unknown == NotFound(proven_absent=True)


async def test_the_dead_mans_switch_cancels_when_it_is_not_refreshed() -> None:
    from tradewind.venues.protocol import Armed

    world = await World.create()
    await world.book(BIDS, ASKS)
    await order(world, BUY, 4_999_900, 5)
    assert isinstance(await world.venue.cancel_after(5, 1), Armed)
    await world.wait_ms(4_900)
    await world.port.tick()
    assert len(await world.venue.open_orders(None)) == 1
    await world.wait_ms(200)
    await world.port.tick()
    assert not await world.venue.open_orders(None)
    assert isinstance(await world.venue.cancel_after(4, 1), Rejected)


async def test_a_stale_epoch_and_an_unknown_symbol_are_refused() -> None:
    world = await World.create()
    await world.book(BIDS, ASKS)
    await order(world, BUY, 4_999_900, 5)
    answers: list[object] = []
    wish = NewOrder(client_id="tw" + "c" * 16, symbol=SYMBOL, side=BUY, price_ticks=4_999_900, lots=5)
    world.venue.send(wish, 2, answers.append)
    world.venue.send(
        NewOrder(client_id="tw" + "d" * 16, symbol=SYMBOL, side=BUY, price_ticks=4_999_900, lots=5),
        1,
        answers.append,
    )
    world.venue.send(
        NewOrder(client_id="tw" + "e" * 16, symbol="XX/YY", side=BUY, price_ticks=1, lots=5),
        2,
        answers.append,
    )
    await world.wait_ms(1)
    assert [getattr(answer, "code", "acked") for answer in answers] == [
        "acked",
        "StaleEpoch",
        "UnknownSymbol",
    ]
