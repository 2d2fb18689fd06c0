"""Executions that a complete reading has shown are not read again, and none is ever missing for that."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.kraken import history
from tradewind.venues.kraken.history import LATE_ROWS_S, KeptFacts
from tradewind.venues.market_data import Side
from tradewind.venues.transport.account_mirror import TradeFact

NS = 1_000_000_000


def fact(number: int, at_s: int) -> TradeFact:
    return TradeFact(
        trade_id=f"T{number}", order_id="O", symbol="BTC/USD", side=Side.BUY, price_ticks=1, lots=1,
        fee=Decimal(0), fee_asset="USD", maker=True, time_ns=at_s * NS + 1,
    )  # fmt: skip


STEPS = st.lists(
    st.tuples(
        st.integers(0, 40),  # seconds until the next step
        st.integers(0, LATE_ROWS_S - 1),  # how late the execution of this step is listed
        st.one_of(st.none(), st.integers(0, 200)),  # a reading of so many seconds back
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
def test_kept_and_read_rows_together_are_everything_that_the_venue_lists(
    steps: list[tuple[int, int, int | None]],
) -> None:
    kept, now_s, rows = KeptFacts(), 10_000, list[tuple[int, TradeFact]]()
    read = 0
    for number, (pause_s, late_s, back_s) in enumerate(steps):
        now_s += pause_s
        rows.append((now_s + late_s, fact(number, now_s)))
        if back_s is None:
            continue
        wanted_s = now_s - back_s
        start_s = kept.start_s(wanted_s)
        listed = [one for seen_s, one in rows if seen_s <= now_s]
        found = [one for one in listed if one.time_ns > start_s * NS]
        read += len(found)
        kept.add(found, start_s, now_s)
        expected = [one for one in listed if one.time_ns > wanted_s * NS]
        assert {one.trade_id for one in kept.since(wanted_s)} == {one.trade_id for one in expected}


def test_a_second_reading_asks_only_for_the_last_seconds_and_an_earlier_one_for_all() -> None:
    kept = KeptFacts()
    assert kept.start_s(1_000) == 1_000
    kept.add([fact(1, 1_050)], 1_000, 1_060)
    assert kept.start_s(1_000) == kept.start_s(1_055) == 1_060 - LATE_ROWS_S
    assert kept.start_s(900) == 900
    assert kept.start_s(1_061) == 1_061, "nobody has read what is between"


def test_what_is_kept_is_bounded(monkeypatch: object) -> None:
    most = history.MAX_KEPT_FACTS
    kept = KeptFacts()
    kept.add([fact(number, 1_000 + number) for number in range(most + 1)], 1_000, 1_000 + most)
    assert len(kept.since(0)) <= most // 2
    assert kept.start_s(1_001) == 1_001, "the oldest are gone, so they are read again"
