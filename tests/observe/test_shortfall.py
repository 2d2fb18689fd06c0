"""Expected shortfall of the vault: golden numbers, how markets add up, days, the alarm and the metric."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.event_types import InsuranceWeekEnded, VaultEpochStarted
from tradewind.node.projections.vault import DAY_NS, VaultView
from tradewind.observe.counting import BatchCounters
from tradewind.observe.metrics import Metrics, SystemFacts
from tradewind.observe.shortfall import (
    FAR_LEVEL_PPB,
    Shortfall,
    TooFewPointsError,
    alarms_of,
    historical,
    market_shortfall,
    pool_at_risk,
)
from tradewind.observe.view import PlatformView

DOLLAR = 1_000_000
VIEW = PlatformView(taken_ns=1, env="paper", version="1")


def epoch(day: int, nav: int, supply: int, fee: int = 0) -> VaultEpochStarted:
    fields: dict[str, Any] = dict.fromkeys(VaultEpochStarted.__struct_fields__, 0) | {"postings": ()}
    fields |= {"epoch_ns": day * DAY_NS, "nav": nav, "supply": supply, "performance_fee": fee}
    return VaultEpochStarted(**fields)


def test_of_two_outcomes_the_likelier_loss_is_in_the_tail() -> None:
    # A loss of 100 with a probability of 2 % and of 50 with 3 %: the golden 90 of P9.5.
    assert market_shortfall([100, 50, 0], [20, 30, 950]) == 90
    assert market_shortfall([100, 50, 0], [30, 30, 940]) == 100


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(1, 999)), min_size=2, max_size=8))
def test_a_shortfall_of_a_market_is_never_beyond_its_worst_case(pairs: list[tuple[int, int]]) -> None:
    losses, prices = [loss for loss, _ in pairs], [price for _, price in pairs]
    found = market_shortfall(losses, prices)
    assert min(losses) * 9 // 10 <= found <= max(losses)


@pytest.mark.parametrize("prices", [[None, 10], [None, None], [0, 0]])
def test_without_prices_the_worst_case_counts_whole(prices: list[int | None]) -> None:
    assert market_shortfall([70, 10], prices) == 70


def test_history_needs_500_days_and_a_far_tail_1000() -> None:
    days = [0] * 487 + [100_000_000] * 13
    assert historical(days, 1_000 * DOLLAR) == 100 * DOLLAR
    with pytest.raises(TooFewPointsError, match="500 days are needed, 499 are known"):
        historical(days[1:], 1_000 * DOLLAR)
    with pytest.raises(TooFewPointsError, match="1000 days are needed, 999"):
        historical((days + days)[1:], DOLLAR, FAR_LEVEL_PPB)
    assert historical(days + days, 1_000 * DOLLAR, FAR_LEVEL_PPB) == 100 * DOLLAR


def test_a_day_counts_its_shares_price_and_neither_deposits_fees_nor_gaps() -> None:
    view = VaultView()
    view.on_event(epoch(1, 1_000 * DOLLAR, 1_000 * DOLLAR))
    # Twice the shares at the same price: no result.
    view.on_event(epoch(2, 2_000 * DOLLAR, 2_000 * DOLLAR))
    view.on_event(epoch(3, 1_800 * DOLLAR, 2_000 * DOLLAR))
    # A gain of which a fee has left.
    view.on_event(epoch(4, 1_980 * DOLLAR, 2_000 * DOLLAR, fee=18 * DOLLAR))
    view.on_event(epoch(6, 100 * DOLLAR, 2_000 * DOLLAR))
    assert len(view.daily_losses_ppb) == 3
    none, lost, gained = view.daily_losses_ppb
    assert none == 0
    assert lost == pytest.approx(100_000_000, rel=1e-3)
    assert gained == pytest.approx(-110_000_000, rel=1e-2)


def test_what_insurance_gives_back_is_told_until_it_is_the_vaults() -> None:
    view = VaultView()
    fields: dict[str, Any] = dict.fromkeys(InsuranceWeekEnded.__struct_fields__, 0) | {"postings": ()}
    view.on_event(InsuranceWeekEnded(**fields | {"set_aside": 5, "released": 0}))
    assert (view.returning, view.returned) == (5, 0)
    view.on_event(InsuranceWeekEnded(**fields | {"set_aside": 2, "released": 5}))
    assert (view.returning, view.returned) == (2, 5)


@pytest.mark.parametrize(("nav", "codes"), [(150, []), (149, ["VAULT_SHORTFALL"])])
def test_below_one_and_a_half_times_the_shortfall_there_is_an_alarm(nav: int, codes: list[str]) -> None:
    found = Shortfall(nav=nav, resolution=40, history=100, days=500)
    assert found.expected == 100
    assert [one.code for one in alarms_of(found)] == codes
    text = Metrics(lambda: VIEW, BatchCounters(), lambda: SystemFacts(shortfall=found)).render().decode()
    assert f"tradewind_vault_short {float(len(codes))}" in text
    assert 'tradewind_vault_expected_shortfall_micro{source="history"} 100.0' in text


def test_a_history_that_is_too_short_is_no_zero() -> None:
    facts = SystemFacts(shortfall=Shortfall(nav=1, resolution=0))
    text = Metrics(lambda: VIEW, BatchCounters(), lambda: facts).render().decode()
    assert 'source="resolution"} 0.0' in text
    assert 'source="history"' not in text
    assert list(alarms_of(None)) == []


def test_what_a_pool_risks_is_its_worth_at_its_own_prices() -> None:
    assert pool_at_risk([500_000_000, 500_000_000], [10, 20], 5) == 20
    assert pool_at_risk(None, [10, 20], 5) == 5
