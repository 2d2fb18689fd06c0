"""Every limit of T11.3: one unit under and equal pass, one unit over is denied with its code, and without its
rule the same order passes (the mutation of each).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import SYMBOL
from risk_world import (
    MS,
    NOW,
    OTHER,
    PROFILE,
    WIDE,
    D,
    codes,
    denied,
    fresh,
    guard,
    limits,
    module,
    order,
    snapshot,
    top,
    working,
)

from tradewind.trader.risk import check, rules, rules_exposure, rules_loss, rules_market, rules_strategy
from tradewind.trader.risk.catalogue import CATALOGUE
from tradewind.trader.risk.check import Order, RiskModule, Snapshot
from tradewind.trader.risk.check import Path as RiskPath
from tradewind.trader.risk.groups import AverageStep, Groups
from tradewind.trader.risk.loss import DAY_NS, LossGuard
from tradewind.trader.risk.records import StageStart
from tradewind.trader.risk.rules import Rule
from tradewind.trader.risk.state import TradingState
from tradewind.venues.market_data import Known, Side, Stale, Unknown

Case = Callable[[], tuple[Order, Snapshot]]
APART = Groups(clusters={SYMBOL: "majors", OTHER: "majors"}, betas={OTHER: D("0.5")}, source="t")


def qty(amount: str, **changes: object) -> Case:
    return lambda: (order(quantity=D(amount)), snapshot(**changes))


def at(**changes: object) -> Case:
    return lambda: (order(), snapshot(**changes))


def with_order(**changes: object) -> Case:
    return lambda: (order(**changes), snapshot())


def three(make: Callable[[str], Case], *values: str) -> tuple[Case, Case, Case]:
    under, equal, over = values
    return make(under), make(equal), make(over)


def open_orders(count: int, symbol: str = SYMBOL) -> Case:
    others = [working(Side.BUY, "40000", "0.001", f"w{i}", symbol) for i in range(count)]
    return lambda: (order(), snapshot(working=others))


def spread(half: str) -> Case:
    tops = {SYMBOL: top(str(D(50_000) - D(half)), str(D(50_000) + D(half)))}
    return lambda: (order(post_only=False, price=D(50_000) + D(half)), snapshot(tops=tops))


def positions(count: int) -> Case:
    names = [f"P{i}/USDT" for i in range(count)]
    tops = {SYMBOL: top(), **dict.fromkeys(names, top("1", "1"))}
    return lambda: (order(), snapshot(positions=dict.fromkeys(names, D(1)), tops=tops))


def beside(notional: str) -> Case:
    """So much of the other symbol is bought already."""
    tops = {SYMBOL: top(), OTHER: top("1", "1")}
    return lambda: (
        order(),
        snapshot(positions={OTHER: D(notional)}, tops=tops, groups=APART),
    )


def volume(base: str) -> Case:
    return lambda: (
        order(post_only=False, price=D(50_001)),
        snapshot(volumes={SYMBOL: Known(D(base), NOW, "t")}),
    )


def gate(edge: str) -> Case:
    return lambda: (order(edge_bps=D(edge)), snapshot())


EQUITY = lambda value: at(equity=Known(D(value), NOW, "t"))  # noqa: E731 a table reads better with it
AGE = lambda ms: NOW - ms * MS  # noqa: E731
# limit, code, what is tight, (just under, equal, just over), the rule that must see it
CASES: list[tuple[str, str, dict[str, object], tuple[Case, Case, Case], Rule]] = [
    ("L01", "OrderQtyLimit", {"symbols": PROFILE.limits.symbols}, three(qty, "0.0499", "0.05", "0.0501"),
     rules.order_quantity),
    ("L02", "OrderNotionalLimit", {"max_order_notional_quote": D(500)},
     three(qty, "0.0099", "0.01", "0.0101"), rules.order_notional),
    ("L04", "PriceCollar", {"price_collar_bps": D(200)},
     three(lambda v: with_order(price=D(v)), "50999.99", "51000", "51000.01"), rules.collar),
    ("L05.equity", "PositionNotional", {"max_position_notional_pct": D(5)},
     three(qty, "0.0099", "0.01", "0.0101"), rules_exposure.position),
    # 500 and 0.1 % of fee
    ("L05.money", "PositionNotional", {"max_position_notional_quote": D("500.5")},
     three(qty, "0.0099", "0.01", "0.0101"), rules_exposure.position),
    # 500 to a stop 2 % below: 10 of 10,000
    ("L06", "RiskToStop", {"max_risk_to_stop_bps": D(10)},
     three(lambda v: with_order(stop=D(v)), "49000.01", "49000", "48999.99"), rules_exposure.risk_to_stop),
    ("L07", "GrossExposure", {"max_gross_exposure_pct": D(5)}, three(qty, "0.0099", "0.01", "0.0101"),
     rules_exposure.gross),
    ("L08", "NetExposure", {"max_net_exposure_pct": D(5)}, three(qty, "0.0099", "0.01", "0.0101"),
     rules_exposure.net),
    ("L09", "PositionCount", {"max_positions_count": 5}, (positions(3), positions(4), positions(5)),
     rules_exposure.position_count),
    ("L10.symbol", "OpenOrders", {"max_open_orders_symbol_count": 3},
     (open_orders(1), open_orders(2), open_orders(3)), rules_exposure.open_orders),
    ("L10.account", "OpenOrders", {"max_open_orders_account_count": 3},
     (open_orders(1, OTHER), open_orders(2, OTHER), open_orders(3, OTHER)), rules_exposure.open_orders),
    # 2 % of 10,000 is 200; this order adds 0.5 of fee and 10 at the collar of 200 bps to the loss so far.
    ("L14.equity", "DailyLoss", {"daily_loss_pct": D(2), "price_collar_bps": D(200)},
     three(EQUITY, "9810.500001", "9810.5", "9810.499999"), rules_loss.daily_loss),
    ("L14.money", "DailyLoss", {"daily_loss_quote": D(200), "price_collar_bps": D(200)},
     three(EQUITY, "9810.500001", "9810.5", "9810.499999"), rules_loss.daily_loss),
    ("L16", "StrategyLoss", {"max_strategy_loss_pct": D(1)},
     three(lambda v: at(strategy_pnl={"s": D(v)}), "-99.999999", "-100", "-100.000001"),
     rules_loss.strategy_loss),
    ("L17", "ClusterExposure", {"max_cluster_exposure_pct": D(20)},
     three(beside, "1499.99", "1500", "1500.01"), rules_exposure.cluster),
    # 500 of BTC and half of the other: 40 % of 10,000 is reached at 7,000
    ("L18", "FactorExposure", {"max_beta_btc_pct": D(40)}, three(beside, "6999.99", "7000", "7000.01"),
     rules_exposure.factor),
    ("L19", "StaleMarket", {"max_market_age_ms": 2_000},
     three(lambda v: at(tops={SYMBOL: top(at_ns=AGE(int(v)))}), "1999", "2000", "2001"),
     rules_market.market_known),
    ("L20", "StaleBalance", {"max_balance_age_ms": 2_000},
     three(lambda v: at(balances_as_of_ns=AGE(int(v))), "1999", "2000", "2001"), rules_market.balance_known),
    ("L21", "InsufficientFunds", {},
     three(lambda v: at(available={"USDT": D(v)}), "500.500001", "500.5", "500.499999"), rules.funds),
    ("L22", "Leverage", {"max_leverage_x100": 5}, three(qty, "0.0099", "0.01", "0.0101"),
     rules_exposure.leverage),
    ("L23", "Participation", {"max_participation_pct": D(10)}, three(volume, "0.1001", "0.1", "0.0999"),
     rules_market.participation),
    ("L24", "WideSpread", {"max_spread_bps": D(50)}, three(spread, "124.99", "125", "125.01"),
     rules_market.spread),
    ("L25", "VenueConcentration", {"max_venue_equity_pct": D(60)},
     three(lambda v: at(venue_equity={"v": D(v)}), "5999.99", "6000", "6000.01"),
     rules_exposure.venue_share),
    ("L26", "DecisionTooOld", {"max_order_age_at_risk_ms": 1_000},
     three(lambda v: with_order(decision_ns=NOW - int(v)), "999000000", "1000000000", "1000000001"),
     rules.age),
    ("L27", "Unattended", {"max_unattended_notional_quote": D(500)},
     three(lambda v: qty(v, attended=False), "0.0099", "0.01", "0.0101"), rules_exposure.unattended),
    ("L28", "EquityCap", {"equity_cap_quote": D(10_000)},
     three(EQUITY, "9999.999999", "10000", "10000.000001"), rules_exposure.equity_cap),
    ("L29", "TotalLoss", {"total_loss_quote": D(200), "price_collar_bps": D(200)},
     three(EQUITY, "9810.500001", "9810.5", "9810.499999"), rules_loss.total_loss),
    ("T14.3", "CostGate", {}, three(gate, "30.000001", "30", "29.999999"), rules_market.cost_gate),
]  # fmt: skip
ELSEWHERE = {"L03", "L11", "L12.count", "L12.window", "L13", "T11.9"} | {
    f"L15.{name}" for name in ("warn", "half", "reduce", "halt")
}
"""Limits whose bound is a sequence or a table; tests of their own are below and in `test_risk_losses`."""


def judged(tight: dict[str, object], case: Case) -> set[str]:
    profile = limits(**tight)
    loss = guard(profile)
    loss.apply(StageStart(stage="canary", equity=D(10_000), at_ns=NOW))
    risk = RiskModule(profile.limits, loss, cost_gate=lambda _one, _view: D(30))
    return {denial.code for denial in risk.check(*case())}


@pytest.mark.parametrize(
    ("code", "tight", "cases"), [case[1:4] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_limit_passes_under_and_equal_and_denies_one_unit_over(
    code: str, tight: dict[str, object], cases: tuple[Case, Case, Case]
) -> None:
    assert [judged(tight, case) for case in cases] == [set(), set(), {code}]


@pytest.mark.parametrize(
    ("tight", "over", "rule"),
    [(case[2], case[3][2], case[4]) for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_without_its_rule_the_order_over_the_limit_would_pass(
    tight: dict[str, object], over: Case, rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    for table in ("ALWAYS", "PACED", "INCREASING"):
        kept = tuple(one for one in getattr(check, table) if one is not rule)
        monkeypatch.setattr(check, table, kept)
    assert judged(tight, over) == set()


def test_every_limit_of_the_catalogue_has_its_cases_and_every_rule_is_applied() -> None:
    assert {case[0] for case in CASES} | ELSEWHERE == {entry.id for entry in CATALOGUE}
    applied = {*check.ALWAYS, *check.PACED, *check.INCREASING}
    defined = {
        rule
        for part in (rules, rules_exposure, rules_loss, rules_market, rules_strategy)
        for name, rule in vars(part).items()
        if callable(rule)
        and getattr(rule, "__module__", "") == part.__name__
        and name not in {"ceiling", "at_risk", "_takes"}
    }
    assert applied == defined


# ---- limits over a sequence -----------------------------------------------------------------------------


def test_the_message_rate_and_the_repeat_throttle_count_within_their_windows() -> None:
    profile = limits(max_messages_per_s=10, max_same_order_repeat_count=3)
    risk = module(profile)
    for number in range(10):
        assert not risk.check(order(price=D(40_000 + number)), snapshot())
    assert {d.code for d in risk.check(order(price=D(30_000)), snapshot())} == {"MessageRate"}
    later = NOW + 1_000 * MS
    assert not risk.check(order(price=D(30_000), decision_ns=later), snapshot(now_ns=later))
    risk = module(profile)
    for step in range(3):
        moment = NOW + step * 1_000 * MS
        assert not risk.check(order(decision_ns=moment), fresh(moment))
    moment = NOW + 9_999 * MS
    assert {d.code for d in risk.check(order(decision_ns=moment), fresh(moment))} == {"RepeatThrottle"}


@pytest.mark.parametrize("rule", [rules.message_rate, rules.repeat], ids=["L11", "L12"])
def test_without_the_pace_rules_a_loop_of_orders_would_pass(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    risk = module(limits(max_messages_per_s=2, max_same_order_repeat_count=2))
    monkeypatch.setattr(check, "PACED", (rules.age,))
    assert all(not risk.check(order(), snapshot()) for _ in range(20))
    monkeypatch.setattr(check, "PACED", (rule,))
    assert any(risk.check(order(), snapshot()) for _ in range(20))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4_000), st.sampled_from(["buy 1", "buy 2", "sell 1"])), max_size=30),
    st.integers(1, 10),
)
def test_the_repeat_throttle_counts_the_same_wishes_of_its_window(
    wishes: list[tuple[int, str]], most: int
) -> None:
    risk = module(limits(max_messages_per_s=10**6, max_same_order_repeat_count=most))
    sent: list[tuple[int, str]] = []
    moment = NOW
    for pause_ms, wish in wishes:
        moment += pause_ms * MS
        side, price = (Side.BUY if wish[:3] == "buy" else Side.SELL), D(40_000 + 20_000 * (wish[0] == "s"))
        price += D(wish[-1])
        recent = sum(1 for at_ns, one in sent if one == wish and moment - at_ns < 10_000 * MS)
        found = {d.code for d in risk.check(order(side=side, price=price, decision_ns=moment), fresh(moment))}
        assert ("RepeatThrottle" in found) == (recent + 1 > most)
        if not found:
            sent.append((moment, wish))


def test_an_own_opposite_order_at_a_crossing_price_is_a_self_match(monkeypatch: pytest.MonkeyPatch) -> None:
    resting = snapshot(working=[working(Side.SELL, "50000.01", "0.01")])
    assert codes(limits(), order(price=D("50000.00")), resting) == set()
    assert codes(limits(), order(price=D("50000.01")), resting) == {"SelfMatch"}
    selling = snapshot(working=[working(Side.BUY, "49999", "0.01")], positions={SYMBOL: D(1)})
    assert codes(limits(), order(side=Side.SELL, price=D("49999.01")), selling) == set()
    assert codes(limits(), order(side=Side.SELL, price=D("49999.00")), selling) == {"SelfMatch"}
    monkeypatch.setattr(check, "ALWAYS", tuple(one for one in check.ALWAYS if one is not rules.self_match))
    assert codes(limits(), order(price=D("50000.01")), resting) == set()


def test_venue_filters_come_first_and_every_failure_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    one, profile = order(price=D("50000.001")), limits(max_order_notional_quote=D(1))
    found = denied(profile, one, snapshot())
    assert [denial.code for denial in found[:2]] == ["OffTick", "OrderNotionalLimit"]
    monkeypatch.setattr(check, "ALWAYS", tuple(one for one in check.ALWAYS if one is not rules.filters))
    assert "OffTick" not in codes(profile, one, snapshot())


def test_more_than_twenty_denials_of_one_code_within_a_minute_are_a_storm() -> None:
    risk = module(limits(max_order_notional_quote=D(1)))
    for _ in range(20):
        risk.check(order(), snapshot())
    assert risk.denial_storm("s", NOW) is None
    risk.check(order(), snapshot())
    assert risk.denial_storm("s", NOW) == "OrderNotionalLimit"
    assert risk.denial_storm("s", NOW + 60_000 * MS) is None
    assert risk.denial_storm("other", NOW) is None


# ---- what is not known, states ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tops": {SYMBOL: Unknown("x")}}, "StaleMarket"),
        ({"tops": {SYMBOL: Stale(top().value, NOW, "t", "x")}}, "StaleMarket"),
        ({"balances_as_of_ns": None}, "StaleBalance"),
        ({"equity": Unknown("x")}, "StaleBalance"),
        ({"fees": Unknown("x")}, "FeesUnknown"),
        ({"equity": Known(D(0), NOW, "t")}, "EquityCap"),
        ({"groups": Groups(clusters={}, betas={}, step=AverageStep.NO_ADDS)}, "ClusterExposure"),
    ],
)
def test_what_is_not_known_denies_new_risk(changes: dict[str, object], code: str) -> None:
    assert code in codes(limits(), order(), snapshot(**changes))


@pytest.mark.parametrize("volumes", [{}, {SYMBOL: Unknown("x")}, {SYMBOL: Known(D(0), NOW, "t")}])
def test_a_taking_order_needs_a_known_volume_and_a_resting_one_does_not(volumes: dict[str, object]) -> None:
    taking = order(post_only=False, price=D(50_001))
    assert codes(limits(), taking, snapshot(volumes=volumes)) == {"Participation"}
    assert codes(limits(), order(), snapshot(volumes=volumes)) == set()
    assert codes(limits(), order(post_only=False), snapshot(volumes=volumes)) == set()


def test_a_stop_on_the_wrong_side_is_no_stop() -> None:
    assert codes(limits(), order(stop=D("50000.01")), snapshot()) == {"RiskToStop"}
    sale = order(side=Side.SELL, stop=D(49_999))
    assert codes(limits(), sale, snapshot()) == {"RiskToStop"}


def test_the_risk_to_the_stop_counts_position_and_working_orders_of_the_side() -> None:
    profile = limits(max_risk_to_stop_bps=D(30))
    held = {"positions": {SYMBOL: D("0.01")}, "working": [working(Side.BUY, "50000", "0.01")]}
    assert codes(profile, order(stop=D(49_000)), snapshot(**held)) == set()
    assert codes(profile, order(stop=D("48999.99")), snapshot(**held)) == {"RiskToStop"}


def test_without_a_start_of_day_mark_there_is_no_new_risk() -> None:
    profile = limits()
    risk = RiskModule(profile.limits, LossGuard(profile.limits))
    assert {denial.code for denial in risk.check(order(), snapshot())} == {"DailyLoss"}


def test_behind_midnight_nothing_passes_before_the_new_day_is_marked() -> None:
    profile = limits()
    risk = module(profile)
    tomorrow = NOW + DAY_NS
    one = order(decision_ns=tomorrow)
    assert {d.code for d in risk.check(one, fresh(tomorrow))} == {"DailyLoss"}
    risk.loss.mark(D(10_000), {}, tomorrow)
    assert not risk.check(one, fresh(tomorrow))
    assert risk.loss.mark(D(9_900), {}, NOW) is None
    assert risk.loss.loss(D(10_000)) == 0
    assert not risk.check(order(price=D(49_000)), snapshot())


def test_states_deny_what_they_forbid_and_a_flatten_may_still_reduce() -> None:
    held = {"positions": {SYMBOL: D("0.01")}}
    sell = order(side=Side.SELL, quantity=D("0.01"))
    for state, buy_code in (
        (TradingState.REDUCE_ONLY, "StateReduceOnly"),
        (TradingState.HALTED, "StateHalted"),
    ):
        assert buy_code in codes(limits(), order(), snapshot(state=state, **held))
    assert codes(limits(), sell, snapshot(state=TradingState.REDUCE_ONLY, **held)) == set()
    assert codes(limits(), sell, snapshot(state=TradingState.HALTED, **held)) == {"StateHalted"}
    flatten = msgspec.structs.replace(sell, path=RiskPath.FLATTEN)
    assert codes(limits(), flatten, snapshot(state=TradingState.HALTED, **held)) == set()
    too_much = msgspec.structs.replace(flatten, quantity=D("0.0101"))
    assert "StateHalted" in codes(limits(), too_much, snapshot(state=TradingState.HALTED, **held))
    others = [working(Side.SELL, "60000", "0.0001")]
    assert "StateReduceOnly" in codes(
        limits(), sell, snapshot(state=TradingState.REDUCE_ONLY, working=others, **held)
    )


def test_what_reduces_passes_whatever_new_risk_is_denied_for() -> None:
    blind = snapshot(
        tops={SYMBOL: Unknown("x")},
        equity=Unknown("x"),
        balances_as_of_ns=None,
        positions={SYMBOL: D("0.01")},
        volumes={},
        attended=False,
    )
    profile = limits(max_position_notional_pct=D("0.001"), total_loss_quote=D(1))
    assert codes(profile, order(side=Side.SELL), blind) == set()
    assert len(codes(profile, order(), blind)) >= 3


def test_an_amend_is_checked_without_the_order_it_replaces() -> None:
    profile = limits(max_position_notional_pct=D(5))
    resting = [working(Side.BUY, "50000", "0.01", "mine")]
    assert "PositionNotional" in codes(profile, order(), snapshot(working=resting))
    assert codes(profile, order(replaces="mine"), snapshot(working=resting)) == set()


def test_an_error_inside_the_module_denies() -> None:
    assert codes(limits(), order(), snapshot(available=None)) == {"RiskInternal"}


def test_an_unresolved_order_blocks_more_risk_of_its_strategy_and_symbol() -> None:
    doubt = [msgspec.structs.replace(working(Side.BUY, "40000", "0.001"), unresolved=True)]
    assert codes(limits(), order(), snapshot(working=doubt)) == {"UnresolvedOrder"}
    assert codes(limits(), order(strategy="other"), snapshot(working=doubt)) == set()


def test_the_cost_gate_denies_or_only_reports_as_the_profile_says() -> None:
    for mode, expected in (("enforce", ["CostGate"]), ("report", [])):
        profile = limits(entry_cost_gate=mode)
        risk = RiskModule(profile.limits, guard(profile), cost_gate=lambda _one, _view: "no fees")
        assert [d.code for d in risk.check(order(edge_bps=D(99)), snapshot())] == expected
        assert risk.reported["CostGate"] == (mode == "report")
        assert not risk.check(order(price=D(49_000)), snapshot())


def test_only_listed_symbols_pass_and_an_alias_is_another_symbol() -> None:
    for name in ("BTCUSDT", "XBT/USDT", "btc/usdt", "DOGE/USDT"):
        rules_of = {name: snapshot().rules[SYMBOL]}
        assert codes(limits(), order(symbol=name), snapshot(rules=rules_of)) == {"UnknownSymbol"}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(Side)), st.integers(1, 400), st.integers(45_000, 55_000)), max_size=25
    ),
    st.integers(0, 100),
)
def test_admitted_orders_never_take_the_worst_case_beyond_the_position_limit(
    wishes: list[tuple[Side, int, int]], held: int
) -> None:
    risk = module(
        limits(
            max_position_notional_pct=D(50),
            max_open_orders_symbol_count=10**3,
            max_open_orders_account_count=10**3,
            max_messages_per_s=10**6,
        )
    )
    book = []
    position = D(held) * D("0.0001")
    for number, (side, lots, price) in enumerate(wishes):
        one = order(side=side, quantity=D(lots) * D("0.0001"), price=D(price))
        if not risk.check(one, snapshot(working=list(book), positions={SYMBOL: position})):
            book.append(working(side, str(one.price), str(one.quantity), str(number)))
    bought = sum((w.price * w.quantity for w in book if w.side is Side.BUY), Decimal(0))
    assert position * 50_000 + bought <= 5_000


def test_the_wide_instrument_of_these_tests_has_no_bounds_of_its_own() -> None:
    assert (WIDE.min_notional, WIDE.max_notional) == (None, None)
