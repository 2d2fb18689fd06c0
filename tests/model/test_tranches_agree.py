"""Large positions in parts (P5.3): what a step sells, when the next may come, and when nothing waits.

Time passes without a Tick, so that the engine does not act by itself; book and open interest are deep, so
that neither the rate of P5.4 nor the pending share of P5.9 cuts a step.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import exchange_model as base
import leverage_math as lm
import pytest
from duel import MARKETS, OPENING, USDC, Duel
from exchange_model import BUY, SELL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leverage_model import Perpetual

LARGE = replace(
    MARKETS[0], size_k_ppm=0, max_leverage_e2=1_000, taker_fee_e6bp=0, maker_fee_e6bp=0, max_notional=10**13,
    position_limit=10**14, open_interest_cap=10**15,
)  # fmt: skip
TICKS = OPENING // LARGE.tick_size
CONTRACT = 1_000
HIGHEST_BID_BP, LOWEST_BID_BP = 9_440, 8_600


class Tranches:
    """Account 0 is long tenfold; 1 and 2 hold much more against each other; 3 bids."""

    def __init__(self, seed: int, market: Perpetual = LARGE) -> None:
        self.random = random.Random(seed)
        self.duel = duel = Duel(markets=[LARGE, MARKETS[1]])
        duel.model.markets = [market, MARKETS[1]]
        self.counts: Counter[str] = Counter()
        self.index = OPENING
        contracts = self.random.choice([900, 1_050, 1_500, 2_000, 2_000])
        for account, dollars in enumerate((contracts * 11, 9_000_000, 9_000_000, 9_000_000)):
            duel.deposit(account, 0, USDC, dollars * lm.DOLLAR)
        for account, lots in ((2, 90_000 * CONTRACT), (0, contracts * CONTRACT)):
            self.order(1, SELL, TICKS, lots)
            self.order(account, BUY, TICKS, lots)
        for bp in range(LOWEST_BID_BP, HIGHEST_BID_BP + 1, 40):
            self.order(3, BUY, TICKS * bp // 10_000, 9_000 * CONTRACT)

    def order(self, account: int, side: int, price: int, lots: int) -> None:
        refusal = self.duel.place(
            account, market=0, sub=0, side=side, price=price, lots=lots, order_type=base.LIMIT,
            time_in_force=base.GTC, order_flags=0, self_trade_prevention=base.CANCEL_OLDEST,
        )  # fmt: skip
        assert not refusal, refusal

    def approach(self, ratio_percent: int) -> None:
        """The price falls until equity is about this share of the maintenance margin."""
        model = self.duel.model
        lots, mark = model.position((0, 0, 0)).lots, model.ticker(0).mark or 0
        if not lots:
            return
        value = lots * mark * LARGE.unit
        margin_ppm = LARGE.maintenance_ppm(value)
        left = value - model.health(0, 0).equity
        wanted = left * 100 * 10**6 // (100 * 10**6 - ratio_percent * margin_ppm)
        target = self.index * wanted // value
        while self.index > target and self.index > OPENING * 90 // 100:
            self.duel.now_ns += lm.MARK_STEP_NS
            self.publish(min(180, max(1, (self.index - target) * 10_000 // self.index)))

    def publish(self, bp: int) -> None:
        self.index = max(OPENING * 90 // 100, self.index * (10_000 - bp) // 10_000)
        for source in range(3):
            self.duel.publish(source, self.index)

    def liquidate(self) -> None:
        """One step, and which rule it shows."""
        model = self.duel.model
        holder, health = (0, 0, 0), model.health(0, 0)
        lots = abs(model.position(holder).lots)
        value = lm.notional(model.ticker(0).mark or 0, lots, LARGE.unit)
        refusal = self.duel.liquidate(0, 0, 0)
        self.counts[refusal or "stepped"] += 1
        if refusal or health.equity <= 0:
            return
        sold = model.steps[-1].lots
        if sold == lots // 5 and lm.needs_tranches(value, health.equity, health.maintenance_margin):
            self.counts["a fifth"] += 1
        elif value > lm.TRANCHE_NOTIONAL and sold > lots // 5:
            self.counts["all that is needed, deep under"] += 1
        elif value <= lm.TRANCHE_NOTIONAL:
            self.counts["small"] += 1

    def step(self) -> None:
        pick = self.random.random()
        if pick < 0.2:
            self.approach(self.random.choice([self.random.randint(66, 80), self.random.randint(50, 105)]))
        elif pick < 0.4:
            self.duel.now_ns += lm.MARK_STEP_NS
            self.publish(self.random.choice([0, 5, 20, 60]))
        elif pick < 0.6:
            edge = self.random.choice([lm.SECOND_NS, lm.TRANCHE_NS - 1, lm.TRANCHE_NS])
            last = self.duel.model.ticker(0).tranche_ns.get((0, 0), self.duel.now_ns)
            self.duel.now_ns = max(self.duel.now_ns, last + edge)
            self.publish(0)
        else:
            self.liquidate()


def play(seed: int, length: int, market: Perpetual = LARGE) -> Tranches:
    world = Tranches(seed, market)
    for _ in range(length):
        world.step()
    world.duel.compare_state()
    return world


@settings(max_examples=25, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64 - 1), length=st.integers(5, 60))
def test_p5_3_the_model_predicts_every_tranche_and_every_wait(seed: int, length: int) -> None:
    play(seed, length)


def test_the_streams_reach_tranches_waits_and_depths() -> None:
    reached = sum((play(seed, 60).counts for seed in range(30)), Counter())
    wanted = ("a fifth", "TRANCHE_COOLDOWN", "all that is needed, deep under", "small", "POSITION_HEALTHY")
    assert not [what for what in wanted if not reached[what]], reached


@pytest.mark.parametrize(
    ("constant", "value"),
    [
        ("TRANCHE_NS", 29 * lm.SECOND_NS),
        ("TRANCHE_SHARE", lm.TRANCHE_SHARE / 2),
        ("TRANCHE_NOTIONAL", 50_000 * lm.DOLLAR),
    ],
)
def test_another_rule_of_tranches_is_noticed(
    constant: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edges of the walk keep the true rule; the model alone forgets it."""
    true_ns = lm.TRANCHE_NS
    monkeypatch.setattr(lm, constant, value)
    with pytest.raises(AssertionError):
        for seed in range(40):
            world = Tranches(seed)
            for _ in range(60):
                world.step()
                last = world.duel.model.ticker(0).tranche_ns.get((0, 0))
                if last is not None:
                    world.duel.now_ns = max(world.duel.now_ns, last + true_ns - 1)
                    world.publish(30)
            world.duel.compare_state()
