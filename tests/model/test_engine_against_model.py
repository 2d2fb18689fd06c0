"""T04: an independent model predicts every reply, every fill and every balance of the engine."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import exchange_model as model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind import _core
from tradewind.core import commands
from tradewind.core.engine import Engine, GenesisConfig, Grant
from tradewind.core.enums import Role
from tradewind.core.event_types import Trade
from tradewind.core.events import decode_events, decode_results

START_NS = 1_700_000_000 * model.SECOND_NS
SYSTEM, OPERATOR = bytes([1] * 32), bytes([2] * 32)
OWNERS = [bytes([0xA0 + number] * 32) for number in range(3)]
ACCOUNTS = [_core.derive_account_id(owner) for owner in OWNERS]
BTC, USDC = 0, 1
FUNDS = {BTC: 40_000_000, USDC: 3_000_000_000}
MARKETS = [
    model.Market(BTC, USDC, 10, 1_000, 28_000_000, 10_000_000, 1_000, 100, 1_000, 2_000_000_000),
    model.Market(BTC, USDC, 1, 1_000, 3, 7, 5_000, 500, 1, 10**12),
]
TICK_SIZES = [10_000, 1_000]
NEVER_ISSUED = 2**63


@dataclass
class Pair:
    """The engine and the model side by side; what one does the other must have done too."""

    engine: Engine = field(default_factory=lambda: Engine(genesis()))
    model: model.Model = field(default_factory=lambda: model.Model(MARKETS))
    ids: list[int] = field(default_factory=list)
    """Engine's id of the model's order numbers."""
    now_ns: int = START_NS
    sent: int = 0
    answers: set[str] = field(default_factory=set)
    """Codes that were answered, "" for accepted."""
    history: list[tuple[bytes, int, bytes, object, Callable[[], int | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        made = [
            commands.register_asset(principal=OPERATOR, client_key=self.key(), symbol="BTC"),
            commands.register_asset(principal=OPERATOR, client_key=self.key(), symbol="USDC"),
            commands.open_account(principal=OPERATOR, client_key=self.key(), owner_key=OPERATOR),
        ]
        for nonce, (market, tick_size) in enumerate(zip(MARKETS, TICK_SIZES, strict=True)):
            made.append(
                commands.create_market(
                    principal=OPERATOR,
                    account=_core.derive_account_id(OPERATOR),
                    client_key=self.key(),
                    nonce=nonce,
                    base=market.base,
                    quote=market.quote,
                    tick_size=tick_size,
                    lot_size=market.lot_size,
                    band_bp=market.band_bp,
                    slippage_bp=market.slippage_bp,
                    taker_fee_e6bp=market.taker_fee_e6bp,
                    maker_fee_e6bp=market.maker_fee_e6bp,
                    min_notional=market.min_notional,
                    max_notional=market.max_notional,
                )
            )
        made += [
            commands.open_account(principal=owner, client_key=self.key(), owner_key=owner) for owner in OWNERS
        ]
        answers = self.engine.submit(made, self.now_ns)
        assert all(answer.accepted for answer in answers), answers
        # The operator's account has handle 0; the model does not know it.
        for account in range(len(OWNERS)):
            self.model.subs.add((account, 0))
            for asset, amount in FUNDS.items():
                self.deposit(account, 0, asset, amount, bytes([account, asset]) + bytes(30))

    def key(self) -> bytes:
        self.sent += 1
        return self.sent.to_bytes(16, "little")

    def order_id(self, number: int) -> int:
        return self.ids[number] if number < len(self.ids) else NEVER_ISSUED

    def compare(
        self,
        command: bytes,
        account: int,
        key: bytes,
        body: object,
        act: Callable[[], int | None],
        *,
        remember: bool = True,
    ) -> None:
        """Sends one command to both and compares reply and fills."""
        if remember:
            self.history.append((command, account, key, body, act))
        fills_before = len(self.model.fills)
        self.model.now_ns = self.now_ns
        duplicate, value, refusal = False, None, ""
        try:
            duplicate, value = self.model.keyed(account, key, body, act)
        except model.Refused as refused:
            refusal = str(refused)
        batch = self.engine.apply([command], self.now_ns)
        [answer] = decode_results(batch.input_results())
        assert (answer.name, answer.duplicate) == (refusal, duplicate)
        self.answers.add("DUPLICATE" if duplicate else refusal)
        if value is not None and not refusal:
            if value == len(self.ids):
                assert not self.ids or answer.value > self.ids[-1], "order ids ascend"
                self.ids.append(answer.value)
            assert answer.value == self.ids[value]
        fills = [
            model.Fill(
                self.ids.index(event.maker_order),
                self.ids.index(event.order),
                event.price,
                event.lots,
                event.taker_fee,
                event.maker_fee,
            )
            for event in decode_events(batch)
            if isinstance(event, Trade)
        ]
        assert fills == self.model.fills[fills_before:]

    def compare_state(self) -> None:
        """Balances, system lines and levels."""
        core = self.engine.core
        for account, account_id in enumerate(ACCOUNTS):
            for sub in sorted(index for owner, index in self.model.subs if owner == account):
                for asset in (BTC, USDC):
                    for line in range(8):
                        expected = self.model.line(account, sub, asset, line)
                        assert core.balance(account_id, sub, asset, line) == expected, (
                            account,
                            sub,
                            asset,
                            line,
                        )
        for asset in (BTC, USDC):
            for line in range(0x80, 0x90):
                expected = self.model.line(model.SYSTEM_ACCOUNT, 0, asset, line)
                assert core.system_balance(line, 0, asset) == expected, (asset, hex(line))
            total = sum(amount for key, amount in self.model.lines.items() if key[2] == asset)
            assert total == 0
        for market in range(len(MARKETS)):
            for side in (model.BUY, model.SELL):
                levels: dict[int, tuple[int, int]] = {}
                for order in self.model.resting(market, side):
                    lots, orders = levels.get(order.price, (0, 0))
                    levels[order.price] = (lots + order.remaining, orders + 1)
                assert core.levels(market, side, 1_000) == [(p, *rest) for p, rest in levels.items()]

    # -- the commands, each for both ----------------------------------------------------------------------

    def deposit(self, account: int, sub: int, asset: int, amount: int, external_id: bytes) -> None:
        command = commands.deposit(
            principal=SYSTEM, account=ACCOUNTS[account], sub=sub, asset=asset, amount=amount,
            external_id=external_id,
        )  # fmt: skip
        act = lambda: self.model.deposit(account, sub, asset, amount, external_id)  # noqa: E731
        self.compare(command, account, bytes(16), None, act)

    def open_sub(self, account: int, index: int) -> None:
        key, body = self.key(), ("open", index)
        command = commands.open_sub_account(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=key, index=index
        )
        self.compare(command, account, key, body, lambda: self.model.open_sub_account(account, index))

    def transfer(self, account: int, sub: int, to_sub: int, asset: int, amount: int) -> None:
        key = self.key()
        command = commands.transfer(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=key, sub=sub, to_sub=to_sub,
            asset=asset, amount=amount,
        )  # fmt: skip
        act = lambda: self.model.transfer(account, sub, to_sub, asset, amount)  # noqa: E731
        self.compare(command, account, key, ("transfer", sub, to_sub, asset, amount), act)

    def place(self, account: int, key: bytes | None = None, **terms: int) -> None:
        key = key or self.key()
        command = commands.place_order(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=key, **terms
        )

        def act() -> int:
            return self.model.place(
                model.Order(
                    number=-1,
                    account=account,
                    sub=terms["sub"],
                    market=terms["market"],
                    side=terms["side"],
                    price=terms["price"],
                    total=terms["lots"],
                    remaining=terms["lots"],
                    order_type=terms["order_type"],
                    time_in_force=terms["time_in_force"],
                    flags=terms["order_flags"],
                    self_trade_prevention=terms["self_trade_prevention"],
                    expiry_ns=terms["expiry_ns"],
                    client_key=key,
                )
            )

        self.compare(command, account, key, tuple(sorted(terms.items())), act)

    def target(self, number: int, by_key: bool) -> tuple[int, bytes, int | None]:
        """Engine's order id and target key, model's number."""
        if not by_key:
            return self.order_id(number), bytes(16), number
        if number < len(self.model.orders):
            return 0, self.model.orders[number].client_key, None
        return 0, bytes([0xFE] * 16), None

    def cancel(self, account: int, number: int, by_key: bool) -> None:
        order, target_key, known = self.target(number, by_key)
        command = commands.cancel_order(
            principal=OWNERS[account], account=ACCOUNTS[account], order=order, target_key=target_key
        )
        act = lambda: self.model.cancel(account, known, target_key)  # noqa: E731
        # Without a key there is nothing to repeat; the number may mean another order later.
        self.compare(command, account, bytes(16), None, act, remember=False)

    def replace(self, account: int, number: int, by_key: bool, price: int, total: int) -> None:
        key = self.key()
        order, target_key, known = self.target(number, by_key)
        command = commands.replace_order(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=key, order=order,
            target_key=target_key, price=price, total_lots=total,
        )  # fmt: skip
        act = lambda: self.model.replace(account, known, target_key, price, total)  # noqa: E731
        body = ("replace", order, target_key, price, total)
        self.compare(command, account, key, body, act, remember=order != NEVER_ISSUED)

    def cancel_all(self, account: int, market: int, sub: int, side: int) -> None:
        command = commands.cancel_all(
            principal=OWNERS[account], account=ACCOUNTS[account], market=market, target_sub=sub, side=side
        )
        act = lambda: self.model.cancel_all(account, market, sub, side)  # noqa: E731
        self.compare(command, account, bytes(16), None, act)

    def arm(self, account: int, window_s: int) -> None:
        key = self.key()
        command = commands.set_cancel_all_after(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=key, window_s=window_s
        )
        act = lambda: self.model.set_cancel_all_after(account, window_s)  # noqa: E731
        self.compare(command, account, key, ("arm", window_s), act)

    def wait(self, nanoseconds: int, *, tick: bool) -> None:
        self.now_ns += nanoseconds
        # A fired switch ends its Tick; the next one goes on with what else is due.
        for _ in range(len(OWNERS) + 1 if tick else 0):
            self.compare(commands.tick(principal=SYSTEM), 0, bytes(16), None, self.model.tick, remember=False)

    def repeat(self, index: int) -> None:
        """Sends one of the last commands again."""
        command, account, key, body, act = self.history[-min(index, len(self.history))]
        self.compare(command, account, key, body, act, remember=False)

    def reuse_key(self, index: int, **terms: int) -> None:
        """Another order under a key that was used before."""
        _, account, key, _, _ = self.history[-min(index, len(self.history))]
        if any(key):
            self.place(account, key, **terms)


def genesis() -> GenesisConfig:
    expiry_ns = START_NS + 300 * 86_400 * model.SECOND_NS
    return GenesisConfig(
        START_NS, [Grant(SYSTEM, Role.SYSTEM, expiry_ns), Grant(OPERATOR, Role.OPERATOR, expiry_ns)]
    )


HOSTILE = [0, -1, 1, 2**31 - 1, 2**31, 2**40, 2**40 + 1, 2**62, -(2**63)]
WEIGHTS = {
    "place": 50, "cancel": 9, "replace": 14, "cancel_all": 2, "wait": 6, "repeat": 4, "reuse_key": 2,
    "open_sub": 2, "transfer": 4, "deposit": 3, "arm": 2,
}  # fmt: skip


class Stream:
    """A random stream of steps: weighted so that books fill, orders meet and every rule is touched.

    A seed stands for a stream of any length; hypothesis draws both and shortens a failing one.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        # Some streams are calm and deep, some are wild.
        self.spread = self.random.choice([3, 8, 30])
        self.wild = self.random.choice([0.0, 0.02, 0.1])

    def trader(self) -> int:
        return self.random.choice([0, 0, 0, 1, 1, 2])

    def price(self) -> int:
        if self.random.random() < self.wild:
            return self.random.choice(HOSTILE)
        return 100 + self.random.randint(-self.spread, self.spread)

    def size(self) -> int:
        if self.random.random() < self.wild:
            return self.random.choice([*HOSTILE, self.random.randint(100, 10**6)])
        return self.random.randint(1, self.random.choice([5, 30, 400]))

    def amount(self) -> int:
        return (
            self.random.choice(HOSTILE) if self.random.random() < self.wild else self.random.randint(1, 10**8)
        )

    def number(self, pair: Pair) -> int:
        """Mostly an order that exists, one of the last ones."""
        last = len(pair.model.orders)
        return (
            max(0, last - self.random.randint(0, 12))
            if self.random.random() < 0.8
            else self.random.randint(0, 60)
        )

    def terms(self, pair: Pair) -> dict[str, int]:
        pick = self.random.choice
        order_type = pick([model.LIMIT] * 8 + [model.MARKET])
        immediate = [model.IOC, model.FOK]
        tif = pick(
            immediate if order_type == model.MARKET else [model.GTC] * 8 + immediate * 2 + [model.GTD] * 2
        )
        if self.random.random() < self.wild:
            tif = pick([model.GTC, model.IOC, model.FOK, model.GTD])
        has_price = order_type == model.LIMIT or self.random.random() < self.wild
        late = pair.now_ns + self.random.randint(0, 60) * model.SECOND_NS
        return {
            "market": pick([0] * 12 + [1] * 6 + [2]) if self.random.random() < 0.5 else 0,
            "side": pick([model.BUY, model.SELL]),
            "price": self.price() if has_price else 0,
            "lots": self.size(),
            "order_type": order_type,
            "time_in_force": tif,
            "order_flags": pick([0] * 8 + [model.POST_ONLY]),
            "self_trade_prevention": self.random.randint(0, 3),
            "expiry_ns": late if (tif == model.GTD) != (self.random.random() < self.wild) else 0,
            "sub": pick([0] * 15 + [1]),
        }

    def step(self, pair: Pair) -> None:
        pick = self.random.choice
        name = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if name == "place":
            pair.place(self.trader(), **self.terms(pair))
        elif name == "cancel":
            pair.cancel(self.trader(), self.number(pair), pick([True, False]))
        elif name == "replace":
            price, total = pick([0, self.price()]), pick([0, self.size(), self.size()])
            pair.replace(self.trader(), self.number(pair), pick([True, False, False]), price, total)
        elif name == "cancel_all":
            scope = pick([0, 1, 7, model.ALL_MARKETS]), pick([0, 1, model.ALL]), pick([0, 1, model.ALL])
            pair.cancel_all(self.trader(), *scope)
        elif name == "wait":
            pair.wait(self.random.randint(0, 20 * model.SECOND_NS), tick=pick([True, False]))
        elif name == "repeat":
            pair.repeat(self.random.randint(1, 12))
        elif name == "reuse_key":
            pair.reuse_key(self.random.randint(1, 12), **self.terms(pair))
        elif name == "open_sub":
            pair.open_sub(self.trader(), pick([0, 1, 1, 2, 128]))
        elif name == "transfer":
            pair.transfer(
                self.trader(), pick([0, 0, 1]), pick([0, 1, 1, 2]), pick([BTC, USDC]), self.amount()
            )
        elif name == "deposit":
            external_id = bytes([self.random.randrange(256)] * 32)
            pair.deposit(self.trader(), pick([0, 0, 0, 1]), pick([BTC, USDC]), self.amount(), external_id)
        else:
            pair.arm(self.trader(), pick([0, 4, 5, 30, 30, 86_400, 86_401]))


def play(seed: int, length: int) -> Pair:
    pair, stream = Pair(), Stream(seed)
    for _ in range(length):
        stream.step(pair)
    pair.compare_state()
    return pair


@settings(max_examples=150, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64 - 1), length=st.integers(20, 400))
def test_t04_the_model_predicts_every_reply_fill_and_balance(seed: int, length: int) -> None:
    play(seed, length)


def test_the_streams_touch_fills_and_the_rules_of_orders() -> None:
    """Without this the property could hold because nothing ever happens."""
    pairs = [play(seed, 400) for seed in range(12)]
    assert sum(len(pair.model.fills) for pair in pairs) > 300
    seen = set().union(*(pair.answers for pair in pairs))
    wanted = {
        "", "DUPLICATE", "FOK_NOT_FILLABLE", "IDEMPOTENCY_CONFLICT", "INSUFFICIENT_BALANCE", "INVALID_SIZE",
        "INVALID_TIME_IN_FORCE", "NO_LIQUIDITY", "ORDER_NOT_FOUND", "ORDER_NOT_OPEN", "POST_ONLY_WOULD_TAKE",
        "PRICE_TOO_HIGH", "PRICE_TOO_LOW", "REPLACE_BELOW_FILLED", "SELF_TRADE_PREVENTED", "WRONG_OWNER",
    }  # fmt: skip
    assert not wanted - seen


def test_the_model_and_the_engine_meet_the_golden_sequence_of_p3_10() -> None:
    pair = Pair()
    terms = {
        "market": 1, "order_type": 0, "time_in_force": 0, "order_flags": 0, "self_trade_prevention": 0,
        "expiry_ns": 0, "sub": 0,
    }  # fmt: skip
    for price in (101, 101, 102):
        pair.place(0, side=model.SELL, price=price, lots=5, **terms)
    pair.place(1, side=model.BUY, price=102, lots=12, **terms)
    assert [(fill.maker, fill.price, fill.lots) for fill in pair.model.fills] == [
        (0, 101, 5), (1, 101, 5), (2, 102, 2),
    ]  # fmt: skip
    pair.compare_state()


def test_a_model_with_another_rule_is_noticed() -> None:
    """The comparison itself goes red: a model that rounds the fee down disagrees with the first fill."""
    pair = Pair()
    wrong = [
        model.Market(**{**vars(MARKETS[0]), "taker_fee_e6bp": MARKETS[0].taker_fee_e6bp - 10**6}),
        MARKETS[1],
    ]
    pair.model.markets = wrong
    terms = {
        "market": 0, "order_type": 0, "time_in_force": 0, "order_flags": 0, "self_trade_prevention": 0,
        "expiry_ns": 0, "sub": 0, "price": 100, "lots": 20,
    }  # fmt: skip
    pair.place(0, side=model.SELL, **terms)
    try:
        pair.place(1, side=model.BUY, **terms)
    except AssertionError:
        return
    raise AssertionError("the engine agreed with a model that has another fee")
