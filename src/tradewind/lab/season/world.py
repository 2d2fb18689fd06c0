"""The exchange of a season: engine, roles, traders, token and markets; time is simulated."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tradewind.core import commands
from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import AssetFlag, MarketKind, Role, Side, TimeInForce
from tradewind.core.errors import name_of
from tradewind.core.native import derive_account_id
from tradewind.lab.driven import Driven, ScenarioFailed
from tradewind.lab.season.books import Books

SECOND_NS = 10**9
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
START_NS = 1_700_000_000 * SECOND_NS
STEP_NS = 4 * HOUR_NS
BATCH = 1_024
USDC, MMT = 0, 1
UNIT = 10**6
"""Micro-units of a whole one, and micro-shares of a whole share."""
LOT, TICK = 1_000, 1_000
SYSTEM, OPERATOR, TREASURER = (bytes([number] * 32) for number in (1, 2, 3))
ARBITERS = tuple(bytes([0x70 + number] * 32) for number in range(5))
MOST_TICKS = 10_000
SETTING_UP = 400
"""Commands of one account in a batch of its own minute while the world is made."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one market."""

    outcomes: int
    settles_at: int
    """Step at which trading ends."""
    truth: int
    """The outcome that is final; `outcomes` stands for INVALID."""
    disputed: bool
    """A wrong outcome is proposed first, and arbiters overturn it."""
    has_pool: bool


def owner_key(number: int) -> bytes:
    return (10_000 + number).to_bytes(32, "big")


class World(Driven[Books]):
    """Engine, books and simulated time of a season.

    Trader i has account handle i + 1; market i has handle i.
    """

    clock_key, batch_size = SYSTEM, BATCH

    def __init__(self, fates: list[Fate], traders: int, seed: int, *, audit: bool) -> None:
        roles = {SYSTEM: Role.SYSTEM, OPERATOR: Role.OPERATOR, TREASURER: Role.TREASURER}
        roles |= dict.fromkeys(ARBITERS, Role.ARBITER)
        grants = [Grant(key, role, START_NS + 364 * DAY_NS) for key, role in roles.items()]
        books = Books(assets=2, markets=len(fates))
        super().__init__(GenesisConfig(START_NS, grants), books, START_NS, audit=audit)
        self.random = random.Random(seed)  # noqa: S311 a repeatable season, no secret
        self.fates = fates
        self.keys = [owner_key(number) for number in range(traders)]
        self.ids = [derive_account_id(key) for key in self.keys]
        self.operator = derive_account_id(OPERATOR)
        self.refusals: dict[str, int] = {}

    # -- sending --------------------------------------------------------------------------------------

    def by(self, trader: int) -> dict[str, Any]:
        """Envelope of a trader's command."""
        return {"principal": self.keys[trader], "account": self.ids[trader], "client_key": self.key()}

    def note_results(self, results: Any) -> None:
        """Refusals are counted by name."""
        for code in results["code"][results["accepted"] == 0].tolist():
            name = name_of(code)
            self.refusals[name] = self.refusals.get(name, 0) + 1

    def wait(self, nanoseconds: int) -> None:
        """Time goes on; the engine does what has fallen due, as many Ticks as it needs."""
        self.now_ns += nanoseconds
        for _ in range(MOST_TICKS):
            before = self.books.events
            self.send([commands.tick(principal=SYSTEM)])
            if self.books.events == before:
                return
        raise ScenarioFailed(f"{MOST_TICKS} Ticks at one moment still find work")

    def spread(self, rows: Iterable[bytes]) -> None:
        """Accepted commands of one account, a few a minute, so that its client keys are forgotten."""
        rows = list(rows)
        for start in range(0, len(rows), SETTING_UP):
            self.wait(61 * SECOND_NS)
            self.must(rows[start : start + SETTING_UP])

    def by_operator(self) -> dict[str, Any]:
        """Envelope of the operator's command."""
        return {"principal": OPERATOR, "account": self.operator, "client_key": self.key()}

    # -- commands -------------------------------------------------------------------------------------

    def order(self, trader: int, claim: tuple[int, int], side: Side, price: int, lots: int) -> bytes:
        """A limit order for a claim: market and outcome."""
        market, outcome = claim
        return commands.place_order(
            **self.by(trader), market=market, outcome=outcome, side=side, price=price, lots=lots,
            time_in_force=TimeInForce.GTC,
        )  # fmt: skip

    def sets(self, kind: str, trader: int, market: int, lots: int) -> bytes:
        """`MintSet` or `MergeSet`."""
        return commands.build(kind, **self.by(trader), market=market, lots=lots)

    # -- beginning ------------------------------------------------------------------------------------

    def open(self, deposit: int, pools: int, tokens: int) -> None:
        """Assets, traders with `deposit` micro-USDC and `tokens` micro-MMT each, the operator with `pools`
        micro-USDC, and every market."""
        register = commands.register_asset
        settlement = AssetFlag.SETTLEMENT | AssetFlag.STABLE
        rows = [
            register(principal=OPERATOR, client_key=self.key(), symbol="USDC", asset_flags=settlement),
            register(principal=OPERATOR, client_key=self.key(), symbol="MMT", asset_flags=AssetFlag.TOKEN),
            commands.open_account(principal=OPERATOR, client_key=self.key(), owner_key=OPERATOR),
        ]
        rows += [
            commands.open_account(principal=key, client_key=self.key(), owner_key=key) for key in self.keys
        ]
        rows += [
            commands.deposit(
                principal=SYSTEM, account=account, asset=USDC, amount=deposit,
                external_id=(number + 1).to_bytes(32, "big"),
            )
            for number, account in enumerate(self.ids)
        ]  # fmt: skip
        if pools:
            rows.append(
                commands.deposit(
                    principal=SYSTEM,
                    account=self.operator,
                    asset=USDC,
                    amount=pools,
                    external_id=bytes([0xFE] * 32),
                )
            )
        self.must(rows)
        self.must(
            commands.build(
                "AllocateVesting", principal=TREASURER, client_key=self.key(), beneficiary=account,
                amount=tokens, start_ns=0, pool=3,
            )
            for account in self.ids
        )  # fmt: skip
        self.must(
            [
                commands.build(
                    "OpenSeason",
                    principal=TREASURER,
                    client_key=self.key(),
                    season=1,
                    budget=10_000_000 * UNIT,
                )
            ]
        )
        self.spread(self._market(number, fate) for number, fate in enumerate(self.fates))

    def _market(self, nonce: int, fate: Fate) -> bytes:
        return commands.create_market(
            **self.by_operator(), nonce=nonce, base=USDC, quote=USDC,
            tick_size=TICK, lot_size=LOT, market_kind=MarketKind.OUTCOME, outcome_count=fate.outcomes,
            settle_time_ns=self.settle_time_ns(fate), taker_fee_e6bp=28_000_000,
        )  # fmt: skip

    def settle_time_ns(self, fate: Fate) -> int:
        """Half a step before the step that proposes."""
        return START_NS + DAY_NS + fate.settles_at * STEP_NS - STEP_NS // 2
