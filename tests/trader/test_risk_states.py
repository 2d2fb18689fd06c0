"""Trading states (T11.4): two people where the rule says so, no automatic reset of what latches, the lattice
is monotone, the total loss survives everything, and limits are raised late and by two (T11.8).
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import SYMBOL
from risk_world import NOW, OTHER, PROFILE, D, limits

from tradewind.trader.records import DayBase, HighWater, Latch, decode, encode
from tradewind.trader.risk.changes import RAISE_DELAY_NS, LimitBook, LimitsRefused, flat
from tradewind.trader.risk.loss import DAY_NS, LossGuard, utc_day
from tradewind.trader.risk.records import LimitChange, StageStart
from tradewind.trader.risk.state import (
    ACCOUNT,
    TOTAL_LOSS,
    LatchError,
    StateTable,
    TradingState,
    strategy_scope,
    symbol_scope,
    venue_scope,
)

SCOPES = [ACCOUNT, venue_scope("v"), strategy_scope("s"), symbol_scope("X")]
LEVELS = [TradingState.REDUCE_ONLY, TradingState.HALTED]


def tripped(cause: str, *, much: bool = False, latching: bool = True) -> StateTable:
    table = StateTable(lambda: much)
    table.trip(ACCOUNT, cause, TradingState.HALTED, reason="r", actor="trader", now_ns=1, latching=latching)
    return table


@pytest.mark.parametrize("second", ["", " ", "ann", "ANN "])
def test_the_total_loss_is_reset_by_two_different_people_only(second: str) -> None:
    table = tripped(TOTAL_LOSS)
    with pytest.raises(LatchError, match="second"):
        table.clear(ACCOUNT, TOTAL_LOSS, reason="looked at", actor="ann", now_ns=9, second=second)
    assert table.effective() is TradingState.HALTED
    cleared = table.clear(ACCOUNT, TOTAL_LOSS, reason="looked at", actor="ann", now_ns=9, second="bob")
    assert (cleared.actor, cleared.second) == ("ann", "bob")
    assert table.effective() is TradingState.NORMAL


@pytest.mark.parametrize(
    "cause", ["daily_loss", "drawdown", "reconciliation", "foreign_activity", "operator"]
)
def test_with_much_at_stake_the_named_causes_need_two_people(cause: str) -> None:
    assert tripped(cause).clear(ACCOUNT, cause, reason="x", actor="ann", now_ns=2).cleared
    table = tripped(cause, much=True)
    with pytest.raises(LatchError, match="second"):
        table.clear(ACCOUNT, cause, reason="x", actor="ann", now_ns=2)
    assert table.clear(ACCOUNT, cause, reason="x", actor="ann", now_ns=2, second="bob").cleared


def test_what_latches_is_never_released_by_a_rule_and_what_does_not_is() -> None:
    with pytest.raises(LatchError, match="latches"):
        tripped("drawdown").release(ACCOUNT, "drawdown", reason="recovered", now_ns=2)
    table = tripped("stale", latching=False)
    released = table.release(ACCOUNT, "stale", reason="the book is live", now_ns=2)
    assert released is not None
    assert table.effective() is TradingState.NORMAL
    assert table.release(ACCOUNT, "stale", reason="again", now_ns=3) is None


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(SCOPES), st.sampled_from(["a", "b"]), st.sampled_from(LEVELS)), max_size=20
    )
)
def test_triggers_only_ever_restrict_and_every_scope_counts(
    triggers: list[tuple[str, str, TradingState]],
) -> None:
    table, worst = StateTable(), TradingState.NORMAL
    for number, (scope, cause, level) in enumerate(triggers):
        before = table.effective(*SCOPES)
        table.trip(scope, cause, level, reason="r", actor="t", now_ns=-number)
        worst = max(worst, level)
        assert before <= table.effective(*SCOPES) == worst
        assert table.effective(scope) >= level


# ---- total loss ------------------------------------------------------------------------------------


def canary() -> LossGuard:
    loss = LossGuard(limits(total_loss_quote=D(30), daily_loss_quote=D(10)).limits)
    loss.apply(DayBase(day=utc_day(NOW), equity=D(200), strategy_pnl={}, at_ns=NOW))
    assert loss.begin_stage("canary", D(200), NOW) is not None
    return loss


def test_the_total_loss_halts_at_its_limit_and_counts_on_over_midnight_and_restart() -> None:
    loss = canary()
    assert not loss.total_tripped(D("170.000001"))
    assert loss.total_tripped(D(170))
    loss.mark(D(185), {}, NOW + DAY_NS)
    assert (loss.loss(D(170)), loss.total_loss(D(170))) == (15, 30)
    again = LossGuard(loss.limits)
    again.apply(msgspec.json.decode(msgspec.json.encode(loss.stage), type=StageStart))
    assert again.begin_stage("canary", D(185), NOW + DAY_NS) is None
    assert again.total_tripped(D(170))


def test_deposits_are_no_profit_and_a_new_stage_counts_anew() -> None:
    loss = canary()
    loss.flow(D(100))
    assert loss.total_loss(D(270)) == 30
    assert loss.begin_stage("canary-7", D(270), NOW + 1) is not None
    assert loss.total_loss(D(270)) == 0


def test_the_day_takes_the_tighter_of_amount_and_part_and_warns_at_half_and_four_fifths() -> None:
    loss = canary()
    assert loss.limit == 10
    assert [loss.warning(D(value)) for value in ("195.01", "195", "193", "192", "191", "100")] == [
        None, 50, None, 80, None, None,
    ]  # fmt: skip
    loss.mark(D(100), {}, NOW + DAY_NS)
    assert loss.warning(D(95)) == 50
    rich = LossGuard(limits(daily_loss_pct=D(2), daily_loss_quote=D(10)).limits)
    rich.apply(DayBase(day=utc_day(NOW), equity=D(100), strategy_pnl={}, at_ns=NOW))
    assert rich.limit == 2


def test_the_records_of_risk_survive_the_journal() -> None:
    change = LimitChange(
        key="daily_loss_pct", before="2", after="1", actor="a", second="", reason="r", asked_ns=1,
        effective_ns=1, applied_ns=1,
    )  # fmt: skip
    latch = Latch(
        scope=ACCOUNT, cause="x", level="HALTED", latching=True, cleared=True, reason="r", actor="a", at_ns=1,
        second="b",
    )  # fmt: skip
    stage = StageStart(stage="canary", equity=D("1.5"), at_ns=2)
    for record in (change, latch, stage, HighWater(equity=Decimal(1), step=1, at_ns=3)):
        assert decode(encode(record)[2]) == record


# ---- limits that change ----------------------------------------------------------------------------


def changed(**changes: object) -> object:
    return msgspec.structs.replace(PROFILE.limits, **changes)


def test_a_lower_limit_counts_at_once_and_a_higher_one_after_an_hour_without_a_position() -> None:
    book = LimitBook(PROFILE.limits)
    wanted = changed(daily_loss_pct=D(1), max_strategy_loss_pct=D("0.5"), max_order_notional_quote=D(600))
    records = book.ask(wanted, actor="ann", second="bob", reason="review", now_ns=NOW)  # type: ignore[arg-type]
    assert {one.key: bool(one.applied_ns) for one in records} == {
        "daily_loss_pct": True,
        "max_strategy_loss_pct": True,
        "max_order_notional_quote": False,
    }
    assert (book.limits.daily_loss_pct, book.limits.max_order_notional_quote) == (1, 500)
    again = LimitBook(PROFILE.limits)
    for record in records:
        again.apply(record)
    assert (again.limits, again.waiting) == (book.limits, book.waiting)
    later = NOW + RAISE_DELAY_NS
    assert not again.due(later - 1, lambda _: False)
    assert not again.due(later, lambda _: True)
    assert [one.key for one in again.due(later, lambda _: False)] == ["max_order_notional_quote"]
    assert (again.limits.max_order_notional_quote, again.waiting) == (600, {})


@pytest.mark.parametrize(
    ("change", "raises"),
    [
        ({"equity_cap_quote": D(5)}, False),
        ({"entry_cost_gate": "report"}, True),
        ({"repeat_window_s": 5}, True),
        ({"repeat_window_s": 20}, False),
        ({"drawdown_halt_pct": D(20)}, True),
        ({"symbols": {**PROFILE.limits.symbols, "XRP/USDT": PROFILE.limits.symbols[OTHER]}}, True),
        ({"symbols": {SYMBOL: PROFILE.limits.symbols[SYMBOL]}}, False),
    ],
)
def test_what_allows_more_is_a_raise_and_needs_two_people(change: dict[str, object], raises: bool) -> None:
    wanted = changed(**change)
    for second in ("", "ann"):
        book = LimitBook(PROFILE.limits)
        if raises:
            with pytest.raises(LimitsRefused, match="second"):
                book.ask(wanted, actor="ann", second=second, reason="x", now_ns=1)  # type: ignore[arg-type]
            assert book.limits == PROFILE.limits
        else:
            book.ask(wanted, actor="ann", second=second, reason="x", now_ns=1)  # type: ignore[arg-type]
            assert book.limits == wanted
    with pytest.raises(LimitsRefused, match="reason"):
        LimitBook(PROFILE.limits).ask(wanted, actor="a", second="b", reason=" ", now_ns=1)  # type: ignore[arg-type]


def test_a_file_edited_while_the_trader_was_down_lowers_but_does_not_raise() -> None:
    before = flat(PROFILE.limits)
    book = LimitBook(PROFILE.limits)
    edited = changed(daily_loss_pct=D("1.5"), max_order_notional_quote=D(600))
    assert book.restart(edited, before) == ["max_order_notional_quote"]  # type: ignore[arg-type]
    assert (book.limits.daily_loss_pct, book.limits.max_order_notional_quote) == (D("1.5"), 500)
    assert book.restart(edited, None) == []  # type: ignore[arg-type]
    assert book.limits == edited


def test_a_raise_for_one_symbol_waits_for_that_symbol_only() -> None:
    book = LimitBook(PROFILE.limits)
    symbols = {
        **PROFILE.limits.symbols,
        OTHER: msgspec.structs.replace(PROFILE.limits.symbols[OTHER], max_order_qty_base=D(2)),
    }
    book.ask(changed(symbols=symbols), actor="a", second="b", reason="x", now_ns=0)  # type: ignore[arg-type]
    asked: list[str | None] = []
    book.due(RAISE_DELAY_NS, lambda symbol: asked.append(symbol) or symbol == SYMBOL)
    assert asked == [OTHER]
    assert book.limits.symbols[OTHER].max_order_qty_base == 2
