"""Risk on a running trader: total loss, behaviour, limits that change, sizes, and what a restart keeps."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from paper_world import SYMBOL
from trader_world import TraderWorld, buy, sell, tight

from tradewind.trader.records import Denial, decode, encode
from tradewind.trader.risk.changes import RAISE_DELAY_NS
from tradewind.trader.risk.history import History, explain
from tradewind.trader.risk.state import ACCOUNT, TOTAL_LOSS, LatchError, TradingState, strategy_scope
from tradewind.trader.risk_desk import RiskDesk
from tradewind.trader.risk_usage import limits_now
from tradewind.trader.strategy import SizeRequest
from tradewind.venues.market_data import Known, Side

D = Decimal


def worth(world: TraderWorld, equity: str) -> None:
    """Let the account be worth so much."""
    now_ns = world.port.now_ns()
    world.trader.marks.equity = lambda: Known(D(equity), now_ns, "test")  # type: ignore[method-assign]


async def test_the_total_loss_halts_within_a_second_and_only_two_people_end_it() -> None:
    world = await TraderWorld.open(profile=tight(total_loss_quote=D(30)))
    await world.wait_ms(1_000)
    worth(world, "9970.000001")
    await world.wait_ms(1_000)
    assert world.trader.state() is TradingState.NORMAL
    worth(world, "9970")
    await world.wait_ms(1_000)
    assert world.trader.state() is TradingState.HALTED
    denied, _ = await world.trader.submit(buy(4_999_000, 10))
    assert "StateHalted" in {one.code for one in denied}
    now_ns = world.port.now_ns()
    with pytest.raises(LatchError, match="second"):
        world.trader.states.clear(ACCOUNT, TOTAL_LOSS, reason="r", actor="ann", now_ns=now_ns)
    assert not (await world.kill.resume("ann", "on with it")).verified


async def test_the_stage_survives_a_checkpoint_and_the_log() -> None:
    world = await TraderWorld.open(profile=tight(total_loss_quote=D(30)))
    await world.wait_ms(1_000)
    stage = world.trader.loss.stage
    assert stage is not None and stage.equity == 10_000
    data = msgspec.json.encode(world.trader.risk_desk.take())
    other = await TraderWorld.open(profile=tight(total_loss_quote=D(30)))
    other.trader.risk_desk.load(data)
    assert other.trader.loss.stage == stage
    third = await TraderWorld.open(profile=tight(total_loss_quote=D(30)))
    third.trader.loss.stage = None
    third.trader.risk_desk._fold(decode(encode(stage)[2]))
    assert third.trader.loss.stage == stage


async def test_the_checks_of_a_trader_see_volume_timer_and_clusters() -> None:
    world = await TraderWorld.open()
    await world.wait_ms(1_000)
    view = world.trader.snapshot_for_risk()
    assert view.attended is True
    assert view.volumes is not None and isinstance(view.volumes[SYMBOL], Known)
    assert view.groups.source.startswith("prior")
    world.trader.dead_man_until_ns = 0
    assert world.trader.snapshot_for_risk().attended is False


async def test_without_public_trades_nothing_may_take_and_quotes_may_stay() -> None:
    world = await TraderWorld.open(live=False)
    from trader_world import ASKS, BIDS

    await world.book(BIDS, ASKS)
    await world.wait_ms(1_000)
    taking, _ = await world.trader.submit(buy(5_000_100, 10, post_only=False))
    assert [one.code for one in taking] == ["Participation"]
    resting, _ = await world.trader.submit(buy(4_999_000, 10))
    assert not resting


async def test_an_entry_below_its_cost_is_denied_and_a_stop_counts() -> None:
    world = await TraderWorld.open()
    await world.wait_ms(1_000)
    for edge, expected in (("5", ["CostGate"]), ("500", [])):
        denied, _ = await world.trader.submit(buy(4_999_000, 10, edge_bps=D(edge)))
        assert [one.code for one in denied] == expected
    denied, _ = await world.trader.submit(buy(4_999_100, 20, stop_ticks=2_000_000))
    assert [one.code for one in denied] == ["RiskToStop"]


async def test_a_strategy_gets_a_size_with_its_reason() -> None:
    world = await TraderWorld.open()
    await world.wait_ms(1_000)
    request = SizeRequest(symbol=SYMBOL, side=Side.BUY, price_ticks=5_000_000, stop_ticks=4_900_000)
    lots, reason = world.trader.sizer("scripted", request)
    found = world.trader.risk_desk.last_sizes["scripted"]
    assert (lots, reason) == (found.lots, "")
    assert 0 < found.notional <= min(found.caps.values())
    tight_stop = msgspec.structs.replace(request, stop_ticks=4_999_999)
    assert world.trader.sizer("scripted", tight_stop)[1].startswith("StopTooTight")


async def test_a_losing_stop_is_a_stop_out_and_no_re_entry_follows() -> None:
    world = await TraderWorld.open()
    await world.wait_ms(1_000)
    await world.hold(20)
    stop = sell(5_000_000, 20, post_only=False, tag="stop 1")
    denied, _ = await world.trader.submit(stop, strategy="scripted")
    assert not denied
    await world.wait_ms(100)
    again, _ = await world.trader.submit(buy(4_999_000, 10), strategy="scripted")
    assert "Reentry" in {one.code for one in again}
    assert not (await world.trader.submit(buy(4_999_000, 10), strategy="other"))[0]


async def test_an_error_inside_risk_halts_the_account() -> None:
    world = await TraderWorld.open()
    await world.wait_ms(1_000)
    world.trader.risk.behaviour = None  # type: ignore[assignment]
    denied, _ = await world.trader.submit(buy(4_999_000, 10))
    assert [one.code for one in denied] == ["RiskInternal"]
    assert world.trader.state() is TradingState.HALTED
    assert world.trader.states.is_set(ACCOUNT, "risk")


async def test_limits_change_in_the_running_trader_and_a_raise_waits_for_a_flat_book() -> None:
    world = await TraderWorld.open()
    await world.wait_ms(1_000)
    desk: RiskDesk = world.trader.risk_desk
    wanted = msgspec.structs.replace(
        world.trader.risk.limits, max_order_notional_quote=D(600), daily_loss_pct=D("1.5")
    )
    desk.change_limits(wanted, actor="ann", second="bob", reason="review")
    assert world.trader.loss.limits.daily_loss_pct == D("1.5")
    assert world.trader.profile.limits.max_order_notional_quote == 500
    later = world.port.now_ns() + RAISE_DELAY_NS
    await world.hold(10)
    desk._change_limits(later)
    assert world.trader.risk.limits.max_order_notional_quote == 500
    denied, _ = await world.trader.submit(sell(5_000_000, 10, post_only=False))
    assert not denied
    await world.wait_ms(100)
    desk._change_limits(later)
    assert world.trader.risk.limits.max_order_notional_quote == 600


async def test_a_refused_order_is_explained_from_the_log_alone() -> None:
    world = await TraderWorld.open()
    await world.wait_ms(1_000)
    world.trader.trip(strategy_scope("manual"), "fault", TradingState.REDUCE_ONLY, "looked odd")
    denied, _ = await world.trader.submit(buy(4_999_000, 200))
    latch = world.trader.states.active()[0]
    record = Denial(
        strategy="manual", path="manual", symbol=SYMBOL, side=Side.BUY, price_ticks=4_999_000, lots=200,
        codes=[one.code for one in denied], detail="", at_ns=1,
        reasons=[
            {"code": str(one.code), "limit": one.limit, "bound": one.bound, "given": one.given}
            for one in denied
        ],
    )  # fmt: skip
    notes = [encode(latch)[2], msgspec.json.encode({"type": "Denial", "body": record})]
    history = History(notes, keep=5)
    told = explain(history.refusals[-1])
    by_code = {one["code"]: one for one in told["reasons"]}
    assert by_code["OrderNotionalLimit"]["would_pass"] == "at most 500 quote"
    assert by_code["StateReduceOnly"]["would_pass"].endswith("the reset of fault of strategy:manual")
    assert told["states"][0]["reason"] == "looked odd"
    assert not History(notes, keep=5, number=2).refusals


async def test_the_view_of_limits_shows_what_is_used() -> None:
    world = await TraderWorld.open()
    await world.wait_ms(1_000)
    await world.trader.submit(buy(4_999_000, 20))
    rows = {row["id"]: row for row in limits_now(world.trader)}
    assert (rows["L10.account"]["used"], rows["L10.account"]["limit"]) == ("1", "60")
    assert rows["L07"]["used"] == "0.9998"
    assert rows["L02"]["used"] is None
