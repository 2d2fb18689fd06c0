"""Own executions feed the cost gate only when there are enough of both kinds, and always from above."""

from __future__ import annotations

from decimal import Decimal as D

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.costs import MIN_MEASURED_TRADES
from tradewind.trader.measured_costs import measured_costs, upper_bound
from tradewind.trader.tca.report import CostReport, CostRow, ModelRow
from tradewind.trader.tca.shortfall import Shortfall

MODEL = ModelRow(
    version=1, offset_bps=D(0), residuals=0, needed=30, mean_bps=None, half_width_bps=None, moves=0
)


def row(passive_pct: D | None, *, impact: D = D(0), adverse: D | None = D(0), symbol: str = "X") -> CostRow:
    parts = Shortfall(
        delay=D(0), spread=D(0), impact=impact, fees=D(0), opportunity=D(0), total=impact
    )  # fmt: skip
    return CostRow(
        id="1", algorithm="single", symbol=symbol, side="buy", state="filled", strategy="s", quantity=D(1),
        filled=D(1), arrival_mid=D(10_000), average_price=D(10_000), interval_vwap=None,
        against_vwap_bps=None, decision_delay_ms=0, shortfall=parts, shortfall_bps=None,
        participation_pct=None, passive_pct=passive_pct, reversion_bps={"1m": adverse}, expected_bps=None,
        realised_bps=None, residual_bps=None, model_version=1, children=0, inferred_fills=0,
    )  # fmt: skip


def told(takers: list[CostRow], makers: list[CostRow]) -> CostReport:
    return CostReport(parents=takers, singles=makers, model=MODEL)


def test_takers_give_the_impact_and_makers_the_adverse_selection() -> None:
    takers = [row(D(0), impact=D(3), adverse=D(99))] * MIN_MEASURED_TRADES
    makers = [row(D(100), impact=D(50), adverse=D(4))] * MIN_MEASURED_TRADES
    found = measured_costs(told(takers, makers))["X"]
    assert (found.impact_bps, found.adverse_selection_bps) == (D(3), D(4))
    assert found.trades == MIN_MEASURED_TRADES


@pytest.mark.parametrize("lacking", ["takers", "makers", "mark"])
def test_too_few_of_one_kind_measure_nothing(lacking: str) -> None:
    takers, makers = [row(D(0), impact=D(3))] * MIN_MEASURED_TRADES, [row(D(100))] * MIN_MEASURED_TRADES
    assert measured_costs(told(takers, makers))
    if lacking == "mark":
        makers = [*makers[1:], msgspec.structs.replace(makers[0], reversion_bps={"1m": None})]
    found = measured_costs(told(takers[lacking == "takers" :], [*makers[lacking == "makers" :], row(None)]))
    assert found == {}


@given(st.lists(st.decimals(-50, 50, places=2), min_size=50, max_size=80))
def test_the_bound_is_above_the_mean_by_the_scatter(values: list[D]) -> None:
    samples = np.array([float(value) for value in values])
    want = samples.mean() + 1.645 * samples.std(ddof=1) / np.sqrt(len(samples))
    assert float(upper_bound(values)) == pytest.approx(want, abs=0.011)
    assert float(upper_bound(values)) >= want - 1e-9
