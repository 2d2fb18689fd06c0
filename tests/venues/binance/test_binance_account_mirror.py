"""However reports come (twice, in any order, late), the account they tell is the same."""

from __future__ import annotations

import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from test_binance_private_messages import listing

from tradewind.venues.binance.account import Mirror
from tradewind.venues.binance.private_messages import AccountPosition, BalanceUpdate, ExecutionReport
from tradewind.venues.binance.rows import CARRIED_TYPE
from tradewind.venues.protocol import (
    FINAL_PHASES,
    BalanceEvent,
    FillEvent,
    FundsEvent,
    OrderEvent,
    OrderPhase,
    PrivateEvent,
)

LOT = "0.00000001"


def mirror() -> tuple[Mirror, list[PrivateEvent]]:
    events: list[PrivateEvent] = []
    one = Mirror("binance", "trader", events.append)
    one.directory = listing()
    return one, events


def report(kind: str, status: str, filled: int, *, last: int = 0, trade: int = -1, **more: Any) -> Any:
    fields = {
        "E": 1_000, "s": "ETHUSDT", "c": "tw1", "S": "BUY", "o": "LIMIT", "f": "GTC", "p": "2500.00",
        "q": f"{10 * 1e-8:.8f}", "x": kind, "X": status, "i": 7, "l": f"{last * 1e-8:.8f}",
        "z": f"{filled * 1e-8:.8f}", "L": "2500.00" if last else "0", "T": 1_000, "t": trade, "m": True,
        "n": "0.001", "N": "USDT", **more,
    }  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(fields), type=ExecutionReport)


def story(parts: list[int], end: str) -> list[Any]:
    """Reports of an order of ten lots, as the venue tells them."""
    told = [report("NEW", "NEW", 0)]
    filled = 0
    for number, lots in enumerate(parts):
        filled += lots
        word = "FILLED" if filled == 10 else "PARTIALLY_FILLED"
        told.append(report("TRADE", word, filled, last=lots, trade=number + 1, T=1_001 + number))
    if filled < 10 and end:
        told.append(report("CANCELED", "CANCELED", filled, T=1_100, c="cancel", C="tw1"))
    return told


PARTS = st.lists(st.integers(1, 4), max_size=4).filter(lambda parts: sum(parts) <= 10)


@given(PARTS, st.sampled_from(["", "cancel"]), st.integers(0, 2**32), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_any_order_and_any_repetition_of_reports_tells_the_same_account(
    parts: list[int], end: str, seed: int, times: int
) -> None:
    reports = [one for one in story(parts, end) for _ in range(times)]
    random.Random(seed).shuffle(reports)
    one, events = mirror()
    for each in reports:
        one.execution(each)
    fills = [event for event in events if isinstance(event, FillEvent)]
    assert sorted(int(fill.trade_id) for fill in fills) == list(range(1, len(parts) + 1))
    assert sum(fill.lots for fill in fills) == sum(parts)
    state = one.find("tw1")
    assert state is not None
    assert state.filled_lots == sum(parts)
    whole = sum(parts) == 10
    expected = (
        OrderPhase.FILLED if whole
        else OrderPhase.CANCELLED if end
        else OrderPhase.PARTIALLY_FILLED if parts
        else OrderPhase.WORKING
    )  # fmt: skip
    assert state.phase is expected
    assert not one.gaps, "everything that was filled was told"
    sequences = [event.sequence for event in events if isinstance(event, OrderEvent | FillEvent)]
    assert sequences == sorted(set(sequences))
    ends = [event for event in events if isinstance(event, OrderEvent) and event.state.phase in FINAL_PHASES]
    assert len(ends) == (expected in FINAL_PHASES)


@given(PARTS.filter(bool), st.data())
@settings(max_examples=200, deadline=None)
def test_an_execution_that_was_not_told_is_missed_at_once(parts: list[int], data: st.DataObject) -> None:
    reports = story(parts, "cancel")
    lost = data.draw(st.integers(1, len(parts)))
    one, _ = mirror()
    asked: list[None] = []
    one.on_gap = lambda: asked.append(None)
    for number, each in enumerate(reports):
        if number != lost:
            one.execution(each)
    told_later = lost < len(reports) - 1
    assert bool(one.gaps) == told_later
    assert bool(asked) == told_later
    one.execution(reports[lost])
    assert not one.gaps


def test_a_replaced_order_is_one_order() -> None:
    one, events = mirror()
    one.execution(report("NEW", "NEW", 0))
    one.execution(report("TRADE", "PARTIALLY_FILLED", 4, last=4, trade=1))
    assert one.begin_replace("tw1", "7", 0)
    one.execution(report("CANCELED", "CANCELED", 4, C="tw1", c="x", T=1_002))
    later = {"i": 9, "p": "2600.00", "q": f"{6e-8:.8f}", "j": 4, "J": CARRIED_TYPE, "T": 1_003}
    one.execution(report("NEW", "NEW", 0, **later))
    one.end_replace("tw1")
    one.execution(report("TRADE", "FILLED", 6, last=6, trade=2, **{**later, "T": 1_004}))
    states = [event.state for event in events if isinstance(event, OrderEvent)]
    assert [(state.phase.value, state.venue_id, state.lots, state.filled_lots) for state in states] == [
        ("working", "7", 10, 0), ("partially_filled", "7", 10, 4), ("partially_filled", "9", 10, 4),
        ("filled", "9", 10, 10),
    ]  # fmt: skip
    assert [event.lots for event in events if isinstance(event, FillEvent)] == [4, 6]
    assert not one.gaps
    assert one.open() == []
    one.execution(report("CANCELED", "CANCELED", 4, C="tw1", c="x", T=1_002))
    assert len(events) == 6, "the earlier leg is never told again"


def test_an_order_whose_replacement_was_refused_has_ended() -> None:
    one, events = mirror()
    one.execution(report("NEW", "NEW", 0))
    assert one.begin_replace("tw1", "7", 0)
    assert not one.begin_replace("tw1", "7", 0), "one change at a time"
    one.execution(report("CANCELED", "CANCELED", 0, C="tw1", c="x", T=1_002))
    assert len(events) == 1
    one.end_replace("tw1")
    last = events[-1]
    assert isinstance(last, OrderEvent)
    assert last.state.phase is OrderPhase.CANCELLED


def test_old_and_repeated_balances_say_nothing() -> None:
    one, events = mirror()

    def position(free: str, at_ms: int) -> AccountPosition:
        rows = [{"a": "USDT", "f": free, "l": "0"}]
        return msgspec.convert({"E": 1, "u": at_ms, "B": rows}, AccountPosition, strict=False)

    for free, at_ms in (("5", 10), ("5", 10), ("7", 9), ("6", 11)):
        one.position(position(free, at_ms))
    assert [str(event.free) for event in events if isinstance(event, BalanceEvent)] == ["5", "6"]
    moved = BalanceUpdate(E=1, a="USDT", d=one.balances["USDT"][0], T=12)
    one.moved(moved)
    one.moved(moved)
    assert len([event for event in events if isinstance(event, FundsEvent)]) == 1
