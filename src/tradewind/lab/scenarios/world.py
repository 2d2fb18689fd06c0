"""An exchange with one leveraged market, three price sources and many accounts, driven through the engine."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

from tradewind.core import commands
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import AssetFlag, MarketKind, OrderFlag, Role, Side, TimeInForce
from tradewind.core.native import derive_account_id
from tradewind.lab.driven import Driven, ScenarioFailed
from tradewind.lab.scenarios.accounting import Accounting

SECOND_NS = 10**9
START_NS = 1_700_000_000 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS
BATCH = 2_048
USDC, BTC = 0, 1
FEED, MARKET = 0, 0
TICK_SIZE, LOT_SIZE, UNIT = 10_000, 1_000, 10
OPENING = 100_00
"""Opening price in ticks of a cent."""
DOLLAR = 10**6
SYSTEM, OPERATOR, RISK, EMERGENCY, TREASURER = (bytes([number] * 32) for number in range(1, 6))
SOURCES = tuple(bytes([0x50 + number] * 32) for number in range(3))
WEIGHTS = (34, 33, 33)
MAX_LEVERAGE_E2 = 2_000
BASE_E2 = MAX_LEVERAGE_E2
SIZE_K_PPM, FLOOR_MMF_PPM = 50, 5_000
WIDE_BREAKERS = ((5, 5_000, 0), (6, 1_000, 5_000))
"""B3 and B4: number, threshold, second threshold."""
COVER = 900_000_000 * DOLLAR
"""What the vault holds: without one coverage would halt the market before its crash (P7.1 B1)."""
ACTIVATION_S = 200
"""A feed is VALID a minute after its first quorum, a market active a minute after that."""


def owner_key(number: int) -> bytes:
    return (10_000 + number).to_bytes(32, "big")


def genesis() -> GenesisConfig:
    roles = {
        SYSTEM: Role.SYSTEM, OPERATOR: Role.OPERATOR, RISK: Role.RISK, EMERGENCY: Role.EMERGENCY,
        TREASURER: Role.TREASURER, **dict.fromkeys(SOURCES, Role.ORACLE),
    }  # fmt: skip
    return GenesisConfig(START_NS, [Grant(key, role, START_NS + 360 * DAY_NS) for key, role in roles.items()])


class World(Driven[Accounting]):
    """The engine, its books, simulated time and the clock of what the engine used."""

    clock_key, batch_size = SYSTEM, BATCH

    def __init__(self, accounts: int, seed: int, *, audit: bool) -> None:
        # Handle 0 is the operator; traders follow in order.
        self.accounts = accounts + 1
        super().__init__(genesis(), Accounting(self.accounts + 64, USDC, MARKET), START_NS, audit=audit)
        self.random = random.Random(seed)  # noqa: S311 a repeatable world, no secret
        self.ids = [derive_account_id(owner_key(number)) for number in range(accounts)]
        self.source_seq = 0

    def note_results(self, results: Any) -> None:
        self.books.add_refusals(results["code"])

    # -- commands -------------------------------------------------------------------------------------------

    def publish(self, price: int, *, sources: int = 3, spread_ppm: int = 200) -> list[bytes]:
        """One publication of each of the first `sources` sources around `price` ticks."""
        self.source_seq += 1
        rows = []
        for number in range(sources):
            value = price * TICK_SIZE * (1_000_000 + (number - 1) * spread_ppm) // 1_000_000
            rows.append(
                commands.build(
                    "PublishPrice", principal=SOURCES[number], client_key=self.key(), feed=FEED, value=value,
                    confidence=value // 2_000, source_time_ns=self.now_ns, source_seq=self.source_seq,
                )
            )  # fmt: skip
        return rows

    def order(
        self, trader: int, side: Side, price: int, lots: int, *, immediate: bool = False, reduce: bool = False
    ) -> bytes:
        return commands.place_order(
            principal=owner_key(trader),
            account=self.ids[trader],
            client_key=self.key(),
            market=MARKET,
            side=side,
            price=price,
            lots=lots,
            time_in_force=TimeInForce.IOC if immediate else TimeInForce.GTC,
            order_flags=OrderFlag.REDUCE_ONLY if reduce else OrderFlag(0),
        )

    def cancel_all(self, trader: int) -> bytes:
        return commands.cancel_all(principal=owner_key(trader), account=self.ids[trader])

    # -- beginning ------------------------------------------------------------------------------------------

    def open_exchange(self, insurance: int) -> None:
        """Assets, feed, market, insurance; returns when the market is active."""
        operator = derive_account_id(OPERATOR)
        self.must(
            [
                commands.register_asset(
                    principal=OPERATOR, client_key=self.key(), symbol="USDC",
                    asset_flags=AssetFlag.SETTLEMENT | AssetFlag.STABLE,
                ),
                commands.register_asset(
                    principal=OPERATOR, client_key=self.key(), symbol="BTC", initial_asset_bp=8_000,
                    maintenance_asset_bp=9_000, initial_liability_bp=12_000, maintenance_liability_bp=11_000,
                ),
                commands.open_account(principal=OPERATOR, client_key=self.key(), owner_key=OPERATOR),
                commands.deposit(
                    principal=SYSTEM, account=operator, asset=USDC,
                    amount=insurance + COVER + 10_000 * DOLLAR, external_id=bytes([0xFE] * 32),
                ),
                commands.build(
                    "DepositVault", principal=OPERATOR, account=operator, client_key=self.key(),
                    amount=COVER,
                ),
                commands.build(
                    "RegisterFeed", principal=RISK, client_key=self.key(), symbol="BTC-USD", quorum=2,
                    interval_ms=1_000, max_confidence_ppm=10_000, max_deviation_bp=200, fallback=2**32 - 1,
                ),
                *(
                    commands.build(
                        "SetFeedSource", principal=RISK, client_key=self.key(), feed=FEED, weight=weight,
                        source=source,
                    )
                    for source, weight in zip(SOURCES, WEIGHTS, strict=True)
                ),
                commands.create_market(
                    principal=OPERATOR, account=operator, client_key=self.key(), nonce=1,
                    market_kind=MarketKind.PERPETUAL, base=BTC, quote=USDC, tick_size=TICK_SIZE,
                    lot_size=LOT_SIZE, feed=FEED, band_bp=1_000, taker_fee_e6bp=5_000_000,
                    maker_fee_e6bp=1_000_000,
                ),
            ]
        )  # fmt: skip
        self.must([self.risk_parameters(), *self.breakers()])
        self.must(
            [
                commands.build(
                    "FundInsurance", principal=OPERATOR, account=operator, client_key=self.key(), asset=USDC,
                    amount=insurance,
                )
            ]
        )  # fmt: skip
        for _ in range(ACTIVATION_S):
            self.must(self.publish(OPENING))
            self.wait(SECOND_NS)
            if self.books.counts.get("MarketActivated"):
                return
        raise ScenarioFailed(f"the market did not become active in {ACTIVATION_S} s of valid prices")

    def risk_parameters(self) -> bytes:
        return commands.build(
            "UpdateMarketRisk", principal=RISK, client_key=self.key(), market=MARKET, config_version=1,
            field_mask=0xFF, max_leverage_e2=MAX_LEVERAGE_E2, size_k_ppm=SIZE_K_PPM,
            floor_mmf_ppm=FLOOR_MMF_PPM, liquidation_fee_e6bp=50_000_000, position_limit=50_000_000 * DOLLAR,
            open_interest_cap=10**15, impact_notional=10_000 * DOLLAR, insurance_limit=1_000_000 * DOLLAR,
        )  # fmt: skip

    def breakers(self) -> list[bytes]:
        """Volume and liquidation breakers as wide as they go: ten accounts are nothing in this market."""
        return [
            commands.build(
                "ConfigureBreaker", principal=RISK, client_key=self.key(), market=MARKET, breaker=breaker,
                config_version=1, threshold=threshold, second_threshold=second,
            )
            for breaker, threshold, second in WIDE_BREAKERS
        ]  # fmt: skip

    def open_accounts(self, deposits: list[int]) -> None:
        """Trader i gets `deposits[i]` micro of the settlement asset."""
        for start in range(0, len(deposits), BATCH):
            numbers = range(start, min(start + BATCH, len(deposits)))
            self.must(
                commands.open_account(
                    principal=owner_key(number), client_key=self.key(), owner_key=owner_key(number)
                )
                for number in numbers
            )
            self.must(
                commands.deposit(
                    principal=SYSTEM, account=self.ids[number], asset=USDC, amount=deposits[number],
                    external_id=number.to_bytes(32, "big"),
                )
                for number in numbers
            )  # fmt: skip

    # -- checking -------------------------------------------------------------------------------------------

    def differences(self) -> Iterator[str]:
        """Where the books kept from events and the engine's own lines differ: nowhere."""
        core = self.engine.core
        for asset, total in self.books.imbalance().items():
            yield f"the postings of asset {asset} sum to {total}"
        if int(self.books.lots.sum()):
            yield f"positions sum to {int(self.books.lots.sum())} lots"
        for line, amount in self.books.system.items():
            engine = (
                core.system_balance(line, MARKET, USDC)
                if line == 0x87
                else core.system_balance(line, 0, USDC)
            )
            if engine != amount:
                yield f"system line {line:#x}: engine {engine}, events {amount}"

    def account_differences(self, step: int = 1) -> Iterator[str]:
        """The same for every `step`-th account."""
        core, lines = self.engine.core, self.books.lines
        for number in range(0, len(self.ids), step):
            for line in (0, 1, 2):
                engine = core.balance(self.ids[number], 0, USDC, line) or 0
                events = int(lines[line, number + 1])
                if engine != events:
                    yield f"trader {number}, line {line}: engine {engine}, events {events}"


def log_uniform(source: random.Random, low: float, high: float) -> float:
    return math.exp(source.uniform(math.log(low), math.log(high)))
