"""Pre-trade risk (T11): each limit one unit under, equal, one unit over; states latch; loss and drawdown;
profile.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import SYMBOL, instrument

from tradewind.trader.records import DayBase, HighWater, Latch
from tradewind.trader.risk.check import Order, RiskModule, Snapshot, Top, Working
from tradewind.trader.risk.check import Path as RiskPath
from tradewind.trader.risk.loss import DAY_NS, LossGuard, next_day_ns, utc_day
from tradewind.trader.risk.profile import PROFILE_DIR, ConfigConflict, ConfigError, Profile, load_profile
from tradewind.trader.risk.state import ACCOUNT, LatchError, StateTable, TradingState, symbol_scope
from tradewind.venues.market_data import Known, Side, Stale, Unknown
from tradewind.venues.paper.filters import Rules
from tradewind.venues.paper.schedule import load_schedule

D = Decimal
NOW = 1_723_161_600 * 10**9
MS = 1_000_000
PROFILE = load_profile("paper")
WIDE = msgspec.structs.replace(
    instrument(tick="0.01", lot="0.0001"), min_notional=None, min_quantity=D("0.0001"), max_notional=None
)


def limits(**changes: object) -> Profile:
    """The paper profile with room everywhere but where the test wants it tight."""
    roomy: dict[str, object] = {
        "max_order_notional_quote": D(10**9),
        "price_collar_bps": D(9_000),
        "max_position_notional_pct": D(10**6),
        "max_gross_exposure_pct": D(10**6),
        "max_net_exposure_pct": D(10**6),
        "max_leverage_x100": 10**8,
        "daily_loss_pct": D(10**6),
        "symbols": {
            SYMBOL: msgspec.structs.replace(PROFILE.limits.symbols[SYMBOL], max_order_qty_base=D(10**6)),
            "ETH/USDT": msgspec.structs.replace(PROFILE.limits.symbols[SYMBOL], max_order_qty_base=D(10**6)),
        },
    }
    return msgspec.structs.replace(
        PROFILE,
        limits=msgspec.structs.replace(PROFILE.limits, **{**roomy, **changes}),  # type: ignore[arg-type]
    )


def order(**changes: object) -> Order:
    fields: dict[str, object] = {
        "strategy": "s",
        "path": RiskPath.STRATEGY,
        "symbol": SYMBOL,
        "base": "BTC",
        "quote": "USDT",
        "side": Side.BUY,
        "post_only": True,
        "price": D(50_000),
        "quantity": D("0.01"),
        "decision_ns": NOW,
    }
    return Order(**{**fields, **changes})  # type: ignore[arg-type]


def snapshot(**changes: object) -> Snapshot:
    fields: dict[str, object] = {
        "now_ns": NOW,
        "rules": {SYMBOL: Rules(instrument=WIDE), "ETH/USDT": Rules(instrument=WIDE)},
        "tops": {SYMBOL: Known(Top(D(49_999), D(50_001)), NOW, "t")},
        "equity": Known(D(10_000), NOW, "t"),
        "balances_as_of_ns": NOW,
        "available": {"USDT": D(10**9), "BTC": D(10**6)},
        "positions": {SYMBOL: D(0)},
        "working": [],
        "fees": Known(load_schedule("binance-spot-vip0"), NOW, "t"),
        "state": TradingState.NORMAL,
        "strategy_pnl": {"s": D(0)},
    }
    return Snapshot(**{**fields, **changes})  # type: ignore[arg-type]


def guard(profile: Profile) -> LossGuard:
    loss = LossGuard(profile.limits)
    loss.apply(DayBase(day=utc_day(NOW), equity=D(10_000), strategy_pnl={"s": D(0)}, at_ns=NOW))
    return loss


def module(profile: Profile) -> RiskModule:
    return RiskModule(profile.limits, guard(profile))


def codes(profile: Profile, one: Order, view: Snapshot) -> set[str]:
    return {denial.code for denial in module(profile).check(one, view)}


def working(side: Side, price: str, quantity: str, name: str = "w", symbol: str = SYMBOL) -> Working:
    return Working(
        client_id=name, symbol=symbol, side=side, price=D(price), quantity=D(quantity), strategy="s"
    )


def qty(amount: str) -> Callable[[], tuple[Order, Snapshot]]:
    return lambda: (order(quantity=D(amount)), snapshot())


def at(**changes: object) -> Callable[[], tuple[Order, Snapshot]]:
    return lambda: (order(), snapshot(**changes))


def with_order(**changes: object) -> Callable[[], tuple[Order, Snapshot]]:
    return lambda: (order(**changes), snapshot())


def open_orders(count: int, symbol: str = SYMBOL) -> Callable[[], tuple[Order, Snapshot]]:
    others = [working(Side.BUY, "40000", "0.001", f"w{i}", symbol) for i in range(count)]
    return lambda: (order(), snapshot(working=others))


def spread(half: str) -> Callable[[], tuple[Order, Snapshot]]:
    top = Known(Top(D(50_000) - D(half), D(50_000) + D(half)), NOW, "t")
    return lambda: (order(post_only=False, price=D(50_000) + D(half)), snapshot(tops={SYMBOL: top}))


def positions(count: int) -> Callable[[], tuple[Order, Snapshot]]:
    names = [f"P{i}/USDT" for i in range(count)]
    top = Known(Top(D(1), D(1)), NOW, "t")
    tops = {SYMBOL: Known(Top(D(49_999), D(50_001)), NOW, "t"), **dict.fromkeys(names, top)}
    return lambda: (order(), snapshot(positions=dict.fromkeys(names, D(1)), tops=tops))


PCT = {"quantity": D("0.01")}
CASES: list[tuple[str, dict[str, object], object, object, object]] = [
    ("OrderQtyLimit", {"symbols": PROFILE.limits.symbols}, qty("0.0499"), qty("0.05"), qty("0.0501")),
    ("OrderNotionalLimit", {"max_order_notional_quote": D(500)}, qty("0.0099"), qty("0.01"), qty("0.0101")),
    (
        "PriceCollar",
        {"price_collar_bps": D(200)},
        with_order(price=D("50999.99")),
        with_order(price=D(51_000)),
        with_order(price=D("51000.01")),
    ),
    ("PositionNotional", {"max_position_notional_pct": D(5)}, qty("0.0099"), qty("0.01"), qty("0.0101")),
    ("GrossExposure", {"max_gross_exposure_pct": D(5)}, qty("0.0099"), qty("0.01"), qty("0.0101")),
    ("NetExposure", {"max_net_exposure_pct": D(5)}, qty("0.0099"), qty("0.01"), qty("0.0101")),
    ("Leverage", {"max_leverage_x100": 5}, qty("0.0099"), qty("0.01"), qty("0.0101")),
    ("PositionCount", {"max_positions_count": 5}, positions(3), positions(4), positions(5)),
    ("OpenOrders", {"max_open_orders_symbol_count": 3}, open_orders(1), open_orders(2), open_orders(3)),
    (
        "OpenOrders",
        {"max_open_orders_account_count": 3},
        open_orders(1, "ETH/USDT"),
        open_orders(2, "ETH/USDT"),
        open_orders(3, "ETH/USDT"),
    ),
    (
        "StaleMarket",
        {"max_market_age_ms": 2_000},
        at(tops={SYMBOL: Known(Top(D(49_999), D(50_001)), NOW - 1_999 * MS, "t")}),
        at(tops={SYMBOL: Known(Top(D(49_999), D(50_001)), NOW - 2_000 * MS, "t")}),
        at(tops={SYMBOL: Known(Top(D(49_999), D(50_001)), NOW - 2_001 * MS, "t")}),
    ),
    (
        "StaleBalance",
        {"max_balance_age_ms": 2_000},
        at(balances_as_of_ns=NOW - 1_999 * MS),
        at(balances_as_of_ns=NOW - 2_000 * MS),
        at(balances_as_of_ns=NOW - 2_001 * MS),
    ),
    (
        "InsufficientFunds",
        {},
        at(available={"USDT": D("500.500001")}),
        at(available={"USDT": D("500.5")}),
        at(available={"USDT": D("500.499999")}),
    ),
    ("WideSpread", {"max_spread_bps": D(50)}, spread("124.99"), spread("125"), spread("125.01")),
    (
        "DecisionTooOld",
        {"max_order_age_at_risk_ms": 1_000},
        with_order(decision_ns=NOW - 999 * MS),
        with_order(decision_ns=NOW - 1_000 * MS),
        with_order(decision_ns=NOW - 1_000 * MS - 1),
    ),
    (
        "EquityCap",
        {"equity_cap_quote": D(10_000)},
        at(equity=Known(D("9999.999999"), NOW, "t")),
        at(equity=Known(D(10_000), NOW, "t")),
        at(equity=Known(D("10000.000001"), NOW, "t")),
    ),
    (
        "StrategyLoss",
        {"max_strategy_loss_pct": D(1)},
        at(strategy_pnl={"s": D("-99.999999")}),
        at(strategy_pnl={"s": D(-100)}),
        at(strategy_pnl={"s": D("-100.000001")}),
    ),
    # 2 % of 10,000 is 200; this order adds 0.5 of fee and 10 at the collar of 200 bps to the loss so far.
    (
        "DailyLoss",
        {"daily_loss_pct": D(2), "price_collar_bps": D(200)},
        at(equity=Known(D("9810.500001"), NOW, "t")),
        at(equity=Known(D("9810.5"), NOW, "t")),
        at(equity=Known(D("9810.499999"), NOW, "t")),
    ),
]


@pytest.mark.parametrize(("code", "tight", "under", "equal", "over"), CASES, ids=[c[0] for c in CASES])
def test_each_limit_passes_under_and_equal_and_denies_one_unit_over(
    code: str,
    tight: dict[str, object],
    under: Callable[[], tuple[Order, Snapshot]],
    equal: Callable[[], tuple[Order, Snapshot]],
    over: Callable[[], tuple[Order, Snapshot]],
) -> None:
    profile = limits(**tight)
    assert codes(profile, *under()) == set()
    assert codes(profile, *equal()) == set()
    assert codes(profile, *over()) == {code}


def test_the_message_rate_and_the_repeat_throttle_count_within_their_windows() -> None:
    profile = limits(max_messages_per_s=10, max_same_order_repeat_count=3)
    risk = module(profile)
    for number in range(10):
        assert not risk.check(order(price=D(40_000 + number)), snapshot())
    assert {d.code for d in risk.check(order(price=D(30_000)), snapshot())} == {"MessageRate"}
    later = snapshot(now_ns=NOW + 1_000 * MS)
    assert not risk.check(order(price=D(30_000), decision_ns=NOW + 1_000 * MS), later)
    risk = module(profile)
    for step in range(3):
        moment = NOW + step * 1_000 * MS
        assert not risk.check(
            order(decision_ns=moment),
            snapshot(
                now_ns=moment,
                tops={SYMBOL: Known(Top(D(49_999), D(50_001)), moment, "t")},
                balances_as_of_ns=moment,
            ),
        )
    moment = NOW + 9_999 * MS
    fresh = {"tops": {SYMBOL: Known(Top(D(49_999), D(50_001)), moment, "t")}, "balances_as_of_ns": moment}
    assert {d.code for d in risk.check(order(decision_ns=moment), snapshot(now_ns=moment, **fresh))} == {
        "RepeatThrottle"
    }


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4_000), st.sampled_from(["buy 1", "buy 2", "sell 1"])), max_size=30),
    st.integers(1, 10),
)
def test_the_repeat_throttle_counts_the_same_wishes_of_its_window(wishes: list, most: int) -> None:
    risk, sent, moment = module(limits(max_messages_per_s=10**6, max_same_order_repeat_count=most)), [], NOW
    for pause_ms, wish in wishes:
        moment += pause_ms * MS
        side, price = (Side.BUY if wish[:3] == "buy" else Side.SELL), D(40_000 + 20_000 * (wish[0] == "s"))
        price += D(wish[-1])
        recent = sum(1 for at, one in sent if one == wish and moment - at < 10_000 * MS)
        top = {SYMBOL: Known(Top(D(49_999), D(50_001)), moment, "t")}
        state = snapshot(now_ns=moment, tops=top, balances_as_of_ns=moment)
        denied = {one.code for one in risk.check(order(side=side, price=price, decision_ns=moment), state)}
        assert ("RepeatThrottle" in denied) == (recent + 1 > most)
        if not denied:
            sent.append((moment, wish))


def test_an_own_opposite_order_at_a_crossing_price_is_a_self_match() -> None:
    resting = [working(Side.SELL, "50000.01", "0.01")]
    assert codes(limits(), order(price=D("50000.00")), snapshot(working=resting)) == set()
    assert codes(limits(), order(price=D("50000.01")), snapshot(working=resting)) == {"SelfMatch"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tops": {SYMBOL: Unknown("x")}}, "StaleMarket"),
        ({"tops": {SYMBOL: Stale(Top(D(1), D(2)), NOW, "t", "x")}}, "StaleMarket"),
        ({"balances_as_of_ns": None}, "StaleBalance"),
        ({"equity": Unknown("x")}, "StaleBalance"),
        ({"fees": Unknown("x")}, "FeesUnknown"),
    ],
)
def test_what_is_not_known_denies_new_risk(changes: dict[str, object], code: str) -> None:
    assert code in codes(limits(), order(), snapshot(**changes))


def test_without_a_start_of_day_mark_there_is_no_new_risk() -> None:
    profile = limits()
    risk = RiskModule(profile.limits, LossGuard(profile.limits))
    assert {denial.code for denial in risk.check(order(), snapshot())} == {"DailyLoss"}


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
    beside = [working(Side.SELL, "60000", "0.0001")]
    assert "StateReduceOnly" in codes(
        limits(), sell, snapshot(state=TradingState.REDUCE_ONLY, working=beside, **held)
    )


def test_an_amend_is_checked_without_the_order_it_replaces() -> None:
    profile = limits(max_position_notional_pct=D(5))
    resting = [working(Side.BUY, "50000", "0.01", "mine")]
    assert "PositionNotional" in codes(profile, order(), snapshot(working=resting))
    assert codes(profile, order(replaces="mine"), snapshot(working=resting)) == set()


def test_venue_filters_come_first_and_every_failure_is_listed() -> None:
    denied = module(limits(max_order_notional_quote=D(1))).check(order(price=D("50000.001")), snapshot())
    assert denied[0].code == "OffTick"
    assert "OrderNotionalLimit" in {denial.code for denial in denied}


def test_an_error_inside_the_module_denies() -> None:
    risk = module(limits())
    broken = snapshot(available=None)
    assert {denial.code for denial in risk.check(order(), broken)} == {"RiskInternal"}


def test_an_unresolved_order_blocks_more_risk_of_its_strategy_and_symbol() -> None:
    unresolved = [msgspec.structs.replace(working(Side.BUY, "40000", "0.001"), unresolved=True)]
    assert codes(limits(), order(), snapshot(working=unresolved)) == {"UnresolvedOrder"}
    assert codes(limits(), order(strategy="other"), snapshot(working=unresolved)) == set()


def test_more_than_twenty_denials_of_one_code_within_a_minute_are_a_storm() -> None:
    risk = module(limits(max_order_notional_quote=D(1)))
    for _ in range(20):
        risk.check(order(), snapshot())
    assert risk.denial_storm("s", NOW) is None
    risk.check(order(), snapshot())
    assert risk.denial_storm("s", NOW) == "OrderNotionalLimit"
    assert risk.denial_storm("s", NOW + 60_000 * MS) is None
    assert risk.denial_storm("other", NOW) is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(Side)), st.integers(1, 400), st.integers(45_000, 55_000)), max_size=25
    ),
    st.integers(0, 100),
)
def test_admitted_orders_never_take_the_worst_case_beyond_the_position_limit(
    wishes: list[tuple[Side, int, int]], held: int
) -> None:
    profile = limits(max_position_notional_pct=D(50), max_open_orders_symbol_count=10**3)
    risk = module(profile)
    risk.limits = msgspec.structs.replace(
        risk.limits, max_messages_per_s=10**6, max_open_orders_account_count=10**3
    )
    book: list[Working] = []
    position = D(held) * D("0.0001")
    for number, (side, lots, price) in enumerate(wishes):
        one = order(side=side, quantity=D(lots) * D("0.0001"), price=D(price))
        view = snapshot(working=list(book), positions={SYMBOL: position})
        if not risk.check(one, view):
            book.append(
                Working(
                    client_id=str(number), symbol=SYMBOL, side=side, price=one.price, quantity=one.quantity
                )
            )
    bought = sum((w.price * w.quantity for w in book if w.side is Side.BUY), D(0))
    assert position * 50_000 + bought <= 5_000


# ---- states --------------------------------------------------------------------------------------


def test_the_most_restrictive_scope_wins_and_a_latch_never_weakens() -> None:
    table = StateTable()
    assert table.effective(symbol_scope("X")) is TradingState.NORMAL
    table.trip(symbol_scope("X"), "a", TradingState.REDUCE_ONLY, reason="r", actor="t", now_ns=1)
    assert table.effective() is TradingState.NORMAL
    assert table.effective(symbol_scope("X")) is TradingState.REDUCE_ONLY
    assert table.trip(ACCOUNT, "b", TradingState.HALTED, reason="r", actor="t", now_ns=2) is not None
    assert table.trip(ACCOUNT, "b", TradingState.REDUCE_ONLY, reason="r", actor="t", now_ns=3) is None
    assert table.effective(symbol_scope("X")) is TradingState.HALTED


def test_a_latch_ends_only_with_a_reason_and_not_before_its_time() -> None:
    table = StateTable()
    table.trip(ACCOUNT, "loss", TradingState.HALTED, reason="r", actor="t", now_ns=1, not_before_ns=10)
    with pytest.raises(LatchError, match="reason"):
        table.clear(ACCOUNT, "loss", reason=" ", actor="op", now_ns=20)
    with pytest.raises(LatchError, match="before"):
        table.clear(ACCOUNT, "loss", reason="ok", actor="op", now_ns=9)
    with pytest.raises(LatchError, match="not restricted"):
        table.clear(ACCOUNT, "other", reason="ok", actor="op", now_ns=20)
    table.clear(ACCOUNT, "loss", reason="ok", actor="op", now_ns=10)
    assert table.effective() is TradingState.NORMAL


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([ACCOUNT, "symbol:X"]),
            st.sampled_from(["a", "b"]),
            st.sampled_from([TradingState.REDUCE_ONLY, TradingState.HALTED]),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_replaying_the_records_gives_the_same_table_and_triggers_only_restrict(
    steps: list[tuple[str, str, TradingState, bool]],
) -> None:
    table, records = StateTable(), []
    for number, (scope, cause, level, clear) in enumerate(steps):
        if clear and table.is_set(scope, cause):
            records.append(table.clear(scope, cause, reason="r", actor="t", now_ns=number))
            continue
        before = table.effective("symbol:X")
        latch = table.trip(scope, cause, level, reason="r", actor="t", now_ns=number)
        assert table.effective("symbol:X") >= before
        if latch is not None:
            records.append(latch)
    again = StateTable()
    for record in records:
        again.apply(msgspec.json.decode(msgspec.json.encode(record), type=Latch))
    assert again.active() == table.active()


# ---- loss and drawdown -----------------------------------------------------------------------------


def test_the_daily_loss_trips_beyond_the_limit_and_a_profit_never_does() -> None:
    loss = guard(PROFILE)
    assert not loss.tripped(D(9_800))
    assert loss.tripped(D("9799.999999"))
    assert not loss.tripped(D(20_000))


def test_the_base_is_fixed_for_the_day_moves_with_flows_and_is_new_on_the_next_utc_day() -> None:
    loss = guard(PROFILE)
    assert loss.mark(D(9_900), {}, NOW + 1) is None
    loss.flow(D(500))
    assert loss.loss(D(10_400)) == 100
    record = loss.mark(D(10_400), {"s": D(-3)}, next_day_ns(NOW))
    assert isinstance(record, DayBase)
    assert (record.equity, record.day) == (D(10_400), utc_day(NOW + DAY_NS))
    assert loss.loss(D(10_400)) == 0


def test_drawdown_steps_latch_upwards_and_come_down_one_by_one() -> None:
    loss = guard(PROFILE)
    steps = [(D(9_501), 0), (D(9_500), 1), (D(9_000), 2), (D(8_800), 3), (D(8_500), 4), (D(9_900), 4)]
    for equity, step in steps:
        record = loss.mark(equity, {}, NOW + 1)
        assert loss.step == step
        assert record is None or isinstance(record, HighWater)
    assert loss.size_multiplier == D("0.5")
    assert [loss.step_down(NOW).step for _ in range(5)] == [3, 2, 1, 0, 0]


# ---- profile -----------------------------------------------------------------------------------------


def test_the_shipped_profile_states_every_limit() -> None:
    content = tomllib.loads((PROFILE_DIR / "paper.toml").read_text())
    assert set(content["limits"]) == set(type(PROFILE.limits).__struct_fields__)
    assert (PROFILE.limits.max_order_notional_quote, PROFILE.limits.equity_cap_quote) == (D(500), None)


@pytest.mark.parametrize("key", sorted(type(PROFILE.limits).__struct_fields__))
def test_a_missing_limit_refuses(tmp_path: Path, key: str) -> None:
    lines = (PROFILE_DIR / "paper.toml").read_text().splitlines()
    if key == "symbols":
        kept = lines[: next(i for i, line in enumerate(lines) if line.startswith("[limits.symbols"))]
    else:
        kept = [line for line in lines if not line.startswith(f"{key} ")]
    path = tmp_path / "p.toml"
    path.write_text("\n".join(kept))
    with pytest.raises(ConfigError, match=key):
        load_profile(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('max_order_notional_quote = "500"', 'max_order_notional_quote = "500"\nmax_ordr_notional = "1"'),
        ('daily_loss_pct = "2.0"', "daily_loss_pct = 2.0"),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "NaN"'),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "-1"'),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "0"'),
        ('daily_loss_pct = "2.0"', 'daily_loss_pct = "two"'),
        ("max_positions_count = 5", "max_positions_count = 0"),
        ('drawdown_warn_pct = "5"', 'drawdown_warn_pct = "50"'),
        ('dead_man = "timer"', 'dead_man = "maybe"'),
        ("[limits]", "[limits"),
    ],
)
def test_an_unknown_key_or_a_value_that_is_no_limit_refuses(tmp_path: Path, old: str, new: str) -> None:
    text = (PROFILE_DIR / "paper.toml").read_text()
    assert old in text
    path = tmp_path / "p.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError):
        load_profile(path)


def test_a_limit_stated_by_two_sources_is_a_conflict(tmp_path: Path) -> None:
    overlay = tmp_path / "o.toml"
    overlay.write_text('[limits]\ndaily_loss_pct = "9"\n')
    with pytest.raises(ConfigConflict, match=r"limits\.daily_loss_pct"):
        load_profile("paper", overlay)
    overlay.write_text('[limits.symbols."XRP/USDT"]\nmax_order_qty_base = "100"\n')
    assert "XRP/USDT" in load_profile("paper", overlay).limits.symbols
    with pytest.raises(ConfigError, match="no risk profile"):
        load_profile("nowhere")
