"""Engine and leveraged model side by side: every command goes to both, every answer is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import exchange_model as base
import leverage_math as lm
from leverage_model import CROSS, ISOLATED, MINUTE_NS, Asset, Perpetual, Touch
from liquidation_model import LiquidationModel, Sale

from tradewind import _core
from tradewind.core import commands
from tradewind.core.engine import Engine, GenesisConfig, Grant
from tradewind.core.enums import AssetFlag, Line, MarketKind, PositionCause, Role, TradeKind
from tradewind.core.event_types import (
    AccountOpened,
    FundingIndexUpdated,
    MarkUpdated,
    PositionChanged,
    Trade,
    VaultEpochStarted,
)
from tradewind.core.events import decode_events, decode_results

START_NS = 1_700_000_000 * lm.SECOND_NS
DAY_NS = 86_400 * lm.SECOND_NS
ROLES_END_NS = START_NS + 300 * DAY_NS
COVER = 900_000_000 * 1_000_000
SYSTEM, OPERATOR, RISK = (bytes([number] * 32) for number in (1, 2, 3))
SOURCES = [bytes([0x50 + number] * 32) for number in range(3)]
WEIGHTS = (34, 33, 33)
OWNERS = [bytes([0xA0 + number] * 32) for number in range(4)]
ACCOUNTS = [_core.derive_account_id(owner) for owner in OWNERS]
USDC, BTC = 0, 1
FEED = 0
NEVER_ISSUED = 2**63
AUDIT = True
WIDE_BREAKERS = ((2, 2_000, 0), (3, 5_000, 0), (5, 5_000, 0), (6, 1_000, 5_000), (9, 5_000, 0))
"""B2a, B2b, B3, B4 and B7 at the upper bounds of P7.1."""
OPENING = 100 * lm.DOLLAR
ASSETS = [Asset(), Asset(8_000, 9_000, 12_000, 11_000)]
COMMON = {
    "base": BTC, "quote": USDC, "lot_size": 1_000, "band_bp": 1_000, "slippage_bp": 100,
    "min_notional": lm.DOLLAR, "max_notional": 10**12, "liquidation_fee_e6bp": 50_000_000,
    "insurance_limit": 1_000_000 * lm.DOLLAR,
}  # fmt: skip
MARKETS = [
    Perpetual(
        **COMMON, unit=10, tick_size=10_000, taker_fee_e6bp=5_000_000, maker_fee_e6bp=1_000_000,
        max_leverage_e2=2_000, size_k_ppm=1_000, floor_mmf_ppm=5_000, position_limit=30_000 * lm.DOLLAR,
        open_interest_cap=15_000 * lm.DOLLAR, impact_notional=500 * lm.DOLLAR,
    ),
    Perpetual(
        **COMMON, unit=100, tick_size=100_000, taker_fee_e6bp=1, maker_fee_e6bp=0, max_leverage_e2=300,
        size_k_ppm=1_000, floor_mmf_ppm=20_000, position_limit=10_000_000 * lm.DOLLAR,
        open_interest_cap=10**15, impact_notional=500 * lm.DOLLAR,
    ),
]  # fmt: skip
TOUCHING = (PositionCause.TRADE, PositionCause.LIQUIDATION, PositionCause.ADL, PositionCause.TAKEOVER)


def model_account(handle: int) -> int:
    """The operator has handle 0; the account behind the traders' holds what insurance took over."""
    return handle - 1 if handle <= len(OWNERS) else base.SYSTEM_ACCOUNT


def grants() -> list[Grant]:
    roles = {SYSTEM: Role.SYSTEM, OPERATOR: Role.OPERATOR, RISK: Role.RISK}
    roles |= dict.fromkeys(SOURCES, Role.ORACLE)
    return [Grant(key, role, ROLES_END_NS) for key, role in roles.items()]


@dataclass
class Duel:
    """What one does the other must have done too; `step` methods send one command each."""

    engine: Engine = field(default_factory=lambda: Engine(GenesisConfig(START_NS, grants()), audit=AUDIT))
    model: LiquidationModel = field(
        default_factory=lambda: LiquidationModel(
            [], assets=list(ASSETS), asset_prices={USDC: 10**6, BTC: OPENING}
        )
    )
    markets: list[Perpetual] = field(default_factory=lambda: list(MARKETS))
    ids: list[int] = field(default_factory=list)
    now_ns: int = START_NS
    sent: int = 0
    source_seq: int = 0
    answers: set[str] = field(default_factory=set)
    funding: int = 0
    """Hours charged."""
    fund: bytes = b""
    """The account that holds what insurance took over, once there is one."""

    def __post_init__(self) -> None:
        self.model.markets = self.model.markets or list(self.markets)
        operator = _core.derive_account_id(OPERATOR)
        made = [
            commands.register_asset(
                principal=OPERATOR, client_key=self.key(), symbol="USDC", asset_flags=AssetFlag.SETTLEMENT
            ),
            commands.register_asset(
                principal=OPERATOR, client_key=self.key(), symbol="BTC",
                initial_asset_bp=ASSETS[BTC].initial_asset_bp,
                maintenance_asset_bp=ASSETS[BTC].maintenance_asset_bp,
                initial_liability_bp=ASSETS[BTC].initial_liability_bp,
                maintenance_liability_bp=ASSETS[BTC].maintenance_liability_bp,
            ),
            commands.open_account(principal=OPERATOR, client_key=self.key(), owner_key=OPERATOR),
            commands.deposit(
                principal=SYSTEM, account=operator, asset=USDC, amount=COVER, external_id=bytes([0xFE] * 32)
            ),
            commands.build(
                "DepositVault", principal=OPERATOR, account=operator, client_key=self.key(), amount=COVER
            ),
            commands.build(
                "RegisterFeed", principal=RISK, client_key=self.key(), symbol="BTC-USD", quorum=2,
                interval_ms=60_000, max_confidence_ppm=10_000, max_deviation_bp=1_000, fallback=2**32 - 1,
            ),
        ]  # fmt: skip
        for source, weight in zip(SOURCES, WEIGHTS, strict=True):
            made.append(
                commands.build(
                    "SetFeedSource", principal=RISK, client_key=self.key(), feed=FEED, weight=weight,
                    source=source,
                )
            )  # fmt: skip
        made.append(
            commands.build(
                "UpdateAsset", principal=RISK, client_key=self.key(), asset=BTC, feed=FEED,
                initial_asset_bp=8_000, maintenance_asset_bp=9_000, initial_liability_bp=12_000,
                maintenance_liability_bp=11_000,
            )
        )  # fmt: skip
        for nonce, market in enumerate(self.markets):
            made.append(self.create(operator, nonce, market))
            made.append(self.risk(nonce, market))
            made += [self.breaker(nonce, *row) for row in WIDE_BREAKERS]
        made += [
            commands.open_account(principal=owner, client_key=self.key(), owner_key=owner) for owner in OWNERS
        ]
        for answer in self.engine.submit(made, self.now_ns):
            assert answer.accepted, (answer.name, answer.message)
        self.activate()

    def create(self, operator: bytes, nonce: int, market: Perpetual) -> bytes:
        return commands.create_market(
            principal=OPERATOR, account=operator, client_key=self.key(), nonce=nonce,
            market_kind=MarketKind.PERPETUAL, base=BTC, quote=USDC, tick_size=market.tick_size,
            lot_size=market.lot_size, feed=FEED, band_bp=market.band_bp, slippage_bp=market.slippage_bp,
            taker_fee_e6bp=market.taker_fee_e6bp, maker_fee_e6bp=market.maker_fee_e6bp,
            min_notional=market.min_notional, max_notional=market.max_notional,
        )  # fmt: skip

    def risk(self, number: int, market: Perpetual) -> bytes:
        return commands.build(
            "UpdateMarketRisk", principal=RISK, client_key=self.key(), market=number, config_version=1,
            field_mask=0xFF, max_leverage_e2=market.max_leverage_e2, size_k_ppm=market.size_k_ppm,
            floor_mmf_ppm=market.floor_mmf_ppm, liquidation_fee_e6bp=market.liquidation_fee_e6bp,
            position_limit=market.position_limit, open_interest_cap=market.open_interest_cap,
            impact_notional=market.impact_notional, insurance_limit=market.insurance_limit,
        )  # fmt: skip

    def breaker(self, number: int, breaker: int, threshold: int, second: int) -> bytes:
        """Halts are another model's concern: thresholds that the streams do not reach."""
        return commands.build(
            "ConfigureBreaker", principal=RISK, client_key=self.key(), market=number, breaker=breaker,
            config_version=1, threshold=threshold, second_threshold=second,
        )  # fmt: skip

    def activate(self) -> None:
        """Valid prices until the markets are active; then the model begins with what it can know."""
        # The last price is news, so that the markets look at it: their clocks begin there.
        for value in [OPENING] * 40 + [OPENING * 1_001 // 1_000, OPENING]:
            self.now_ns += 5 * lm.SECOND_NS
            rows = [
                commands.tick(principal=SYSTEM),
                *(self.publication(source, value) for source in range(3)),
            ]
            batch = self.engine.apply(rows, self.now_ns)
            answers = decode_results(batch.input_results())
            assert all(answer.accepted for answer in answers), [answer.message for answer in answers]
            self.observe_marks(decode_events(batch))
        model = self.model
        model.now_ns = self.now_ns
        # The vault covers every position: coverage is another model's concern.
        model.post(base.SYSTEM_ACCOUNT, 0, USDC, base.WORLD, -COVER)
        model.post(base.SYSTEM_ACCOUNT, 0, USDC, base.VAULT, COVER)
        for account in range(len(OWNERS)):
            model.subs.add((account, 0))
            model.modes[account, 0] = CROSS
        for source in range(3):
            model.publish(FEED, source, WEIGHTS[source], OPENING, OPENING // 1_000)
        for market in range(len(self.markets)):
            ticker = model.ticker(market)
            ticker.hour_end_ns = (self.now_ns // lm.HOUR_NS + 1) * lm.HOUR_NS
            ticker.next_sample_ns = (self.now_ns // MINUTE_NS + 1) * MINUTE_NS
            model.published[market] = ticker.mark

    def observe_marks(self, events: Iterable[object]) -> None:
        """The deviation of a market's mark (P5.4) begins with its first mark."""
        for event in events:
            if isinstance(event, MarkUpdated) and event.mark != self.model.published.get(event.market, 0):
                self.model.published[event.market], self.model.now_ns = event.mark, event.time_ns
                self.model.observe(event.market, event.mark)

    def learn(self, events: list[object]) -> None:
        """What the comparison needs to know of a command before it compares."""

    def key(self) -> bytes:
        self.sent += 1
        return self.sent.to_bytes(16, "little")

    # -- comparing ----------------------------------------------------------------------------------------

    def compare(self, command: bytes, act: Callable[[], int | None]) -> str:
        """Sends one command to both; the code that both answered, "" when accepted."""
        model = self.model
        fills, touches, sales = len(model.fills), len(model.touches), len(model.sales)
        model.now_ns = self.now_ns
        refusal, value = "", None
        try:
            value = act()
        except base.Refused as refused:
            refusal = str(refused)
        batch = self.engine.apply([command], self.now_ns)
        answer = decode_results(batch.input_results())[0]
        assert answer.name == refusal, (answer.name, refusal, answer.bound, answer.given)
        self.answers.add(refusal)
        if isinstance(value, int) and not refusal:
            if value == len(self.ids):
                self.ids.append(answer.value)
            assert answer.value == self.ids[value]
        events = list(decode_events(batch))
        for event in events:
            if isinstance(event, AccountOpened):
                self.fund = event.account_id
            if isinstance(event, VaultEpochStarted):
                # What the vault's manager earns at midnight (P9.8) is another model's concern too.
                model.post(base.SYSTEM_ACCOUNT, 0, USDC, base.VAULT, -event.performance_fee)
                model.post(base.SYSTEM_ACCOUNT, 0, USDC, Line.TREASURY, event.performance_fee)
        self.learn(events)
        self.compare_fills(events, model.fills[fills:])
        self.compare_sales(events, model.sales[sales:])
        self.compare_touches(events, model.touches[touches:])
        self.compare_prices(events)
        return refusal

    def compare_fills(self, events: list[object], expected: list[base.Fill]) -> None:
        fills = [
            base.Fill(
                self.ids.index(event.maker_order), self.ids.index(event.order), event.price, event.lots,
                event.taker_fee, event.maker_fee,
            )
            for event in events
            if isinstance(event, Trade) and event.trade_kind != TradeKind.LIQUIDATION
        ]  # fmt: skip
        assert fills == expected, (fills, expected)

    def compare_sales(self, events: list[object], expected: list[Sale]) -> None:
        """Sales of liquidations: no fee for the one who is sold, the usual one for the maker."""
        sales = [
            Sale(self.ids.index(event.maker_order), event.price, event.lots, event.maker_fee, event.taker_fee)
            for event in events
            if isinstance(event, Trade) and event.trade_kind == TradeKind.LIQUIDATION
        ]
        assert sales == expected, (sales, expected)

    def compare_touches(self, events: list[object], expected: list[Touch]) -> None:
        """Every change of a position: lots, cost, what was realised and what funding was paid."""
        holder = lambda event: (model_account(event.account), event.sub, event.market)  # noqa: E731
        seen = [
            Touch(holder(event), event.lots, event.cost, event.realised, event.funding_paid)
            for event in events
            if isinstance(event, PositionChanged) and event.cause in TOUCHING
        ]  # fmt: skip
        assert sorted(seen) == sorted(expected), (sorted(seen), sorted(expected))

    def compare_prices(self, events: list[object]) -> None:
        for event in events:
            if isinstance(event, FundingIndexUpdated):
                self.funding += 1
                index = event.index_low + (event.index_high << 64)
                samples = self.model.last_samples[event.market]
                assert (event.samples, event.sample_sum_ppb) == (len(samples), sum(samples))
                assert (event.rate_ppb, index) == (
                    self.model.last_rate_ppb[event.market],
                    self.model.ticker(event.market).funding_index,
                )
        for market in range(len(self.markets)):
            rows = [e for e in events if isinstance(e, MarkUpdated) and e.market == market]
            ticker = self.model.ticker(market)
            if rows:
                row = rows[-1]
                seen = (row.mark, row.index, row.premium_e6, row.open_interest_lots)
                wanted = (ticker.mark or 0, ticker.index or 0, ticker.premium_e6)
                assert seen == (*wanted, ticker.interest), (seen, wanted, market)
                self.model.published[market] = ticker.mark
            else:
                assert self.model.published.get(market) == ticker.mark, "the mark moved without an event"

    def compare_state(self) -> None:
        """Balances of every line, system lines, books, and that all sums to zero."""
        core, model = self.engine.core, self.model
        for account, sub in sorted(model.subs):
            for asset in (USDC, BTC):
                for line in range(8):
                    expected = model.line(account, sub, asset, line)
                    found = core.balance(ACCOUNTS[account], sub, asset, line)
                    assert found == expected, (account, sub, asset, line)
        for asset in (USDC, BTC):
            for line in range(0x80, 0x90):
                for owner in range(len(self.markets)) if line == 0x87 else (0,):
                    expected = model.line(base.SYSTEM_ACCOUNT, owner, asset, line)
                    assert core.system_balance(line, owner, asset) == expected, (asset, hex(line), owner)
            assert sum(amount for key, amount in model.lines.items() if key[2] == asset) == 0
        if self.fund:
            for line in (Line.FREE, Line.COST):
                expected = model.line(base.SYSTEM_ACCOUNT, 0, USDC, line)
                assert (core.balance(self.fund, 0, USDC, line) or 0) == expected, line
        for market in range(len(self.markets)):
            for side in (base.BUY, base.SELL):
                levels: dict[int, tuple[int, int]] = {}
                for order in model.resting(market, side):
                    lots, orders = levels.get(order.price, (0, 0))
                    levels[order.price] = (lots + order.remaining, orders + 1)
                assert core.levels(market, side, 1_000) == [(p, *rest) for p, rest in levels.items()]

    # -- the commands, each for both ----------------------------------------------------------------------

    def publish(self, source: int, value: int) -> str:
        """A source publishes micro-USDC for one BTC."""
        command = self.publication(source, value)
        return self.compare(
            command, lambda: self.model.publish(FEED, source, WEIGHTS[source], value, value // 1_000)
        )

    def publication(self, source: int, value: int) -> bytes:
        self.source_seq += 1
        return commands.build(
            "PublishPrice", principal=SOURCES[source], client_key=self.key(), feed=FEED, value=value,
            confidence=value // 1_000, source_time_ns=self.now_ns, source_seq=self.source_seq,
        )  # fmt: skip

    def wait(self, nanoseconds: int) -> str:
        self.now_ns += nanoseconds
        return self.compare(commands.tick(principal=SYSTEM), self.model.tick)

    def deposit(self, account: int, sub: int, asset: int, amount: int) -> str:
        external_id = self.key() + bytes(16)
        command = commands.deposit(
            principal=SYSTEM, account=ACCOUNTS[account], sub=sub, asset=asset, amount=amount,
            external_id=external_id,
        )  # fmt: skip
        return self.compare(command, lambda: self.model.deposit(account, sub, asset, amount, external_id))

    def open_isolated(self, account: int, index: int) -> str:
        command = commands.open_sub_account(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=self.key(), index=index,
            margin_mode=ISOLATED,
        )  # fmt: skip

        def act() -> None:
            self.model.open_sub_account(account, index)
            self.model.modes[account, index] = ISOLATED

        return self.compare(command, act)

    def transfer(self, account: int, sub: int, to_sub: int, asset: int, amount: int) -> str:
        command = commands.transfer(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=self.key(), sub=sub,
            to_sub=to_sub, asset=asset, amount=amount,
        )  # fmt: skip
        return self.compare(command, lambda: self.model.transfer(account, sub, to_sub, asset, amount))

    def adjust(self, account: int, sub: int, market: int, amount: int) -> str:
        command = commands.build(
            "AdjustMargin", principal=OWNERS[account], account=ACCOUNTS[account], client_key=self.key(),
            sub=sub, market=market, amount=amount,
        )  # fmt: skip
        return self.compare(command, lambda: self.model.adjust_margin(account, sub, market, amount))

    def insure(self, account: int, amount: int) -> str:
        command = commands.build(
            "FundInsurance", principal=OWNERS[account], account=ACCOUNTS[account], client_key=self.key(),
            asset=USDC, amount=amount,
        )  # fmt: skip
        return self.compare(command, lambda: self.model.fund_insurance(account, 0, USDC, amount))

    def crank(self, market: int) -> str:
        command = commands.build(
            "CrankFunding", principal=OWNERS[0], account=ACCOUNTS[0], client_key=self.key(), market=market
        )
        return self.compare(command, lambda: self.model.crank_funding(market) and None)

    def place(self, account: int, **terms: int) -> str:
        key = self.key()
        command = commands.place_order(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=key, **terms
        )
        order = base.Order(
            number=-1, account=account, sub=terms["sub"], market=terms["market"], side=terms["side"],
            price=terms["price"], total=terms["lots"], remaining=terms["lots"],
            order_type=terms["order_type"], time_in_force=terms["time_in_force"],
            flags=terms["order_flags"], self_trade_prevention=terms["self_trade_prevention"], expiry_ns=0,
            client_key=key,
        )  # fmt: skip
        return self.compare(command, lambda: self.model.place(order))

    def cancel(self, account: int, number: int) -> str:
        order = self.ids[number] if number < len(self.ids) else NEVER_ISSUED
        command = commands.cancel_order(principal=OWNERS[account], account=ACCOUNTS[account], order=order)
        return self.compare(command, lambda: self.model.cancel(account, number, bytes(16)))

    def replace(self, account: int, number: int, price: int, total: int) -> str:
        order = self.ids[number] if number < len(self.ids) else NEVER_ISSUED
        command = commands.replace_order(
            principal=OWNERS[account], account=ACCOUNTS[account], client_key=self.key(), order=order,
            price=price, total_lots=total,
        )  # fmt: skip
        act = lambda: self.model.replace(account, number, bytes(16), price, total)  # noqa: E731
        return self.compare(command, act)

    def liquidate(self, account: int, sub: int, market: int) -> str:
        command = commands.build(
            "Liquidate", principal=SYSTEM, client_key=self.key(), target=ACCOUNTS[account], target_sub=sub,
            market=market,
        )  # fmt: skip

        def act() -> None:
            self.model.liquidate(account, sub, market)

        return self.compare(command, act)

    def complete(self, account: int, sub: int, market: int) -> str:
        command = commands.build(
            "CompleteLiquidation", principal=SYSTEM, client_key=self.key(), target=ACCOUNTS[account],
            target_sub=sub, market=market,
        )  # fmt: skip

        def act() -> None:
            self.model.complete(account, sub, market)

        return self.compare(command, act)
