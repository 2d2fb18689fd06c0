"""The leveraged model predicts every reply, fill, position, mark, funding rate and balance of the engine.

`TRADEWIND_MODEL_COMMANDS=1000000` plays that many commands instead of the short run.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import exchange_model as base
import leverage_math as lm
import pytest
from duel import ACCOUNTS, BTC, MARKETS, OPENING, USDC, Duel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WEIGHTS = {
    "place": 60, "cancel": 7, "replace": 7, "publish": 14, "wait": 10, "hour": 1, "deposit": 3, "transfer": 4,
    "adjust": 4, "insure": 1, "crank": 2, "liquidate": 0,
}  # fmt: skip
COMMANDS = int(os.environ.get("TRADEWIND_MODEL_COMMANDS", "0"))


class Stream:
    """A random stream. A seed stands for a stream of any length; hypothesis shortens a failing one."""

    def __init__(self, seed: int, duel: Duel) -> None:
        self.random = random.Random(seed)
        self.duel = duel
        self.price = OPENING
        self.published_ns = duel.now_ns
        self.spread_bp = self.random.choice([20, 60, 150])
        self.drift = self.random.choice([(97, 103), (96, 101), (99, 104)])

    def begin(self) -> None:
        for account in range(len(ACCOUNTS)):
            self.duel.deposit(account, 0, USDC, self.random.choice([500, 2_000, 20_000]) * lm.DOLLAR)
            if self.random.random() < 0.5:
                self.duel.deposit(account, 0, BTC, self.random.randint(1, 5 * 10**6))
            if self.random.random() < 0.7:
                self.duel.open_isolated(account, 1)
                self.duel.transfer(account, 0, 1, USDC, 100 * lm.DOLLAR)

    def sub(self) -> int:
        return self.random.choice([0, 0, 0, 1])

    def terms(self) -> dict[str, int]:
        pick = self.random.choice
        market = pick([0, 0, 0, 1])
        away = self.price * self.random.randint(-self.spread_bp, self.spread_bp) // 10_000
        order_type = pick([base.LIMIT] * 9 + [base.MARKET])
        immediate = [base.IOC, base.FOK]
        tif = pick(immediate if order_type == base.MARKET else [base.GTC] * 8 + immediate)
        tick = MARKETS[market].tick_size
        return {
            "market": market,
            "sub": self.sub(),
            "side": pick([base.BUY, base.SELL]),
            "price": (self.price + away) // tick if order_type == base.LIMIT else 0,
            "lots": self.random.randint(1, pick([300, 3_000, 30_000, 300_000])),
            "order_type": order_type,
            "time_in_force": tif,
            "order_flags": pick([0] * 8 + [base.POST_ONLY]) if tif == base.GTC else 0,
            "self_trade_prevention": self.random.randint(0, 3),
        }

    def amount(self) -> int:
        return self.random.choice([0, -1, 1, 10**6, self.random.randint(1, 3_000 * lm.DOLLAR)])

    def number(self) -> int:
        return max(0, len(self.duel.ids) - self.random.randint(0, 15))

    def publish(self, *, moves: bool = True) -> None:
        """All sources within a few ppm of each other; mark and index never 10 % apart (P6.1.4)."""
        if moves:
            moved = self.price * self.random.randint(*self.drift) // 100
            self.price = lm.clamp(moved, OPENING * 965 // 1_000, OPENING * 1_035 // 1_000)
        for source in self.random.sample(range(3), 3):
            noise = self.price * self.random.randint(-300, 300) // 10**6
            self.duel.publish(source, self.price + noise)
        self.published_ns = self.duel.now_ns

    def wait(self, nanoseconds: int) -> None:
        """Time goes on; no source is silent for so long that the feed would be aged (120 s)."""
        if self.duel.now_ns + nanoseconds - self.published_ns > 110 * lm.SECOND_NS:
            self.publish(moves=False)
        self.duel.wait(nanoseconds)

    def step(self) -> None:
        name = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        duel, account = self.duel, self.random.randrange(len(ACCOUNTS))
        if name == "place":
            duel.place(account, **self.terms())
        elif name == "cancel":
            duel.cancel(account, self.number())
        elif name == "replace":
            terms = self.terms()
            duel.replace(account, self.number(), terms["price"], self.random.choice([0, terms["lots"]]))
        elif name == "publish":
            self.publish()
        elif name == "wait":
            self.wait(self.random.choice([1, 10**8, 10**9, self.random.randint(0, 60 * 10**9)]))
        elif name == "hour":
            self.let_an_hour_pass()
        elif name == "deposit":
            duel.deposit(account, self.sub(), self.random.choice([USDC, USDC, BTC]), self.amount())
        elif name == "transfer":
            to_sub = self.random.choice([0, 1])
            duel.transfer(account, self.sub(), to_sub, self.random.choice([USDC, BTC]), self.amount())
        elif name == "adjust":
            sign = self.random.choice([1, -1])
            duel.adjust(account, self.sub(), self.random.choice([0, 1]), sign * self.amount())
        elif name == "insure":
            duel.insure(account, self.amount())
        elif name == "crank":
            duel.crank(self.random.choice([0, 1]))
        else:
            duel.liquidate(account, self.sub(), self.random.choice([0, 1]))

    def let_an_hour_pass(self) -> None:
        """Prices all the time, so that the feed stays valid; keepers or the engine charge the hour."""
        for _ in range(62):
            self.wait(60 * lm.SECOND_NS)


def play(seed: int, length: int) -> Duel:
    duel = Duel()
    stream = Stream(seed, duel)
    stream.begin()
    for _ in range(length):
        stream.step()
    duel.compare_state()
    return duel


@settings(max_examples=40, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64 - 1), length=st.integers(10, 250))
def test_t04_the_leveraged_model_predicts_every_reply_and_every_micro(seed: int, length: int) -> None:
    play(seed, length)


def test_the_streams_touch_the_rules_of_leverage() -> None:
    """Without this the property could hold because nothing ever happens."""
    duels = [play(seed, 250) for seed in range(8)]
    assert sum(len(duel.model.fills) for duel in duels) > 200
    assert sum(duel.funding for duel in duels) > 4
    seen = set().union(*(duel.answers for duel in duels))
    wanted = {
        "", "INSUFFICIENT_MARGIN", "INSUFFICIENT_FREE_COLLATERAL", "INSUFFICIENT_BALANCE",
        "OPEN_INTEREST_CAP",
        "POSITION_TOO_LARGE", "TOO_MANY_POSITIONS", "FUNDING_NOT_DUE", "POSITION_NOT_FOUND",
        "INVALID_TRANSITION",
    }  # fmt: skip
    assert not wanted - seen


@pytest.mark.parametrize(
    "wrong",
    [
        {"taker_fee_e6bp": 5_000_001},
        {"size_k_ppm": 3_000},
        {"max_leverage_e2": 800},
        {"position_limit": 10**9},
    ],
)
def test_a_model_with_another_rule_is_noticed(wrong: dict[str, int]) -> None:
    """The comparison goes red: each parameter of the model that is changed disagrees somewhere."""
    with pytest.raises(AssertionError):
        for seed in range(12):
            duel = Duel()
            duel.model.markets = [replace(MARKETS[0], **wrong), MARKETS[1]]
            stream = Stream(seed, duel)
            stream.begin()
            for _ in range(200):
                stream.step()
            duel.compare_state()


@pytest.mark.slow
@pytest.mark.skipif(not COMMANDS, reason="set TRADEWIND_MODEL_COMMANDS to play that many commands")
def test_t04_a_million_commands() -> None:
    sent, seed = 0, 0
    while sent < COMMANDS:
        sent += play(seed, 600).sent
        seed += 1
