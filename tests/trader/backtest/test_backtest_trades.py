"""Round trips and cost attribution: exact sums, first in first out, slicing an order changes nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.backtest.trades import (
    Execution,
    attribute,
    exposure_ns,
    round_trips,
    turnover,
)
from tradewind.venues.market_data import Side

S = "BTC/USDT"


def fill(
    at: int, side: Side, quantity: str, price: str, *, order: str = "", fee: str = "0", mid: str = "",
    decided: str = "", maker: bool = True,
) -> Execution:  # fmt: skip
    return Execution(
        at_ns=at, order=order or f"o{at}", symbol=S, side=side, price=Decimal(price),
        quantity=Decimal(quantity), fee=Decimal(fee), maker=maker, mid=Decimal(mid or price),
        decision_mid=Decimal(decided or mid or price),
    )  # fmt: skip


BUY, SELL = Side.BUY, Side.SELL


def test_lots_close_in_the_order_they_were_opened_and_fees_are_split_without_a_rest() -> None:
    fills = [
        fill(1, BUY, "2", "100", fee="0.2"),
        fill(2, BUY, "1", "110", fee="0.1"),
        fill(3, SELL, "2.5", "120", fee="0.3"),
    ]
    trades, open_lots = round_trips(fills)
    assert [(one.entry_ns, one.quantity, one.profit) for one in trades] == [
        (1, Decimal(2), Decimal(40)),
        (2, Decimal("0.5"), Decimal(5)),
    ]
    assert sum(one.fees for one in trades) + open_lots[S][0].fee == Decimal("0.6")
    assert open_lots[S][0].quantity == Decimal("0.5")
    assert trades[0].net_return == pytest.approx((40 - 0.2 - 0.24) / 200)
    assert trades[0].holding_ns == 2


def test_a_short_round_trip_earns_when_the_price_falls_and_a_fill_may_turn_the_position() -> None:
    trades, open_lots = round_trips([fill(1, SELL, "1", "100"), fill(2, BUY, "3", "90")])
    assert [(one.long, one.profit) for one in trades] == [(False, Decimal(10))]
    assert open_lots[S][0].sign == 1
    assert open_lots[S][0].quantity == 2


def test_partial_fills_of_one_pair_of_orders_are_one_trade() -> None:
    whole = [fill(1, BUY, "1", "100", order="in"), fill(5, SELL, "1", "101", order="out")]
    sliced = [fill(at, BUY, "0.25", "100", order="in") for at in (1, 2, 3, 4)]
    sliced += [fill(5, SELL, "0.5", "101", order="out"), fill(6, SELL, "0.5", "101", order="out")]
    [one], [other] = round_trips(whole)[0], round_trips(sliced)[0]
    assert (one.quantity, one.profit, one.entry_ns) == (other.quantity, other.profit, other.entry_ns)
    assert other.exit_ns == 6


def test_the_parts_of_the_attribution_by_hand() -> None:
    fills = [
        # rested: decided at middle 100, filled at 99 when the middle was 99.5
        fill(1, BUY, "1", "99", fee="0.1", mid="99.5", decided="100"),
        # took: decided at middle 101, filled at 100.4 when the middle was 100.5
        fill(2, SELL, "1", "100.4", fee="0.2", mid="100.5", decided="101", maker=False),
    ]
    found = attribute(fills, {})
    assert found.gross == 1
    assert found.spread == Decimal("-0.5") + Decimal("0.1")
    assert found.adverse_selection == Decimal("-0.5")
    assert found.slippage == Decimal("0.5")
    assert found.fees == Decimal("0.3")
    assert found.net == Decimal("1.1")


AMOUNTS = st.decimals("0.0001", "5", places=4)
PRICES = st.decimals("50", "150", places=2)
FILLS = st.lists(
    st.tuples(st.sampled_from([BUY, SELL]), AMOUNTS, PRICES, PRICES, PRICES, AMOUNTS, st.booleans()),
    max_size=25,
)


@given(FILLS, PRICES)
def test_gross_less_the_parts_is_net_to_the_last_digit(rows: list[tuple], mark: Decimal) -> None:
    fills = [
        Execution(at_ns=at, order=str(at % 7), symbol=S, side=side, price=price, quantity=quantity, fee=fee,
                  maker=maker, mid=mid, decision_mid=decided)
        for at, (side, quantity, price, mid, decided, fee, maker) in enumerate(rows)
    ]  # fmt: skip
    found = attribute(fills, {S: mark})
    assert found.gross - found.costs == found.net
    trades, open_lots = round_trips(fills)
    realised = sum((one.net for one in trades), Decimal(0))
    unrealised = sum(
        (lot.sign * lot.quantity * (mark - lot.price) - lot.fee for lot in open_lots.get(S, [])), Decimal(0)
    )
    assert realised + unrealised == found.net
    assert sum((one.fees for one in trades), Decimal(0)) <= found.fees


def test_an_open_position_without_a_mark_is_not_worth_nothing() -> None:
    with pytest.raises(KeyError):
        attribute([fill(1, BUY, "1", "100")], {})


def test_turnover_counts_both_sides_and_exposure_only_the_time_with_a_position() -> None:
    fills = [fill(10, BUY, "1", "100"), fill(30, SELL, "1", "110"), fill(50, BUY, "2", "100")]
    assert turnover(fills) == 410
    assert exposure_ns(fills, 100) == 20 + 50
    assert exposure_ns([], 100) == 0
