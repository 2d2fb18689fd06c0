"""The cost gate: just under denies, equal and just over pass; unknown fees deny; p* at 1 refuses."""

from __future__ import annotations

from decimal import Decimal as D
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader import costs
from tradewind.trader.cost_gate import CostGate
from tradewind.trader.costs import (
    MIN_MEASURED_TRADES,
    TABLE,
    CostModel,
    Leg,
    MeasuredCosts,
    break_even,
    cost_model,
    gate,
    spread_bps_of,
)
from tradewind.trader.parameters import ParameterError
from tradewind.trader.risk.model import Order, Path, Top
from tradewind.trader.strategy import BookTop
from tradewind.venues.market_data import Known, Side, Unknown
from tradewind.venues.protocol import FeeSchedule

FEES = FeeSchedule(name="test", maker_bps=D(10), taker_bps=D(12), source="test", checked_on="2026-01-01")
figure = st.decimals(min_value=0, max_value=500, places=2)
models = st.builds(
    CostModel,
    entry_fee_bps=figure, exit_fee_bps=figure, half_spread_in_bps=figure, half_spread_out_bps=figure,
    impact_bps=figure, adverse_selection_bps=figure, source=st.just("test"),
)  # fmt: skip


@given(model=models)
def test_the_gate_asks_for_one_and_a_half_times_the_sum_of_all_six_costs(model: CostModel) -> None:
    parts = [value for value in msgspec.structs.astuple(model) if isinstance(value, D)]
    needed = D("1.5") * sum(parts)
    assert len(parts) == 6
    assert gate(needed, model).allowed
    assert gate(needed + D("0.0001"), model).allowed
    under = gate(needed - D("0.0001"), model)
    assert not under.allowed
    assert (under.needed_bps, under.code) == (needed, "CostGate")


@given(model=models, more=st.decimals(min_value="0.01", max_value=100, places=2), which=st.integers(0, 5))
def test_a_higher_cost_of_any_kind_never_lets_more_pass(model: CostModel, more: D, which: int) -> None:
    name = [field for field in model.__struct_fields__ if field != "source"][which]
    dearer = msgspec.structs.replace(model, **{name: getattr(model, name) + more})
    edge = model.needed_bps
    assert gate(edge, model).allowed
    assert not gate(edge, dearer).allowed


def test_without_the_factor_the_gate_would_let_an_entry_through(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cost_model(FEES, D(1), entry=Leg.TAKER, exit_leg=Leg.TAKER)
    assert model is not None
    edge = model.total_bps * D("1.2")
    assert not gate(edge, model).allowed
    monkeypatch.setattr(costs, "MULTIPLE", D(1))
    assert gate(edge, model).allowed


def test_unknown_fees_unknown_spread_and_an_edge_that_is_no_number_deny() -> None:
    assert cost_model(None, D(1), entry=Leg.MAKER, exit_leg=Leg.MAKER) is None
    for spread in (None, D("NaN"), D(-1)):
        assert cost_model(FEES, spread, entry=Leg.MAKER, exit_leg=Leg.MAKER) is None
    assert not gate(D(10_000), None).allowed
    model = cost_model(FEES, D(1), entry=Leg.MAKER, exit_leg=Leg.MAKER)
    for edge in (None, D("NaN"), D("Infinity")):
        assert not gate(edge, model).allowed


def test_a_taker_pays_half_the_spread_and_impact_and_a_maker_adverse_selection() -> None:
    makers = cost_model(FEES, D(8), entry=Leg.MAKER, exit_leg=Leg.MAKER)
    takers = cost_model(FEES, D(8), entry=Leg.TAKER, exit_leg=Leg.TAKER)
    assert makers is not None and takers is not None
    row = TABLE[1]
    assert makers.total_bps == 2 * FEES.maker_bps + 2 * row.adverse_selection_bps
    assert takers.total_bps == 2 * FEES.taker_bps + 8 + 2 * row.impact_bps


def test_own_executions_replace_the_table_only_when_there_are_enough() -> None:
    few = MeasuredCosts(trades=MIN_MEASURED_TRADES - 1, impact_bps=D("0.1"), adverse_selection_bps=D(-3))
    enough = msgspec.structs.replace(few, trades=MIN_MEASURED_TRADES)
    table, measured = (
        cost_model(FEES, D(1), entry=Leg.TAKER, exit_leg=Leg.MAKER, measured=one) for one in (few, enough)
    )
    assert table is not None and measured is not None
    assert (table.source, table.impact_bps) == ("conservative table", TABLE[0].impact_bps)
    assert (measured.impact_bps, measured.adverse_selection_bps) == (D("0.1"), D(0))


def test_the_table_never_gets_cheaper_with_a_wider_spread() -> None:
    for tighter, wider in pairwise(TABLE):
        assert tighter.spread_bps < wider.spread_bps
        assert tighter.impact_bps <= wider.impact_bps
        assert tighter.adverse_selection_bps <= wider.adverse_selection_bps


def test_a_crossed_or_one_sided_book_has_no_spread() -> None:
    level = ((100, 1),)
    assert spread_bps_of(None) is None
    assert spread_bps_of(BookTop("X", level, (), 0)) is None
    assert spread_bps_of(BookTop("X", level, level, 0)) is None
    assert spread_bps_of(BookTop("X", ((101, 1),), ((100, 1),), 0)) is None
    assert spread_bps_of(BookTop("X", ((9_999, 1),), ((10_001, 1),), 0)) == 2


def test_the_break_even_rate_is_printed_and_refuses_a_set_that_can_never_win() -> None:
    assert break_even(D(60), D(40), D(20), name="target_bps") == D("0.6")
    assert break_even(D(30), D(30), D("29.99"), name="target_bps") < 1
    for cost in (D(30), D(31)):
        with pytest.raises(ParameterError, match="target_bps"):
            break_even(D(30), D(30), cost, name="target_bps")
    with pytest.raises(ParameterError):
        break_even(D(0), D(0), D(0), name="target_bps")


def _order(**changes: object) -> Order:
    values: dict[str, object] = {
        "strategy": "s", "path": Path.STRATEGY, "symbol": "X", "base": "B", "quote": "Q", "side": Side.BUY,
        "price": D(100), "quantity": D(1), "decision_ns": 0,
    }  # fmt: skip
    return Order(**(values | changes))  # type: ignore[arg-type]


class _Seen:
    def __init__(self, fees: object, top: object) -> None:
        self.fees = fees
        self.tops = {"X": top}


def test_risk_asks_the_same_gate_and_an_unknown_fee_or_market_has_no_edge_that_would_do() -> None:
    fees, top = Known(FEES, 0, "test"), Known(Top(D("99.99"), D("100.01")), 0, "test")
    asked = CostGate()
    for post_only, entry in ((True, Leg.MAKER), (False, Leg.TAKER)):
        model = cost_model(FEES, D(2), entry=entry, exit_leg=Leg.TAKER)
        assert model is not None
        assert asked(_order(post_only=post_only), _Seen(fees, top)) == model.needed_bps  # type: ignore[arg-type]
    unknown = Unknown("test")
    assert asked(_order(), _Seen(unknown, top)) == "the fees are not known"  # type: ignore[arg-type]
    assert asked(_order(), _Seen(fees, unknown)) == "the market is not known"  # type: ignore[arg-type]
    crossed = Known(Top(D(101), D(100)), 0, "test")
    assert asked(_order(), _Seen(fees, crossed)) == "the market is crossed"  # type: ignore[arg-type]
    measured = MeasuredCosts(trades=100, impact_bps=D(7), adverse_selection_bps=D(0))
    dear = CostGate({"X": measured})(_order(), _Seen(fees, top))  # type: ignore[arg-type]
    assert dear == D("1.5") * (2 * FEES.taker_bps + 2 + 14)
