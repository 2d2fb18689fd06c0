"""Behaviour controls (T11.8): each pattern at its bound, its duration, what it never blocks, and restarts."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paper_world import SYMBOL
from risk_world import D, fresh, guard, limits, order

from tradewind.trader.risk.behaviour import (
    COOL_DOWN_NS,
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    Actor,
    Behaviour,
    Pattern,
)
from tradewind.trader.risk.check import Path, RiskModule
from tradewind.trader.risk.model import SECOND_NS, Denied
from tradewind.venues.market_data import Side

T = 1_723_161_600 * SECOND_NS + 10 * HOUR_NS
S = SECOND_NS


def denials(behaviour: Behaviour, now_ns: int, *, notional: str = "500", **changes: object) -> set[str]:
    out: list[Denied] = []
    behaviour.check(order(decision_ns=now_ns, **changes), D(notional), now_ns, out)
    return {one.code for one in out}


def stopped(behaviour: Behaviour, *moments: int, symbol: str = "ETH/USDT") -> None:
    for moment in moments:
        behaviour.closed("s", symbol, Side.BUY, D(-1), stopped=True, now_ns=moment)


def place(behaviour: Behaviour, now_ns: int, notional: str = "500", **changes: object) -> None:
    behaviour.passed(order(decision_ns=now_ns, **changes), D(notional), now_ns)


def patterns(behaviour: Behaviour) -> list[str]:
    return [one.pattern for one in behaviour.events()]


def test_three_stop_outs_in_a_row_cool_down_for_thirty_minutes() -> None:
    behaviour = Behaviour()
    stopped(behaviour, T, T + S)
    assert denials(behaviour, T + 2 * S) == set()
    stopped(behaviour, T + 2 * S)
    until = T + 2 * S + COOL_DOWN_NS
    assert denials(behaviour, until - 1) == {"CoolDown"}
    assert denials(behaviour, until) == set()
    assert patterns(behaviour) == [Pattern.STOP_OUTS]


def test_an_exit_that_is_no_stop_and_a_day_break_the_row() -> None:
    behaviour = Behaviour()
    stopped(behaviour, T, T + S)
    behaviour.closed("s", SYMBOL, Side.BUY, D(1), stopped=False, now_ns=T + 2 * S)
    stopped(behaviour, T + 3 * S)
    assert denials(behaviour, T + 4 * S) == set()
    stopped(behaviour, T + DAY_NS + 2 * S, T + DAY_NS + 4 * S)
    assert denials(behaviour, T + DAY_NS + 5 * S) == set()


def test_no_re_entry_on_the_same_side_within_a_minute_of_a_stop() -> None:
    behaviour = Behaviour()
    stopped(behaviour, T, symbol=SYMBOL)
    assert denials(behaviour, T + 60 * S - 1) == {"Reentry"}
    assert denials(behaviour, T + 60 * S - 1, side=Side.SELL) == set()
    assert denials(behaviour, T + 60 * S - 1, symbol="ETH/USDT") == set()
    assert denials(behaviour, T + 60 * S) == set()
    denials(behaviour, T + S)
    assert patterns(behaviour) == [Pattern.REENTRY]


def quick_cancels(behaviour: Behaviour, orders: int, cancels: int, gap_ns: int = 5 * S) -> None:
    for number in range(orders):
        place(behaviour, T + number * S)
    for number in range(cancels):
        behaviour.cancelled("s", T + number * S, T + number * S + gap_ns)


@pytest.mark.parametrize(
    ("orders", "cancels", "gap_ns", "share"),
    [
        (50, 20, 5 * S, "1"),
        (50, 21, 5 * S, "0.25"),
        (49, 49, 5 * S, "1"),
        (50, 50, 5 * S + 1, "1"),
    ],
)
def test_too_many_quick_cancels_quarter_the_message_limit(
    orders: int, cancels: int, gap_ns: int, share: str
) -> None:
    behaviour = Behaviour()
    quick_cancels(behaviour, orders, cancels, gap_ns)
    now_ns = T + 60 * S
    assert behaviour.message_share("s", now_ns) == D(share)
    assert behaviour.message_share("other", now_ns) == 1
    assert behaviour.message_share("s", now_ns + 15 * MINUTE_NS) == 1


def test_a_quoting_strategy_may_cancel_and_amend_as_it_lives() -> None:
    behaviour = Behaviour()
    behaviour.quoting.add("s")
    quick_cancels(behaviour, 60, 60)
    for number in range(20):
        place(behaviour, T + number, replaces="o1")
    assert behaviour.message_share("s", T + 60 * S) == 1
    assert denials(behaviour, T + S, replaces="o1") == set()


def test_over_five_changes_of_one_order_stop_further_ones_for_a_minute() -> None:
    behaviour = Behaviour()
    for number in range(5):
        place(behaviour, T + number, replaces="o1")
    assert denials(behaviour, T + 5, replaces="o1") == set()
    place(behaviour, T + 5, replaces="o1")
    assert denials(behaviour, T + 6, replaces="o1") == {"AmendThrottle"}
    assert denials(behaviour, T + 6, replaces="o2") == set()
    assert denials(behaviour, T + 5 + 60 * S, replaces="o1") == set()


def busy_week(behaviour: Behaviour, days: int, per_hour: int = 20) -> None:
    for day in range(days, 0, -1):
        for number in range(per_hour):
            place(behaviour, T - day * DAY_NS + number * S)
    behaviour.events()


@pytest.mark.parametrize(("days", "orders", "half"), [(7, 10, False), (7, 11, True), (6, 100, False)])
def test_more_than_twice_the_usual_rate_halves_the_size_until_it_is_calm(
    days: int, orders: int, half: bool
) -> None:
    behaviour = Behaviour()
    busy_week(behaviour, days)
    for number in range(orders):
        place(behaviour, T + number * S)
    assert behaviour.size_multiplier("s", T + 60 * S) == (D("0.5") if half else 1)
    # 1.2 times the baseline of 20 an hour is 6 in a quarter of it
    assert behaviour.size_multiplier("s", T + 15 * MINUTE_NS + 4 * S) == (D("0.5") if half else 1)
    assert behaviour.size_multiplier("s", T + 15 * MINUTE_NS + 5 * S) == 1 or orders > 11
    assert behaviour.size_multiplier("s", T + 20 * MINUTE_NS) == 1


def test_a_larger_size_soon_after_a_loss_is_denied() -> None:
    behaviour = Behaviour()
    for notional in ("100", "100", "300"):
        place(behaviour, T, notional)
    assert denials(behaviour, T, notional="1000") == set()
    behaviour.closed("s", SYMBOL, Side.BUY, D("-0.01"), stopped=False, now_ns=T)
    assert denials(behaviour, T + 10 * MINUTE_NS, notional="150") == set()
    assert denials(behaviour, T + 10 * MINUTE_NS, notional="150.01") == {"SizeAfterLoss"}
    assert denials(behaviour, T + 10 * MINUTE_NS + 1, notional="150.01") == set()
    behaviour.quoting.add("s")
    assert denials(behaviour, T, notional="450") == set()
    assert denials(behaviour, T, notional="450.01") == {"SizeAfterLoss"}


def test_a_profit_allows_any_size() -> None:
    behaviour = Behaviour()
    for _ in range(5):
        place(behaviour, T, "100")
    behaviour.closed("s", SYMBOL, Side.BUY, D(5), stopped=False, now_ns=T)
    assert denials(behaviour, T, notional="1000") == set()


def test_a_third_override_of_a_day_needs_a_second_person() -> None:
    behaviour = Behaviour()
    by_hand = {"strategy": "ann", "path": Path.MANUAL}
    behaviour.overridden("ann", T)
    assert denials(behaviour, T, **by_hand) == set()
    behaviour.overridden("ann", T + S)
    assert denials(behaviour, T + 2 * S, **by_hand) == {"OverrideLimit"}
    assert denials(behaviour, T + 2 * S, second="bob", **by_hand) == set()
    assert denials(behaviour, T + DAY_NS, **by_hand) == set()


def test_three_events_in_a_day_leave_a_strategy_reducing_only_until_the_next_utc_day() -> None:
    behaviour = Behaviour()
    for number in range(3):
        stopped(behaviour, T + number * 120 * S, symbol=SYMBOL)
        behaviour.closed("s", SYMBOL, Side.BUY, D(1), stopped=False, now_ns=T + number * 120 * S + S)
        denials(behaviour, T + number * 120 * S + 2 * S)
    midnight = (T // DAY_NS + 1) * DAY_NS
    assert denials(behaviour, midnight - 1) == {"StateReduceOnly"}
    assert denials(behaviour, midnight) == set()
    assert patterns(behaviour) == [Pattern.REENTRY] * 3 + [Pattern.EVENTS]


def test_three_events_leave_an_operator_reducing_only_until_somebody_approves() -> None:
    behaviour = Behaviour()
    for number in range(18):
        behaviour.ordered(
            "ann", T + number, symbol=SYMBOL, notional=D(1), replaces=f"o{number // 6}", human=True
        )
    by_hand = {"strategy": "ann", "path": Path.MANUAL}
    assert denials(behaviour, T + 2 * DAY_NS, **by_hand) == {"StateReduceOnly"}
    assert behaviour.approve("ann")
    assert denials(behaviour, T + 2 * DAY_NS, **by_hand) == set()
    assert not behaviour.approve("ann")


def test_no_pattern_blocks_an_order_that_reduces() -> None:
    profile = limits(max_messages_per_s=4)
    risk = RiskModule(profile.limits, guard(profile))
    actor = Actor(waits_for_approval=True, loss_ns=T, sizes=[D(1)] * 20)
    actor.until = {pattern: T + DAY_NS for pattern in Pattern}
    actor.stopped = {f"{SYMBOL} sell": T, f"{SYMBOL} buy": T}
    risk.behaviour.actors["s"] = actor
    view = fresh(T, positions={SYMBOL: D("0.04")})
    risk.loss.mark(D(10_000), {}, T)
    sale = order(side=Side.SELL, decision_ns=T)
    buying = {one.code for one in risk.check(order(decision_ns=T), view)}
    assert buying == {"StateReduceOnly", "CoolDown", "Reentry", "SizeAfterLoss"}
    for number in range(4):
        assert not risk.check(msgspec.structs.replace(sale, price=D(50_000 + number)), view)
    assert {one.code for one in risk.check(sale, view)} == {"MessageRate"}
    assert "MessageRate" in {one.code for one in risk.check(order(decision_ns=T), view)}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["place", "amend", "cancel", "stop", "win", "ask"]),
            st.integers(0, 90),
            st.integers(1, 900),
        ),
        max_size=60,
    ),
    st.integers(0, 59),
)
def test_a_restart_at_any_moment_changes_no_answer(steps: list[tuple[str, int, int]], at: int) -> None:
    def drive(restarts: bool) -> list[set[str]]:
        behaviour, now_ns, answers = Behaviour(), T, []
        for number, (what, pause_s, size) in enumerate(steps):
            now_ns += pause_s * S
            if what in ("place", "amend"):
                place(behaviour, now_ns, str(size), **({"replaces": "o"} if what == "amend" else {}))
            elif what == "cancel":
                behaviour.cancelled("s", now_ns - pause_s * S, now_ns)
            elif what in ("stop", "win"):
                lost = what == "stop"
                behaviour.closed(
                    "s", SYMBOL, Side.BUY, D(-size if lost else size), stopped=lost, now_ns=now_ns
                )
            if restarts and number == at:
                data = msgspec.json.encode(behaviour.take())
                behaviour = Behaviour()
                behaviour.load(msgspec.json.decode(data, type=dict[str, Actor]))
            answers.append(denials(behaviour, now_ns, notional=str(size)))
        return answers

    assert drive(True) == drive(False)


def test_every_memory_is_bounded() -> None:
    behaviour = Behaviour()
    for number in range(3_000):
        behaviour.ordered(f"x{number}", T, symbol=SYMBOL, notional=D(1), replaces=f"o{number}")
        behaviour.ordered("s", T + number, symbol=SYMBOL, notional=D(1), replaces=f"o{number}")
        behaviour.closed("s", f"S{number}", Side.BUY, D(-1), stopped=True, now_ns=T + number)
        place(behaviour, T + number)
    assert len(behaviour.actors) <= 257
    actor = behaviour.actors["s"]
    assert max(len(actor.amends), len(actor.stopped), len(actor.events), len(actor.stops)) <= 256
    assert len(behaviour.events()) <= 1_024
