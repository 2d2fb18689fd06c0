"""Crashes in which liquidations feed on each other: the model predicts each event and every micro of them.

Four accounts hold large positions against each other while the price walks far and the book is thin or deep.
"""

from __future__ import annotations

import random
from collections import Counter

import exchange_model as base
import leverage_math as lm
import pytest
from cascade_duel import COARSE, DEEP, PRICE_FAST, CascadeDuel, Over
from cascade_model import CascadeModel
from duel import ACCOUNTS, ASSETS, BTC, OPENING, USDC
from exchange_model import BUY, SELL
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from leverage_model import Health, Holder
from test_engine_agrees import COMMANDS

MIX = {
    "place": 26, "open": 9, "cancel": 4, "publish": 24, "wait": 26, "liquidate": 10, "complete": 3,
    "deposit": 1, "insure": 1, "calm": 1,
}  # fmt: skip
SECOND = lm.SECOND_NS
TRENDS = ((96, 101), (97, 100), (99, 104), (100, 103), (97, 103))


class Cascades:
    """A random stream of a seed. The price stays where no breaker of prices trips."""

    def __init__(self, seed: int, duel: CascadeDuel) -> None:
        self.random, self.duel = random.Random(seed), duel
        self.price = OPENING
        self.published_ns = duel.now_ns
        self.trend = self.random.choice(TRENDS)
        self.width_bp = self.random.choice([40, 100, 200])
        self.depth = self.random.choice([2, 10, 60])
        self.funds = self.random.choice([4_000, 40_000, 400_000])
        for account in range(len(ACCOUNTS)):
            duel.suit(account)
            duel.deposit(account, 0, USDC, self.random.choice([1, 1, 2, 5]) * self.funds * lm.DOLLAR)
        if self.random.random() < 0.7:
            duel.insure(self.random.randrange(4), self.funds // self.random.choice([2, 10]) * lm.DOLLAR)
        for _ in range(self.random.randint(3, 12)):
            self.open()

    def lots(self, market: int, share_percent: int) -> int:
        """A share of the poorest owner's money, or less where that would be a rush (B7).

        That is half more of what is open than half a second ago.
        """
        self.duel.wait(SECOND // 2)
        unit = self.duel.markets[market].unit
        value = self.funds * lm.DOLLAR * share_percent // 100
        lots, present = value // (self.near(market, 0) * unit), self.duel.model.open_interest(market)
        calm = max(present * 45 // 100, 95_000 * lm.DOLLAR // (self.near(market, 0) * unit) - present)
        return max(1, min(lots, calm) if present else lots)

    def place(
        self, account: int, side: int, price: int, lots: int, tif: int = base.GTC, market: int = 0
    ) -> str:
        return self.duel.place(
            account, market=market, sub=0, side=side, price=price, lots=lots, order_type=base.LIMIT,
            time_in_force=tif, order_flags=0, self_trade_prevention=self.random.randint(0, 3),
        )  # fmt: skip

    def near(self, market: int, width_bp: int) -> int:
        away = self.price * self.random.randint(-width_bp, width_bp) // 10_000
        return (self.price + away) // (DEEP, COARSE)[market].tick_size

    def step(self) -> None:
        name = self.random.choices(list(MIX), list(MIX.values()))[0]
        duel, account = self.duel, self.random.randrange(len(ACCOUNTS))
        if name == "place":
            market = self.random.choice([0, 0, 0, 0, 1])
            tif = self.random.choice([base.GTC, base.GTC, base.GTC, base.IOC])
            lots = self.lots(market, self.random.randint(1, 10 * self.depth))
            price = self.near(market, self.width_bp)
            self.place(account, self.random.randint(0, 1), price, lots, tif, market)
        elif name == "open":
            self.open()
        elif name == "cancel":
            duel.cancel(account, max(0, len(duel.ids) - self.random.randint(0, 12)))
        elif name == "publish":
            self.publish()
        elif name == "wait":
            pick = self.random.choice
            self.wait(pick([10**8, SECOND // 2, SECOND, 2 * SECOND, 5 * SECOND, pick([12, 31, 60]) * SECOND]))
        elif name == "calm":
            # Long enough at one price for the deviation of the mark to count.
            for _ in range(self.random.randint(3, 10)):
                self.wait(50 * SECOND)
        elif name == "liquidate":
            duel.liquidate(self.target(), 0, self.random.choice([0, 0, 0, 1]))
        elif name == "complete":
            duel.complete(self.target(), 0, 0)
        elif name == "deposit":
            duel.deposit(account, 0, USDC, self.random.randint(1, 30_000) * lm.DOLLAR)
        else:
            duel.insure(account, self.random.randint(1, 3_000) * lm.DOLLAR)

    def target(self) -> int:
        """Mostly who is below its margin."""
        flagged = [account for account, _ in self.duel.model.flags]
        return self.random.choice(flagged or range(4)) if self.random.random() < 0.9 else 3

    def open(self) -> None:
        """Two accounts take a large position against each other, as far as one of them can bear it."""
        long, short = self.random.sample(range(len(ACCOUNTS)), 2)
        price = self.near(0, 20)
        lots = self.lots(0, self.random.choice([300, 900, 1_700]))
        if not self.place(short, SELL, price, lots):
            self.place(long, BUY, price, lots)

    def publish(self, *, moves: bool = True) -> None:
        """The next price; first the mark comes near the last one, or the feed would be in doubt (P6.1.4)."""
        for _ in range(8):
            tickers = [self.duel.model.ticker(market) for market in (0, 1)]
            if all(abs((one.mark or 0) - (one.index or 0)) * 20 < (one.index or 0) for one in tickers):
                break
            self.duel.wait(SECOND // 2)
        moved = self.price * self.random.randint(*self.trend) // 100 if moves else self.price
        self.price = lm.clamp(moved, OPENING * 92 // 100, OPENING * 109 // 100)
        if self.random.random() < 0.06:
            self.trend = self.random.choice(TRENDS)
        for source in self.random.sample(range(3), 3):
            self.duel.publish(source, self.price + self.price * self.random.randint(-300, 300) // 10**6)
        self.published_ns = self.duel.now_ns

    def wait(self, nanoseconds: int) -> None:
        if self.duel.now_ns + nanoseconds - self.published_ns > 55 * SECOND:
            self.publish(moves=False)
        self.duel.wait(nanoseconds)


class Halts(Cascades):
    """The same until an operator halts the large market: prices and liquidations go on, trading does not."""

    def __init__(self, seed: int, duel: CascadeDuel) -> None:
        super().__init__(seed, duel)
        for _ in range(self.random.randint(5, 80)):
            self.step()
        self.trend = self.random.choice(((96, 101), (99, 104)))
        duel.trip(0, PRICE_FAST)

    def step(self) -> None:
        if not self.duel.model.halted:
            super().step()
            return
        name = self.random.choice(["publish", "publish", "liquidate", "liquidate", "wait"])
        if name == "publish":
            self.publish()
        elif name == "liquidate":
            self.duel.liquidate(self.target(), 0, 0)
        else:
            self.wait(self.random.choice([SECOND // 10, SECOND // 2, 2 * SECOND, 5 * SECOND]))


def play(
    seed: int, length: int, duel: CascadeDuel | None = None, kind: type[Cascades] = Cascades
) -> CascadeDuel:
    """A stream to its end, or until it meets what another model is for."""
    duel = duel or CascadeDuel()
    try:
        stream = kind(seed, duel)
        for _ in range(length):
            stream.step()
    except Over:
        return duel
    duel.compare_state()
    return duel


@settings(max_examples=30, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64 - 1), length=st.integers(10, 300))
@example(seed=4_035_797_740_926_923_325, length=245)
@example(seed=9_708_110_281_375_058_329, length=130)
def test_p5_the_model_predicts_cascades_event_by_event_and_every_micro(seed: int, length: int) -> None:
    play(seed, length)


@settings(max_examples=15, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64 - 1), length=st.integers(10, 60))
def test_p7_5_the_model_predicts_liquidations_in_a_halt_within_the_index_band(seed: int, length: int) -> None:
    play(seed, length, kind=Halts)


REACHED = {
    "cascade": 60, "of depth": 1, "of interest": 30, "new risk refused": 60, "wide band": 10, "turn": 40,
    "offer": 60, "offer expired": 10, "offer taken": 2, "half a tranche": 8, "cut by the rate": 30,
    "rate of interest": 20, "rate by deviation": 1, "backstop": 20, "adl": 30, "covered": 4, "fund": 50,
    "fund sold": 8,
}  # fmt: skip
"""How often the streams of the test below reach what, at least."""
REFUSED = {"BREAKER_ACTIVE", "TRANCHE_COOLDOWN", "POSITION_HEALTHY", "POSITION_NOT_FOUND", "NOTHING_DUE"}


def test_the_streams_reach_what_they_are_for() -> None:
    """Without this the properties could hold because nobody is ever liquidated."""
    duels = [play(seed, 300) for seed in range(60)]
    reached: Counter[str] = Counter()
    for duel in duels:
        reached.update(duel.model.counts)
    assert not {what: reached[what] for what, least in REACHED.items() if reached[what] < least}, reached
    assert not REFUSED - set().union(*(duel.answers for duel in duels))
    assert sum(not duel.over for duel in duels) > 40, Counter(duel.over for duel in duels)
    assert sum(duel.compared for duel in duels) > 500


def test_halted_markets_liquidate_within_the_index_band_and_it_binds() -> None:
    reached: Counter[str] = Counter()
    for seed in range(40):
        reached.update(play(seed, 60, kind=Halts).model.counts)
    assert reached["index band"] > 10
    assert reached["index band binds"] > 2, reached


class NoOffers(CascadeModel):
    def passive_price(self, holder: Holder, limit: int) -> int | None:
        return None


class BoundlessRate(CascadeModel):
    def rate_left(self, market: int) -> int:
        return 10**15


class CalmRate(CascadeModel):
    """The rate without the deviation of the mark."""

    def observe(self, market: int, mark: int) -> None:
        self.deviations[market] = (mark * lm.PPM, 0, self.now_ns)


class IdleFund(CascadeModel):
    def wanted_offer(self, market: int) -> tuple[int, int, int] | None:
        return None


class RichestFirst(CascadeModel):
    def ranked(self, holder: Holder, sign: int) -> list[tuple[Holder, int]]:
        return super().ranked(holder, sign)[::-1]


class ShallowCascades(CascadeModel):
    def interest_value(self, market: int) -> int:
        return 2 * super().interest_value(market)


class MarkByMark(CascadeModel):
    """Looks between the marks that one index moves."""

    def update_mark(self, market: int) -> None:
        super().update_mark(market)
        self.look_at_holders()


@pytest.mark.parametrize(
    "wrong",
    [NoOffers, BoundlessRate, CalmRate, IdleFund, RichestFirst, ShallowCascades, MarkByMark],
)
def test_a_model_with_another_rule_of_liquidation_is_noticed(wrong: type[CascadeModel]) -> None:
    with pytest.raises(AssertionError):
        for seed in range(60):
            prices = {USDC: 10**6, BTC: OPENING}
            play(seed, 300, CascadeDuel(model=wrong([], assets=list(ASSETS), asset_prices=prices)))


class AnyIndex(CascadeModel):
    def limit_of(self, holder: Holder, health: Health, lots: int) -> int:
        return super(CascadeModel, self).limit_of(holder, health, lots)


def test_a_model_without_the_index_band_is_noticed() -> None:
    with pytest.raises(AssertionError):
        for seed in range(40):
            prices = {USDC: 10**6, BTC: OPENING}
            model = AnyIndex([], assets=list(ASSETS), asset_prices=prices)
            play(seed, 60, CascadeDuel(model=model), Halts)


@pytest.mark.slow
@pytest.mark.skipif(not COMMANDS, reason="set TRADEWIND_MODEL_COMMANDS to play that many commands")
def test_p5_a_million_commands_of_cascades() -> None:
    sent, seed = 0, 1_000
    while sent < COMMANDS:
        sent += play(seed, 600, kind=Halts if seed % 4 == 0 else Cascades).sent
        seed += 1
