"""Prices and quantities are exact integers of ticks and lots; only plain numbers get in."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venues.feeds.checksum import kraken_checksum
from tradewind.venues.market_data import (
    MAX_MEMO_ENTRIES,
    BadNumber,
    FloatMoney,
    Instrument,
    Known,
    Scale,
    Stale,
    UnitParser,
    Unknown,
)

STEPS = st.sampled_from(["0.01", "0.00001", "1", "0.5", "0.25", "10", "0.00000001", "1E-8"])


@given(STEPS, st.integers(1, 10**15), st.integers(0, 6))
def test_text_decimal_and_steps_round_trip_exactly(step: str, count: int, padding: int) -> None:
    parser = UnitParser(Decimal(step), "price", minimum_steps=1)
    text = f"{Decimal(step) * count:f}"
    text += ("0" * padding if "." in text else "." + "0" * padding) if padding else ""
    assert parser[text] == count
    assert parser[Decimal(text)] == count
    assert parser[text] * Decimal(step) == Decimal(text)


@given(STEPS, st.integers(1, 10**12), st.decimals("0.1", "0.9", places=1))
def test_a_value_between_two_steps_is_refused_for_prices_and_rounded_down_for_levels(
    step: str, count: int, part: Decimal
) -> None:
    value = f"{Decimal(step) * (count + part):f}"
    with pytest.raises(BadNumber, match="not a multiple"):
        UnitParser(Decimal(step), "price", minimum_steps=1)[value]
    levels = UnitParser(Decimal(step), "level quantity", minimum_steps=0, round_down=True)
    assert levels[value] == count
    assert levels.rounded == 1


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "-1", "+1", "1e5", "1E-3", "NaN", "inf", "1,5", "1 ", " 1", "1_0", "0x1", "١",
     "1.2.3", "9" * 39, "0." + "0" * 18 + "1", "0", "0.00", "9" * 38],
)  # fmt: skip
def test_anything_but_a_plain_positive_decimal_is_refused_as_a_price(text: str) -> None:
    with pytest.raises(BadNumber):
        Scale(Decimal("0.01"), Decimal(1)).ticks[text]


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), Decimal("-1"), Decimal("1E-30")])
def test_a_decimal_that_is_not_a_plain_number_is_refused(value: Decimal) -> None:
    with pytest.raises(BadNumber):
        Scale(Decimal("0.01"), Decimal(1)).ticks[value]


@pytest.mark.parametrize("value", [1.5, 0.1, float("nan"), True])
def test_a_float_never_becomes_money(value: float) -> None:
    with pytest.raises(FloatMoney):
        Scale(Decimal("0.01"), Decimal("0.01")).ticks[value]


def test_the_memo_is_bounded_and_forgetting_changes_no_answer() -> None:
    parser = UnitParser(Decimal("0.01"), "price", minimum_steps=1)
    for count in range(1, MAX_MEMO_ENTRIES + 100):
        parser[f"{count}.00"]
    assert len(parser) <= MAX_MEMO_ENTRIES
    assert parser["1.00"] == 100


@pytest.mark.parametrize("step", ["0", "-0.01", "NaN", "Infinity"])
def test_a_step_must_be_positive(step: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        Scale(Decimal(step), Decimal(1))


@pytest.mark.parametrize("value", [Unknown("no feed"), Stale(5, 1, "kraken", "old")])
def test_arithmetic_on_what_is_not_known_is_a_type_error(value: Unknown | Stale[int]) -> None:
    for operation in (
        lambda: value + 1,
        lambda: 1 - value,
        lambda: value * 2,
        lambda: value < 1,
        lambda: bool(value),
    ):
        with pytest.raises(TypeError, match="match it first"):
            operation()
    match value:
        case Unknown(reason) | Stale(_, _, _, reason):
            assert reason in ("no feed", "old")
    assert Known(5, 1, "kraken").value == 5


def test_a_checksum_cannot_be_built_for_a_step_finer_than_the_venue_prints() -> None:
    instrument = Instrument(venue="kraken", symbol="A/B", venue_symbol="A/B", base="A", quote="B",
                            tick=Decimal("0.001"), lot=Decimal("0.1"), price_decimals=2,
                            quantity_decimals=1, source="venue")  # fmt: skip
    with pytest.raises(ValueError, match="decimals"):
        kraken_checksum(instrument)
