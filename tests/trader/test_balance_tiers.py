"""Balances in tiers: a source that fails leads down at once, a better one up after a while, never to zero."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.trader.balances import SECOND_NS, BalanceLimits, BalanceService, Tier
from tradewind.trader.oms import OrderRequest
from tradewind.venues.market_data import Known, Side, Stale, Unknown
from tradewind.venues.protocol import Balance, Incomplete

SECOND = SECOND_NS


class Source:
    """A connector whose stream and snapshots tests decide."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * SECOND
        self.stream: list[Balance] | None = None
        self.snapshot: list[Balance] | Incomplete = Incomplete("away", 0)

    def stream_balances(self) -> list[Balance] | None:
        return self.stream

    async def balances(self) -> list[Balance] | Incomplete:
        return self.snapshot

    def rows(self, total: str = "10", asset: str = "USD", age_s: float = 0.0) -> list[Balance]:
        at_ns = self.now_ns - int(age_s * SECOND)
        return [Balance(asset=asset, free=Decimal(total), held=Decimal(0), as_of_ns=at_ns)]

    def clock_ns(self) -> int:
        return self.now_ns


def service(source: Source, ledger: dict[str, Decimal] | None = None, **limits: Any) -> BalanceService:
    return BalanceService(
        source,
        lambda: {} if ledger is None else ledger,
        lambda symbol, side: "USD" if side is Side.BUY else "BTC",
        limits=BalanceLimits(**limits),
        clock_ns=source.clock_ns,
    )


def request(**changes: Any) -> OrderRequest:
    usual = {
        "strategy": "s", "path": "p", "symbol": "BTC/USD", "side": Side.BUY, "price_ticks": 1, "lots": 1,
        "decision_ns": 0,
    }  # fmt: skip
    return OrderRequest(**{**usual, **changes})


async def test_stream_then_snapshot_then_no_new_risk_in_that_order() -> None:
    source = Source()
    balances = service(source)
    assert (balances.look(), type(balances.value("USD"))) == (Tier.NONE, Unknown)
    assert "StaleBalance" in balances.refusal(request())
    source.stream = source.rows("10")
    assert balances.look() is Tier.STREAM
    assert balances.refusal(request()) == ""
    source.stream, source.snapshot = None, source.rows("11")
    await balances.ask()
    assert (balances.tier, balances.size_multiplier) == (Tier.SNAPSHOT, Decimal("0.5"))
    source.snapshot = Incomplete("away", 0)
    source.now_ns += 4 * SECOND
    await balances.ask()
    assert balances.tier is Tier.SNAPSHOT
    source.now_ns += SECOND
    assert balances.look() is Tier.NONE
    stale = balances.value("USD")
    assert isinstance(stale, Stale)
    assert stale.last.total == Decimal(11)
    assert isinstance(balances.value("BTC"), Unknown)
    assert balances.refusal(request())
    assert balances.refusal(request(reducing=True)) == ""
    assert [one.after for one in balances.changes] == [Tier.STREAM, Tier.SNAPSHOT, Tier.NONE]
    assert all(one.reason for one in balances.changes[1:])


async def test_a_better_source_is_used_again_after_half_a_minute_and_not_before() -> None:
    source = Source()
    balances = service(source)
    source.stream = source.rows()
    balances.look()
    source.stream, source.snapshot = None, source.rows()
    await balances.ask()
    for second in range(60):
        source.now_ns += SECOND
        source.stream, source.snapshot = source.rows(), source.rows()
        await balances.ask()
        assert balances.look() is (Tier.SNAPSHOT if second < 30 else Tier.STREAM)


def test_a_stream_without_a_sign_of_life_for_two_seconds_is_none() -> None:
    source = Source()
    balances = service(source)
    source.stream = source.rows(age_s=1.9)
    assert balances.look() is Tier.STREAM
    source.stream = source.rows(age_s=2.1)
    assert balances.look() is Tier.NONE


@pytest.mark.parametrize(
    "rows",
    [
        [("USD", "0", "0")],
        [("USD", "-1", "0")],
        [("USD", "5", "6")],
        [("USD", "100", "0")],
        [("EUR", "100", "0")],
        [],
    ],
)
async def test_a_list_that_contradicts_the_ledger_is_not_believed(rows: list[tuple[str, str, str]]) -> None:
    source = Source()
    balances = service(source, {"USD": Decimal(10)})
    bad = [
        Balance(asset=asset, free=Decimal(total) - Decimal(held), held=Decimal(held), as_of_ns=source.now_ns)
        for asset, total, held in rows
    ]
    source.stream, source.snapshot = bad, bad
    await balances.ask()
    assert balances.tier is Tier.NONE
    assert isinstance(balances.value("USD"), Unknown)


async def test_an_answer_that_was_asked_for_earlier_never_replaces_a_later_one() -> None:
    source = Source()
    balances = service(source)
    source.snapshot = source.rows("10")
    await balances.ask()
    source.now_ns -= 2 * SECOND
    source.snapshot = source.rows("9")
    await balances.ask()
    value = balances.value("USD")
    assert isinstance(value, Known)
    assert value.value.total == Decimal(10)


@settings(deadline=None)  # a busy machine is no defect
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 10)), max_size=60))
async def test_known_is_always_what_a_source_said_within_its_age(steps: list[tuple[bool, bool, int]]) -> None:
    source = Source()
    balances = service(source)
    last_ns = 0
    for stream, snapshot, seconds in steps:
        source.now_ns += seconds * SECOND
        source.stream = source.rows() if stream else None
        source.snapshot = source.rows() if snapshot else Incomplete("away", 0)
        await balances.ask()
        if stream or snapshot:
            last_ns = source.now_ns
        value = balances.value("USD")
        if isinstance(value, Known):
            assert value.value.total == Decimal(10)
            assert source.now_ns - last_ns <= balances.limits.snapshot_age_ns
        else:
            assert balances.refusal(request())
