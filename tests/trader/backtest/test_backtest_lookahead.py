"""A strategy that knows the future is found, whichever way it learnt it; an honest one passes."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
from backtest_world import STEADY, SYMBOL, Scripted, buy

from tradewind.trader.backtest import lookahead
from tradewind.trader.backtest.data import MarketData, open_data
from tradewind.trader.backtest.lookahead import AnotherFuture, LookAhead, check
from tradewind.trader.backtest.run import Setting, run
from tradewind.trader.strategies.market_making import DEMONSTRATION, MarketMaking
from tradewind.trader.strategy import BookTop, Context, Strategy, StrategyIntent
from tradewind.venues.market_data import TradePrint

DATA = "generated:60:5"
SETTING = Setting(
    symbol=SYMBOL, cash=Decimal(10_000), schedule="binance-spot-vip0", latency=STEADY
)  # fmt: skip


def honest(data: MarketData) -> Strategy:
    return MarketMaking((SYMBOL,), DEMONSTRATION, environment="sim")


def last_price(data: MarketData) -> int:
    """The last print of the data, which nobody can know before."""
    prints = [event for _, events in data.batches() for event in events if isinstance(event, TradePrint)]
    return prints[-1].price_ticks


class Peeking(Scripted):
    """Buys near the price at which the data end."""

    def __init__(self, known_ticks: int) -> None:
        super().__init__()
        self.known_ticks = known_ticks

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        if context.orders or len(book.bids) == 0:
            return []
        price = min(self.known_ticks, book.bids[0][0])
        return [buy(max(price, book.bids[0][0] * 99 // 100), 10)]


class Remembering(Scripted):
    """Keeps in its class what it saw in an earlier run of the same data."""

    seen: ClassVar[list[int]] = []

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        type(self).seen.append(book.bids[0][0])
        return [] if context.orders else [buy(book.bids[0][0] - len(self.seen) % 50, 10)]


class Reading(Scripted):
    """Opens a file in its callback."""

    path = Path(__file__)

    def on_book(self, context: Context, book: BookTop) -> list[StrategyIntent]:
        self.path.with_suffix(".data").exists()
        try:
            with open(self.path.with_suffix(".data"), encoding="utf-8") as file:
                file.read()
        except FileNotFoundError:
            pass
        return [] if context.orders else [buy(book.bids[0][0] - 5, 10)]


def judged(make: lookahead.Make) -> LookAhead:
    data = open_data([DATA])
    whole = run(data, lambda: make(data), SETTING)
    return check(data, make, SETTING, whole, cuts=2)


def test_an_honest_strategy_decides_the_same_whatever_the_future_is() -> None:
    found = judged(honest)
    assert found.passed
    assert found.compared > 20
    assert {one.variant for one in found.cuts} == {"removed", "shuffled"}
    assert not found.opened


def test_a_strategy_that_knows_where_the_data_end_is_found() -> None:
    found = judged(lambda data: Peeking(last_price(data)))
    assert not found.passed
    assert any(not one.passed and one.variant == "removed" for one in found.cuts)
    assert any("instead of" in one.difference or "decisions" in one.difference for one in found.cuts)


def test_a_strategy_that_remembers_an_earlier_run_is_found() -> None:
    Remembering.seen.clear()
    assert not judged(lambda data: Remembering()).passed


def test_a_strategy_that_opens_files_is_found_even_when_its_decisions_do_not_differ() -> None:
    found = judged(lambda data: Reading())
    assert all(one.passed for one in found.cuts)
    assert not found.passed
    assert any("test_backtest_lookahead.data" in one for one in found.opened)


def test_a_strategy_that_decides_nothing_has_proved_nothing() -> None:
    assert not judged(lambda data: Scripted()).passed


def test_the_check_turns_blind_when_the_comparison_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookahead, "_difference", lambda ours, theirs: "")
    assert judged(lambda data: Peeking(last_price(data))).passed


def test_another_future_is_the_same_before_the_cut_and_different_behind_it() -> None:
    import random

    data = open_data([DATA])
    batches = [*data.batches()]
    cut_ns = batches[len(batches) // 2][0]
    removed = [*AnotherFuture(data, cut_ns, None).batches()]
    shuffled = [*AnotherFuture(data, cut_ns, random.Random(1)).batches()]
    before = [one for one in batches if one[0] < cut_ns]
    assert removed == before
    assert shuffled[: len(before)] == before
    behind = shuffled[len(before) :]
    assert [one[0] for one in behind] == [one[0] for one in batches[len(before) :]]
    assert behind != batches[len(before) :]
