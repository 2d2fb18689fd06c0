"""The native connector where the stream breaks, the node restarts or forgets, and the token is not what it
should be. Everything on sockets, against a running node.
"""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tradewind.api import requests as req
from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import BookState, FeedState, Known, Side
from tradewind.venues.native.assemble import open_native
from tradewind.venues.native.connector import NativeOptions, NativeVenue
from tradewind.venues.native.feed import NativeFeed
from tradewind.venues.native.messages import ApiToken, LimitsRow, client_id_of, key_of
from tradewind.venues.native.rest import native_rules
from tradewind.venues.protocol import (
    Acked,
    AlreadyFinal,
    BalanceEvent,
    Found,
    FundsEvent,
    Incomplete,
    NotFound,
    OrderPhase,
    Rejected,
    StreamState,
    TimeInForce,
    Uncertain,
    VenueState,
)
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.lease import KeyBusy

from .native_bench import NativeBench
from .native_world import READ_TOKEN, TRADE_TOKEN
from .test_conformance_streams import book_of, settled


@pytest.fixture
async def bench() -> AsyncIterator[NativeBench]:
    one = await NativeBench.open()
    yield one
    await one.close()


def states(bench: NativeBench) -> list[bool]:
    return [one.live for one in bench.events if isinstance(one, StreamState)]


async def live_again(bench: NativeBench, times: int = 2) -> None:
    """The link was lost and is live for the so-manieth time."""
    await bench.until(lambda: sum(states(bench)) >= times and states(bench)[-1], "live again")


def cut(bench: NativeBench) -> None:
    bench.venue.channel.link.socket.reconnect("the test cuts")


# ---- the private stream ------------------------------------------------------------------------------------


async def test_what_happened_while_the_stream_was_cut_is_told_once_and_in_order(bench: NativeBench) -> None:
    lots = bench.usual_lots
    order = await bench.place(Side.BUY, bench.middle_ticks, 3 * lots)
    for round_ in range(3):
        cut(bench)
        await bench.world.place(
            "taker", bench.symbol, "sell", *bench._text(bench.middle_ticks, lots), time_in_force="ioc"
        )
        await live_again(bench, round_ + 2)
    folded = await settled(bench)
    assert folded.phases[order.client_id] is OrderPhase.FILLED
    assert [one.remaining_lots for one in folded.fills.values()] == [2 * lots, lots, 0]
    assert bench.venue.mirror.gaps == 0, "the node tells again what was missed, nothing had to be guessed"


async def test_a_node_that_was_started_again_goes_on_where_the_connector_stopped(bench: NativeBench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks, 2 * bench.usual_lots)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    before = bench.venue.mirror.number
    await bench.world.restart()
    await live_again(bench)
    assert bench.venue.mirror.number == before, "numbers are functions of the log"
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    folded = await settled(bench)
    assert folded.lots(order.client_id) == 2 * bench.usual_lots
    assert folded.phases[order.client_id] is OrderPhase.FILLED


async def test_events_that_the_node_has_forgotten_are_told_from_its_lists(bench: NativeBench) -> None:
    lots = bench.usual_lots
    filled = await bench.place(Side.BUY, bench.middle_ticks, 2 * lots)
    cancelled = await bench.place(Side.BUY, bench.middle_ticks - 5)
    kept = await bench.place(Side.BUY, bench.middle_ticks - 9)
    activity = bench.world.views.activity.of(bench.handle)
    await settled(bench)
    cut(bench)
    await bench.until(lambda: not bench.venue.channel.link.live, "the link is down")
    await bench.world.place(
        "taker", bench.symbol, "sell", *bench._text(bench.middle_ticks, 2 * lots), time_in_force="ioc"
    )
    found = next(
        one for one in bench.own_orders() if client_id_of(one.client_key.hex()) == cancelled.client_id
    )
    await bench.world.desk.cancel_order(found.order, req.CancelOrder(account=bench.account))
    activity.events.clear()
    await live_again(bench)
    folded = await settled(bench)
    assert folded.lots(filled.client_id) == 2 * lots
    assert folded.phases[cancelled.client_id] is OrderPhase.CANCELLED
    assert folded.phases[kept.client_id] is OrderPhase.WORKING
    assert [one.client_id for one in bench.venue.mirror.open()] == [kept.client_id]


@pytest.mark.parametrize("action", [WireFault.DROP_FRAME, WireFault.CORRUPT])
async def test_an_event_that_does_not_arrive_is_noticed_and_asked_for(
    bench: NativeBench, action: WireFault
) -> None:
    plan = Plan(rules=(Rule(action=action, surface="stream", name="event", times=2),))
    bench.world.plan.replace(plan)
    # The last events of all: only the next pong can tell that they were sent.
    order = await bench.place(Side.BUY, bench.middle_ticks)
    folded = await settled(bench)
    assert folded.phases == {order.client_id: OrderPhase.WORKING}
    assert bench.world.plan.counts[action] == 2
    assert states(bench) == [True], "no new connection was needed"


async def test_the_fill_stream_alone_going_silent_ends_new_risk(bench: NativeBench) -> None:
    bench.world.plan.replace(Plan(rules=(Rule(action=WireFault.DROP_FRAME, surface="stream", name="event"),)))
    order = bench.order(Side.BUY, bench.middle_ticks)
    assert isinstance(await bench.venue.submit(order, 1), Acked)
    await bench.until(lambda: not bench.venue.channel.link.live, "the link says that it is not live")
    answer = await bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1)
    assert isinstance(answer, Rejected)
    assert answer.code == RejectCode.NOT_LIVE
    await bench.heal()
    await live_again(bench)
    assert (await settled(bench)).phases == {order.client_id: OrderPhase.WORKING}


async def test_a_difference_between_stream_and_lists_is_found_and_told(bench: NativeBench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await settled(bench)
    mirror = bench.venue.mirror
    state = mirror.find(order.client_id)
    assert state is not None
    del mirror.working[state.venue_id]
    assert await bench.venue._compare() == ""
    assert mirror.open() == [state]


async def test_deposits_are_told_as_funds_and_as_balances(bench: NativeBench) -> None:
    deposit = req.Deposit(account=bench.account, asset="USDT", amount="12.5", external_id="more")
    await bench.world.desk.deposit(deposit)
    await bench.until(lambda: any(isinstance(one, FundsEvent) for one in bench.events), "told")
    [funds] = [one for one in bench.events if isinstance(one, FundsEvent)]
    assert (funds.asset, funds.amount) == ("USDT", Decimal("12.5"))
    balance = [one for one in bench.events if isinstance(one, BalanceEvent)][-1]
    assert (balance.free, balance.held) == (Decimal("100012.5"), 0)


# ---- silence that becomes decidable (T7.4, T7.6) -----------------------------------------------------------


async def test_a_command_that_arrives_behind_its_validity_is_never_executed(bench: NativeBench) -> None:
    # The wire holds the order for longer than the connector waits, and than the order is valid.
    rule = Rule(surface="rest", name="POST /api/v1/orders", action=WireFault.DELAY, delay_ms=2_500, times=1)
    bench.world.plan.replace(Plan(rules=(rule,)))
    order = bench.order(Side.BUY, bench.middle_ticks)
    answer = await bench.venue.submit(order, 1)
    assert isinstance(answer, Uncertain), answer
    seen: list[Any] = []

    async def proven() -> bool:
        seen.append(await bench.venue.query(bench.reference(order.client_id)))
        return isinstance(seen[-1], NotFound) and seen[-1].proven_absent

    first = await bench.venue.query(bench.reference(order.client_id))
    assert first == NotFound(False), "it may still be on its way"
    await bench.until_true(proven, "absence is proven")
    assert not any(isinstance(one, Found) for one in seen)
    await bench.step(2.5)
    assert await bench.true_orders() == []


async def test_an_undecided_id_is_not_sent_again_before_its_absence_is_proven(bench: NativeBench) -> None:
    rule = Rule(surface="rest", name="POST /api/v1/orders", action=WireFault.RESET, when="before", times=1)
    bench.world.plan.replace(Plan(rules=(rule,)))
    order = bench.order(Side.BUY, bench.middle_ticks)
    assert isinstance(await bench.venue.submit(order, 1), Uncertain)
    assert isinstance(await bench.venue.submit(order, 1), Uncertain), "not decided yet"
    assert await bench.true_orders() == []

    async def accepted() -> bool:
        return isinstance(await bench.venue.submit(order, 1), Acked)

    await bench.until_true(accepted, "the same id goes once it is decided")
    assert len(await bench.true_orders()) == 1


async def test_an_undecided_id_that_did_arrive_is_acknowledged_instead_of_sent_again(
    bench: NativeBench,
) -> None:
    rule = Rule(surface="rest", name="POST /api/v1/orders", action=WireFault.RESET, when="after", times=1)
    event = Rule(action=WireFault.DROP_FRAME, surface="stream", name="event", times=2)
    bench.world.plan.replace(Plan(rules=(rule, event)))
    order = bench.order(Side.BUY, bench.middle_ticks)
    assert isinstance(await bench.venue.submit(order, 1), Uncertain)
    again = await bench.venue.submit(order, 1)
    assert isinstance(again, Acked | Rejected), again
    assert len(await bench.true_orders()) == 1


async def test_absence_is_not_believed_of_a_node_that_has_forgotten(bench: NativeBench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.venue.cancel(bench.reference(order.client_id), 1)
    activity = bench.world.views.activity.of(bench.handle)
    activity.forget(bench.world.node.now_ns())
    bench.world.views.orders._forget(bench.own_orders()[-1])
    await bench.step(2.5)
    answer = await bench.venue.query(bench.reference(order.client_id))
    assert answer == NotFound(False)


# ---- what the node refuses, and who may ask ----------------------------------------------------------------


async def test_a_paused_market_takes_cancels_and_says_so(bench: NativeBench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.world.desk.pause_market(bench.symbol, req.PauseMarket(level="full", for_s=600, reason="test"))
    answer = await bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1)
    assert isinstance(answer, Rejected)
    assert (answer.code, answer.preventable) == (RejectCode.CANCEL_ONLY, False)
    status = await bench.venue.status()
    assert status.symbols[bench.symbol] is VenueState.CANCEL_ONLY
    again = await bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1)
    assert isinstance(again, Rejected)
    assert again.code == RejectCode.CANCEL_ONLY
    assert isinstance(await bench.venue.cancel(bench.reference(order.client_id), 1), Acked)


async def test_a_token_that_may_only_read_hears_and_asks_but_cannot_trade(bench: NativeBench) -> None:
    options = NativeOptions(url=bench.world.url)
    async with open_native(
        ApiToken(READ_TOKEN), KeyFolder(bench.data), account="taker", options=options
    ) as one:
        assert await one.open()
        assert not isinstance(await one.balances(), Incomplete)
        answer = await one.submit(bench.order(Side.BUY, bench.middle_ticks), 1)
        assert isinstance(answer, Rejected)
        assert answer.code == RejectCode.NOT_AUTHORISED
        assert one.rest.lane.quarantined == ""


async def test_a_wrong_token_is_put_out_of_use_and_nothing_is_live(bench: NativeBench) -> None:
    options = NativeOptions(url=bench.world.url)
    token = ApiToken("w" * 43)
    async with open_native(token, KeyFolder(bench.data), account="taker", options=options) as one:
        assert not await one.open(timeout_s=0.5)
        for _ in range(3):
            assert isinstance(await one.balances(), Incomplete)
        assert one.rest.lane.quarantined == "AuthenticationFailures"
        assert (await one.status()).state is VenueState.UNKNOWN
    for text in (repr(token), str(token), repr(one), repr(one.rest), repr(one.channel)):
        assert "www" not in text
    with pytest.raises(TypeError):
        pickle.dumps(token)
    with pytest.raises(ValueError, match="no token") as refusal:
        ApiToken("secret with spaces")
    assert "secret" not in str(refusal.value)


async def test_one_process_trades_an_account_whatever_its_token(bench: NativeBench) -> None:
    options = NativeOptions(url=bench.world.url)
    with pytest.raises(KeyBusy) as busy:
        async with open_native(
            ApiToken(READ_TOKEN), KeyFolder(bench.data), account=bench.account, options=options
        ):
            pass
    assert busy.value.status == 75


def test_plain_http_does_not_leave_this_machine(tmp_path: Any) -> None:
    async def attempt() -> None:
        options = NativeOptions(url="http://203.0.113.5:8000")
        async with open_native(ApiToken(TRADE_TOKEN), KeyFolder(tmp_path), account="a", options=options):
            pass

    for _ in range(2):  # the lock is given back
        with pytest.raises(ValueError, match="plain http"):
            asyncio.run(attempt())


async def test_orders_that_are_not_ours_are_listed_and_never_taken_for_ours(bench: NativeBench) -> None:
    await bench.world.place(bench.account, bench.symbol, "buy", "60000", "0.01", client_key="by-hand")
    ours = await bench.place(Side.BUY, bench.middle_ticks)
    listed = await bench.venue.open_orders(None)
    assert not isinstance(listed, Incomplete)
    ids = [one.client_id for one in listed]
    assert ids == [b"by-hand".ljust(16, b"\0").hex(), ours.client_id]
    assert client_id_of(key_of(ours.client_id).encode().hex()) == ours.client_id
    assert client_id_of(ours.client_id) == ours.client_id, "a node's own trader tells ids, not keys"


async def test_an_order_in_a_market_that_cannot_be_mapped_makes_the_lists_incomplete(
    bench: NativeBench,
) -> None:
    directory = bench.venue.mirror.directory
    await bench.place(Side.BUY, bench.middle_ticks)
    rules = directory.by_handle.pop(0)
    assert isinstance(await bench.venue.open_orders(None), Incomplete)
    directory.by_handle[0] = rules
    assert not isinstance(await bench.venue.open_orders(None), Incomplete)


async def test_an_amend_that_loses_the_race_tells_the_end(bench: NativeBench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    rule = Rule(surface="rest", name="POST */replace", action=WireFault.DELAY, delay_ms=300, times=1)
    bench.world.plan.replace(Plan(rules=(rule,)))
    reference = bench.reference(order.client_id)
    amend = asyncio.ensure_future(bench.venue.amend(reference, 1, price_ticks=bench.middle_ticks - 1))
    await bench.step(0.1)
    await bench.take(Side.SELL, bench.middle_ticks, bench.usual_lots)
    answer = await amend
    assert isinstance(answer, AlreadyFinal), answer
    assert answer.state.phase is OrderPhase.FILLED


async def test_a_read_that_meets_a_passing_fault_is_asked_again_and_a_command_never(
    bench: NativeBench,
) -> None:
    reads = Rule(surface="rest", name="GET *", action=WireFault.STATUS, status=503, times=2)
    orders = Rule(surface="rest", name="POST *", action=WireFault.STATUS, status=503, times=2)
    bench.world.plan.replace(Plan(rules=(reads, orders)))
    assert not isinstance(await bench.venue.balances(), Incomplete)
    assert isinstance(await bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1), Uncertain)
    sent = [one.name for one in bench.world.plan.log if one.name.startswith("POST")]
    assert sent == ["POST /api/v1/orders"]


# ---- limits ------------------------------------------------------------------------------------------------


async def test_the_limits_are_those_that_the_node_publishes_for_the_account(bench: NativeBench) -> None:
    rules = bench.venue.rest.limits.rules
    assert (rules["commands"].limit, rules["cancels"].limit) == (8_192, 32_768)
    assert rules["keys"].limit == 3_072


def test_a_full_window_never_asks_a_bucket_for_more_than_it_holds() -> None:
    for per_s, at_once in ((1_000, 8_192), (5_000, 16_384), (10, 5), (1, 100)):
        limits = LimitsRow(
            rate_class=0, commands_per_s=per_s, commands_at_once=at_once, cancels_per_s=per_s,
            cancels_at_once=at_once, live_keys=4_096,
        )  # fmt: skip
        [rule] = [one for one in native_rules(limits) if one.name == "commands"]
        level = Decimal(at_once)
        # The worst that the window lets through: all at its end, then all as soon as it is over.
        for _ in range(10):
            level -= rule.limit
            assert level >= 0, (per_s, at_once)
            level = min(Decimal(at_once), level + per_s * rule.span_ns // 1_000_000_000)


async def test_what_was_sent_counts_in_the_next_process_too(bench: NativeBench) -> None:
    await bench.place(Side.BUY, bench.middle_ticks)
    await bench.stack.aclose()
    await bench.connect()
    levels = bench.venue.rest.limits.levels(time.monotonic_ns())
    assert levels["commands"][0] == 1
    assert levels["reads"][0] > 1


async def test_rules_that_a_refusal_puts_in_doubt_are_read_again(bench: NativeBench) -> None:
    directory = bench.venue.mirror.directory
    rules = directory.by_symbol[bench.symbol]
    open_rules = msgspec.structs.replace(rules.rules.instrument, min_notional=Decimal(1), status="online")
    directory.by_symbol[bench.symbol] = msgspec.structs.replace(
        rules, rules=msgspec.structs.replace(rules.rules, instrument=open_rules)
    )
    small = bench.order(Side.BUY, 200_000, 1)
    answer = await bench.venue.submit(small, 1)
    assert isinstance(answer, Rejected), answer
    await bench.until(lambda: bench.venue.mirror.directory is not directory, "read again")
    answer = await bench.venue.submit(small, 1)
    assert isinstance(answer, Rejected)
    assert (answer.code, answer.preventable) == (RejectCode.BELOW_MIN_NOTIONAL, True)


async def test_old_rules_allow_no_new_risk(bench: NativeBench) -> None:
    directory = bench.venue.mirror.directory
    directory.as_of_ns -= 7_201 * 1_000_000_000
    answer = await bench.venue.submit(bench.order(Side.BUY, bench.middle_ticks), 1)
    assert isinstance(answer, Rejected)
    assert (answer.code, answer.raw) == (RejectCode.NOT_LIVE, "the markets' rules are old")


# ---- market data -------------------------------------------------------------------------------------------


async def test_a_lost_change_of_the_book_is_noticed_and_healed(bench: NativeBench) -> None:
    lots, middle = bench.usual_lots, bench.middle_ticks
    await bench.quote([(middle - 60, lots)], [(middle + 60, lots)])
    rule = Rule(action=WireFault.DROP_FRAME, surface="stream", name="book", times=1)
    bench.world.plan.replace(Plan(rules=(rule,)))
    await bench.quote([(middle - 61, lots)], [(middle + 61, 2 * lots)])

    def shown() -> bool:
        book = book_of(bench)
        return (book[Side.BUY], book[Side.SELL]) == ({middle - 61: lots}, {middle + 61: 2 * lots})

    await bench.until(shown, "the book is whole again")
    suspect = [one for one in bench.market_events if isinstance(one, FeedState)]
    assert BookState.SUSPECT in {one.state for one in suspect}, "nothing was believed in between"
    await bench.until(
        lambda: (
            [one for one in bench.market_events if isinstance(one, FeedState)][-1].state is BookState.LIVE
        ),
        "live again",
    )


async def test_a_wrong_checksum_makes_the_book_suspect(bench: NativeBench) -> None:
    lots, middle = bench.usual_lots, bench.middle_ticks
    await bench.quote([(middle - 60, lots)], [(middle + 60, lots)])
    rules = bench.venue.mirror.directory.by_symbol[bench.symbol]
    feed = NativeFeed([rules.instrument], bench.venue.options.stream_url, bench.venue.rest.token.header)
    book = feed.pipeline.book(bench.symbol)
    reading = asyncio.create_task(_drain(feed))
    await bench.until(lambda: not book.wants_snapshot, "the book is there")
    book.bids.replace(((middle - 60, lots), (middle - 70, lots)))
    bench.world.views.changes.numbers[0] = 999
    book.sequence = 999
    await bench.quote([(middle - 60, lots)], [(middle + 62, lots)])
    await bench.until(lambda: book.counters.checksum_failures == 1, "the thousandth change tells")
    await bench.until(lambda: not book.wants_snapshot, "healed by a snapshot")
    reading.cancel()
    await feed.close()


async def _drain(feed: Any) -> None:
    async for _ in feed.events():
        pass


# ---- a second life -----------------------------------------------------------------------------------------


async def test_a_connector_that_comes_back_finds_what_the_first_one_left(bench: NativeBench) -> None:
    order = await bench.place(Side.BUY, bench.middle_ticks)
    await bench.stack.aclose()
    await bench.world.place(
        "taker",
        bench.symbol,
        "sell",
        *bench._text(bench.middle_ticks, bench.usual_lots),
        time_in_force="ioc",
    )
    await bench.connect()
    second: NativeVenue = bench.venue
    assert await second.open()
    found = await second.query(bench.reference(order.client_id))
    assert isinstance(found, Found)
    assert found.state.phase is OrderPhase.FILLED
    fills = await second.fills(0)
    assert not isinstance(fills, Incomplete)
    assert [one.client_id for one in fills] == [order.client_id]
    assert await second.open_orders(None) == []
    repeated = await second.submit(order, 1)
    # The engine keeps the key while its command is valid; later the trader's own index does (T7.3).
    assert isinstance(repeated, Acked | Rejected), repeated
    fees = await second.fees(bench.account, bench.symbol)
    assert isinstance(fees, Known)
    assert TimeInForce.FOK in second.capabilities().times_in_force
