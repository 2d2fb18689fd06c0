"""Exact conversion between decimals and integers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core import errors
from tradewind.core.units import (
    MAX_LOTS,
    MAX_MICROS,
    MAX_TICKS,
    Scale,
    from_micros,
    micros_received,
    to_micros,
)

PERPETUAL = Scale(tick_size=10_000, lot_size=1_000)


def test_golden_numbers_of_the_protocol() -> None:
    assert PERPETUAL.unit == 10
    assert PERPETUAL.notional(PERPETUAL.ticks("100.00"), PERPETUAL.lots(10)) == 1_000_000_000
    outcome = Scale(tick_size=1_000, lot_size=1_000)
    assert outcome.notional(outcome.ticks("0.640"), 250) == 160_000


@given(st.integers(-MAX_MICROS, MAX_MICROS))
def test_micros_survive_the_way_out_and_in(micros: int) -> None:
    assert to_micros(from_micros(micros)) == micros
    assert to_micros(str(from_micros(micros))) == micros


@given(
    st.integers(1, MAX_TICKS),
    st.integers(1, MAX_LOTS),
    st.sampled_from([(10_000, 1_000), (1, 10**6), (7, 10**6)]),
)
def test_ticks_and_lots_survive_the_way_out_and_in(ticks: int, lots: int, sizes: tuple[int, int]) -> None:
    scale = Scale(*sizes)
    assert scale.ticks(scale.price(ticks)) == ticks == scale.ticks_floor(scale.price(ticks))
    assert scale.lots(scale.size(lots)) == lots == scale.lots_floor(scale.size(lots))


@given(st.decimals(min_value=Decimal("0.02"), max_value=Decimal(10**6), places=7))
def test_floor_and_ceiling_enclose_the_price(price: Decimal) -> None:
    floor, ceiling = PERPETUAL.ticks_floor(price), PERPETUAL.ticks_ceil(price)
    assert PERPETUAL.price(floor) <= price <= PERPETUAL.price(ceiling)
    assert ceiling - floor == (0 if PERPETUAL.price(floor) == price else 1)


@pytest.mark.parametrize("value", [1.5, 0.0, float("nan"), True])
def test_floats_are_no_money(value: float) -> None:
    for convert in (to_micros, micros_received, PERPETUAL.ticks, PERPETUAL.lots):
        with pytest.raises(errors.FloatMoney):
            convert(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "sNaN", "12,5", "", "0x10"])
def test_what_is_no_number_is_named_so(value: str) -> None:
    for convert in (to_micros, micros_received, PERPETUAL.ticks, PERPETUAL.lots):
        with pytest.raises(errors.NotANumber):
            convert(value)


def test_misaligned_values_are_refused_with_the_grid() -> None:
    with pytest.raises(errors.TickMisaligned) as tick:
        PERPETUAL.ticks("100.005")
    assert (tick.value.bound, tick.value.given) == (10_000, 100_005_000)
    with pytest.raises(errors.LotMisaligned):
        PERPETUAL.lots("0.0015")
    with pytest.raises(errors.TickMisaligned):
        PERPETUAL.ticks("100." + "0" * 39 + "1")


def test_values_outside_the_domain_are_refused() -> None:
    with pytest.raises(errors.InvalidPrice):
        PERPETUAL.ticks(0)
    with pytest.raises(errors.InvalidPrice):
        PERPETUAL.ticks("-1")
    with pytest.raises(errors.InvalidPrice):
        PERPETUAL.ticks(PERPETUAL.price(MAX_TICKS + 1))
    with pytest.raises(errors.InvalidSize):
        PERPETUAL.lots(PERPETUAL.size(MAX_LOTS + 1))
    with pytest.raises(errors.MathOverflow):
        to_micros("1e40")
    with pytest.raises(errors.MathOverflow):
        to_micros(from_micros(MAX_MICROS) + Decimal("0.000001"))


def test_amounts_are_cut_in_the_platforms_favour_on_the_way_in() -> None:
    assert micros_received("1.9999999") == 1_999_999
    with pytest.raises(errors.InvalidAmount):
        to_micros("1.9999999")
    for too_small in ("0.0000009", "0", "-1"):
        with pytest.raises(errors.InvalidAmount):
            micros_received(too_small)


@pytest.mark.parametrize(("tick_size", "lot_size"), [(0, 10**6), (-1, 10**6), (3, 10), (10**6, 0)])
def test_a_grid_that_is_not_exact_is_refused(tick_size: int, lot_size: int) -> None:
    with pytest.raises(errors.InvalidTickLot):
        Scale(tick_size, lot_size)
