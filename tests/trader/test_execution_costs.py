"""Cost analysis: the parts are the whole to the last digit, the report is made again byte by byte, the model
moves by its rule only.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from execution_world import SCALE, SECOND, START_NS, ExecutionWorld
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.execution.desk_base import ExecutionRecord
from tradewind.trader.execution.model import Algorithm, Completion, ParentState
from tradewind.trader.execution.records import ChildFilled, Mark, ModelUpdated, ParentEnded
from tradewind.trader.orders import State
from tradewind.trader.records import decode
from tradewind.trader.tca import model, plots, report
from tradewind.trader.tca.facts import gather
from tradewind.trader.tca.page import page
from tradewind.trader.tca.shortfall import Executed, Shortfall, shortfall
from tradewind.venues.market_data import Side

MARKS = st.builds(
    lambda bid, spread: Mark(bid, bid + spread, START_NS), st.integers(1, 10**9), st.integers(1, 10**6)
)
FEES = st.decimals(0, 1_000, places=8)


def fill(price: int, lots: int, fee: Decimal, *, maker: bool = False, asset: str = "USDT") -> ChildFilled:
    return ChildFilled(
        parent=1,
        client_id="c",
        trade_id="1",
        price_ticks=price,
        lots=lots,
        fee=fee,
        fee_asset=asset,
        maker=maker,
        at_ns=START_NS,
        mark=None,
    )


@given(
    side=st.sampled_from(list(Side)),
    arrival=MARKS,
    end=MARKS,
    rest=st.integers(0, 10**9),
    fills=st.lists(
        st.tuples(
            MARKS,
            st.integers(1, 10**9),
            st.integers(1, 10**9),
            FEES,
            st.booleans(),
            st.sampled_from(["USDT", "BTC"]),
        ),
        max_size=8,
    ),
)
def test_the_five_parts_sum_to_the_shortfall_exactly(
    side: Side, arrival: Mark, end: Mark, rest: int, fills: list[tuple[Mark, int, int, Decimal, bool, str]]
) -> None:
    executed = [
        Executed(fill(price, lots, fee, maker=maker, asset=asset), mark)
        for mark, price, lots, fee, maker, asset in fills
    ]
    lots = sum(one.fill.lots for one in executed) + rest
    split = shortfall(executed, side=side, lots=lots, arrival=arrival, end=end, scale=SCALE)
    assert sum(split.parts) == split.total


def test_a_split_by_hand() -> None:
    """Buy 3 lots: arrival 100/102, decided at 104/106; 2 cross at 107, 1 rests at 104; 1 of 4 is missed."""
    at = Mark(104, 106, START_NS)
    split = shortfall(
        [Executed(fill(107, 2, Decimal(1)), at), Executed(fill(104, 1, Decimal(0), maker=True), at)],
        side=Side.BUY,
        lots=4,
        arrival=Mark(100, 102, START_NS),
        end=Mark(110, 112, START_NS),
        scale=SCALE,
    )
    unit = SCALE.tick * SCALE.lot
    assert split == Shortfall(
        delay=3 * 4 * unit,
        spread=(2 * 1 - 1) * unit,
        impact=2 * unit,
        fees=Decimal(1),
        opportunity=10 * unit,
        total=(3 * 4 + 1 + 2 + 10) * unit + 1,
    )


def worked(completion: Completion = Completion.CANCEL_REST) -> ExecutionWorld:
    world = ExecutionWorld()
    world.pass_s(60, trades=1_000)
    world.open(600, duration_s=600, completion=completion)
    for second in range(620):
        world.bid += (second * 7) % 5 - 2
        world.ask = world.bid + 100
        world.pass_s(1, trades=1_000)
        if second % 40 == 20:
            for client_id in world.open_orders():
                world.execute(client_id, 25)
    return world


def records(world: ExecutionWorld) -> list[ExecutionRecord]:
    found = [decode(line) for line in world.journal]
    return [one for one in found if isinstance(one, ExecutionRecord)]


def test_the_row_of_a_parent_says_what_happened() -> None:
    world = worked()
    (row,) = report.report(gather(records(world))).parents
    assert world.parent().state is ParentState.COMPLETED
    assert row.filled == row.quantity == SCALE.lot * 600
    assert row.shortfall is not None
    assert sum(row.shortfall.parts) == row.shortfall.total
    assert row.passive_pct is not None
    assert 0 < row.passive_pct < 100
    assert row.participation_pct is not None
    assert Decimal("0.05") < row.participation_pct < Decimal("0.2")
    assert row.interval_vwap is not None
    assert row.realised_bps is not None
    assert row.residual_bps == row.realised_bps - row.expected_bps  # type: ignore[operator]
    ended = next(one for one in records(world) if isinstance(one, ParentEnded))
    assert ended.residual_bps == row.residual_bps
    assert row.decision_delay_ms is not None


def test_the_report_is_made_again_byte_by_byte_from_the_journal() -> None:
    world = worked()
    first = report.encode(report.report(gather(records(world))))
    world.boot()
    assert report.encode(report.report(gather(records(world)))) == first


def test_reversion_is_looked_at_1_5_and_30_minutes_later_and_not_guessed() -> None:
    world = worked()
    end = world.parent().changed_ns
    mid = world.desk.book.parents[1].ended.mark.mid_ticks  # type: ignore[union-attr]
    while world.now < end + 61 * SECOND:
        world.pass_s(1)
    world.bid -= 500
    world.ask -= 500
    while world.now < end + 301 * SECOND:
        world.pass_s(1)
    world.now += 3_600 * SECOND  # nobody was there 30 minutes later
    world.pass_s(1)
    (row,) = report.report(gather(records(world))).parents
    back = (500 + mid - mid) * 10_000 / mid
    assert row.reversion_bps["30m"] is None
    assert row.reversion_bps["5m"] is not None
    assert abs(row.reversion_bps["5m"] - row.reversion_bps["1m"] - back) < Decimal("0.01")  # type: ignore[operator]
    assert not world.desk.book.after


def test_a_parent_that_is_open_has_no_shortfall_yet() -> None:
    world = ExecutionWorld()
    world.open(600, Algorithm.PASSIVE, duration_s=600)
    world.pass_s(5)
    (row,) = report.report(gather(records(world))).parents
    assert row.shortfall is None
    assert row.average_price is None


def test_what_was_not_filled_is_opportunity() -> None:
    world = ExecutionWorld()
    world.open(100, Algorithm.PASSIVE, duration_s=60, parameters={"passive_pct": "100"})
    world.pass_s(30)
    world.bid += 10_000
    world.ask += 10_000
    world.pass_s(40)
    (row,) = report.report(gather(records(world))).parents
    assert row.shortfall is not None
    assert row.shortfall.total == row.shortfall.opportunity == SCALE.tick * SCALE.lot * 100 * 10_000


def test_single_orders_are_seen_but_not_those_of_quoting_strategies() -> None:
    world = worked()
    order = next(iter(world.orders.values()))
    for number, strategy in enumerate(("trend", "maker")):
        world.quoting = {"maker"}
        single = msgspec.structs.replace(
            order.intent, client_id=f"s{number}", strategy=strategy, path="strategy", tag="parent:1/0/rest"
        )
        copy = msgspec.structs.replace(order, intent=single, state=State.WORKING, filled_lots=0)
        world.orders[copy.client_id] = copy
        world.tell(copy)
    world.flush()
    assert [row.strategy for row in report.report(gather(records(world))).singles] == ["trend"]


# ---- the model -----------------------------------------------------------------------------------------


def residual(world: ExecutionWorld, value: Decimal) -> None:
    world.desk.book.residuals_bps = [*world.desk.book.residuals_bps, value][-50:]
    world.desk._judge_model(world.now)


def test_the_model_moves_when_the_mean_of_fifty_residuals_leaves_its_interval() -> None:
    world = ExecutionWorld()
    for number in range(49):
        residual(world, Decimal(3 + number % 3))
    assert world.desk.book.model_version == 1
    residual(world, Decimal(4))
    assert world.desk.book.model_version == 2
    assert world.desk.book.model_offset_bps == Decimal("3.9800") or world.desk.book.model_offset_bps > 3
    assert world.desk.book.residuals_bps == []
    assert any(isinstance(record, ModelUpdated) for record in world.records)


def test_residuals_around_nothing_do_not_move_it() -> None:
    world = ExecutionWorld()
    for number in range(200):
        residual(world, Decimal((-1) ** number * 5))
    assert world.desk.book.model_version == 1


def test_the_interval_is_students() -> None:
    values = [Decimal(number) for number in range(50)]
    judged = model.judge(values)
    assert judged is not None
    assert judged.mean_bps == Decimal("24.5000")
    # standard deviation of 0..49 is 14.5774; 14.5774 / sqrt(50) * 2.00958 = 4.1429
    assert judged.half_width_bps == Decimal("4.1429")
    assert model.judge(values[:49]) is None


def test_a_moved_model_is_what_the_next_parent_expects() -> None:
    world = ExecutionWorld()
    before = world.open(600).opened.expected_bps
    world.desk.book.apply(
        ModelUpdated(
            version=2,
            offset_bps=Decimal(5),
            parents=50,
            mean_bps=Decimal(5),
            half_width_bps=Decimal(1),
            at_ns=world.now,
        )
    )
    after = world.open(600)
    assert after.opened.expected_bps == before + 5
    assert after.opened.model_version == 2


def test_pictures_and_the_page_are_made(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    world = worked()
    facts = gather(records(world))
    png = plots.parent_png(facts, facts.book.parents[1])
    assert png.startswith(b"\x89PNG")
    text = page(facts, report.report(facts))
    assert "src='data:image/png;base64," in text
    assert "http" not in text
    world = ExecutionWorld()
    world.open(600)
    facts = gather(records(world))
    assert plots.parent_png(facts, facts.book.parents[1])


def test_an_empty_journal_has_an_empty_report() -> None:
    document = report.report(gather([]))
    assert (document.parents, document.singles) == ([], [])
