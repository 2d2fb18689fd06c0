"""What is special about Binance, over sockets: rotation, lost events, changed prices, clocks, both keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from tradewind.gateways.binance.dispatch import ADDRESS
from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.venues.binance.connector import BinanceVenue
from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    FillEvent,
    Found,
    Incomplete,
    OrderEvent,
    OrderPhase,
    Rejected,
    StreamState,
    Uncertain,
    VenueState,
)

from .binance_bench import BinanceBench, BinanceEdwardsBench


@pytest.fixture
async def one() -> AsyncIterator[BinanceBench]:
    bench = await BinanceBench.open()
    yield bench
    await bench.close()


def states(bench: BinanceBench) -> list[bool]:
    return [event.live for event in bench.events if isinstance(event, StreamState)]


def fills(bench: BinanceBench) -> list[FillEvent]:
    return [event for event in bench.events if isinstance(event, FillEvent)]


async def told(bench: BinanceBench) -> None:
    """Wait until every execution was told, and check that none came twice."""

    async def complete() -> bool:
        return len(fills(bench)) == len(await bench.true_fills())

    await bench.until_true(complete, "every execution is told")
    assert len({fill.key for fill in fills(bench)}) == len(fills(bench))


def tell(bench: BinanceBench, event: dict[str, object]) -> None:
    """Let the venue say something to everybody who listens."""
    for session in bench.gateway.socket_api._sessions:
        session.socket.send(msgspec.json.encode({"subscriptionId": 0, "event": event}), "test")


# ---- connections -------------------------------------------------------------------------------------------


async def test_a_rotation_loses_and_repeats_nothing_and_is_never_down(one: BinanceBench) -> None:
    rotation = one.connector.rotation
    for number in range(1, 4):
        before = rotation.current
        order = await one.place(Side.BUY, one.middle_ticks - number, 3 * one.usual_lots)
        rotation.rotate("test")
        for _ in range(3):
            await one.take(Side.SELL, one.middle_ticks - number, one.usual_lots)
        await one.until(lambda number=number: rotation.rotations == number, "the connection is replaced")  # type: ignore[misc]
        assert rotation.current is not before
        assert rotation.current.link.live
        assert before.link.phase.value == "down", "the old one was closed"
        await told(one)
        answer = await one.run(one.venue.query(one.reference(order.client_id)))
        assert isinstance(answer, Found)
        assert answer.state.phase is OrderPhase.FILLED
    assert set(states(one)) == {True}
    assert len(one.gateway.socket_api._sessions) == 1


async def test_word_of_a_shutdown_brings_a_new_connection_first(one: BinanceBench) -> None:
    tell(one, {"e": "serverShutdown", "E": 1})
    await one.until(lambda: one.connector.rotation.rotations == 1, "the connection is replaced")
    assert set(states(one)) == {True}
    await one.place(Side.BUY, one.middle_ticks)


async def test_an_ended_event_stream_and_a_cut_connection_are_healed_with_nothing_lost(
    one: BinanceBench,
) -> None:
    await one.place(Side.BUY, one.middle_ticks, 9 * one.usual_lots)
    for number, cut in enumerate(
        [
            lambda: tell(one, {"e": "eventStreamTerminated", "E": 1}),
            lambda: one.connector.rotation.current.link.socket.reconnect("test"),
            lambda: [session.socket.abort("test") for session in one.gateway.socket_api._sessions],
        ]
    ):
        cut()
        await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
        await one.until(
            lambda number=number: states(one).count(False) > number and one.connector.live,  # type: ignore[misc]
            "the stream went down and came back",
        )
        await told(one)
    assert sum(fill.lots for fill in fills(one)) == 3 * one.usual_lots


async def test_an_order_that_ended_while_nobody_listened_is_told(one: BinanceBench) -> None:
    order = await one.place(Side.BUY, one.middle_ticks)
    one.exchange.faults.replace(
        Plan(rules=(Rule(action=WireFault.DROP_FRAME, surface="stream", name="userDataStream"),))
    )
    (known,) = one.own_orders()
    await one.exchange.cancel(one.account, known.order_id)
    await one.heal()
    one.connector.rotation.current.link.socket.reconnect("test")

    def ended() -> bool:
        phases = [event.state.phase for event in one.events if isinstance(event, OrderEvent)]
        return phases[-1] is OrderPhase.CANCELLED

    await one.until(ended, "the end is told")
    assert one.connector.mirror.open() == []
    assert order.client_id


async def test_a_restart_does_not_tell_what_happened_before_it_and_needs_no_list_of_symbols(
    one: BinanceBench,
) -> None:
    await one.place(Side.BUY, one.middle_ticks, 3 * one.usual_lots)
    await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
    later = BinanceVenue(one.connector.rest, one.account, msgspec.structs.replace(one.options(), symbols=()))
    assert await later.open()
    events: list[object] = []
    reader = asyncio.create_task(one._read(later.private(one.account), events))
    await one.step()
    await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
    later.rotation.current.link.socket.reconnect("test")
    await one.until(lambda: StreamState in map(type, events[1:]), "the stream went down")
    await one.until(lambda: later.live, "it is live again")
    await one.until(lambda: FillEvent in map(type, events), "the new execution is told")
    assert [event.remaining_lots for event in events if isinstance(event, FillEvent)] == [one.usual_lots]
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await later.close()


async def test_a_lost_execution_is_fetched(one: BinanceBench) -> None:
    await one.place(Side.BUY, one.middle_ticks, 3 * one.usual_lots)
    one.exchange.faults.replace(
        Plan(rules=(Rule(action=WireFault.DROP_FRAME, surface="stream", name="userDataStream"),))
    )
    await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
    await one.heal()
    await one.take(Side.SELL, one.middle_ticks, one.usual_lots)
    await told(one)
    assert set(states(one)) == {True}, "no new connection was needed"


async def test_a_lost_execution_of_an_order_that_was_moved_meanwhile_is_fetched(one: BinanceBench) -> None:
    lots = one.usual_lots
    order = await one.place(Side.BUY, one.middle_ticks, 5 * lots)
    await one.take(Side.SELL, one.middle_ticks, lots)
    one.exchange.faults.replace(
        Plan(rules=(Rule(action=WireFault.DROP_FRAME, surface="stream", name="userDataStream"),))
    )
    await one.take(Side.SELL, one.middle_ticks, lots)
    await one.heal()
    assert isinstance(await amended(one, order.client_id, price_ticks=one.middle_ticks - 5), Acked)
    await told(one)
    await one.take(Side.SELL, one.middle_ticks - 5, 9 * lots)
    await told(one)
    assert sum(fill.lots for fill in fills(one)) == 5 * lots
    assert set(states(one)) == {True}, "no new connection was needed"


async def test_what_nobody_knows_stops_new_risk_until_the_account_was_read_again(one: BinanceBench) -> None:
    tell(one, {"e": "somethingNew", "E": 1})
    await one.until(lambda: False in states(one), "the stream is not trusted")
    await one.until(lambda: one.connector.live, "it is trusted again after a reconciliation")
    assert one.connector.mirror.unknown_words == {"event somethingNew": 1}
    await one.place(Side.BUY, one.middle_ticks)


async def test_without_live_events_nothing_new_is_risked_and_cancels_pass(one: BinanceBench) -> None:
    order = await one.place(Side.BUY, one.middle_ticks)
    await one.connector.rotation.close()
    answer = await one.run(one.venue.submit(one.order(Side.BUY, one.middle_ticks), 1))
    assert isinstance(answer, Rejected)
    assert answer.code == RejectCode.NOT_LIVE
    assert isinstance(await one.run(one.venue.cancel(one.reference(order.client_id), 1)), Acked)


async def test_an_ed25519_key_logs_on_trades_and_hears() -> None:
    bench = await BinanceEdwardsBench.open()
    try:
        assert all(session.key is not None for session in bench.gateway.socket_api._sessions)
        order = await bench.place(Side.BUY, bench.middle_ticks, 2 * bench.usual_lots)
        await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
        await told(bench)
        assert isinstance(await bench.run(bench.venue.cancel(bench.reference(order.client_id), 1)), Acked)
    finally:
        await bench.close()


# ---- changed orders ----------------------------------------------------------------------------------------


async def amended(bench: BinanceBench, client_id: str, **changes: int) -> object:
    return await bench.run(bench.venue.amend(bench.reference(client_id), 1, **changes))


async def test_less_of_an_order_keeps_its_place_and_another_price_does_not(one: BinanceBench) -> None:
    order = await one.place(Side.BUY, one.middle_ticks, 4 * one.usual_lots)
    (first,) = one.own_orders()
    smaller = await amended(one, order.client_id, lots=3 * one.usual_lots)
    assert smaller == Acked(str(first.order_id))
    moved = await amended(one, order.client_id, price_ticks=one.middle_ticks - 5)
    assert isinstance(moved, Acked)
    assert moved.venue_id != str(first.order_id)
    (truth,) = await one.true_orders()
    assert (truth.price_ticks, truth.lots) == (one.middle_ticks - 5, 3 * one.usual_lots)
    ends = [e for e in one.events if isinstance(e, OrderEvent) and e.state.phase in FINAL_PHASES]
    assert ends == [], "nobody heard that the order ended: it did not"


async def test_a_partly_filled_order_moves_with_exactly_what_is_left_and_a_restart_knows_it(
    one: BinanceBench,
) -> None:
    lots = one.usual_lots
    order = await one.place(Side.BUY, one.middle_ticks, 5 * lots)
    await one.take(Side.SELL, one.middle_ticks, 2 * lots)
    assert isinstance(await amended(one, order.client_id, price_ticks=one.middle_ticks - 5), Acked)
    await one.take(Side.SELL, one.middle_ticks - 5, lots)
    await told(one)
    assert isinstance(await amended(one, order.client_id, price_ticks=one.middle_ticks - 9), Acked)
    restarted = BinanceVenue(one.connector.rest, one.account, one.options())
    assert await restarted.open()
    for venue in (one.connector, restarted):
        answer = await one.run(venue.query(one.reference(order.client_id)))
        assert isinstance(answer, Found)
        state = answer.state
        assert (state.phase, state.lots, state.filled_lots, state.price_ticks) == (
            OrderPhase.PARTIALLY_FILLED, 5 * lots, 3 * lots, one.middle_ticks - 9,
        )  # fmt: skip
    await restarted.close()
    await one.take(Side.SELL, one.middle_ticks - 9, 9 * lots)
    await told(one)
    assert sum(fill.lots for fill in fills(one)) == 5 * lots, "never more than was wanted"
    assert [fill.remaining_lots for fill in fills(one)] == [3 * lots, 2 * lots, 0]


async def test_a_replacement_that_the_venue_refuses_after_the_cancel_has_ended_the_order(
    one: BinanceBench,
) -> None:
    balances = await one.run(one.venue.balances())
    assert not isinstance(balances, Incomplete)
    free = next(row.free for row in balances if row.asset == "USDT")
    order = await one.place(Side.BUY, one.middle_ticks)
    price = one.instrument.tick * one.middle_ticks
    lots = int(free / price / one.instrument.lot) + one.usual_lots
    answer = await amended(one, order.client_id, lots=lots)
    assert isinstance(answer, AlreadyFinal), answer
    assert answer.state.phase is OrderPhase.CANCELLED
    assert "replacement refused" in answer.state.reason
    (truth,) = await one.true_orders()
    assert truth.phase is OrderPhase.CANCELLED

    def ended() -> bool:
        last = [event.state.phase for event in one.events if isinstance(event, OrderEvent)][-1:]
        return last == [OrderPhase.CANCELLED]

    await one.until(ended, "the end is told")
    assert not one.connector.mirror.replacing


async def test_an_order_that_fills_under_its_replacement_is_never_doubled(one: BinanceBench) -> None:
    """The venue refuses to replace an order that has fills, whatever we believed of it."""
    lots = one.usual_lots
    order = await one.place(Side.BUY, one.middle_ticks, 2 * lots)
    rest = one.connector.rest
    read = rest.read

    async def filled_meanwhile(path: str, *args: object, **more: object) -> object:
        answer = await read(path, *args, **more)  # type: ignore[arg-type]
        if path == "order":
            await one.take(Side.SELL, one.middle_ticks, lots)
            rest.read = read  # type: ignore[method-assign]
        return answer

    rest.read = filled_meanwhile  # type: ignore[method-assign, assignment]
    answer = await amended(one, order.client_id, price_ticks=one.middle_ticks - 5)
    assert isinstance(answer, Rejected), answer
    (truth,) = await one.true_orders()
    assert (truth.phase, truth.lots, truth.filled_lots) == (OrderPhase.PARTIALLY_FILLED, 2 * lots, lots)
    assert isinstance(await amended(one, order.client_id, price_ticks=one.middle_ticks - 5), Acked)
    (truth,) = await one.true_orders()
    assert (truth.lots, truth.filled_lots) == (2 * lots, lots)


# ---- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 500, 502, 503, 504])
async def test_an_answer_that_proves_nothing_is_uncertain(one: BinanceBench, status: int) -> None:
    """400 carries -1000 here, 504 -1007, the others -1001."""
    rule = Rule(action=WireFault.STATUS, status=status, when="after", name="POST /api/v3/order", times=1)
    one.exchange.faults.replace(Plan(rules=(rule,)))
    order = one.order(Side.BUY, one.middle_ticks)
    answer = await one.run(one.venue.submit(order, 1))
    assert isinstance(answer, Uncertain), answer
    again = await one.run(one.venue.submit(order, 1))
    assert isinstance(again, Uncertain | Rejected), again
    found = await one.run(one.venue.query(one.reference(order.client_id)))
    assert isinstance(found, Found)
    assert len(await one.true_orders()) == 1


async def test_a_refused_time_stamp_is_measured_and_sent_again_once(one: BinanceBench) -> None:
    clock = one.connector.rest.clock
    for _ in range(5):
        clock.measured(one.now_ns() - 400_000_000, clock.begin())
    stuck_ns = clock.venue_ns()
    await one.until(lambda: one.now_ns() - stuck_ns > 250_000_000, "our stamps are older than the window")
    one.connector.rest.window_ms = 200
    await one.place(Side.BUY, one.middle_ticks)
    assert one.connector.rest.clock_refusals == 1
    offset = clock.offset()
    assert offset is not None
    assert abs(offset.offset_ns) < 100_000_000


async def test_a_clock_that_is_off_stops_new_risk_but_no_cancel(one: BinanceBench) -> None:
    order = await one.place(Side.BUY, one.middle_ticks)
    one.connector.rest.clock._wall_ns = lambda: one.now_ns() + 700_000_000
    answer = await one.run(one.venue.submit(one.order(Side.BUY, one.middle_ticks), 1))
    assert isinstance(answer, Rejected)
    assert answer.code == RejectCode.NOT_LIVE
    assert isinstance(await one.run(one.venue.cancel(one.reference(order.client_id), 1)), Acked)


async def test_a_symbol_with_a_rule_that_nobody_knows_takes_cancels_only(one: BinanceBench) -> None:
    order = await one.place(Side.BUY, one.middle_ticks)
    directory = one.connector.mirror.directory
    rules = directory.rules[one.symbol]
    directory.rules[one.symbol] = msgspec.structs.replace(rules, no_new_risk="filter MOON is not known")
    answer = await one.run(one.venue.submit(one.order(Side.BUY, one.middle_ticks), 1))
    assert isinstance(answer, Rejected)
    assert (answer.code, answer.preventable) == (RejectCode.SYMBOL_CLOSED, True)
    status = await one.run(one.venue.status())
    assert status.symbols[one.symbol] is VenueState.UNKNOWN
    assert isinstance(await one.run(one.venue.cancel(one.reference(order.client_id), 1)), Acked)


async def test_a_filter_that_we_knew_wrong_is_read_again_and_told_with_the_nearest_valid_value(
    one: BinanceBench,
) -> None:
    directory = one.connector.mirror.directory
    known = directory.rules[one.symbol]
    minimum = one.instrument.min_notional
    assert minimum is not None
    loose = msgspec.structs.replace(one.instrument, min_notional=None, min_quantity=None)
    directory.rules[one.symbol] = msgspec.structs.replace(
        known, rules=msgspec.structs.replace(known.rules, instrument=loose)
    )
    price = one.middle_ticks // 4
    order = one.order(Side.BUY, price, 1)
    answer = await one.run(one.venue.submit(order, 1))
    assert isinstance(answer, Rejected), answer
    assert (answer.code, answer.preventable) == (RejectCode.BELOW_MIN_NOTIONAL, True)
    assert answer.nearest_above is not None
    assert one.instrument.tick * price * one.instrument.lot * answer.nearest_above >= minimum
    assert "-1013" in answer.raw
    again = one.connector.mirror.directory.rules[one.symbol].rules.instrument
    assert again.min_notional == minimum


async def test_another_accounts_stream_says_so_and_ends(one: BinanceBench) -> None:
    events = [event async for event in one.venue.private("somebody")]
    assert [event.live for event in events if isinstance(event, StreamState)] == [False]
    assert len(events) == 1


async def test_an_order_that_cannot_be_mapped_makes_the_list_incomplete_and_stops_new_risk(
    one: BinanceBench,
) -> None:
    await one.place(Side.BUY, one.middle_ticks)
    rule = Rule(action=WireFault.UNKNOWN_ENUM, name="GET /api/v3/openOrders")
    one.exchange.faults.replace(Plan(rules=(rule,)))
    listed = await one.run(one.venue.open_orders(None))
    assert isinstance(listed, Incomplete), listed
    one.connector.rotation.current.link.socket.reconnect("test")
    await one.until(lambda: False in states(one), "the stream went down")
    answer = await one.run(one.venue.submit(one.order(Side.BUY, one.middle_ticks), 1))
    assert isinstance(answer, Rejected)
    await one.heal()
    await one.until(lambda: one.connector.live, "it is live again")


async def test_limits_are_the_venues_own_and_its_counters_correct_ours(one: BinanceBench) -> None:
    limits, clock = one.connector.rest.limits, one.connector.rest.clock
    ours = {(rule.kind.value, rule.interval_s * 1_000_000_000): rule.limit for rule in limits.rules}
    theirs = {(limit.kind, limit.span_ns): limit.limit for limit in one.gateway.state.usage.limits}
    assert ours
    assert ours == theirs
    one.gateway.state.usage.request(ADDRESS, 1_000, one.now_ns())  # somebody else behind our address
    await one.run(one.venue.balances())
    used, _ = limits.levels(clock.venue_ns())["REQUEST_WEIGHT:60s"]
    assert used > 1_000


async def test_pages_of_executions_overlap_and_miss_none(one: BinanceBench) -> None:
    for step in range(7):
        await one.place(Side.BUY, one.middle_ticks - step)
        await one.take(Side.SELL, one.middle_ticks - step, one.usual_lots)
    one.connector.history._page = 3
    listed = await one.run(one.venue.fills(0))
    assert not isinstance(listed, Incomplete), listed
    assert len(listed) == 7
    assert len({fill.key for fill in listed}) == 7
    assert all(fill.client_id for fill in listed)


async def test_closing_leaves_nothing_behind() -> None:
    before = {task for task in asyncio.all_tasks()}
    bench = await BinanceBench.open()
    await bench.place(Side.BUY, bench.middle_ticks)
    await bench.close()

    def gone() -> bool:
        return {task for task in asyncio.all_tasks() if not task.done()} <= before

    await bench.until(gone, "every task has ended")
