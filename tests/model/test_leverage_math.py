"""The model's arithmetic meets the golden numbers of P1.4.4, P4.2, P4.4, P4.5, P4.8.4 and P5.2."""

from __future__ import annotations

from fractions import Fraction

import leverage_math as lm
import pytest
from hypothesis import given
from hypothesis import strategies as st

UNIT = lm.unit_of(10_000, 1_000)
DOLLAR = lm.DOLLAR
lots_strategy = st.integers(-(10**9), 10**9)
price_strategy = st.integers(1, 10**6)


def test_p1_4_4_golden_notionals() -> None:
    assert UNIT == 10
    assert lm.notional(10_000, 10_000, UNIT) == 1_000_000_000
    assert lm.unit_of(1_000, 1_000) == 1
    assert lm.notional(640, 250, 1) == 160_000


@pytest.mark.parametrize(("tick", "lot"), [(3, 1_000), (1, 1), (999, 1_001)])
def test_p1_4_2_a_tick_and_lot_without_whole_unit_are_refused(tick: int, lot: int) -> None:
    with pytest.raises(ValueError, match="INVALID_TICK_LOT"):
        lm.unit_of(tick, lot)


def margins(value: int, cap_e2: int, base_e2: int) -> tuple[int, int]:
    initial = lm.initial_fraction_ppm(value, cap_e2, 50)
    maintenance = lm.maintenance_fraction_ppm(value, base_e2, 50, 5_000)
    return lm.margin(value, initial), lm.margin(value, maintenance)


def test_p4_2_golden_margins() -> None:
    assert lm.size_term_ppm(4_000_000 * DOLLAR, 50) == 100_000
    assert margins(4_000_000 * DOLLAR, 10_000, 10_000) == (400_000 * DOLLAR, 200_000 * DOLLAR)
    assert margins(10_000 * DOLLAR, 2_000, 2_000) == (500 * DOLLAR, 250 * DOLLAR)
    # Coverage falls: new risk is tighter, maintenance stays.
    assert margins(10_000 * DOLLAR, 1_000, 2_000) == (1_000 * DOLLAR, 250 * DOLLAR)


@given(st.integers(1, 10**15), st.integers(100, 10_000), st.integers(0, 1_000))
def test_p4_2_maintenance_is_below_initial_and_both_grow_with_size(value: int, base_e2: int, k: int) -> None:
    for floor_ppm in (1, 4_999):
        maintenance = lm.maintenance_fraction_ppm(value, base_e2, k, floor_ppm)
        assert maintenance < lm.initial_fraction_ppm(value, base_e2, k)
        assert maintenance <= lm.maintenance_fraction_ppm(4 * value, base_e2, k, floor_ppm)


@pytest.mark.parametrize(
    ("outcomes", "coverage", "cap"),
    [(1, 2, 100), (2, 2, 70), (2, 1, 10), (8, 2, 15), (64, Fraction(3, 2), 10), (65, 5, 5), (1, None, 100)],
)
def test_p4_5_golden_caps(outcomes: int, coverage: Fraction | None, cap: int) -> None:
    given_coverage = None if coverage is None else Fraction(coverage)
    assert lm.leverage_cap_e2(outcomes, given_coverage) == 100 * cap


def test_p4_5_the_square_root_term_binds_and_is_rounded_down_to_hundredths() -> None:
    # 100·0.9/√2 = 63.63 would be the cap if the ladder did not say 1.
    assert lm.leverage_cap_e2(2, Fraction(9, 10)) == 100
    assert lm.leverage_cap_e2(1, Fraction(49, 100)) == 0
    assert lm.leverage_cap_e2(3, Fraction(2), stage_e2=333) == 333


def test_p4_4_golden_isolated_prices() -> None:
    lots, entry = 10_000, 10_000
    cost = lots * entry * UNIT
    collateral = cost // 10
    long = lm.liquidation_price(lots, cost, collateral, UNIT, 50_000) / 100
    short = lm.liquidation_price(-lots, -cost, collateral, UNIT, 50_000) / 100
    assert round(float(long), 6) == 94.736842
    assert round(float(short), 6) == 104.761905
    assert lm.bankruptcy_price(lots, collateral, entry, UNIT) == 9_000
    assert lm.bankruptcy_price(-lots, collateral, entry, UNIT) == 11_000
    # Published prices are whole ticks towards the earlier liquidation.
    assert lm.published_liquidation_price(lots, cost, collateral, UNIT, 50_000) == 9_474
    assert lm.published_liquidation_price(-lots, -cost, collateral, UNIT, 50_000) == 10_476


@given(
    st.integers(1, 10**6),
    st.integers(100, 10**6),
    st.integers(2, 100),
    st.integers(5_000, 400_000),
    st.booleans(),
)
def test_p4_4_at_the_published_price_the_position_is_not_healthier_than_maintenance(
    lots: int, entry: int, leverage: int, mmf_ppm: int, is_long: bool
) -> None:
    signed = lots if is_long else -lots
    cost = signed * entry * UNIT
    collateral = abs(cost) // leverage
    exact = lm.liquidation_price(signed, cost, collateral, UNIT, mmf_ppm)
    # At the exact price equity equals the maintenance margin; the published one is on its earlier side.
    equity = collateral + signed * exact * UNIT - cost
    assert equity == abs(signed) * exact * UNIT * Fraction(mmf_ppm, lm.PPM)
    published = lm.published_liquidation_price(signed, cost, collateral, UNIT, mmf_ppm)
    assert published >= exact if is_long else published <= exact
    assert abs(published - exact) < 1


def test_p4_8_4_golden_funding() -> None:
    assert lm.hourly_rate_of_premium_ppb(2 * lm.BP_PPB, 10_000, 5_000) == lm.BP_PPB // 8
    assert lm.hourly_rate_of_premium_ppb(20 * lm.BP_PPB, 10_000, 5_000) == 187_500
    delta = lm.funding_delta(187_500, 10_000, UNIT)
    assert delta == 18_750_000_000
    assert lm.funding_owed(10_000, 0, delta) == 187_500
    assert lm.funding_owed(-10_000, 0, delta) == -187_500


def test_p4_8_1_the_rate_is_capped_and_needs_fifteen_samples() -> None:
    # l_base 100: 0.75·(1 % − 0.5 %) = 37.5 bp in eight hours.
    assert lm.hourly_rate_of_premium_ppb(10**9, 10_000, 5_000) == 375 * lm.BP_PPB // 10 // 8
    assert lm.hourly_rate_of_premium_ppb(-(10**9), 10_000, 5_000) == -(375 * lm.BP_PPB // 10 // 8)
    assert lm.hourly_rate_ppb([20 * lm.BP_PPB] * 14, 10_000, 5_000) == 0
    assert lm.hourly_rate_ppb([20 * lm.BP_PPB] * 15, 10_000, 5_000) == 187_500


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=30), st.integers(-(10**14), 10**14))
def test_p4_8_2_what_payers_pay_covers_what_receivers_get_to_a_micro_each(
    sides: list[int], move: int
) -> None:
    book = [*sides, -sum(sides)]
    dust = sum(lm.funding_owed(lots, 0, move) for lots in book)
    assert 0 <= dust < len(book)


def test_p4_8_1_impact_prices() -> None:
    whole = lm.PPM
    assert lm.impact_price([(100, 10)], 10_000, 10) == 100 * whole
    assert lm.impact_price([(100, 10), (110, 90)], 21_000, 10) == 105 * whole
    # The eleventh lot is taken whole.
    assert lm.impact_price([(100, 10), (110, 90)], 10_001, 10) == 1_110 * whole // 11
    assert lm.impact_price([(100, 10)], 10_001, 10) is None
    assert lm.impact_price([], 10_000, 10) is None
    assert lm.premium_sample_ppb(101 * whole, 103 * whole, 100) == 10**7
    assert lm.premium_sample_ppb(97 * whole, 99 * whole, 100) == -(10**7)
    assert lm.premium_sample_ppb(99 * whole, 101 * whole, 100) == 0


def test_p5_2_golden_step() -> None:
    one = 1_000
    """Lots of one unit."""
    mmf_ppm, mark = 50_000, 10_000
    fee_e6bp = lm.liquidation_fee_e6bp(lm.LIQUIDATION_FEE_E6BP, mmf_ppm)
    assert fee_e6bp == 50 * 10**6
    position, equity = 10 * one, 45 * DOLLAR
    maintenance = lm.margin(lm.notional(mark, position, UNIT), mmf_ppm)
    assert maintenance == 50 * DOLLAR
    # The example's position is below the $100 remainder rule only because its units are dollars.
    step = lm.step_lots(position, mark, UNIT, equity, maintenance, mmf_ppm, fee_e6bp)
    assert step == 2 * one
    fee = lm.liquidation_fee(lm.notional(mark, step, UNIT), fee_e6bp, equity)
    after = lm.margin(lm.notional(mark, position - step, UNIT), mmf_ppm)
    assert (equity - fee, after) == (44 * DOLLAR, 40 * DOLLAR)
    assert Fraction(equity - fee, after) == lm.TARGET_HEALTH


@given(
    st.integers(1_000, 10**7), st.integers(1_000, 10**5), st.integers(5_000, 200_000), st.integers(0, 999_999)
)
def test_p5_2_the_step_reaches_the_target_and_one_lot_less_does_not(
    lots: int, mark: int, mmf_ppm: int, health_ppm: int
) -> None:
    fee_e6bp = lm.liquidation_fee_e6bp(lm.LIQUIDATION_FEE_E6BP, mmf_ppm)
    value = lm.notional(mark, lots, UNIT)
    maintenance = lm.margin(value, mmf_ppm)
    equity = maintenance * health_ppm // lm.PPM
    step = lm.step_lots(lots, mark, UNIT, equity, maintenance, mmf_ppm, fee_e6bp)
    assert 0 < step <= lots
    if step == lots:
        return

    def reaches(size: int) -> bool:
        left = equity - Fraction(size * mark * UNIT * fee_e6bp, lm.WHOLE_E6BP)
        return left >= lm.TARGET_HEALTH * (maintenance - Fraction(size * mark * UNIT * mmf_ppm, lm.PPM))

    assert reaches(step)
    assert not reaches(step - 1)


def test_p5_1_equality_is_healthy() -> None:
    assert not lm.is_liquidatable(100, 100)
    assert lm.is_liquidatable(99, 100)


def test_p5_5_limits_stay_on_the_solvent_side_of_bankruptcy() -> None:
    assert lm.execution_limit(10, 10_000, Fraction(9_000)) == 9_750
    assert lm.execution_limit(10, 10_000, Fraction(98_001, 10)) == 9_801
    assert lm.execution_limit(-10, 10_000, Fraction(11_000)) == 10_250
    assert lm.execution_limit(-10, 10_000, Fraction(101_999, 10)) == 10_199


def test_p5_7_fee_reward_and_shares() -> None:
    value = 10_000 * DOLLAR
    fee = lm.liquidation_fee(value, 50 * 10**6, 10**12)
    assert fee == 50 * DOLLAR
    assert lm.keeper_reward(value, fee) == 5 * DOLLAR
    assert lm.fee_shares(fee, 5 * DOLLAR) == (22_500_000, 22_500_000)
    assert lm.liquidation_fee(value, 50 * 10**6, 7) == 7
    assert lm.liquidation_fee(value, 50 * 10**6, -1) == 0
    assert lm.keeper_reward(value, 7) == 3
    assert lm.keeper_reward(10 * DOLLAR, 10 * DOLLAR) == DOLLAR
    assert lm.keeper_reward(10**9 * DOLLAR, 10**9 * DOLLAR) == 100 * DOLLAR
    assert sum(lm.fee_shares(8, 1)) == 7


def test_p5_8_ranking() -> None:
    assert lm.adl_score_ppm(50, 100, 400, 200) == lm.PPM
    assert lm.adl_score_ppm(-50, 100, 400, 200) == -lm.PPM // 4
    assert lm.adl_score_ppm(5, 0, 400, 200) == 10 * lm.PPM
    assert lm.adl_score_ppm(5, 10, 400, 0) is None
    assert lm.adl_order([(3, 10, 5), (1, 10, 5), (2, 10, 6), (4, 11, 1)]) == [4, 2, 1, 3]


@given(st.integers(0, 10**9), st.lists(st.integers(-(10**8), 10**8), max_size=20))
def test_p5_6_socialised_loss_is_exact_and_never_more_than_a_profit(loss: int, profits: list[int]) -> None:
    shares = lm.socialised(loss, profits)
    gains = [max(0, profit) for profit in profits]
    assert sum(shares) == min(loss, sum(gains))
    assert all(0 <= share <= gain for share, gain in zip(shares, gains, strict=True))


@given(st.lists(st.tuples(lots_strategy.filter(bool), price_strategy), min_size=1, max_size=40))
def test_p1_5_6_realising_conserves_cash_and_never_favours_the_user(fills: list[tuple[int, int]]) -> None:
    lots = cost = realised = paid = 0
    for delta, price in fills:
        lots, cost, gain = lm.apply_fill(lots, cost, delta, price, UNIT)
        realised += gain
        paid += delta * price * UNIT
        assert (lots == 0) <= (cost == 0), "a closed position has no cost"
        # Cash that left through trades is in cost or was realised.
        assert cost - realised == paid


@given(st.integers(2, 10**6), st.integers(1, 10**9), st.data(), price_strategy)
def test_p1_5_6_a_reduction_realises_the_floor_of_the_exact_profit(
    lots: int, cost: int, data: st.DataObject, price: int
) -> None:
    part = data.draw(st.integers(1, lots))
    for sign in (1, -1):
        _, _, realised = lm.apply_fill(sign * lots, sign * cost, -sign * part, price, UNIT)
        exact = sign * (part * price * UNIT - Fraction(cost * part, lots))
        assert realised == lm.floor_of(exact)


def test_p4_7_median_and_ties() -> None:
    assert lm.wanted_mark(100, 0, []) == 100
    assert lm.wanted_mark(100, 1_500_000, []) == 101, "rounded once: 100.75"
    assert lm.wanted_mark(100, 1_000_000, []) == 100, "100.5, ties down"
    assert lm.wanted_mark(100, 2_000_000, [101, 110, 105]) == 102
    assert lm.wanted_mark(None, 0, [101, 104]) == 102, "the mean of two, ties down"
    assert lm.wanted_mark(100, 600_000, []) == 100
    assert lm.wanted_mark(None, 0, []) is None


def test_p4_7_the_mark_moves_two_percent_in_400_ms() -> None:
    assert lm.clamped_mark(10_000, 12_000, lm.MARK_STEP_NS) == 10_200
    assert lm.clamped_mark(10_000, 9_000, lm.MARK_STEP_NS) == 9_800
    assert lm.clamped_mark(10_000, 12_000, 2 * lm.MARK_STEP_NS) == 10_400
    assert lm.clamped_mark(10_000, 12_000, 0) == 10_000
    assert lm.clamped_mark(10_000, 10_100, lm.MARK_STEP_NS) == 10_100


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.integers(0, 10**13))
def test_p4_7_the_premium_average_moves_towards_its_sample(
    premium: int, sample: int, elapsed_ns: int
) -> None:
    after = lm.premium_step_e6(premium, sample, elapsed_ns)
    assert min(premium, sample) <= after <= max(premium, sample)
    # After one time constant half of the way is gone.
    assert lm.premium_step_e6(0, 10**6, lm.PREMIUM_WINDOW_NS) == 500_000


def test_p6_1_2_weighted_median() -> None:
    assert lm.weighted_median([(101, 34), (100, 33), (103, 33)]) == 101
    assert lm.weighted_median([(100, 50), (103, 50)]) == 101
    assert lm.weighted_median([(100, 60), (500, 40)]) == 100


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 100)), min_size=1, max_size=16))
def test_p6_1_2_the_index_lies_among_its_sources(rows: list[tuple[int, int]]) -> None:
    values = [value for value, _ in rows]
    assert min(values) <= lm.weighted_median(rows) <= max(values)


def test_p4_3_worst_case_of_open_orders() -> None:
    # Flat, 10 bid at 90 and 5 offered at 120, mark 100: the bids decide; filling at 90 loses nothing.
    assert lm.worst_case_margin_terms(0, 100, 10, (10, 9_000), (5, 6_000)) == [(10_000, 0), (5_000, 0)]
    # Bids above mark lose the difference.
    assert lm.worst_case_margin_terms(0, 100, 10, (10, 10_500), (5, 4_000)) == [(10_000, 500), (5_000, 1_000)]
    # A long that offers less than twice itself is not riskier.
    assert lm.worst_case_margin_terms(10, 100, 10, (0, 0), (19, 19_000)) == [(10_000, 0), (9_000, 0)]
    assert lm.worst_case_margin_terms(10, 100, 10, (0, 0), (21, 18_900)) == [(10_000, 0), (11_000, 2_100)]


def test_p1_4_5_weights_depeg_and_caps() -> None:
    assert lm.asset_value(1_000_000, 1_000_000, 9_500, 10_500) == 950_000
    assert lm.asset_value(-1_000_000, 1_000_000, 9_500, 10_500) == -1_050_000
    assert lm.asset_value(1_000_000, lm.stable_price(970_000), 10_000, 10_000) == 970_000
    assert lm.stable_price(1_020_000) == 1_000_000
    assert lm.asset_value(3_000_000, 2_000_000, 8_000, 12_000, cap=1_000_000) == 1_600_000
    assert lm.asset_value(1, 1, 1, 1) == 0
    assert lm.asset_value(-1, 1, 1, 1) == -1
