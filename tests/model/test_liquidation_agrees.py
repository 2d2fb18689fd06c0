"""Step by step through liquidation and the waterfall: the model predicts the engine to the micro."""

from __future__ import annotations

import exchange_model as base
import leverage_math as lm
import pytest
from duel import ACCOUNTS, MARKETS, OPENING, RISK, USDC, Duel
from exchange_model import BUY, SELL

from tradewind import _core
from tradewind.core import commands

pytestmark = pytest.mark.skipif(
    "LiquidationStepped" not in _core.event_kinds(), reason="this engine does not liquidate yet"
)

STEP_NS = lm.MARK_STEP_NS
TICKS = OPENING // MARKETS[0].tick_size
ONE = 1_000
"""Lots of one contract: $100 at the opening price."""


class Crash:
    """Account 0 is long with twentyfold leverage, 1 is short, 2 makes a market, 3 watches."""

    def __init__(self, *, funds: tuple[int, ...] = (60, 600, 5_000, 5_000), lots: int = 10 * ONE) -> None:
        self.duel = duel = Duel()
        for account, dollars in enumerate(funds):
            self.suit(account)
            duel.deposit(account, 0, USDC, dollars * lm.DOLLAR)
        self.order(1, SELL, TICKS, lots)
        self.order(0, BUY, TICKS, lots)

    def suit(self, account: int) -> None:
        duel = self.duel
        command = commands.build(
            "SetSuitability", principal=RISK, account=ACCOUNTS[account], client_key=duel.key(), level=1,
            expiry_ns=duel.now_ns + 86_400 * lm.SECOND_NS,
        )  # fmt: skip
        assert not duel.compare(command, lambda: duel.model.suitable.add(account))

    def order(self, account: int, side: int, price: int, lots: int) -> None:
        refusal = self.duel.place(
            account, market=0, sub=0, side=side, price=price, lots=lots, order_type=base.LIMIT,
            time_in_force=base.GTC, order_flags=0, self_trade_prevention=base.CANCEL_OLDEST,
        )  # fmt: skip
        assert not refusal, refusal

    def fall(self, ticks: int) -> None:
        """Index and mark go there: 4 % at a time, which no gate excludes, and within the mark's limit.

        It takes less than the two seconds after which the engine would liquidate by itself.
        """
        duel, index = self.duel, TICKS
        while index > ticks:
            index = max(ticks, index * 96 // 100)
            duel.now_ns += STEP_NS // 2
            for source in range(3):
                duel.publish(source, index * MARKETS[0].tick_size)
        for _ in range(8):
            if duel.model.ticker(0).mark == ticks:
                return
            duel.wait(STEP_NS // 2)
        raise AssertionError("the mark is too slow")

    def standing(self, account: int) -> tuple[int, int]:
        health = self.duel.model.health(account, 0)
        return health.equity, health.maintenance_margin


def test_a_step_in_the_book_has_the_size_price_fee_and_split_of_the_model() -> None:
    crash = Crash()
    # Whoever bids at the mark is sold to at once; otherwise a cascade offers the lots passively first (P5.9).
    crash.order(2, BUY, TICKS * 962 // 1_000, 100 * ONE)
    crash.fall(TICKS * 962 // 1_000)
    equity, margin = crash.standing(0)
    assert 0 < equity < margin
    assert not crash.duel.liquidate(0, 0, 0)
    step = crash.duel.model.steps[-1]
    assert step.lots and step.fee
    assert crash.duel.liquidate(0, 0, 0) == "POSITION_HEALTHY"
    assert crash.duel.liquidate(3, 0, 0) == "POSITION_NOT_FOUND"
    # Prints of liquidations never enter the mark (P4.7).
    crash.duel.wait(lm.SECOND_NS)
    crash.duel.compare_state()


def test_only_what_bids_above_bankruptcy_is_sold_and_the_rest_waits_five_seconds() -> None:
    crash = Crash()
    crash.order(2, BUY, TICKS * 961 // 1_000, ONE)
    crash.order(3, BUY, TICKS * 930 // 1_000, 100 * ONE)
    crash.fall(TICKS * 955 // 1_000)
    assert not crash.duel.liquidate(0, 0, 0)
    assert crash.duel.model.steps[-1].lots == ONE
    assert crash.duel.complete(0, 0, 0) == "NOTHING_DUE"
    crash.duel.compare_state()


def test_an_insolvent_position_goes_to_insurance_at_its_bankruptcy_price() -> None:
    crash = Crash()
    crash.duel.insure(3, 4_900 * lm.DOLLAR)
    crash.fall(TICKS * 930 // 1_000)
    assert crash.standing(0)[0] < 0
    assert not crash.duel.liquidate(0, 0, 0)
    assert crash.duel.model.steps[-1].stages == ("insurance",)
    crash.duel.compare_state()


def test_without_insurance_the_winner_is_closed_at_the_bankruptcy_price() -> None:
    crash = Crash()
    crash.fall(TICKS * 930 // 1_000)
    assert not crash.duel.liquidate(0, 0, 0)
    assert crash.duel.model.steps[-1].stages == ("adl",)
    assert not crash.duel.model.positions
    crash.duel.compare_state()


def test_winners_are_closed_in_the_order_of_their_scores() -> None:
    crash = Crash(lots=3 * ONE)
    for account, lots in ((2, 4 * ONE), (3, 3 * ONE)):
        crash.order(account, SELL, TICKS, lots)
        crash.order(0, BUY, TICKS, lots)
    crash.fall(TICKS * 930 // 1_000)
    assert not crash.duel.liquidate(0, 0, 0)
    assert crash.duel.model.steps[-1].stages == ("adl", "adl", "adl")
    crash.duel.compare_state()
