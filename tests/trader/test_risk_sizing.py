"""Sizing (T12): the example, every cap binds when it is the least, refusals, and the properties of T12.5."""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import SYMBOL
from risk_world import NOW, PROFILE, WIDE, D, codes, limits, order, snapshot, top, working

from tradewind.trader.risk.groups import Groups
from tradewind.trader.risk.profile import Limits
from tradewind.trader.risk.sizing import SizeCode, SizeInputs, depth_within, kelly_fraction, size
from tradewind.venues.market_data import Known, Side, Stale, Unknown

ROOMY = limits().limits


def inputs(**changes: object) -> SizeInputs:
    return SizeInputs(**{"instrument": WIDE, "depth_quote": D(10**9), **changes})  # type: ignore[arg-type]


def paper(**changes: object) -> Limits:
    """The paper profile as it is shipped, but for the quantity cap of the symbol."""
    return msgspec.structs.replace(PROFILE.limits, symbols=ROOMY.symbols, **changes)  # type: ignore[arg-type]


ENTRY = order(price=D(50_000), stop=D(49_000))


def test_the_example_of_the_specification() -> None:
    """Equity 10,000, L06 50 bps, stop 2 % -> 2,500; L05 5 % -> 500; L02 500; result 500 (T12.4)."""
    found = size(ENTRY, snapshot(), paper(), inputs())
    assert (found.caps["L06"], found.caps["L05"], found.caps["L02"]) == (2_500, 500, 500)
    assert (found.notional, found.lots, found.reason) == (500, 100, "")
    half = size(ENTRY, snapshot(), paper(), inputs(multipliers={"drawdown": D("0.5"), "stage": D("0.5")}))
    assert (half.notional, half.multiplier) == (125, D("0.25"))


def held(quantity: str, **changes: object) -> dict[str, object]:
    return {"positions": {SYMBOL: D(quantity)}, **changes}


# name of the cap, limits, snapshot, inputs, the notional that is left
CAPS = [
    ("L01", {"symbols": PROFILE.limits.symbols}, {}, {}, "2500"),
    ("L02", {"max_order_notional_quote": D(300)}, {}, {}, "300"),
    ("L05", {"max_position_notional_pct": D(5)}, held("0.004"), {}, "300"),
    ("L05.money", {"max_position_notional_quote": D("300.3")}, {}, {}, "300"),
    ("L06", {"max_risk_to_stop_bps": D(10)}, {}, {}, "500"),
    ("L06", {"max_risk_to_stop_bps": D(10)}, held("0.004"), {}, "300"),
    ("L07", {"max_gross_exposure_pct": D(5)}, held("0.004"), {}, "300"),
    ("L08", {"max_net_exposure_pct": D(5)}, {"working": [working(Side.BUY, "50000", "0.004")]}, {}, "300"),
    ("L17", {"max_cluster_exposure_pct": D(5)}, held("0.004"), {}, "300"),
    ("L18", {"max_beta_btc_pct": D(5)}, held("0.004"), {}, "300"),
    ("L18", {"max_beta_btc_pct": D(5)},
     {"groups": Groups(clusters={}, betas={SYMBOL: D(2)})}, {}, "250"),
    ("L22", {"max_leverage_x100": 5}, {}, {}, "500"),
    ("L23", {"max_participation_pct": D(10)}, {"volumes": {SYMBOL: Known(D("0.06"), NOW, "t")}}, {}, "300"),
    ("L28", {"equity_cap_quote": D(10_000)}, held("0.1"), {}, "5000"),
    ("depth", {}, {}, {"depth_quote": D(600)}, "300"),
    ("free", {}, {"available": {"USDT": D("300.3")}}, {}, "300"),
    ("strategy", {}, {}, {"strategy_cap_quote": D(300)}, "300"),
    ("kelly", {}, {}, {"kelly": D("0.03")}, "300"),
    ("venue notional", {}, {}, {"instrument": msgspec.structs.replace(WIDE, max_notional=D(300))}, "300"),
    ("venue quantity", {}, {}, {"instrument": msgspec.structs.replace(WIDE, max_quantity=D("0.006"))}, "300"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "tight", "view", "more", "expected"), CAPS, ids=[c[0] for c in CAPS])
def test_each_cap_binds_when_it_is_the_least(
    name: str,
    tight: dict[str, object],
    view: dict[str, object],
    more: dict[str, object],
    expected: str,
) -> None:
    found = size(ENTRY, snapshot(**view), limits(**tight).limits, inputs(**more))
    assert (found.bound_by, found.notional) == (name, D(expected))


def test_equity_above_its_cap_or_too_much_at_one_venue_leaves_no_size() -> None:
    tight = limits(equity_cap_quote=D("9999.99")).limits
    assert size(ENTRY, snapshot(), tight, inputs()).code == SizeCode.TOO_SMALL
    tight = limits(max_venue_equity_pct=D(60)).limits
    found = size(ENTRY, snapshot(venue_equity={"v": D(6_001)}), tight, inputs())
    assert (found.code, found.bound_by, found.lots) == (SizeCode.TOO_SMALL, "L25", 0)


@pytest.mark.parametrize(
    ("view", "more", "what"),
    [
        ({"tops": {SYMBOL: Unknown("x")}}, {}, "top of the book"),
        ({"tops": {SYMBOL: Stale(top().value, NOW, "t", "x")}}, {}, "top of the book"),
        ({"equity": Stale(D(1), NOW, "t", "x")}, {}, "equity"),
        ({"balances_as_of_ns": None}, {}, "balances"),
        ({"fees": Unknown("x")}, {}, "fees"),
        ({"volumes": {SYMBOL: Unknown("x")}}, {}, "volume"),
        ({"volumes": None}, {}, "volume"),
        ({}, {"depth_quote": None}, "depth"),
    ],
)
def test_what_is_not_known_gives_no_size(view: dict[str, object], more: dict[str, object], what: str) -> None:
    found = size(ENTRY, snapshot(**view), ROOMY, inputs(**more))
    assert (found.lots, found.code) == (0, SizeCode.UNKNOWN)
    assert what in found.detail


def test_a_position_that_cannot_be_valued_gives_no_size() -> None:
    found = size(ENTRY, snapshot(positions={"XRP/USDT": D(1)}), ROOMY, inputs())
    assert (found.lots, found.code) == (0, SizeCode.UNKNOWN)


@pytest.mark.parametrize(
    ("spread", "stop", "allowed"),
    [
        (("49999.99", "50000.01"), "49975", True),  # 5 bps
        (("49999.99", "50000.01"), "49975.01", False),
        (("49970", "50030"), "49940", True),  # the spread
        (("49970", "50030"), "49940.01", False),
        (("49999.99", "50000.01"), "50001", False),  # the wrong side
    ],
)
def test_a_stop_within_the_noise_is_too_tight(spread: tuple[str, str], stop: str, allowed: bool) -> None:
    one = order(price=D(50_000), stop=D(stop))
    found = size(one, snapshot(tops={SYMBOL: top(*spread)}), ROOMY, inputs())
    assert (found.code == SizeCode.STOP_TOO_TIGHT) is not allowed
    coarse = msgspec.structs.replace(WIDE, tick=D(20))
    assert (size(one, snapshot(), ROOMY, inputs(instrument=coarse)).lots > 0) == (stop <= "49960")


def test_below_the_venue_minimum_there_is_no_order_and_never_a_larger_one() -> None:
    least = inputs(instrument=msgspec.structs.replace(WIDE, min_notional=D(300)), depth_quote=D("599.99"))
    found = size(ENTRY, snapshot(), ROOMY, least)
    assert (found.lots, found.notional, found.code) == (0, 0, SizeCode.TOO_SMALL)
    enough = msgspec.structs.replace(least, depth_quote=D(600))
    assert size(ENTRY, snapshot(), ROOMY, enough).notional == 300


def test_no_averaging_down_unless_the_contract_says_so() -> None:
    losing = snapshot(positions={SYMBOL: D("0.01")})
    for down, code in ((False, SizeCode.AVERAGING_DOWN), (True, "")):
        more = inputs(average_price=D(50_001), averages_down=down)
        assert size(ENTRY, losing, ROOMY, more).code == code
    winning = inputs(average_price=D(49_999))
    assert size(ENTRY, losing, ROOMY, winning).code == ""
    sale = order(side=Side.SELL, price=D(50_000), stop=D(51_000))
    assert size(sale, losing, ROOMY, inputs(average_price=D(50_001))).code == ""


@pytest.mark.parametrize("factor", ["0", "-1", "1.01"])
def test_a_multiplier_never_raises_a_size(factor: str) -> None:
    with pytest.raises(ValueError, match="multiplier"):
        size(ENTRY, snapshot(), ROOMY, inputs(multipliers={"x": D(factor)}))


def test_kelly_is_a_quarter_of_the_lower_bound_and_needs_two_hundred_trades() -> None:
    chance = random.Random(1)
    returns = [chance.gauss(0.002, 0.01) for _ in range(400)]
    mean = sum(returns) / 400
    variance = sum((one - mean) ** 2 for one in returns) / 399
    lower = mean - 1.959964 * (variance / 400) ** 0.5
    assert float(kelly_fraction(returns) or 0) == pytest.approx(0.25 * lower / variance, abs=1e-4)
    assert kelly_fraction(returns[:199]) is None
    assert kelly_fraction([-one for one in returns]) == 0
    assert kelly_fraction([0.001] * 300) is None
    capped = size(ENTRY, snapshot(), paper(), inputs(kelly=D(100)))
    assert capped.notional == 500


def test_depth_counts_what_an_order_would_meet_up_to_the_collar() -> None:
    levels = [(D(101), D(1)), (D(102), D(1)), (D(103), D(5))]
    assert depth_within(levels, Side.BUY, D(100), D(200)) == 203
    assert depth_within([(D(99), D(1)), (D(97), D(1))], Side.SELL, D(100), D(200)) == 99


amounts = st.decimals("0.0001", "0.2", places=4)
setups = st.fixed_dictionaries(
    {
        "price": st.integers(45_000, 55_000),
        "stop_bps": st.integers(10, 2_000),
        "held": st.decimals("-0.1", "0.1", places=4),
        "resting": st.lists(st.tuples(st.sampled_from(list(Side)), amounts), max_size=4),
        "side": st.sampled_from(list(Side)),
        "multiplier": st.decimals("0.01", "1", places=2),
        "volume": amounts,
        "cash": st.integers(1, 20_000),
    }
)


def case(setup: dict[str, object]) -> tuple[object, object, object]:
    price, side = D(setup["price"]), setup["side"]  # type: ignore[arg-type]
    distance = price * D(setup["stop_bps"]) / 10_000  # type: ignore[arg-type]
    stop = price - distance if side is Side.BUY else price + distance
    others = [
        working(one, "40000" if one is Side.BUY else "60000", str(quantity), str(number))
        for number, (one, quantity) in enumerate(setup["resting"])  # type: ignore[arg-type]
    ]
    view = snapshot(
        positions={SYMBOL: setup["held"]},
        working=others,
        volumes={SYMBOL: Known(setup["volume"], NOW, "t")},
        available={"USDT": D(setup["cash"]), "BTC": D("0.1")},  # type: ignore[arg-type]
    )
    more = inputs(averages_down=True, multipliers={"m": setup["multiplier"]})
    return order(price=price, stop=stop, side=side), view, more


@settings(max_examples=120, deadline=None)
@given(setups)
def test_a_size_never_exceeds_a_cap_and_risk_lets_it_pass(setup: dict[str, object]) -> None:
    one, view, more = case(setup)
    found = size(one, view, paper(), more)  # type: ignore[arg-type]
    assert all(found.notional <= max(cap, Decimal(0)) for cap in found.caps.values())
    assert found == size(one, view, paper(), more)  # type: ignore[arg-type]
    if found.lots:
        exact = msgspec.structs.replace(one, quantity=found.lots * WIDE.lot)  # type: ignore[type-var]
        denied = codes(msgspec.structs.replace(PROFILE, limits=paper()), exact, view)  # type: ignore[arg-type]
        assert denied <= {"SelfMatch", "PriceCollar", "OpenOrders", "WideSpread"}


@settings(max_examples=60, deadline=None)
@given(setups, st.integers(1, 2_000))
def test_a_wider_stop_never_gives_a_larger_size(setup: dict[str, object], wider_bps: int) -> None:
    near = size(*case(setup)[:2], paper(), case(setup)[2])  # type: ignore[arg-type, misc]
    far_setup = {**setup, "stop_bps": setup["stop_bps"] + wider_bps}  # type: ignore[operator]
    far = size(*case(far_setup)[:2], paper(), case(far_setup)[2])  # type: ignore[arg-type, misc]
    if near.code != SizeCode.STOP_TOO_TIGHT:
        assert far.notional <= near.notional


@settings(max_examples=60, deadline=None)
@given(setups, st.integers(0, 1_000))
def test_one_more_constraint_never_raises_a_size(setup: dict[str, object], cap: int) -> None:
    one, view, more = case(setup)
    free = size(one, view, paper(), more)  # type: ignore[arg-type]
    bound = msgspec.structs.replace(more, strategy_cap_quote=D(cap))  # type: ignore[type-var]
    assert size(one, view, paper(), bound).notional <= free.notional  # type: ignore[arg-type]
    tighter = paper(max_position_notional_quote=D(max(cap, 1)))
    assert size(one, view, tighter, more).notional <= free.notional  # type: ignore[arg-type]
