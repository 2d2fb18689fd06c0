"""The leveraged model by itself: what it conserves on random streams, and the waterfall stage by stage."""

from __future__ import annotations

import random
from fractions import Fraction

import leverage_math as lm
import pytest
from exchange_model import ALL, BUY, FREE, GTC, INSURANCE, LIMIT, SELL, SYSTEM_ACCOUNT, WORLD, Order, Refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leverage_model import COST, ISOLATED, LIQUIDATION_FEES, Asset, Perpetual, Position
from liquidation_model import LiquidationModel

USDC, BASE = 0, 1
DOLLAR = lm.DOLLAR
MARK = 10_000
ONE = 1_000
"""Lots of one contract: $100 at the opening mark."""


def market(**changes: int) -> Perpetual:
    terms = {
        "base": BASE, "quote": USDC, "unit": 10, "lot_size": 1_000, "taker_fee_e6bp": 5_000_000,
        "maker_fee_e6bp": 1_000_000, "band_bp": 5_000, "slippage_bp": 100, "min_notional": DOLLAR,
        "max_notional": 10**13,
    }  # fmt: skip
    return Perpetual(**{**terms, "max_leverage_e2": 1_000, "impact_notional": 1_000 * DOLLAR, **changes})


class Desk:
    """A model with one market and the verbs that tests need."""

    def __init__(self, accounts: int = 4, funds: int = 1_000 * DOLLAR, **changes: int) -> None:
        self.model = LiquidationModel(
            [market(**changes)], assets=[Asset(), Asset(8_000, 9_000, 12_000, 11_000)],
            asset_prices={USDC: DOLLAR, BASE: 100 * DOLLAR},
        )  # fmt: skip
        self.sent = 0
        for account in range(accounts):
            self.model.subs |= {(account, 0), (account, 1)}
            self.model.modes[account, 1] = ISOLATED
            self.deposit(account, funds)
        self.model.set_index(0, MARK)

    def deposit(self, account: int, amount: int, asset: int = USDC) -> None:
        self.sent += 1
        self.model.deposit(account, 0, asset, amount, self.sent.to_bytes(32, "big"))

    def insure(self, amount: int, line: int = INSURANCE) -> None:
        self.model.post(SYSTEM_ACCOUNT, 0, USDC, WORLD, -amount)
        self.model.post(SYSTEM_ACCOUNT, 0, USDC, line, amount)

    def place(self, account: int, side: int, price: int, lots: int, sub: int = 0) -> int:
        self.sent += 1
        key = self.sent.to_bytes(16, "big")
        terms = Order(-1, account, sub, 0, side, price, lots, lots, LIMIT, GTC, 0, 1, 0, key)
        return self.model.place(terms)

    def open_pair(self, lots: int, price: int = MARK, long: int = 0, short: int = 1) -> None:
        self.place(short, SELL, price, lots)
        self.place(long, BUY, price, lots)

    def move(self, index: int, seconds: int = 60) -> None:
        """The index moves after enough time for the clamp; without a book the mark follows all the way."""
        self.model.now_ns += seconds * lm.SECOND_NS
        self.model.last_price.clear()
        ticker = self.model.ticker(0)
        ticker.premium_e6, ticker.sample_e6, ticker.held_back = 0, None, True
        self.model.set_index(0, index)

    def conserved(self) -> None:
        for asset in (USDC, BASE):
            assert sum(a for (_, _, number, _), a in self.model.lines.items() if number == asset) == 0
        assert sum(position.lots for position in self.model.positions.values()) == 0
        costs = sum(position.cost for position in self.model.positions.values())
        lines = sum(a for (*_, line), a in self.model.lines.items() if line == COST)
        assert lines == -costs

    def equity(self, account: int) -> int:
        return self.model.equity(account, 0, initial=False)


def test_p1_5_6_a_round_trip_moves_exactly_the_profit() -> None:
    desk = Desk(taker_fee_e6bp=0, maker_fee_e6bp=0)
    desk.open_pair(3 * ONE)
    desk.place(0, SELL, 10_333, ONE)
    desk.place(2, BUY, 10_333, ONE)
    assert desk.model.line(0, 0, USDC, FREE) == 1_000 * DOLLAR + 3_330_000
    assert desk.model.positions[0, 0, 0] == Position(2 * ONE, 2 * ONE * MARK * 10, 0)
    desk.conserved()


def test_p4_3_an_order_beyond_its_margin_is_refused_and_a_reducing_one_never() -> None:
    desk = Desk()
    # $1,000 at 10x with fees: not quite $10,000.
    with pytest.raises(Refused, match="INSUFFICIENT_MARGIN"):
        desk.place(0, BUY, MARK, 100 * ONE)
    desk.place(1, SELL, MARK, 99 * ONE)
    desk.place(0, BUY, MARK, 99 * ONE)
    desk.move(9_500)
    health = desk.model.health(0, 0, initial=True)
    assert health.equity < health.initial_margin
    with pytest.raises(Refused, match="INSUFFICIENT_MARGIN"):
        desk.place(0, BUY, 9_500, ONE)
    desk.place(0, SELL, 9_500, 99 * ONE)


def test_p4_3_profits_do_not_leave_before_they_are_realised() -> None:
    desk = Desk()
    desk.open_pair(90 * ONE)
    desk.move(11_000)
    assert desk.equity(0) > 1_800 * DOLLAR
    with pytest.raises(Refused, match="INSUFFICIENT_FREE_COLLATERAL"):
        desk.model.transfer(0, 0, 1, USDC, 50 * DOLLAR)


def test_p1_5_1_an_isolated_sub_account_holds_one_position_and_its_own_margin() -> None:
    desk = Desk()
    desk.model.transfer(0, 0, 1, USDC, 100 * DOLLAR)
    desk.place(1, SELL, MARK, 5 * ONE)
    desk.place(0, BUY, MARK, 5 * ONE, sub=1)
    desk.model.adjust_margin(0, 1, 0, 20 * DOLLAR)
    assert desk.model.line(0, 1, USDC, FREE) == 120 * DOLLAR - lm.fee(500 * DOLLAR, 5_000_000)
    with pytest.raises(Refused, match="INSUFFICIENT_FREE_COLLATERAL"):
        desk.model.adjust_margin(0, 1, 0, -100 * DOLLAR)
    with pytest.raises(Refused, match="INVALID_TRANSITION"):
        desk.model.adjust_margin(1, 0, 0, DOLLAR)
    desk.conserved()


def test_p1_4_5_collateral_counts_by_its_weight_and_cap() -> None:
    desk = Desk(funds=1)
    desk.deposit(0, 10**7, BASE)
    assert desk.model.equity(0, 0, initial=True) == 800 * DOLLAR + 1
    assert desk.model.equity(0, 0, initial=False) == 900 * DOLLAR + 1
    desk.model.assets[BASE] = Asset(8_000, 9_000, 12_000, 11_000, cap=10**6)
    assert desk.model.equity(0, 0, initial=True) == 80 * DOLLAR + 1
    desk.model.assets[BASE] = Asset(10_000, 10_000, 10_000, 10_000, stable=True)
    desk.model.asset_prices[BASE] = 970_000
    assert desk.model.equity(0, 0, initial=True) == 9_700_001


def test_p4_8_funding_goes_from_longs_to_shorts_once_an_hour() -> None:
    desk = Desk(taker_fee_e6bp=0, maker_fee_e6bp=0)
    desk.open_pair(50 * ONE)
    desk.place(2, BUY, 10_100, 50 * ONE)
    desk.place(3, SELL, 10_200, 50 * ONE)
    for _ in range(20):
        desk.model.sample_premium(0)
    desk.model.now_ns = lm.HOUR_NS
    # A premium of 1 % less 5 bp is 95 bp; l_base 10 and mmf 5 % allow 375 bp.
    assert desk.model.crank_funding(0) == 95 * lm.BP_PPB // 8
    with pytest.raises(Refused, match="FUNDING_NOT_DUE"):
        desk.model.crank_funding(0)
    paid = [desk.model.settle_funding((account, 0, 0)) for account in (0, 1)]
    assert paid == [5_937_500, -5_937_500]
    desk.conserved()


def test_p5_a_step_in_the_book_restores_health_and_pays_keeper_pool_and_insurance() -> None:
    desk = Desk()
    desk.open_pair(95 * ONE)
    desk.move(9_400)
    assert lm.is_liquidatable(desk.equity(0), desk.model.health(0, 0).maintenance_margin)
    desk.place(3, BUY, 9_395, 60 * ONE)
    before = desk.model.health(0, 0)
    step = desk.model.liquidate(0, 0, 0, keeper=2)
    after = desk.model.health(0, 0)
    assert step.lots and step.fee and step.reward
    assert Fraction(after.equity, after.maintenance_margin) > Fraction(
        before.equity, before.maintenance_margin
    )
    assert after.equity >= after.maintenance_margin
    assert desk.model.line(2, 0, USDC, FREE) == 1_000 * DOLLAR + step.reward
    assert desk.model.pool(LIQUIDATION_FEES, USDC) == (step.fee - step.reward) // 2
    with pytest.raises(Refused, match="POSITION_HEALTHY"):
        desk.model.liquidate(0, 0, 0, keeper=2)
    desk.conserved()


def test_p5_5_orders_go_first_and_no_order_fills_beyond_bankruptcy() -> None:
    desk = Desk()
    desk.open_pair(95 * ONE)
    desk.move(9_120)
    number = desk.place(0, SELL, 9_200, 10 * ONE)
    assert 0 < desk.equity(0) < desk.model.health(0, 0).maintenance_margin
    desk.place(3, BUY, 8_950, 60 * ONE)
    step = desk.model.liquidate(0, 0, 0)
    assert not desk.model.orders[number].is_open
    assert step.lots == 0, "the only bid is below the bankruptcy price"
    desk.conserved()


def bankrupt_desk() -> Desk:
    """Without trading fees, of which insurance would have its share."""
    desk = Desk(taker_fee_e6bp=0, maker_fee_e6bp=0)
    desk.open_pair(95 * ONE)
    desk.move(8_500)
    assert desk.equity(0) < 0
    return desk


def test_p5_6_stage_2_the_fee_pool_pays_first_and_stage_3_insurance_takes_the_position() -> None:
    desk = bankrupt_desk()
    deficit = -desk.equity(0)
    desk.insure(deficit // 4, LIQUIDATION_FEES)
    desk.insure(100_000 * DOLLAR)
    step = desk.model.liquidate(0, 0, 0)
    assert step.stages == ("liquidation_fees", "insurance")
    assert desk.model.pool(LIQUIDATION_FEES, USDC) == 0
    assert desk.equity(0) == 0
    assert desk.model.positions[SYSTEM_ACCOUNT, 0, 0].lots == 95 * ONE
    desk.conserved()


def test_p5_6_stage_4_without_insurance_the_winners_are_closed_at_the_bankruptcy_price() -> None:
    desk = bankrupt_desk()
    before = desk.equity(1)
    step = desk.model.liquidate(0, 0, 0)
    assert step.stages == ("adl",)
    assert desk.equity(0) == 0
    assert not desk.model.positions, "both sides are closed"
    assert desk.equity(1) < before
    desk.conserved()


def test_p5_6_stage_5_what_no_winner_can_take_is_socialised_among_profits() -> None:
    desk = bankrupt_desk()
    # A counterparty below zero is skipped; the market's only profit belongs to a third account.
    desk.model.post(1, 0, USDC, FREE, -10_000 * DOLLAR)
    desk.model.post(SYSTEM_ACCOUNT, 0, USDC, WORLD, 10_000 * DOLLAR)
    profit = desk.model.profit((1, 0, 0))
    deficit = -desk.equity(0)
    step = desk.model.liquidate(0, 0, 0)
    # The fund holds what nobody stands against, at the mark: insurance pays nothing for it.
    assert step.stages == ("insurance", "socialised")
    assert [row[6] for row in desk.model.happened if row[0] == "backstop"] == [0]
    assert desk.equity(0) == 0
    assert desk.equity(1) == profit - 9_000 * DOLLAR - deficit
    desk.conserved()


def test_p5_8_adl_takes_the_best_ranked_first() -> None:
    desk = Desk(accounts=5, taker_fee_e6bp=0, maker_fee_e6bp=0)
    desk.deposit(3, 50_000 * DOLLAR)
    # Account 3 has the same profit with far more equity: it ranks behind account 1.
    desk.open_pair(45 * ONE, long=0, short=1)
    desk.open_pair(45 * ONE, long=0, short=3)
    desk.move(8_500)
    ranked = [holder[0] for holder, _ in desk.model.ranked((0, 0, 0), 1)]
    assert ranked == [1, 3]
    desk.model.liquidate(0, 0, 0)
    desk.conserved()


STEPS = {
    "place": 60,
    "cancel": 8,
    "move": 12,
    "fund": 3,
    "liquidate": 25,
    "transfer": 4,
    "deposit": 3,
    "crank": 3,
}


def play(seed: int, length: int) -> tuple[Desk, set[str]]:
    """A random stream; invariants are checked after every step."""
    rng = random.Random(seed)
    desk, seen = Desk(accounts=5, funds=300 * DOLLAR), set()
    desk.insure(rng.choice([0, 9_000 * DOLLAR]))
    desk.deposit(4, 100_000 * DOLLAR)
    price = MARK
    for _ in range(length):
        name = rng.choices(list(STEPS), list(STEPS.values()))[0]
        account = rng.randrange(5)
        try:
            if name == "place":
                side = rng.choice([BUY, SELL])
                desk.place(account, side, price + rng.randint(-60, 60), rng.randint(1, 25) * ONE)
            elif name == "cancel" and desk.model.orders:
                desk.model.cancel(account, rng.randrange(len(desk.model.orders)), b"")
            elif name == "move":
                # Quotes of the old price leave; account 4, with deep pockets, sometimes makes a market.
                price = max(4_000, price * rng.randint(900, 1_080) // 1_000)
                for each in range(5):
                    desk.model.cancel_all(each, 0, 0, ALL)
                desk.move(price)
                if rng.random() < 0.7:
                    desk.place(4, BUY, price * 99 // 100, 20 * ONE)
                    desk.place(4, SELL, price * 101 // 100, 20 * ONE)
            elif name == "fund":
                desk.model.sample_premium(0)
            elif name == "crank":
                desk.model.now_ns += lm.HOUR_NS
                desk.model.crank_funding(0)
            elif name == "liquidate":
                equity = desk.equity(account)
                step = desk.model.liquidate(account, 0, 0, keeper=rng.randrange(5))
                seen.update(step.stages or ("step",))
                assert desk.equity(account) >= min(equity, 0)
            elif name == "transfer":
                desk.model.transfer(account, 0, 1, USDC, rng.randint(1, 50) * DOLLAR)
            else:
                desk.deposit(account, rng.randint(1, 50) * DOLLAR)
            seen.add(name)
        except Refused as refused:
            seen.add(str(refused))
        desk.conserved()
    return desk, seen


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64 - 1), length=st.integers(10, 150))
def test_every_asset_and_every_position_sums_to_zero_on_any_stream(seed: int, length: int) -> None:
    play(seed, length)


def test_the_streams_reach_steps_and_every_stage_but_the_last() -> None:
    seen = set().union(*(play(seed, 200)[1] for seed in range(20)))
    assert not {"step", "insurance", "adl", "INSUFFICIENT_MARGIN", "POSITION_HEALTHY", "crank"} - seen
