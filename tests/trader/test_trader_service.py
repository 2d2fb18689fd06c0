"""The trader on a real engine: every path through risk, journal before send, states, loss, kill switch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal

import msgspec
import pytest
from paper_world import SYMBOL
from trader_world import ASKS, BIDS, TraderWorld, buy, sell, tight

from tradewind.trader.kill import Outcome
from tradewind.trader.orders import State
from tradewind.trader.records import Denial, Intent, Kind, decode
from tradewind.trader.risk.check import Denied, Path, RiskModule
from tradewind.trader.risk.state import ACCOUNT, TradingState
from tradewind.trader.strategy import AmendIntent, CancelIntent
from tradewind.venues.market_data import BookState, Side
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import PortStopped

D = Decimal


def records(world: TraderWorld, kind: Kind) -> list[object]:
    """Trader's records on the tape, in order."""
    return [decode(entry[2:]) for entry in world.port.tape if entry[:2] == bytes([1, kind])]


async def test_an_intent_is_in_the_journal_before_its_order_reaches_the_engine() -> None:
    world = await TraderWorld.open()
    await world.wish(buy(4_999_900, 10))
    (order,) = world.trader.oms.working()
    intent_at = next(i for i, e in enumerate(world.port.tape) if e[:2] == bytes([1, Kind.INTENT]))
    key = order.client_id[2:].encode()
    sent_at = next(i for i, e in enumerate(world.port.tape) if key in e and e[:1] == b"\x80")
    assert intent_at < sent_at
    (intent,) = records(world, Kind.INTENT)
    assert isinstance(intent, Intent)
    assert (intent.client_id, intent.lots, intent.limits_hash) == (
        order.client_id,
        10,
        world.trader.profile.hash,
    )
    assert order.state is State.WORKING
    assert not await world.trader.reconcile()


async def strategy_path(world: TraderWorld) -> None:
    await world.wish(buy(4_999_900, 10))


async def manual_path(world: TraderWorld) -> None:
    await world.trader.submit(buy(4_999_900, 10))


async def amend_path(world: TraderWorld) -> None:
    (order,) = world.trader.oms.working()
    await world.trader.submit(AmendIntent(client_id=order.client_id, price_ticks=4_999_950, lots=20))


async def flatten_path(world: TraderWorld) -> None:
    await world.kill.flatten("op", "test")


@pytest.mark.parametrize("path", [strategy_path, manual_path, amend_path, flatten_path])
async def test_a_risk_module_that_denies_everything_stops_every_path(
    path: Callable[[TraderWorld], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await TraderWorld.open()
    await world.hold(40)
    if path is amend_path:
        await world.wish(buy(4_999_900, 10))
    before = {order.client_id: order.price_ticks for order in world.trader.oms.working()}
    intents = len(records(world, Kind.INTENT))
    asked: list[str] = []

    def deny(self: RiskModule, order: object, snapshot: object) -> list[Denied]:
        asked.append("asked")
        return [Denied(code="RiskInternal", limit="mutation")]

    monkeypatch.setattr(RiskModule, "check", deny)
    await path(world)
    assert asked, "the path never called the risk module"
    assert len(records(world, Kind.INTENT)) == intents
    assert world.trader.ledger.total("BTC") == D("0.004")
    if path is not flatten_path:
        assert {order.client_id: order.price_ticks for order in world.trader.oms.working()} == before
        assert isinstance(records(world, Kind.REJECT)[-1], Denial)


async def test_fills_reach_ledger_position_and_strategy_and_reconcile_exactly() -> None:
    world = await TraderWorld.open()
    await world.hold(40)
    await world.wish(sell(5_000_300, 40))
    await world.levels(asks=[(5_000_100, 0), (5_000_200, 0)])
    await world.prints(5_000_300, 40, Side.BUY)
    position = world.trader.ledger.positions[SYMBOL]
    assert (position.quantity, position.fill_count) == (0, 2)
    assert position.realised == D("0.004") * 2
    buy_fee, sell_fee = D("0.004") * D(50_001) / 1_000, D("0.004") * D(50_003) / 1_000
    assert position.fees == {"USDT": buy_fee + sell_fee}
    assert world.trader.ledger.total("USDT") == 10_000 + position.realised - buy_fee - sell_fee
    assert world.trader.ledger.balance("USDT", "reserved") == 0
    assert world.strategy.seen == ["fill", "fill"]
    assert not await world.trader.reconcile()


async def test_an_amend_moves_price_size_and_reservation() -> None:
    world = await TraderWorld.open()
    await world.wish(buy(4_999_000, 50))
    (order,) = world.trader.oms.working()
    await world.wish(AmendIntent(client_id=order.client_id, price_ticks=4_999_500, lots=20))
    assert (order.price_ticks, order.lots, order.state) == (4_999_500, 20, State.WORKING)
    expected = (D("0.002") * D("49995") * D("1.001")).quantize(D("0.000001"), rounding="ROUND_CEILING")
    assert world.trader.ledger.balance("USDT", "reserved") == expected
    assert not await world.trader.reconcile()


async def test_a_cancel_that_loses_the_race_ends_filled_without_an_alarm() -> None:
    slow = LatencyConfig(
        entry_median_ms=1,
        entry_p99_ms=1,
        cancel_median_ms=50,
        cancel_p99_ms=50,
        report_median_ms=1,
        report_p99_ms=1,
    )
    world = await TraderWorld.open(latency=slow)
    await world.wish(buy(4_999_900, 10))
    await world.wait_ms(20)
    (order,) = world.trader.oms.working()
    await world.wish(CancelIntent(client_id=order.client_id))
    assert order.state is State.CANCEL_PENDING
    await world.prints(4_999_900, 510, Side.SELL)
    await world.wait_ms(200)
    assert order.state is State.FILLED
    assert world.trader.oms.stats.cancel_races == 1
    assert not world.trader.alarms
    assert not await world.trader.reconcile()


async def test_the_daily_loss_halts_cancels_and_denies_within_the_same_check() -> None:
    world = await TraderWorld.open(profile=tight(daily_loss_pct=D("0.1"), max_strategy_loss_pct=D(1)))
    await world.hold(90)
    await world.wish(buy(4_900_000, 5))
    assert world.trader.oms.working() or world.trader.risk.denials
    await world.levels(
        bids=[(5_000_000, 0), (4_999_900, 0), (4_999_800, 0), (4_800_000, 900)],
        asks=[(5_000_100, 0), (5_000_200, 0), (4_800_100, 900)],
    )
    denied, _ = await world.trader.submit(buy(4_800_000, 5))
    assert "DailyLoss" in {denial.code for denial in denied}, "no window between two marks"
    await world.wait_ms(1_000)
    assert world.trader.state() is TradingState.HALTED
    assert world.trader.states.is_set(ACCOUNT, "daily_loss")
    await world.wait_ms(5)
    assert not world.trader.oms.working()
    denied, _ = await world.trader.submit(buy(4_800_000, 5))
    assert {"StateHalted", "DailyLoss"} <= {denial.code for denial in denied}
    result = await world.kill.resume("op", "too early")
    assert (result.outcome, world.trader.state()) == (Outcome.REJECTED, TradingState.HALTED)
    assert "cannot be reset" in result.detail


async def test_a_faulting_strategy_is_halted_and_its_orders_are_cancelled() -> None:
    world = await TraderWorld.open()
    await world.wish(buy(4_999_900, 10))
    world.strategy.raises = RuntimeError("boom")
    await world.levels(bids=[(4_999_700, 3)])
    await world.wait_ms(5)
    assert world.trader.state("scripted") is TradingState.HALTED
    assert world.trader.state() is TradingState.NORMAL, "the account trades on"
    assert not world.trader.oms.working()
    assert "boom" in world.trader.alarms[0].text
    assert not await world.venue.open_orders(None)


async def test_a_strategy_that_is_denied_again_and_again_is_halted() -> None:
    world = await TraderWorld.open()
    for _ in range(25):
        await world.wish(buy(4_999_900, 900))
    assert world.trader.state("scripted") is TradingState.HALTED
    assert world.trader.states.active()[0].cause == "fault"


async def test_a_book_that_is_not_live_makes_values_stale_and_denies_new_risk() -> None:
    world = await TraderWorld.open()
    await world.hold(40)
    await world.state(BookState.SUSPECT, "gap")
    denied, _ = await world.trader.submit(buy(4_999_900, 10))
    assert "StaleMarket" in {denial.code for denial in denied}
    view = world.trader.snapshot()
    assert (view.equity.quality, view.positions[0].mark.quality) == ("stale", "stale")
    assert view.unrealised is None


async def test_a_stopped_journal_means_no_order_leaves_and_nothing_stays_reserved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await TraderWorld.open()

    async def refuse(commands: object, notes: object = ()) -> list[object]:
        raise PortStopped("disk full")

    monkeypatch.setattr(world.port, "submit", refuse)
    await world.trader.submit(buy(4_999_900, 10))
    assert not world.trader.oms.working()
    assert world.trader.ledger.balance("USDT", "reserved") == 0
    assert world.trader.state() is TradingState.HALTED
    assert world.venue.in_flight_count == 0


async def test_orders_with_an_unknown_symbol_or_a_stale_decision_are_denied() -> None:
    world = await TraderWorld.open()
    intent = msgspec.structs.replace(buy(4_999_900, 10), symbol="DOGE/USDT")
    denied, client_id = await world.trader.submit(intent)
    assert ([denial.code for denial in denied], client_id) == (["UnknownSymbol"], None)


# ---- kill switch -------------------------------------------------------------------------------------


async def test_halt_cancels_everything_and_says_verified_only_after_reading_back() -> None:
    world = await TraderWorld.open(latency=LatencyConfig(seed=3))
    await world.wish(buy(4_999_900, 10), buy(4_999_800, 10))
    result = await world.kill.halt("op", "drill")
    assert result.verified
    assert (result.outcome, result.orders_after, result.left) == (Outcome.VERIFIED, 0, ())
    assert not await world.venue.open_orders(None)
    again = await world.kill.halt("op", "drill")
    assert (again.outcome, again.state) == (Outcome.NO_EFFECT, "HALTED")


async def test_an_order_that_is_still_in_flight_when_halted_does_not_survive() -> None:
    slow = LatencyConfig(entry_median_ms=300, entry_p99_ms=300)
    world = await TraderWorld.open(latency=slow)
    await world.wish(buy(4_999_900, 10))
    assert not await world.venue.open_orders(None)
    result = await world.kill.halt("op", "drill")
    await world.wait_ms(2_000)
    assert result.verified
    assert not await world.venue.open_orders(None)


async def test_a_halt_whose_cancels_have_no_effect_is_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.venues.protocol import CancelledAll

    world = await TraderWorld.open()
    await world.wish(buy(4_999_900, 10))

    async def pretend(symbol: str | None, epoch: int) -> CancelledAll:
        return CancelledAll(("all",))

    monkeypatch.setattr(world.venue, "cancel_all", pretend)
    result = await world.kill.halt("op", "drill")
    assert not result.verified
    assert (result.outcome, len(result.left)) == (Outcome.PENDING, 1)


async def test_flatten_sells_in_slices_within_the_collar_until_flat() -> None:
    world = await TraderWorld.open(latency=LatencyConfig(seed=4))
    world.strategy.wishes.append(buy(5_000_100, 90, post_only=False))
    await world.levels(bids=[(4_999_700, 7)])
    await world.wait_ms(1_000)
    assert world.trader.ledger.total("BTC") == D("0.009")
    await world.levels(bids=[(5_000_000, 60), (4_999_900, 0), (4_999_700, 0)])
    shown = world.venue.markets[SYMBOL].mirror.shown_through(Side.BUY, 4_900_000)
    result = await world.kill.flatten("op", "drill")
    assert result.verified, result
    assert result.position_after == {SYMBOL: 0}
    slices = [i for i in records(world, Kind.INTENT) if isinstance(i, Intent) and i.path == "flatten"]
    assert len(slices) > 1
    assert max(one.lots for one in slices) <= shown // 5
    assert min(one.price_ticks for one in slices) >= 4_899_000
    assert not await world.trader.reconcile()


async def test_flatten_against_a_book_that_is_not_live_stops_and_says_so() -> None:
    world = await TraderWorld.open()
    await world.hold(40)
    await world.state(BookState.SUSPECT, "gap")
    result = await world.kill.flatten("op", "drill")
    assert not result.verified
    assert "not live" in result.detail
    assert result.position_after == {SYMBOL: D("0.004")}


async def test_resume_needs_a_reason_the_cool_down_and_a_clean_ledger() -> None:
    world = await TraderWorld.open()
    await world.kill.halt("op", "drill")
    assert (await world.kill.resume("op", " ")).outcome is Outcome.REJECTED
    early = await world.kill.resume("op", "done")
    assert (early.outcome, "cannot be reset" in early.detail) == (Outcome.REJECTED, True)
    await world.wait_ms(301_000)
    world.trader.ledger.deposit("USDT", D(1))
    assert "not reconciled" in (await world.kill.resume("op", "done")).detail
    world.trader.ledger.deposit("USDT", D(-1))
    await world.wait_ms(301_000)
    resumed = await world.kill.resume("op", "done")
    assert (resumed.outcome, resumed.state) == (Outcome.VERIFIED, "NORMAL"), resumed
    await world.book(BIDS, ASKS)
    await world.wish(buy(4_999_900, 10))
    assert len(world.trader.oms.working()) == 1


async def test_a_ledger_break_restricts_the_account_until_an_operator_resets_it() -> None:
    world = await TraderWorld.open()
    world.trader.ledger.deposit("USDT", D("0.000001"))
    differences = await world.trader.check_ledger()
    assert [str(one) for one in differences] == ["total USDT: ours 10000.000001, venue 10000"]
    assert world.trader.state() is TradingState.REDUCE_ONLY


# ---- console -----------------------------------------------------------------------------------------


async def test_the_snapshot_shows_gauges_with_used_and_limit_and_is_plain_data() -> None:
    world = await TraderWorld.open()
    await world.hold(40)
    await world.wish(buy(4_999_900, 10))
    view = world.trader.snapshot()
    gauges = {gauge.id: gauge for gauge in view.limits}
    assert gauges["L14"].limit == 200
    assert gauges["L14"].used == view.day_loss
    assert gauges["L10"].used == 1
    assert gauges["L05"].fraction == gauges["L05"].used / 5  # type: ignore[operator]
    assert (view.state, view.strategy_state, view.reconciled) == ("NORMAL", "running", True)
    assert [order.price for order in view.orders] == [D("49999.00")]
    assert view.net == view.realised + (view.unrealised or 0) - view.fees
    assert view.equity.value == 10_000 + view.net
    assert b'"fees":"0.200004"' in msgspec.json.encode(view)


async def test_a_manual_order_can_be_placed_and_cancelled_through_the_trader() -> None:
    world = await TraderWorld.open()
    denied, client_id = await world.trader.submit(buy(4_999_900, 10), path=Path.MANUAL)
    await world.wait_ms(1)
    assert not denied
    assert [order.client_id for order in await world.venue.open_orders(None)] == [client_id]
    await world.trader.submit(CancelIntent(client_id=client_id or ""))
    await world.wait_ms(1)
    assert not await world.venue.open_orders(None)


async def test_an_orderly_stop_leaves_no_open_order() -> None:
    world = await TraderWorld.open()
    await world.wish(buy(4_999_900, 10))
    assert await world.trader.stop() == []
