"""The platform view is what the log says, and says when something is not known."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
from platform_server import Platform

from tradewind.core.units import from_micros
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.observe.collect import ViewCollector
from tradewind.observe.health import assess
from tradewind.observe.view import MAX_LEVELS, FeedState, Quality
from tradewind.venues.market_data import BookState
from tradewind.venues.market_data import FeedState as FeedStateEvent


def rebuilt(platform: Platform) -> ExchangeViews:
    views = ExchangeViews()
    views.rebuild(platform.node.journal_path)
    return views


async def test_balances_orders_and_fees_equal_a_fresh_reading_of_the_log(platform: Platform) -> None:
    view = platform.collector.refresh()
    views, handle = rebuilt(platform), platform.trader_handle
    names = {number: asset.symbol for number, asset in views.assets.by_number.items()}
    expected = {names[one.asset]: from_micros(one.total) for one in views.ledger.balances(handle)}
    assert {row.asset: Decimal(row.total.value or "nan") for row in view.balances} == expected
    assert all(
        Decimal(row.free.value) + Decimal(row.held.value) == Decimal(row.total.value) for row in view.balances
    )
    open_orders = views.orders.of_account(handle)
    assert view.orders_open == len(open_orders) > 0
    assert {row.id for row in view.orders} == {str(order.order) for order in open_orders}
    charged = sum(order.fees for order in [*views.orders.ended, *open_orders] if order.account == handle)
    assert view.profit.fill_count is not None and view.profit.fill_count > 0
    assert Decimal(view.profit.fees.value) == from_micros(charged)


async def test_profit_adds_up_and_equity_is_funds_plus_profit(platform: Platform) -> None:
    profit = platform.collector.refresh().profit
    realised, unrealised, fees = (
        Decimal(one.value) for one in (profit.realised, profit.unrealised, profit.fees)
    )
    assert Decimal(profit.total.value) == realised + unrealised - fees
    assert Decimal(profit.equity.value) == 10_000 + Decimal(profit.total.value)


async def test_depth_is_the_engines_book_with_own_orders_marked(platform: Platform) -> None:
    view = platform.collector.refresh()
    views = rebuilt(platform)
    market = next(iter(views.markets.by_handle.values()))
    for shown, side in ((view.depth.bids, 0), (view.depth.asks, 1)):
        levels = views.books.book(market.market).levels(side, MAX_LEVELS)
        assert [(Decimal(one.price), Decimal(one.size)) for one in shown] == [
            (market.scale.price(one.price), market.scale.size(one.lots)) for one in levels
        ]
        running = Decimal(0)
        for one in shown:
            running += Decimal(one.size)
            assert Decimal(one.cumulative) == running
            assert Decimal(one.own) <= Decimal(one.size)
    prices = {Decimal(row.price) for row in view.orders}
    marked = {Decimal(one.price) for one in (*view.depth.bids, *view.depth.asks) if Decimal(one.own)}
    visible = {price for price in prices if Decimal(view.depth.bids[-1].price) <= price}
    assert marked == {price for price in visible if price <= Decimal(view.depth.asks[-1].price)}


async def test_head_names_the_last_durable_block(platform: Platform) -> None:
    view = platform.collector.refresh()
    head = platform.node.head()
    assert (view.head.block, view.head.seq) == (head["blocks"] - 1, head["last_seq"])
    assert view.head.hash == head["hash"].hex()
    assert view.head.writable is True


async def test_a_suspect_book_makes_the_feed_stale_and_health_fail(platform: Platform) -> None:
    view = platform.collector.refresh()
    assert view.feed.generated and view.feed.state is FeedState.LIVE
    assert assess(view, view.taken_ns).ok
    platform.session.ended_reason = "the feed has ended"
    ended = platform.collector.refresh()
    assert ended.feed.state is FeedState.ENDED
    assert ended.depth.quality is Quality.STALE
    assert {"FEED_ENDED", "TRADING_ENDED"} <= {alarm.code for alarm in ended.alarms}
    assert (ended.strategy.state, ended.strategy.detail) == ("ended", "the feed has ended")
    assert [reason.split(":")[0] for reason in assess(ended, ended.taken_ns).reasons] == ["feed"]


async def test_values_that_hang_on_a_suspect_book_are_not_shown_as_known(platform: Platform) -> None:
    symbol, now_ns = platform.session.trader.symbol, platform.session.port.now_ns()
    suspect = FeedStateEvent(symbol=symbol, state=BookState.SUSPECT, reason="test", since_ns=now_ns, epoch=0)
    held = platform.session.trader.ledger.total("BTC")
    await platform.session.on_event(suspect)
    view = platform.collector.refresh()
    by_code = {limit.code: limit for limit in view.limits}
    assert by_code["WideSpread"].fraction is None
    if held:
        assert view.profit.total.value is None
        assert view.profit.equity.quality is not Quality.KNOWN


async def test_without_a_trader_its_figures_are_unknown_and_never_zero(platform: Platform) -> None:
    alone = ViewCollector(env="paper", version="test", node=platform.node, views=platform.views)
    view = alone.refresh()
    assert view.trading.state == "unknown"
    assert view.orders_open is None and view.balances == () and view.limits == ()
    readings = (view.profit.total, view.profit.equity, view.position.quantity)
    assert all(one.value is None and one.quality is Quality.UNKNOWN for one in readings)
    assert view.feed.state is FeedState.UNKNOWN
    assert not assess(view, view.taken_ns).ok


async def test_a_halt_shows_its_state_and_reason(platform: Platform) -> None:
    from tradewind.trader.kill import KillSwitch

    result = await KillSwitch(platform.session).halt("tester", "because of the test")
    assert result.verified
    view = platform.collector.refresh()
    assert view.trading.state == "halted"
    assert "because of the test" in view.trading.reason and view.trading.actor == "tester"
    assert view.orders_open == 0
    assert "TRADING_HALTED" in {alarm.code for alarm in view.alarms}


async def test_a_stopped_node_is_announced_and_unhealthy(platform: Platform, tmp_path: Path) -> None:
    await platform.node.close()
    view = platform.collector.refresh()
    assert view.head.stopped and view.head.writable is False
    assert "NODE_STOPPED" in {alarm.code for alarm in view.alarms}
    assert any(reason.startswith("journal") for reason in assess(view, view.taken_ns).reasons)


async def test_a_failing_refresh_keeps_the_old_view_which_then_counts_as_too_old(platform: Platform) -> None:
    view = platform.collector.refresh()
    platform.collector.views = None  # type: ignore[assignment]
    running = asyncio.create_task(platform.collector.run())
    while platform.collector.failure is None:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    running.cancel()
    assert platform.collector.source() is view
    assert assess(view, view.taken_ns + 4_000_000_000).reasons[0].startswith("view")


async def test_health_names_no_folder_of_the_machine(platform: Platform) -> None:
    view = platform.collector.refresh()
    stopped = "JournalIo: write failed on /srv/tradewind/journal/00000.twj: errno 28"
    failing = msgspec.structs.replace(view, head=msgspec.structs.replace(view.head, stopped=stopped))
    report = assess(failing, failing.taken_ns)
    assert report.name == "UNHEALTHY"
    assert "write failed on 00000.twj: errno 28" in " ".join(report.reasons)
    assert "/srv" not in " ".join(report.reasons)
