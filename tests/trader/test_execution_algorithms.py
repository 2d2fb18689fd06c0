"""Each algorithm does what T13 says: schedule, passive first, caps, waits, refusals, completion, aborts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from execution_world import SECOND, START_NS, ExecutionWorld

from tradewind.trader.execution import schedule
from tradewind.trader.execution.errors import ExecutionRefused
from tradewind.trader.execution.model import Algorithm, Completion, ParentState
from tradewind.trader.orders import State
from tradewind.trader.risk.check import Denied
from tradewind.venues.market_data import Side


def warm(world: ExecutionWorld, lots: int = 1_000) -> None:
    """A minute of trades, so that caps have something to be a part of."""
    world.pass_s(60, trades=lots)


def test_twap_places_each_slice_passive_first_and_crosses_what_is_left() -> None:
    world = ExecutionWorld()
    warm(world)
    world.open(600, duration_s=600)
    world.pass_s(15, trades=1_000)
    (first,) = world.venue.values()
    assert (first.intent.post_only, first.intent.price_ticks, first.intent.lots) == (True, world.bid, 60)
    while world.now < schedule.slice_start_ns(world.parent(), 1) - SECOND:
        world.pass_s(1, trades=1_000)
    kinds = [one.intent.time_in_force for one in world.venue.values()]
    assert kinds == ["gtc", "ioc"]
    assert world.true_filled == 60
    world.pass_s(570, trades=1_000)
    parent = world.parent()
    assert (parent.state, parent.filled_lots) == (ParentState.COMPLETED, 600)
    assert not world.open_orders()


def test_twap_follows_its_schedule_within_a_slice() -> None:
    world = ExecutionWorld()
    warm(world)
    parent = world.open(600, duration_s=600)
    for _ in range(600):
        world.pass_s(1, trades=1_000)
        planned = schedule.planned_until(world.parent(), world.now)
        assert abs(world.true_filled - planned) <= 2 * 60
    assert parent.filled_lots == 600


def test_zero_volume_waits_and_is_counted_and_is_caught_up_at_twice_the_rate_at_most() -> None:
    world = ExecutionWorld()
    warm(world)
    world.open(600, duration_s=600)
    world.pass_s(60, trades=1_000)
    done = world.true_filled
    world.pass_s(180)
    assert world.true_filled <= done + 60
    run = world.desk._runs[1]
    assert run.waits["no volume"] >= 1
    before = world.true_filled
    slice_now = schedule.slice_at(world.parent(), world.now)
    while schedule.slice_at(world.parent(), world.now) == slice_now:
        world.pass_s(1, trades=1_000)
    before = world.true_filled
    slice_now = schedule.slice_at(world.parent(), world.now)
    while schedule.slice_at(world.parent(), world.now) == slice_now:
        world.pass_s(1, trades=1_000)
    assert 60 < world.true_filled - before <= 2 * 60


@pytest.mark.parametrize("book", ["crossed", "empty", "suspect"])
def test_a_book_that_is_not_live_waits_counted_and_leaves_no_child(book: str) -> None:
    world = ExecutionWorld()
    warm(world)
    world.open(600, duration_s=600)
    world.pass_s(15, trades=1_000)
    assert world.open_orders()
    placed = len(world.venue)
    world.book = book
    world.pass_s(30, trades=1_000)
    assert not world.open_orders()
    assert len(world.venue) == placed
    assert world.desk._runs[1].waits[f"book {book}"] == 1
    world.book = "live"
    world.pass_s(10, trades=1_000)
    assert len(world.venue) > placed


@pytest.mark.parametrize("change", ["spread", "status"])
def test_no_child_while_the_spread_is_wide_or_the_venue_not_online(change: str) -> None:
    world = ExecutionWorld()
    warm(world)
    if change == "spread":
        world.ask = world.bid + 25_100
    else:
        world.online = False
    world.open(600, duration_s=600)
    world.pass_s(120, trades=1_000)
    assert not world.venue


def test_a_spread_of_exactly_the_limit_is_taken_and_one_tick_more_is_not() -> None:
    world = ExecutionWorld(bid=4_987_500, ask=5_012_500)  # 50 bps of 5,000,000
    warm(world)
    world.open(600, duration_s=600)
    world.pass_s(20, trades=1_000)
    assert world.venue
    other = ExecutionWorld(bid=4_987_499, ask=5_012_501)
    warm(other)
    other.open(600, duration_s=600)
    other.pass_s(20, trades=1_000)
    assert not other.venue


def test_pov_takes_its_part_of_external_volume_with_carry_and_rests_in_silence() -> None:
    world = ExecutionWorld()
    world.open(10_000, Algorithm.POV, parameters={"participation_pct": "10"}, duration_s=3_600)
    world.pass_s(60, trades=30)
    external = 60 * 30
    assert world.true_filled <= external // 9
    assert world.true_filled >= external // 9 - 5
    filled = world.true_filled
    world.pass_s(120)
    assert world.true_filled - filled <= 5
    silent = world.true_filled
    world.pass_s(60)
    assert world.true_filled == silent


def test_pov_does_not_count_its_own_prints_where_the_venue_prints_them() -> None:
    world = ExecutionWorld()
    world.prints_own = True
    world.open(10_000, Algorithm.POV, parameters={"participation_pct": "10"}, duration_s=3_600)
    for _ in range(120):
        world.pass_s(1, trades=30)
        for event in world.venue_fills[:]:
            if event.trade_id not in getattr(world, "printed", set()):
                world.printed = getattr(world, "printed", set()) | {event.trade_id}  # type: ignore[attr-defined]
                world.trade(event.lots, trade_id=int(event.trade_id))
    assert world.true_filled <= 120 * 30 // 9


def test_iceberg_shows_one_child_of_its_display_and_refreshes_after_a_fill() -> None:
    world = ExecutionWorld()
    parent = world.open(100, Algorithm.ICEBERG, duration_s=3_600, parameters={"display_lots": "10"})
    assert parent.opened.terms.display_lots == 10
    seen_ns: list[int] = []
    while parent.filled_lots < 100 and world.now < START_NS + 600 * SECOND:
        world.pass_s(0.1)
        assert len(world.open_orders()) <= 1
        for client_id in world.open_orders():
            assert world.venue[client_id].intent.lots <= 10
            seen_ns.append(world.now)
            world.execute(client_id, 10)
            world.flush()
            filled_ns = world.now
            while not world.open_orders() and parent.filled_lots < 100:
                world.pass_s(0.1)
            assert parent.filled_lots == 100 or 0.2 <= (world.now - filled_ns) / SECOND <= 2.2
    assert parent.state is ParentState.COMPLETED
    assert len(world.venue) == 10


def test_an_iceberg_must_show_five_per_cent_and_twice_the_minimum() -> None:
    world = ExecutionWorld()
    with pytest.raises(ExecutionRefused) as refused:
        world.open(1_000, Algorithm.ICEBERG, parameters={"display_lots": "49"})
    assert (refused.value.code, refused.value.nearest) == ("DisplayTooSmall", "50")
    assert world.open(1_000, Algorithm.ICEBERG, parameters={"display_lots": "50"}).number == 1
    assert world.open(1_000, Algorithm.ICEBERG).opened.terms.display_lots == 50
    assert world.open(10, Algorithm.ICEBERG).opened.terms.display_lots == 2


def test_passive_rests_for_its_part_of_the_time_then_crosses() -> None:
    world = ExecutionWorld()
    world.open(100, Algorithm.PASSIVE, duration_s=100, parameters={"passive_pct": "50"})
    world.pass_s(49)
    assert [one.intent.post_only for one in world.venue.values()] == [True]
    assert not world.true_filled
    world.pass_s(10)
    assert world.true_filled == 100
    assert world.parent().state is ParentState.COMPLETED
    assert world.parent().maker_lots == 0


def test_a_resting_child_follows_the_touch_not_before_six_seconds() -> None:
    world = ExecutionWorld()
    world.open(100, Algorithm.PASSIVE, duration_s=100)
    world.pass_s(1)
    world.bid -= 300
    world.pass_s(4)
    assert len(world.venue) == 1
    world.pass_s(8)
    assert [one.intent.price_ticks for one in world.venue.values()] == [world.bid + 300, world.bid]
    assert world.true_exposed == 100


def test_no_child_is_worse_than_the_limit() -> None:
    world = ExecutionWorld()
    world.open(100, Algorithm.PASSIVE, duration_s=20, limit_ticks=world.ask - 1)
    world.ask += 2
    world.bid -= 2
    world.pass_s(25)
    assert world.venue
    assert all(one.intent.price_ticks <= 5_000_099 for one in world.venue.values())
    assert world.true_filled == 0
    assert world.parent().state is ParentState.PARTIAL


# ---- completion and aborts -----------------------------------------------------------------------------


def unfilled(world: ExecutionWorld, completion: Completion, **changes: object) -> None:
    """A parent whose children never fill until its end."""
    world.open(100, Algorithm.PASSIVE, duration_s=60, completion=completion,
               parameters={"passive_pct": "100"}, **changes)  # fmt: skip
    world.pass_s(60)


def test_cancel_rest_ends_with_what_was_filled() -> None:
    world = ExecutionWorld()
    unfilled(world, Completion.CANCEL_REST)
    world.pass_s(2)
    assert world.parent().state is ParentState.PARTIAL
    assert not world.open_orders()


def test_finish_passive_rests_for_as_long_again() -> None:
    world = ExecutionWorld()
    unfilled(world, Completion.FINISH_PASSIVE)
    world.pass_s(50)
    assert world.parent().state is ParentState.FINISHING
    assert world.open_orders()
    world.pass_s(20)
    assert world.parent().state is ParentState.PARTIAL
    assert not world.open_orders()


def test_cross_at_end_takes_within_its_bound_only() -> None:
    world = ExecutionWorld()
    unfilled(world, Completion.CROSS_AT_END, completion_bps=Decimal(5))
    world.pass_s(10)
    assert world.parent().state is ParentState.COMPLETED
    far = ExecutionWorld(bid=4_998_000, ask=5_002_000)  # half of the spread is 4 bps
    unfilled(far, Completion.CROSS_AT_END, completion_bps=Decimal(3))
    far.pass_s(70)
    assert far.true_filled == 0
    assert far.parent().state is ParentState.PARTIAL


def test_hand_to_operator_cancels_tells_and_waits_for_a_person() -> None:
    world = ExecutionWorld()
    unfilled(world, Completion.HAND_TO_OPERATOR)
    world.pass_s(100)
    parent = world.parent()
    assert parent.state is ParentState.HANDED
    assert not world.open_orders()
    assert any("handed" in text for text in world.alarms)
    world.desk.cancel(1, actor="op", reason="seen")
    world.pass_s(1)
    assert world.parent().state is ParentState.CANCELLED


def test_the_completion_policy_has_no_default() -> None:
    world = ExecutionWorld()
    with pytest.raises(TypeError):
        from tradewind.trader.execution.model import ExecuteIntent

        ExecuteIntent(symbol="X", side=Side.BUY, lots=1, algorithm=Algorithm.TWAP)  # type: ignore[call-arg]
    with pytest.raises(ExecutionRefused, match="completion_bps"):
        world.open(completion=Completion.CROSS_AT_END)


@pytest.mark.parametrize("state", ["halted", "reduce_only"])
def test_a_state_that_is_not_normal_aborts(state: str) -> None:
    world = ExecutionWorld()
    warm(world)
    world.open(600, duration_s=600)
    world.pass_s(10, trades=1_000)
    world.state = state
    world.pass_s(3, trades=1_000)
    assert world.parent().state is ParentState.ABORTED
    assert not world.open_orders()


def test_reduce_only_lets_a_reducing_parent_go_on() -> None:
    world = ExecutionWorld()
    warm(world)
    world.position = 600
    world.open(600, duration_s=600, side=Side.SELL)
    world.state = "reduce_only"
    world.pass_s(20, trades=1_000)
    assert world.parent().state is ParentState.WORKING
    world.position = 599
    world.pass_s(2, trades=1_000)
    assert world.parent().state is ParentState.ABORTED


def test_a_mid_beyond_the_limit_aborts_after_ten_seconds_and_not_for_a_blink() -> None:
    world = ExecutionWorld()
    warm(world)
    world.open(600, duration_s=600, limit_ticks=world.ask)
    world.bid, world.ask = 5_000_200, 5_000_300
    world.pass_s(5, trades=1_000)
    world.bid, world.ask = 5_000_000, 5_000_100
    world.pass_s(8, trades=1_000)
    assert world.parent().state is ParentState.WORKING
    world.bid, world.ask = 5_000_200, 5_000_300
    world.pass_s(13, trades=1_000)
    assert world.parent().state is ParentState.ABORTED
    assert "limit" in world.parent().reason


def test_a_cost_beyond_its_bound_against_the_arrival_mid_aborts() -> None:
    world = ExecutionWorld()
    warm(world)
    world.open(600, duration_s=600, max_cost_bps=Decimal(10))
    world.bid, world.ask = 5_004_800, 5_004_900
    world.pass_s(3, trades=1_000)
    assert world.parent().state is ParentState.WORKING
    world.bid, world.ask = 5_005_500, 5_005_600
    world.pass_s(3, trades=1_000)
    assert world.parent().state is ParentState.ABORTED
    assert "arrival" in world.parent().reason


def test_pause_cancels_the_child_resume_goes_on_and_cancel_ends() -> None:
    world = ExecutionWorld()
    warm(world)
    world.open(600, duration_s=600)
    world.pass_s(15, trades=1_000)
    world.desk.pause(1, actor="op", reason="look")
    world.pass_s(20, trades=1_000)
    assert not world.open_orders()
    assert world.parent().state is ParentState.PAUSED
    world.desk.resume(1, actor="op", reason="fine")
    world.pass_s(120, trades=1_000)
    assert world.true_filled
    world.desk.cancel(1, actor="op", reason="enough")
    world.pass_s(2, trades=1_000)
    assert world.parent().state is ParentState.CANCELLED
    assert world.parent().actor == "op"
    filled = world.true_filled
    world.pass_s(100, trades=1_000)
    assert world.true_filled == filled
    with pytest.raises(ExecutionRefused) as refused:
        world.desk.resume(1, actor="op", reason="no")
    assert refused.value.code == "ParentEnded"


def test_a_denied_child_is_tried_again_later_and_later() -> None:
    world = ExecutionWorld()
    warm(world)
    world.deny = [Denied(code="PositionNotional", limit="L05")]
    world.open(600, duration_s=600)
    world.pass_s(60, trades=1_000)
    assert not world.venue
    assert 3 <= world.desk._runs[1].waits["denied PositionNotional"] <= 6
    world.deny = []
    world.pass_s(64, trades=1_000)
    assert world.venue


# ---- refusals before anything begins -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("UnknownSymbol", {"symbol": "DOGE/USDT"}),
        ("BadNumber", {"lots": 0}),
        ("BadNumber", {"limit_ticks": -1}),
        ("BadNumber", {"parameters": {"interval_s": "1e2"}}),
        ("BadNumber", {"parameters": {"interval_s": "nan"}}),
        ("UnknownParameter", {"parameters": {"speed": "1"}}),
        ("ParameterOutOfBounds", {"parameters": {"interval_s": "29"}}),
        ("ParameterOutOfBounds", {"parameters": {"participation_pct": "10.1"}}),
        ("ParameterOutOfBounds", {"duration_s": 299}),
        ("ParameterOutOfBounds", {"max_cost_bps": Decimal("NaN")}),
        ("ParentTooSmall", {"lots": 1}),
        ("SliceTooSmall", {"lots": 29}),
        ("LimitBeyondMarket", {"limit_ticks": 5_000_049}),
        ("NoVolumeCurve", {"algorithm": Algorithm.VWAP}),
    ],
)
def test_what_cannot_work_is_refused_and_changes_nothing(code: str, changes: dict[str, object]) -> None:
    world = ExecutionWorld()
    with pytest.raises(ExecutionRefused) as refused:
        world.open(**changes)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert not world.journal
    assert not world.records
    assert world.desk.book.next_parent == 1


def test_a_slice_of_exactly_the_least_child_is_taken() -> None:
    assert ExecutionWorld().open(30).opened.lots == 30  # 15 slices of 2; the venue's minimum of 1 times 1.1


def test_a_schedule_beyond_twice_the_present_volume_is_refused() -> None:
    world = ExecutionWorld()
    world.pass_s(301, trades=9)
    # 10 % of 9 lots/s for 300 s: 1 lot/s, twice: 600
    with pytest.raises(ExecutionRefused) as refused:
        world.open(700, duration_s=300)
    assert refused.value.code == "ScheduleUnreachable"
    assert world.open(590, duration_s=300).number == 1


def test_without_a_live_book_or_a_normal_state_nothing_begins() -> None:
    world = ExecutionWorld()
    world.book = "crossed"
    with pytest.raises(ExecutionRefused) as refused:
        world.open()
    assert refused.value.code == "MarketNotLive"
    world.book, world.state = "live", "halted"
    with pytest.raises(ExecutionRefused) as refused:
        world.open()
    assert refused.value.code == "StateNotNormal"


def test_limits_of_the_whole_position_refuse_at_once_and_limits_of_one_order_do_not() -> None:
    world = ExecutionWorld()
    world.whole_denied = [Denied(code="OrderNotionalLimit", limit="L02")]
    assert world.open().number == 1
    world.whole_denied.append(Denied(code="PositionNotional", limit="L05"))
    with pytest.raises(ExecutionRefused) as refused:
        world.open()
    assert refused.value.codes == ("PositionNotional",)


def test_the_same_key_and_body_is_the_same_parent_and_another_body_a_conflict() -> None:
    world = ExecutionWorld()
    assert world.open(client_key="k").number == world.open(client_key="k").number == 1
    with pytest.raises(ExecutionRefused) as refused:
        world.open(601, client_key="k")
    assert refused.value.code == "IdempotencyConflict"
    world.boot()
    assert world.open(client_key="k").number == 1


def test_a_rest_below_the_venues_minimum_goes_with_the_last_child() -> None:
    world = ExecutionWorld()
    world.bid, world.ask = 40_000, 40_100  # 5 USDT are 125 lots
    world.open(300, Algorithm.PASSIVE, duration_s=60)
    world.shown = 170
    world.pass_s(50)
    lots = [one.intent.lots for one in world.venue.values() if one.intent.time_in_force == "ioc"]
    assert sum(lots) == 300
    assert min(lots) >= 138
    assert world.parent().state is ParentState.COMPLETED


def test_what_is_left_below_the_minimum_ends_the_parent_with_its_reason() -> None:
    world = ExecutionWorld()
    world.bid, world.ask = 40_000, 40_100
    world.open(300, Algorithm.PASSIVE, duration_s=60)
    world.pass_s(2)
    (child,) = world.open_orders()
    world.execute(child, 200)
    world.pass_s(1)
    world.end(child, State.CANCELLED)
    world.pass_s(8)
    assert world.parent().state is ParentState.PARTIAL
    assert "minimum" in world.parent().reason


def test_the_jitter_is_at_most_a_fifth_and_the_same_for_the_same_seed() -> None:
    world = ExecutionWorld()
    parent = world.open(600, duration_s=600)
    again = ExecutionWorld().open(600, duration_s=600)
    other = ExecutionWorld().open(600, duration_s=600, seed=8)
    starts = [schedule.slice_start_ns(parent, number) for number in range(11)]
    assert starts == [schedule.slice_start_ns(again, number) for number in range(11)]
    assert starts != [schedule.slice_start_ns(other, number) for number in range(11)]
    for number, at_ns in enumerate(starts):
        assert abs(at_ns - (START_NS + number * 60 * SECOND)) <= 12 * SECOND
    assert starts[0], starts[10] == (START_NS, START_NS + 600 * SECOND)
    assert all(schedule.slice_at(parent, at_ns) == number for number, at_ns in enumerate(starts[:10]))


def test_a_strategy_asks_for_parents_and_is_halted_when_it_asks_for_nonsense_all_the_time() -> None:
    from tradewind.trader.execution.model import ExecuteIntent
    from tradewind.trader.records import Denial

    world = ExecutionWorld()
    wish = ExecuteIntent(
        symbol="BTC/USDT",
        side=Side.BUY,
        lots=600,
        algorithm=Algorithm.TWAP,
        completion=Completion.CANCEL_REST,
    )
    world.desk.on_intent("trend", wish)
    assert world.parent().opened.strategy == world.parent().opened.actor == "trend"
    wish = ExecuteIntent(
        symbol="BTC/USDT",
        side=Side.BUY,
        lots=1,
        algorithm=Algorithm.TWAP,
        completion=Completion.CANCEL_REST,
    )
    for _ in range(20):
        world.desk.on_intent("trend", wish)
    assert not world.halted
    world.desk.on_intent("trend", wish)
    assert "ParentTooSmall" in world.halted["trend"]
    denials = [one for one in world.records if isinstance(one, Denial)]
    assert len(denials) == 21
    assert {(one.strategy, one.path, *one.codes) for one in denials} == {
        ("trend", "algorithm", "ParentTooSmall")
    }


def test_a_fault_in_one_parent_hands_it_over_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.trader.execution import desk

    world = ExecutionWorld()
    world.open(100, Algorithm.PASSIVE, duration_s=20)
    world.open(100, Algorithm.PASSIVE, duration_s=20)
    world.pass_s(2)
    sane = desk.decide

    def broken(parent: object, *facts: object) -> object:
        if parent.number == 1 and parent.state is ParentState.WORKING:  # type: ignore[attr-defined]
            raise ZeroDivisionError("test")
        return sane(parent, *facts)  # type: ignore[arg-type]

    monkeypatch.setattr(desk, "decide", broken)
    world.pass_s(30)
    assert world.parent(1).state is ParentState.HANDED
    assert "ZeroDivisionError" in world.parent(1).reason
    assert any("parent 1" in text for text in world.alarms)
    assert world.parent(2).state is ParentState.COMPLETED
    assert not world.open_orders()
