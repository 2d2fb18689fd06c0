"""Venue filters (T2.5, T2.6, T2.10): just inside passes, equal passes, one step outside is refused with the
nearest.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import instrument

from tradewind.venues.market_data import FloatMoney, Side
from tradewind.venues.paper.filters import (
    BadNumber,
    OrderContext,
    Rules,
    check_values,
    parse_positive,
    quantise_price,
    quantise_quantity,
)
from tradewind.venues.protocol import OrderType, TimeInForce

D = Decimal
RULES = Rules(
    instrument=msgspec.structs.replace(
        instrument(),
        min_quantity=D("0.001"),
        max_quantity=D("10"),
        min_notional=D("50"),
        max_notional=D("100000"),
    ),
    max_open_orders=3,
    price_up_multiplier=D("1.5"),
    price_down_multiplier=D("0.5"),
    max_position=D("5"),
)


def context(**changes: object) -> OrderContext:
    fields = {"reference_price": D("50000"), "open_orders": 0, "position": D(0), **changes}
    return msgspec.convert(fields, OrderContext)


def codes(price: object, quantity: object, side: Side = Side.BUY, **changes: object) -> list[str]:
    failures = check_values(
        RULES,
        side,
        OrderType.LIMIT,
        TimeInForce.GTC,
        price=price,  # type: ignore[arg-type]
        quantity=quantity,  # type: ignore[arg-type]
        context=context(**changes),
    )
    return [failure.code for failure in failures]


@pytest.mark.parametrize(
    ("code", "inside", "equal", "outside"),
    [
        ("OffTick", ("50000.01", "0.1"), ("50000", "0.1"), ("50000.005", "0.1")),
        ("OffLot", ("50000", "0.1001"), ("50000", "0.1"), ("50000", "0.10005")),
        ("BelowMinQty", ("60000", "0.0011"), ("60000", "0.001"), ("60000", "0.0009")),
        ("AboveMaxQty", ("10000", "9.9999"), ("10000", "10"), ("10000", "10.0001")),
        ("BelowMinNotional", ("50000", "0.0011"), ("50000", "0.001"), ("49999.99", "0.001")),
        ("AboveMaxNotional", ("50000", "1.9999"), ("50000", "2"), ("50000.01", "2")),
        ("OutsideBand", ("74999.99", "0.1"), ("75000", "0.1"), ("75000.01", "0.1")),
        ("OutsideBand", ("25000.01", "0.1"), ("25000", "0.1"), ("24999.99", "0.1")),
    ],
)
def test_each_filter_passes_inside_and_equal_and_refuses_one_step_outside(
    code: str, inside: tuple[str, str], equal: tuple[str, str], outside: tuple[str, str]
) -> None:
    small = {"reference_price": D(inside[0])} if code == "AboveMaxQty" else {}
    assert code not in codes(*inside, **small)
    assert code not in codes(*equal, **small)
    assert code in codes(*outside, **small)


def test_open_order_count_and_position_cap_refuse_only_beyond_the_bound() -> None:
    assert "TooManyOrders" not in codes("50000", "0.1", open_orders=2)
    assert "TooManyOrders" in codes("50000", "0.1", open_orders=3)
    assert "VenuePositionCap" not in codes("50000", "1", position=D(4))
    assert "VenuePositionCap" in codes("50000", "1.0001", position=D(4))
    assert "VenuePositionCap" not in codes("50000", "1.5", side=Side.SELL, position=D(5))


def test_a_refusal_names_the_nearest_valid_values_and_nothing_is_rounded_up_by_itself() -> None:
    failures = check_values(
        RULES,
        Side.BUY,
        OrderType.LIMIT,
        TimeInForce.GTC,
        price="50000.005",
        quantity="0.00005",
        context=context(),
    )
    by_code = {failure.code: failure for failure in failures}
    assert (by_code["OffTick"].nearest_below, by_code["OffTick"].nearest_above) == (D("50000"), D("50000.01"))
    assert by_code["OffLot"].nearest_below is None
    assert by_code["OffLot"].nearest_above == D("0.0001")
    assert by_code["BelowMinQty"].nearest_above == D("0.001")
    assert [failure.code for failure in failures][:2] == ["OffTick", "OffLot"]


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "inf",
        "-1",
        "0",
        "",
        "1e3",
        "1,5",
        " 1",
        "0x10",
        "+1",
        "1.",
        ".5",
        "٣",
        "1" * 39,
        "0." + "1" * 19,
    ],
)
def test_anything_but_a_plain_positive_number_is_a_bad_number(text: str) -> None:
    with pytest.raises(BadNumber):
        parse_positive(text, "price")
    assert codes(text, "0.1") == ["BadNumber"]


def test_a_float_is_a_programming_error_not_a_number() -> None:
    with pytest.raises(FloatMoney):
        parse_positive(1.5, "price")  # type: ignore[arg-type]


@settings(deadline=None)
@given(
    st.decimals(min_value=D("0.01"), max_value=D(10**6), places=6),
    st.sampled_from([D("0.01"), D("0.5"), D("0.000001"), D("3")]),
    st.sampled_from(list(Side)),
)
def test_quantising_twice_changes_nothing_and_never_favours_the_market(
    value: Decimal, step: Decimal, side: Side
) -> None:
    price, quantity = quantise_price(value, side, step), quantise_quantity(value, step)
    assert quantise_price(price, side, step) == price
    assert quantise_quantity(quantity, step) == quantity
    assert quantity <= value
    assert price <= value if side is Side.BUY else price >= value
